"""Local slips: bumps on the outline and bites out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from monai.utils import look_up_option
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_classes, check_fraction, check_range, check_whole
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import (
    Mask,
    ball_around,
    box_around,
    edge_voxels,
    foreground_classes,
    nearest_class,
    voxels_within,
)

__all__ = ["BumpLabelNoise", "BumpLabelNoiseD", "BumpLabelNoiseDict", "BumpLabelNoised"]

Mode = Literal["add", "remove", "both"]
Classes = Sequence[int] | Literal["foreground"] | None


class BumpLabelNoise(LabelNoise):
    """Balls of a random radius in mm added to or taken from an outline, fixed per case.

    In each region (a class, or the whole foreground) centres are drawn without repetition among the edge voxels, which
    have a face neighbour outside the region, and for each a radius r, uniform in ``radius``. The ball holds all voxels
    whose centre is within r mm of the centre's.

        add:     voxels of the ball outside the region become its class
        remove:  voxels of the ball inside the region become the nearest class outside
        both:    one or the other, with probability 1/2 for each centre

    The balls of a region follow one another, so a later one may undo a part of a former one. The classes are treated in
    ascending order, each on the result of the former. With ``classes="foreground"`` all foreground is one region: what
    is removed becomes background, and what is added becomes the nearest foreground class. A ball that would take all
    that is left of a region is left out. The border of the volume is no edge.

    Two concave bites into a convex organ: ``radius=(8, 18), count=2, mode="remove", classes="foreground"``. Not for
    structures that are thinner than the radius: they fall to pieces.

    Args:
        radius: (min, max) of the balls' radii in mm, or one number. 1 to 4 mm for slips, a third of the organ's width
            for bites.
        count: number of balls per region, or (min, max) of a number drawn uniformly. Either this or ``fraction``.
        fraction: number of balls as a fraction of the edge voxels, at least one ball; 0.02 to 0.1 is usual.
        mode: "add", "remove" or "both".
        classes: foreground classes to treat one by one, None for all that the label holds, or "foreground" for their
            union.
        seed: chooses another realisation.
        strength: factor on the radius.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, a mode is misspelt, or not exactly one of count and fraction is
            given.

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
        mode: Mode = "both",
        classes: Classes = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.radius = check_range("radius", radius)
        if (count is None) == (fraction is None):
            raise ValueError(f"count is {count} and fraction is {fraction}, expected exactly one of the two")
        self.count = None if count is None else _check_count(count)
        self.fraction = None if fraction is None else check_fraction("fraction", fraction)
        self.mode: Mode = look_up_option(mode, ("add", "remove", "both"))
        self.classes = look_up_option(classes, ("foreground",)) if isinstance(classes, str) else check_classes(classes)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Bump each region, in ascending order of the classes."""
        if self.classes == "foreground":
            return self._bump(label, label > 0, spacing, rng)
        for number in self.classes or foreground_classes(label):
            label = self._bump(label, label == number, spacing, rng)
        return label

    def _bump(
        self, label: NDArray[np.int32], region: Mask, spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Return the label after all balls of one region."""
        edge = edge_voxels(region)
        if not len(edge):
            return label
        number = min(self._draw_count(len(edge), rng), len(edge))
        centres = edge[rng.choice(len(edge), size=number, replace=False)]
        radii = self.strength * rng.uniform(*self.radius, size=number)
        adds = rng.random(number) < {"add": 1.0, "remove": 0.0, "both": 0.5}[self.mode]

        # All that can change, and one voxel more, so that the nearest outside voxel is seen where only bites are taken.
        box = box_around(
            region, tuple(max(1, reach) for reach in voxels_within(self.strength * self.radius[1], spacing))
        )
        old = region[box]
        new = _apply_balls(old, centres - [side.start for side in box], radii, adds, spacing)
        noisy = label.copy()
        for changed, sources in ((new & ~old, old), (old & ~new, ~old)):
            if changed.any():
                noisy[box][changed] = nearest_class(label[box], changed, sources, spacing)
        return noisy

    def _draw_count(self, num_edge: int, rng: np.random.Generator) -> int:
        """Return the number of balls on an outline of ``num_edge`` voxels."""
        if self.count is not None:
            return int(rng.integers(self.count[0], self.count[1], endpoint=True))
        assert self.fraction is not None  # by the check in the constructor
        return max(1, round(self.fraction * num_edge))


def _check_count(count: int | Sequence[int]) -> tuple[int, int]:
    """Return (min, max) of the number of balls."""
    ends = tuple(count) if isinstance(count, (tuple, list)) else (count, count)
    if len(ends) != 2 or check_whole("count", ends[0], minimum=1) > check_whole("count", ends[1]):
        raise ValueError(f"count is {count!r}, expected a whole number or (min, max) with 1 <= min <= max")
    return check_whole("count", ends[0]), check_whole("count", ends[1])


def _apply_balls(
    region: Mask,
    centres: NDArray[np.int64],
    radii: NDArray[np.float64],
    adds: NDArray[np.bool_],
    spacing: tuple[float, ...],
) -> Mask:
    """Return the region after adding and removing the balls one after the other."""
    new = region.copy()
    left = np.count_nonzero(new)
    for centre, radius, add in zip(centres, radii, adds, strict=True):
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
