"""Four measures of how far a mask is from convex."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .hull import GridHull, bounding_box, check_mask, convex_hull_mask

__all__ = ["MEASURES", "Convexity", "Measure", "convexity_of", "measure_convexity"]

Mask = NDArray[np.bool_]
Measure = Literal["solidity", "concavity_depth", "nonconvex_fraction", "components"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True)
class Convexity:
    """How convex a structure is.

    Args:
        solidity: voxels of the structure over voxels of its convex hull; 1 for a convex one. The hull is that of the
            whole structure, so a satellite far away lowers it much.
        concavity_depth: in mm, how far the deepest voxel that the structure lacks of its hull lies below the hull's
            surface; 0 for a convex structure. Distances are from voxel centre to the plane through voxel centres, so a
            slit of k voxels in a flat face reads k - 1 voxel sizes, and a single voxel lacking there reads 0.
        nonconvex_fraction: voxels that the connected components lack of their own hulls, over the voxels of the
            structure. Notches count, satellites do not; it can be larger than 1. Where hulls overlap, each is counted.
        components: number of connected components, in which voxels hang together by faces, edges or corners (what
            MONAI's ``KeepLargestConnectedComponent`` takes by default).
    """

    solidity: float
    concavity_depth: float
    nonconvex_fraction: float
    components: int


def convexity_of(mask: Mask, spacing: float | Sequence[float] = 1.0) -> Convexity:
    """All measures of one structure.

    An empty mask is NaN in all of them but ``components``, which is 0. The depth in a structure that lies in one plane
    or on one line (one slice, a row of voxels) is measured within that plane or line.

    Args:
        mask: the structure.
        spacing: mm per voxel, a number or one per axis. Only ``concavity_depth`` depends on it.

    Shape: ``H``, ``H W`` or ``H W D``, bool.

    Raises:
        TypeError: for anything but a NumPy array of bool.
        ValueError: for another number of axes, or a spacing that does not fit.

    Example (2D, then 3D): a square with a notch; a cube of 2 mm voxels with a hole, and a satellite.

        >>> square = np.ones((9, 9), dtype=bool)
        >>> square[:5, 4] = False
        >>> convexity_of(square).concavity_depth, round(convexity_of(square).solidity, 3)
        (4.0, 0.938)
        >>> cube = np.zeros((7, 7, 20), dtype=bool)
        >>> cube[:, :, :7] = True
        >>> cube[3, 3, 3] = False
        >>> convexity_of(cube, 2.0).concavity_depth
        6.0
        >>> cube[3, 3, 19] = True
        >>> shape = convexity_of(cube, 2.0)
        >>> shape.components, round(shape.nonconvex_fraction, 4), round(shape.solidity, 2)
        (2, 0.0029, 0.71)
    """
    structure = _Structure(mask, spacing)
    return Convexity(
        structure.solidity(), structure.concavity_depth(), structure.nonconvex_fraction(), structure.components()
    )


def measure_convexity(mask: Mask, measure: Measure, spacing: float | Sequence[float] = 1.0) -> float:
    """One measure of one structure, at its own cost: see :func:`convexity_of`.

    Raises:
        TypeError: for anything but a NumPy array of bool.
        ValueError: for an unknown measure, another number of axes, or a spacing that does not fit.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; expected one of {', '.join(MEASURES)}.")
    return float(getattr(_Structure(mask, spacing), measure)())


class _Structure:
    """A mask cut to its bounding box, and what several measures need of it."""

    def __init__(self, mask: Mask, spacing: float | Sequence[float]) -> None:
        check_mask(mask)
        self.spacing = _spacing(spacing, mask.ndim)
        self.mask = mask[bounding_box(mask)] if mask.any() else mask[:0]
        self.size = int(np.count_nonzero(self.mask))

    @cached_property
    def hull(self) -> GridHull:
        return GridHull.of(self.mask)

    @cached_property
    def filled(self) -> Mask:
        return self.hull.rasterise(self.mask.shape)

    @cached_property
    def hull_size(self) -> int:
        return int(np.count_nonzero(self.filled))

    @cached_property
    def labelled(self) -> tuple[NDArray[np.int32], int]:
        labels, number = ndimage.label(self.mask, structure=np.ones((3,) * self.mask.ndim))
        return cast("NDArray[np.int32]", labels), int(number)

    def solidity(self) -> float:
        return self.size / self.hull_size if self.size else math.nan

    def concavity_depth(self) -> float:
        if not self.size:
            return math.nan
        return self.hull.greatest_depth(np.argwhere(self.filled & ~self.mask), self.spacing)

    def nonconvex_fraction(self) -> float:
        if not self.size:
            return math.nan
        labels, number = self.labelled
        if number == 1:
            return (self.hull_size - self.size) / self.size
        lacking = 0
        for i, box in enumerate(ndimage.find_objects(labels), start=1):
            component = labels[box] == i
            size = int(np.count_nonzero(component))
            if 2 < size < component.size:  # one voxel, a pair of neighbours and a full box are convex
                lacking += int(np.count_nonzero(convex_hull_mask(component))) - size
        return lacking / self.size

    def components(self) -> int:
        return self.labelled[1]


def _spacing(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    sizes = np.asarray(spacing, dtype=np.float64)
    if sizes.shape not in ((), (ndim,)) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(
            f"spacing is {spacing!r}; expected one positive number in mm, or {ndim} of them for this {ndim}D mask."
        )
    return tuple(float(s) for s in np.broadcast_to(sizes, ndim))
