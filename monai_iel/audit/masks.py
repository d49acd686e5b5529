"""Masks and boxes: what the audit does to them in many places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Box", "Mask", "box_around", "foreground_box", "grown", "parts_of", "smallest_region", "touched"]

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]

_MARGIN = 2  # voxels: what lies just outside an outline belongs to the question


def grown(mask: Mask) -> Mask:
    """The mask and all voxels that touch it, be it at a corner."""
    result = mask.copy()
    for axis in range(mask.ndim):
        before, view = np.moveaxis(result.copy(), axis, 0), np.moveaxis(result, axis, 0)
        view[1:] |= before[:-1]
        view[:-1] |= before[1:]
    return result


def touched(mask: Mask) -> Mask:
    """The mask and all voxels that share a face with it."""
    result = mask.copy()
    for axis in range(mask.ndim):
        whole, view = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
        view[1:] |= whole[:-1]
        view[:-1] |= whole[1:]
    return result


def parts_of(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Components connected over faces, edges and corners: their numbers from 1, and how many."""
    parts, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return parts, int(count)


def smallest_region(ndim: int) -> int:
    """Voxels below which nothing is reported: a block of three on each side, the least that has an inside."""
    return 3**ndim


def box_around(boxes: Sequence[Box], shape: Sequence[int]) -> Box:
    """The box around boxes and two voxels more on each side, as far as the array goes."""
    return tuple(
        slice(
            max(0, min(side.start for side in sides) - _MARGIN),
            min(size, max(side.stop for side in sides) + _MARGIN),
        )
        for sides, size in zip(zip(*boxes, strict=True), shape, strict=True)
    )


def foreground_box(*maps: NDArray[np.int32]) -> Box:
    """The box around all that one of the class maps calls foreground; two voxels at the corner where nothing is."""
    foreground = np.logical_or.reduce([classes > 0 for classes in maps])
    found = ndimage.find_objects(foreground.view(np.int8))
    return box_around(found or [(slice(0, 0),) * foreground.ndim], foreground.shape)
