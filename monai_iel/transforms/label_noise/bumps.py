"""Local slips: bumps on the outline and bites out of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import (
    check_fraction,
    check_number,
    check_option,
    check_range,
    check_regions,
    check_whole,
)
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import (
    Mask,
    ball_around,
    box_around,
    edge_voxels,
    face_areas,
    foreground_classes,
    outline_size,
    redraw_region,
    voxels_within,
    without_flat_axes,
)

__all__ = ["BumpLabelNoise", "BumpLabelNoiseD", "BumpLabelNoiseDict", "BumpLabelNoised"]

Mode = Literal["add", "remove", "both"]
Classes = Sequence[int] | Literal["foreground"] | None


class _Balls(NamedTuple):
    """The balls of one region, in order."""

    centres: NDArray[np.int64]  # number x axes, in voxels
    radii: NDArray[np.float64]  # mm
    adds: NDArray[np.bool_]


class BumpLabelNoise(LabelNoise):
    """Balls of a random radius in mm added to or taken from an outline, fixed per case.

    In each region (a class, or the whole foreground) centres are drawn without repetition among the edge voxels, which
    have a face neighbour outside the region, and for each a radius r, uniform in ``radius``. The ball holds all voxels
    whose centre is within r mm of the centre's.

        add:     voxels of the ball outside the region become its class
        remove:  voxels of the ball inside the region become the nearest class outside
        both:    one or the other, with probability 1/2 for each centre

    The balls of a region follow one another, so a later one may undo a part of a former one. All centres lie on the
    clean label's edges, so they are the same at every strength. The classes are treated in ascending order, each on the
    result of the former; one that is gone by then stays gone. With ``classes="foreground"`` all foreground is one
    region: what is removed becomes background, and what is added becomes the nearest foreground class. A ball that
    would take all that is left of a region is left out. The border of the volume is no edge, and a volume of one slice
    is treated as an image.

    **How many balls:** ``count`` of them on any outline; or ``density`` times the outline's length (2D) or area (3D);
    or ``fraction`` times the number of its edge voxels. A fraction depends on the voxel size: at 0.5 x 0.5 x 3 mm an
    organ has more edge voxels than at 1 x 1 x 1 mm, and gets more balls of the same size in mm. Also, with fraction and
    count each edge voxel is equally likely, so that coarse slices are hit more on top and bottom, where edge voxels lie
    deeper. With density, centres are drawn with the area of their voxels' faces at the edge as weight, so that an
    outline is hit evenly whatever its voxels. The outline is measured by its shadows along the axes: exact in the mean
    over orientations, so for a ball, but a box along the axes counts as 2/3 of its surface (2D: 0.79 of its length).

    Two concave bites into a convex organ: ``radius=(8, 18), count=2, mode="remove", classes="foreground"``. Not for
    structures that are thinner than the radius: they fall to pieces.

    Args:
        radius: (min, max) of the balls' radii in mm, or one number. 1 to 4 mm for slips, a third of the organ's width
            for bites.
        count: number of balls per region, or (min, max) of a number drawn uniformly. This, ``fraction`` or ``density``.
        fraction: number of balls as a fraction of the edge voxels, at least one ball; 0.02 to 0.1 is usual. It depends
            on the voxel size; published settings are in it.
        density: balls per mm of outline (2D) or per mm^2 of surface (3D), in the mean over cases; a region may get
            none. 0.02 to 0.1 is usual in images, 0.002 to 0.02 in volumes.
        mode: "add", "remove" or "both".
        classes: foreground classes to treat one by one, None for all that the label holds, or "foreground" for their
            union.
        seed: chooses another realisation.
        strength: factor on the radius. Where balls grow longer than a structure, one is left out in the end, and the
            damage falls again.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, a mode is misspelt, or not exactly one of count, fraction and
            density is given.

    References:
        The noise script of PyMIC's JSRT example: circles on 10 % of the edge points, 2D, in pixels.
        Zhang et al., *Characterizing Label Errors: Confident Learning for Noisy-Labeled Image Segmentation* (CL-SLSR),
        MICCAI 2020.

    Example::

        >>> import numpy as np
        >>> noise = BumpLabelNoise(radius=(2, 3), count=2, mode="remove")
        >>> image, volume = np.zeros((1, 12, 12), dtype="uint8"), np.zeros((1, 12, 12, 12), dtype="uint8")
        >>> image[0, 2:10, 2:10] = volume[0, 2:10, 2:10, 2:10] = 1
        >>> bool(noise(image, "case-1").sum() < image.sum()), bool(noise(volume, "case-1").sum() < volume.sum())
        (True, True)
    """

    model: ClassVar[str] = "bumps"

    def __init__(
        self,
        *,
        radius: float | Sequence[float],
        count: int | Sequence[int] | None = None,
        fraction: float | None = None,
        density: float | None = None,
        mode: Mode = "both",
        classes: Classes = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.radius = check_range("radius", radius)
        if [count, fraction, density].count(None) != 2:
            raise ValueError(
                f"count is {count}, fraction is {fraction} and density is {density}, expected exactly one of the three"
            )
        self.count = None if count is None else _check_count(count)
        self.fraction = None if fraction is None else check_fraction("fraction", fraction)
        expected = "a positive number of balls per mm of outline (2D) or mm^2 of surface (3D)"
        self.density = (
            None if density is None else check_number("density", density, lambda n: 0.0 < n < np.inf, expected)
        )
        self.mode: Mode = check_option("mode", mode, ("add", "remove", "both"))
        self.classes = check_regions(classes)

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of the constructor except seed and strength, and except a density that is not given."""
        # The random numbers come from the parameters, and those without a density were fixed before there was one.
        return {name: value for name, value in super().parameters.items() if name != "density" or value is not None}

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw the balls of all regions, then bump them, in ascending order of the classes."""
        noisy, sizes = without_flat_axes(label, spacing)
        numbers = (0,) if self.classes == "foreground" else self.classes or foreground_classes(label)
        # All from the clean label: else the balls of a class would depend on how far those of a lower one reached.
        drawn = [self._draw(_region(noisy, number), sizes, rng) for number in numbers]
        for number, balls in zip(numbers, drawn, strict=True):
            noisy = self._bump(noisy, number, balls, sizes)
        return noisy.reshape(label.shape)

    def _draw(self, region: Mask, spacing: tuple[float, ...], rng: np.random.Generator) -> _Balls:
        """Return the balls of one region, none if it has no edge."""
        edge = edge_voxels(region)
        if not len(edge):
            return _Balls(edge, np.empty(0), np.empty(0, dtype=bool))
        number, weights = self._draw_number(region, edge, spacing, rng)
        centres = edge[rng.choice(len(edge), size=number, replace=False, p=weights)]
        radii = self.strength * rng.uniform(*self.radius, size=number)
        adds = rng.random(number) < {"add": 1.0, "remove": 0.0, "both": 0.5}[self.mode]
        return _Balls(centres, radii, adds)

    def _draw_number(
        self, region: Mask, edge: NDArray[np.int64], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> tuple[int, NDArray[np.float64] | None]:
        """Return the number of balls, and the probability of each edge voxel to be a centre (None: all alike)."""
        if self.count is not None:
            return min(int(rng.integers(self.count[0], self.count[1], endpoint=True)), len(edge)), None
        if self.fraction is not None:
            return min(max(1, round(self.fraction * len(edge))), len(edge)), None
        assert self.density is not None  # by the check in the constructor
        areas = face_areas(region, edge, spacing)
        expected = self.density * outline_size(areas, region.ndim)
        # Rounded up or down by chance, so that the mean is the density also where a region gets few balls.
        return min(math.floor(expected + rng.random()), len(edge)), areas / areas.sum()

    def _bump(
        self, label: NDArray[np.int32], number: int, balls: _Balls, spacing: tuple[float, ...]
    ) -> NDArray[np.int32]:
        """Return the label after all balls of one region; ``number`` is its class, 0 for the whole foreground."""
        region = _region(label, number)
        if not len(balls.centres) or not region.any() or region.all():
            return label
        # All that can change, and one voxel more, so that the nearest outside voxel is seen where only bites are taken.
        # Centres may lie outside by now.
        held = region.copy()
        held[tuple(balls.centres.T)] = True
        reach = voxels_within(self.strength * self.radius[1], spacing)
        box = box_around(held, tuple(max(1, voxels) for voxels in reach))
        old = region[box]
        shifted = balls._replace(centres=balls.centres - [side.start for side in box])
        return redraw_region(label, box, old, _apply_balls(old, shifted, spacing), number, spacing)


def _region(label: NDArray[np.int32], number: int) -> Mask:
    """Return where a class is, for 0 the whole foreground."""
    return label == number if number else label > 0


def _check_count(count: int | Sequence[int]) -> tuple[int, int]:
    """Return (min, max) of the number of balls."""
    ends = tuple(count) if isinstance(count, (tuple, list)) else (count, count)
    if len(ends) != 2 or check_whole("count", ends[0], minimum=1) > check_whole("count", ends[1]):
        raise ValueError(f"count is {count!r}, expected a whole number or (min, max) with 1 <= min <= max")
    return check_whole("count", ends[0]), check_whole("count", ends[1])


def _apply_balls(region: Mask, balls: _Balls, spacing: tuple[float, ...]) -> Mask:
    """Return the region after adding and removing the balls one after the other."""
    new = region.copy()
    left = np.count_nonzero(new)
    for centre, radius, add in zip(*balls, strict=True):
        box, ball = ball_around(centre, float(radius), spacing, region.shape)
        before = np.count_nonzero(new[box])
        after = new[box] | ball if add else new[box] & ~ball
        remaining = left - before + np.count_nonzero(after)
        if remaining:
            new[box] = after
            left = remaining
    return new


class BumpLabelNoised(NamedLabelNoised):
    """Dictionary form of `BumpLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = BumpLabelNoised("label", radius=(1, 2), fraction=0.1)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = BumpLabelNoise


BumpLabelNoiseD = BumpLabelNoiseDict = BumpLabelNoised
