"""Lengths in mm on voxel grids: boxes, balls, edges and nearest classes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["ball_around", "box_around", "edge_voxels", "foreground_classes", "nearest_class", "voxels_within"]

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]

# Distances are sums of multiples of the spacing, which affines give with rounding: 3 * 0.1 must count as within 0.3.
ROUNDING = 1.0 + 1e-6


def foreground_classes(label: NDArray[np.int32]) -> tuple[int, ...]:
    """Return the positive classes that the label holds, in ascending order."""
    return tuple(int(number) for number in np.unique(label[label > 0]))


def voxels_within(length: float, spacing: tuple[float, ...]) -> tuple[int, ...]:
    """Return how many voxels fit into ``length`` mm along each axis."""
    return tuple(math.floor(length * ROUNDING / size) for size in spacing)


def box_around(mask: Mask, margin: tuple[int, ...]) -> Box:
    """Return the bounding box of a mask that is not empty, grown by ``margin`` voxels per axis within the array."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(
        slice(max(0, side.start - grow), min(size, side.stop + grow))
        for side, grow, size in zip(box, margin, mask.shape, strict=True)
    )


def edge_voxels(mask: Mask) -> NDArray[np.int64]:
    """Return the indices of the mask's voxels with a face neighbour outside it; the array's own border is no edge."""
    if not mask.any():
        return np.empty((0, mask.ndim), dtype=np.int64)
    box = box_around(mask, (1,) * mask.ndim)
    inside = mask[box]
    return np.argwhere(inside & ~ndimage.binary_erosion(inside, border_value=1)) + [side.start for side in box]


def ball_around(
    centre: NDArray[np.int64], radius: float, spacing: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[Box, Mask]:
    """Return the box of a ball of ``radius`` mm, cut at the array's border, and the ball within the box."""
    reach = voxels_within(radius, spacing)
    box = tuple(
        slice(max(0, int(middle) - far), min(size, int(middle) + far + 1))
        for middle, far, size in zip(centre, reach, shape, strict=True)
    )
    offsets = [
        (np.arange(side.start, side.stop) - middle) * size
        for side, middle, size in zip(box, centre, spacing, strict=True)
    ]
    squared = sum(offset**2 for offset in np.ix_(*offsets))
    return box, np.asarray(squared <= (radius * ROUNDING) ** 2)


def nearest_class(
    label: NDArray[np.int32], voxels: Mask, sources: Mask, spacing: tuple[float, ...]
) -> NDArray[np.int32]:
    """Return, for each of ``voxels``, the class of the nearest of ``sources`` in mm."""
    indices = ndimage.distance_transform_edt(~sources, sampling=spacing, return_distances=False, return_indices=True)
    classes: NDArray[np.int32] = label[tuple(indices[:, voxels])]
    return classes
