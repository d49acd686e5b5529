"""Coarse clicking: outlines drawn as polygons of a few vertices, slice by slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as polygon_pixels
from skimage.measure import approximate_polygon, find_contours

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_classes, check_range, check_whole
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import ROUNDING, Box, Mask, box_around, foreground_classes, nearest_class

__all__ = ["OutlineLabelNoise", "OutlineLabelNoiseD", "OutlineLabelNoiseDict", "OutlineLabelNoised"]

Ring = NDArray[np.float64]  # points x 2 in voxels; the last point is the first one


class OutlineLabelNoise(LabelNoise):
    """Outlines replaced by polygons of a few vertices, as a rater clicks them, fixed per case.

    In a volume each slice is drawn by itself. The outline of a class runs between the centres of its voxels and of
    their neighbours, and each closed piece of it, be it around the class or around a hole, becomes a polygon. With
    ``tolerance``, vertices are left out (Douglas and Peucker) as long as

        d(left-out vertex, polygon) <= tolerance in mm

    With ``vertices``, that many are set at equal distances along the outline. Either way they lie on the true outline,
    and the first one is at a random place, so that the polygons of two cases differ. The class is then every voxel
    whose centre is within the polygons; one on an edge of a polygon is.

    So a convex outline loses area and a concave one gains; the mistake is largest between the vertices and changes from
    slice to slice. With ``tolerance`` the vertices are found at the corners of the voxels' staircase, on a convex
    outline at the outer ones, which makes the damage smaller by about a fifth of a voxel along the whole outline: by a
    fifth at a tolerance of two voxels, by a tenth at four. With ``vertices`` it is the same at any voxel size.

    A polygon has three vertices at least: where the tolerance leaves fewer it is halved, for this piece of outline,
    until it does not. Parts thinner than the tolerance may fall to pieces. Not for annotations that are speckled: each
    speck is an outline of its own.

    **Where classes meet:** every class is outlined as the clean map has it. They are drawn in ascending order, each
    over the former, so an inner structure with a higher number is drawn on top. A voxel that its class loses and no
    other polygon covers becomes the nearest other class within the slice: no gaps open between neighbours. The border
    of the slice is no outline: an organ that is cut by it is outlined as if it went on.

    Args:
        tolerance: (min, max) in mm of a tolerance drawn uniformly for each case, or one number. 1 to 5 mm is usual.
            Either this or ``vertices``.
        vertices: number of vertices of each polygon, 3 or more; 6 to 20 is usual. An outline with fewer points than
            this stays.
        axis: axis of the volume across the slices, 0 to 2; None takes the one with the largest spacing, the last of
            them if there are several, and in a volume of one slice the axis across it. Not used in 2D.
        classes: foreground classes to outline; None means all. The others stay where nothing is drawn over them.
        seed: chooses another realisation.
        strength: factor on the tolerance; the number of vertices is divided by it.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, or not exactly one of tolerance and vertices is given.

    References:
        What COCO-N (Kimhi et al., arXiv 2406.10891) calls ``approximation``; there in pixels (5, 10 and 15), the start
        is not random and holes are filled.
        Douglas and Peucker, *Algorithms for the reduction of the number of points required to represent a digitized
        line or its caricature*, Cartographica 10 (1973), https://doi.org/10.3138/FM57-6770-U75U-7727.

    Example::

        >>> import numpy as np
        >>> noise = OutlineLabelNoise(tolerance=2)
        >>> places = np.indices((24, 24, 24)) - 11.5
        >>> disc, ball = (places[:2, :, :, 0] ** 2).sum(0) < 81, (places**2).sum(0) < 81
        >>> noisy = [noise(label[None].astype("uint8"), "case-1") for label in (disc, ball)]
        >>> bool(noisy[0].sum() < disc.sum()), bool(noisy[1].sum() < ball.sum())
        (True, True)
    """

    model: ClassVar[str] = "outline"

    def __init__(
        self,
        *,
        tolerance: float | Sequence[float] | None = None,
        vertices: int | None = None,
        axis: int | None = None,
        classes: Sequence[int] | None = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        if (tolerance is None) == (vertices is None):
            raise ValueError(f"tolerance is {tolerance} and vertices is {vertices}, expected exactly one of the two")
        self.tolerance = None if tolerance is None else check_range("tolerance", tolerance)
        self.vertices = None if vertices is None else check_whole("vertices", vertices, minimum=3)
        self.axis = None if axis is None else check_whole("axis", axis)
        if self.axis not in (None, 0, 1, 2):
            raise ValueError(f"axis is {axis}, expected 0, 1 or 2, or None for the one with the largest spacing")
        self.classes = check_classes(classes)

    @property
    def max_strength(self) -> float:
        """Triangles."""
        return math.inf if self.vertices is None else self.vertices / 3

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw each slice anew."""
        draw = self._pen(rng)
        if label.ndim == 2:
            return _draw_slice(label, self.classes, spacing, draw, rng)
        axis = through_plane(label.shape, spacing) if self.axis is None else self.axis
        within = tuple(size for number, size in enumerate(spacing) if number != axis)
        slices = np.moveaxis(label, axis, 0)
        for number in np.flatnonzero((slices > 0).any(axis=(1, 2))):
            slices[number] = _draw_slice(slices[number], self.classes, within, draw, rng)
        return label

    def _pen(self, rng: np.random.Generator) -> Callable[[Ring], Ring]:
        """Return what makes a polygon of an outline in mm, at this strength."""
        if self.vertices is not None:
            number = max(3, round(self.vertices / self.strength))
            return lambda ring: space_evenly(ring, number)
        assert self.tolerance is not None  # by the check in the constructor
        tolerance = self.strength * rng.uniform(*self.tolerance)
        return lambda ring: leave_out(ring, tolerance)


