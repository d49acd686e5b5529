"""Lengths in mm on voxel grids: boxes, balls, edges and nearest classes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "ball_around",
    "box_around",
    "edge_voxels",
    "face_areas",
    "foreground_classes",
    "nearest_class",
    "outline_size",
    "redraw_region",
    "voxels_within",
    "without_flat_axes",
]

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]

# Distances are sums of multiples of the spacing, which affines give with rounding: 3 * 0.1 must count as within 0.3.
ROUNDING = 1.0 + 1e-6


def foreground_classes(label: NDArray[np.int32]) -> tuple[int, ...]:
    """Return the positive classes that the label holds, in ascending order."""
    return tuple(int(number) for number in np.unique(label[label > 0]))


def without_flat_axes(
    label: NDArray[np.int32], spacing: tuple[float, ...]
) -> tuple[NDArray[np.int32], tuple[float, ...]]:
    """Return the label and its spacing without the axes that are one voxel long: a volume of one slice as an image.

    Only where all axes are one voxel long they stay.
    """
    long = [axis for axis, size in enumerate(label.shape) if size > 1] or range(label.ndim)
    return label.reshape([label.shape[axis] for axis in long]), tuple(spacing[axis] for axis in long)


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


def face_areas(mask: Mask, voxels: NDArray[np.int64], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return, for each of the mask's ``voxels`` (indices), the area of its faces in mm^2 (2D: the length of its sides
    in mm) behind which the mask ends; the array's own border is no end.
    """
    areas = np.zeros(len(voxels))
    for axis, (number, size) in enumerate(zip(mask.shape, spacing, strict=True)):
        for side in (-1, 1):
            places = voxels[:, axis] + side
            within = (places >= 0) & (places < number)
            beside = voxels.copy()
            beside[:, axis] = np.where(within, places, voxels[:, axis])  # beyond the border: itself, in the mask
            areas[~mask[tuple(beside.T)]] += math.prod(spacing) / size
    return areas


def outline_size(areas: NDArray[np.float64], dims: int) -> float:
    """Return the length in mm (2D) or area in mm^2 (3D) of an outline that shows these `face_areas`.

    The formula of Cauchy and Crofton with the axes as the only directions: faces across an axis add up to the outline's
    shadow along it, whatever the voxels are, and over all directions the shadow of a piece of outline is in the mean
    1/2 of it in 3D, 2/pi in 2D. Exact in the mean over orientations of the grid, so for a ball; a box along the axes
    counts as 2/3 of its surface, pi/4 in 2D.
    """
    shadow = math.gamma(dims / 2) / (math.sqrt(math.pi) * math.gamma((dims + 1) / 2))
    return float(areas.sum()) / (dims * shadow)


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


def redraw_region(
    label: NDArray[np.int32], box: Box, old: Mask, new: Mask, number: int, spacing: tuple[float, ...]
) -> NDArray[np.int32]:
    """Return the label after a region's outline changed from ``old`` to ``new``, both within ``box``.

    What the region lost becomes the nearest class outside it; what it gained becomes ``number``, or the nearest class
    inside it if that is 0. The box has to hold the region and one voxel around it.
    """
    lost, gained = old & ~new, new & ~old
    noisy = label.copy()
    if lost.any():
        noisy[box][lost] = nearest_class(label[box], lost, ~old, spacing)
    if gained.any():
        noisy[box][gained] = number or nearest_class(label[box], gained, old, spacing)
    return noisy
