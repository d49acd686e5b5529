"""What annotators leave behind by mistake: specks, holes, and slices that were passed over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage

__all__ = ["BusyError", "gaps", "holes", "islands", "structures"]

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Labels = np.ndarray[Any, np.dtype[np.int32]]

ISLAND = {2: 5, 3: 10}
"""By number of axes: a component of so many voxels, at most a hundredth of the largest one, is an island."""

_OF_LARGEST = 0.01
_OF_FOREGROUND = 0.05  # a larger hole, such as the blood in a ring of muscle, is anatomy
_LEAST_WORK = 2**12  # voxels that take as long as the calls of one structure
_OF_LABEL = 32
_SMALL_WORK = 2**22  # voxels; about a second
_LONGEST_GAP = 3
_OVERLAP = 0.5
_PIECE = 2**22


class BusyError(ValueError):
    """A label whose structures would take too long to look at one by one. The message says why."""


def structures(label: Labels) -> Iterator[tuple[int, tuple[int, ...], Mask]]:
    """Of each class its number, the first voxel of its bounding box, and its mask in that box.

    Raises:
        BusyError: the boxes, each counted as 4096 voxels at least, hold more than 32 times the voxels of the label, and
            more than 2**22: that many classes, scattered over the whole of it, are what an image has. Many small
            objects are not too many.

    >>> next(structures(np.arange(2**20, dtype=np.int32).reshape(64, 64, 256) % 3000))
    Traceback (most recent call last):
    monai_iel.check.labels.BusyError: 2999 classes, whose bounding boxes hold 2917 times the voxels of the label
    """
    boxes = {number: box for number, box in enumerate(ndimage.find_objects(label), start=1) if box is not None}
    sizes = [math.prod(part.stop - part.start for part in box) for box in boxes.values()]
    if sum(max(size, _LEAST_WORK) for size in sizes) > max(_OF_LABEL * label.size, _SMALL_WORK):
        times = f"{sum(sizes) / label.size:.0f} times the voxels of the label"
        raise BusyError(f"{len(boxes)} classes, whose bounding boxes hold {times}")
    for number, box in boxes.items():
        yield number, tuple(int(part.start) for part in box), label[box] == number


def islands(mask: Mask) -> tuple[list[int], tuple[int, ...]]:
    """Sizes of the tiny components, and a voxel of the first; corners connect.

    >>> mask = np.zeros((40, 40), bool)
    >>> mask[5:35, 5:35], mask[0, 3] = True, True
    >>> islands(mask)
    ([1], (0, 3))
    """
    components, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    if count < 2:
        return [], ()
    sizes = _sizes(components, count)[1:]
    tiny = np.flatnonzero((sizes <= ISLAND[mask.ndim]) & (sizes <= _OF_LARGEST * sizes.max()))
    if not tiny.size:
        return [], ()
    first = np.argwhere(components == tiny[0] + 1)[0]
    return sizes[tiny].tolist(), tuple(int(i) for i in first)


def holes(label: Labels) -> tuple[list[int], tuple[int, ...]]:
    """Sizes of the small parts of the background that foreground encloses, and a voxel of the first; faces connect.

    >>> label = np.ones((9, 9), np.int32)
    >>> label[4, 4] = 0
    >>> holes(label)
    ([1], (4, 4))
    """
    box = ndimage.find_objects((label > 0).view(np.int8))
    if not box:
        return [], ()
    empty = label[box[0]] == 0  # what foreground encloses lies inside its bounding box
    components, count = ndimage.label(empty)
    open_ones = {
        int(i) for axis in range(empty.ndim) for end in (0, -1) for i in np.unique(np.take(components, end, axis=axis))
    }
    sizes = _sizes(components, count)
    limit = _OF_FOREGROUND * (empty.size - int(empty.sum()))
    closed = [i for i in range(1, count + 1) if i not in open_ones and sizes[i] <= limit]
    if not closed:
        return [], ()
    first = np.argwhere(components == closed[0])[0]
    return [int(sizes[i]) for i in closed], tuple(int(i) + part.start for i, part in zip(first, box[0], strict=True))


def _sizes(components: Labels, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Voxels of each component, in pieces, since numpy makes an array of int64 of what it counts."""
    flat, sizes = components.ravel(), np.zeros(count + 1, np.int64)
    for start in range(0, flat.size, _PIECE):
        sizes += np.bincount(flat[start : start + _PIECE], minlength=count + 1)
    return sizes


def gaps(mask: Mask) -> list[tuple[int, int, int]]:
    """(axis, first, last) of runs of one to three slices without a structure whose ends on both sides overlap.

    The overlap, by half of the smaller end, tells a slice that was passed over from the space between two organs. A 2D
    image has no slices, and so no gaps.

    >>> mask = np.ones((6, 6, 6), bool)
    >>> mask[:, :, 3] = False
    >>> gaps(mask)
    [(2, 3, 3)]
    """
    found = []
    for axis in range(mask.ndim if mask.ndim == 3 else 0):
        there = mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis))
        filled = np.flatnonzero(there)
        for before, after in zip(filled[:-1].tolist(), filled[1:].tolist(), strict=True):
            if 1 < after - before <= _LONGEST_GAP + 1 and _overlap(mask, axis, before, after):
                found.append((axis, before + 1, after - 1))
    return found


def _overlap(mask: Mask, axis: int, before: int, after: int) -> bool:
    ends = np.take(mask, before, axis=axis), np.take(mask, after, axis=axis)
    smaller = min(int(end.sum()) for end in ends)
    return int((ends[0] & ends[1]).sum()) >= _OVERLAP * smaller