def through_plane(shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    """Return the axis across the slices: the one of a single slice, or else the one with the largest spacing."""
    single = [axis for axis, number in enumerate(shape) if number == 1]
    return max(single or [axis for axis, size in enumerate(spacing) if size * ROUNDING >= max(spacing)])


def leave_out(ring: Ring, tolerance: float) -> Ring:
    """Return the closed polygon of those points of a ring that are needed to stay within the tolerance, at least 3."""
    polygon: Ring = approximate_polygon(ring, tolerance)
    while len(polygon) < 4:  # the first one counts twice
        tolerance /= 2
        polygon = approximate_polygon(ring, tolerance)
    return polygon


def space_evenly(ring: Ring, number: int) -> Ring:
    """Return the closed polygon of ``number`` points at equal distances along a ring; the ring if it has no more."""
    if number >= len(ring) - 1:
        return ring
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    places = np.linspace(0, along[-1], number + 1)
    return np.stack([np.interp(places, along, coordinate) for coordinate in ring.T], axis=1)


def _draw_slice(
    clean: NDArray[np.int32],
    classes: tuple[int, ...] | None,
    spacing: tuple[float, ...],
    draw: Callable[[Ring], Ring],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Return a slice with its classes outlined anew."""
    noisy = clean.copy()
    drawn: list[tuple[int, Box, Mask]] = []
    for number in foreground_classes(clean):
        if classes is not None and number not in classes:
            continue
        mask = clean == number
        box = box_around(mask, (1, 1))
        region = _redraw(mask, box, spacing, draw, rng)
        lost = mask[box] & ~region
        if lost.any() and not mask[box].all():
            noisy[box][lost] = nearest_class(clean[box], lost, ~mask[box], spacing)
        drawn.append((number, box, region))
    for number, box, region in drawn:
        noisy[box][region] = number
    return noisy


def _redraw(
    mask: Mask, box: Box, spacing: tuple[float, ...], draw: Callable[[Ring], Ring], rng: np.random.Generator
) -> Mask:
    """Return, within the box of the mask, which voxels its polygons cover."""
    # Where the mask is cut by the slice's border it goes on, so far that the outline's way back stays outside.
    cut = any(
        edge.any() for axis in (0, 1) for edge in (mask.take(0, axis=axis), mask.take(mask.shape[axis] - 1, axis=axis))
    )
    beyond = 1 + max(mask[box].shape) if cut else 0
    region = np.pad(np.pad(mask[box], beyond, mode="edge"), 1)
    rings = list(_rings(region, rng))
    size = np.asarray(spacing)
    covered = np.zeros(region.shape, dtype=bool)
    # A hole is smaller than what it is in, and an island in it smaller than the hole.
    for ring in sorted(rings, key=lambda points: -abs(_signed_area(points))):
        # Rounded, as whether a centre is on an edge must not depend on the way to mm and back.
        rows, columns = np.round(draw(ring * size) / size, 6).T
        covered[polygon_pixels(rows, columns, shape=covered.shape)] = _signed_area(ring) > 0
    inner = slice(beyond + 1, -beyond - 1)
    return covered[inner, inner]


def _rings(region: Mask, rng: np.random.Generator) -> Iterator[Ring]:
    """Yield the outlines of a region that does not touch the array's border, each from a random point on."""
    for ring in find_contours(region.astype(float), 0.5, fully_connected="high", positive_orientation="high"):
        start = int(rng.random() * (len(ring) - 1))
        yield np.concatenate([ring[start:-1], ring[: start + 1]])


def _signed_area(ring: Ring) -> float:
    """Return the area within a ring, above 0 if it goes around the region and below if around a hole."""
    x, y = ring.T
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


class OutlineLabelNoised(NamedLabelNoised):
    """Dictionary form of `OutlineLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = OutlineLabelNoised("label", vertices=8)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = OutlineLabelNoise


OutlineLabelNoiseD = OutlineLabelNoiseDict = OutlineLabelNoised
