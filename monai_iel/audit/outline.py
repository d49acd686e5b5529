"""Outlines that lie too far out or too far in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.audit.case import Reason
from monai_iel.audit.dispute import ClassView, Dispute
from monai_iel.audit.masks import Mask, box_around, grown, parts_of, smallest_region, touched
from monai_iel.audit.outline_distances import SignedOutlines
from monai_iel.audit.region import Region, detached_region, voxels_of

__all__ = ["beyond_jitter", "disputed_outlines"]

_NECK = 0.15  # share of a region's surface with which it may hang on the rest and still be a component of its own


def beyond_jitter(one: Mask, other: Mask, among: Mask | None = None) -> Mask:
    """What only ``one`` has, less what is there because the outlines differ by a voxel.

    A voxel that shares a face with the other mask is jitter, so a mask moved by one voxel along an axis is nothing but
    jitter, whatever the spacing. It is none where it touches a voxel that is not: of a rim of two voxels both count.

    Args:
        one: mask of the one map.
        other: mask of the other map.
        among: voxels that are looked at, None for all.
    """
    differs = one & ~other if among is None else one & ~other & among
    core = differs & ~touched(other)
    return differs & grown(core) if core.any() else core


def disputed_outlines(dispute: Dispute, view: ClassView, free: Mask) -> Iterator[Region]:
    """Connected pieces between the two outlines of a class, beyond jitter, of 3^n voxels at least.

    Their distance is the mean, over the points of the outer outline in the piece, of the distance in mm from the inner
    outline; for a hole, where there are none, the greatest depth. A piece that hangs on what both maps agree on with
    less than 15 % of its surface (a nucleus missed beside one that it touches) is a component of its own, see
    `detached_region`.

    Args:
        dispute: the case.
        view: the class.
        free: disputed voxels that belong to no region yet; the regions are of these.
    """
    outlines = view.outlines
    for lacks, one, other in view.sides():
        pieces, count = parts_of(beyond_jitter(one, other, free[view.box]))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        large = np.flatnonzero(sizes >= smallest_region(one.ndim))
        if not (large > 0).any():
            continue
        neck = _contact(pieces, count, one & other, dispute.spacing)
        distances = np.full(count + 1, np.nan) if outlines is None else _mean_distances(pieces, count, outlines, lacks)
        boxes = ndimage.find_objects(pieces)
        for number in large[large > 0]:
            box = box_around([boxes[number - 1]], one.shape)
            mask = pieces[box] == number
            voxels = voxels_of(mask, box, view.box)
            if neck[number] < _NECK:
                yield detached_region(dispute, view.number, lacks, voxels)
                continue
            distance = float(distances[number])
            if np.isnan(distance):
                distance = _depth(mask, other[box], dispute.spacing)
            reason: Reason = "outline too far in" if lacks else "outline too far out"
            yield Region(reason, view.number, voxels, distance=-distance if lacks else distance)


def _mean_distances(
    pieces: NDArray[np.int32], count: int, outlines: SignedOutlines, lacks: bool
) -> NDArray[np.float64]:
    """Mean distance of the outer outline in each piece; NaN where it has no point there."""
    points = outlines.predicted if lacks else outlines.annotated
    at = pieces[tuple(points.T)]
    total = np.bincount(at, np.abs(outlines.predicted_mm if lacks else outlines.annotated_mm), count + 1)
    number = np.bincount(at, minlength=count + 1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _depth(mask: Mask, other: Mask, spacing: tuple[float, ...]) -> float:
    return float(ndimage.distance_transform_edt(~other, sampling=spacing)[mask].max())


def _contact(pieces: NDArray[np.int32], count: int, agreed: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Share of each piece's surface, over voxel faces, that it has with what both maps agree on."""
    padded, meets = (np.pad(array, 1).ravel() for array in (pieces, agreed))
    at = np.flatnonzero(padded)
    of = padded[at]
    surface, shared = np.zeros(count + 1), np.zeros(count + 1)
    stride = 1
    for size, length in zip(pieces.shape[::-1], spacing[::-1], strict=True):
        for step in (-stride, stride):
            edge = padded[at + step] != of
            surface += np.bincount(of[edge], minlength=count + 1) / length
            shared += np.bincount(of[edge & meets[at + step]], minlength=count + 1) / length
        stride *= size + 2
    return shared / np.maximum(surface, np.finfo(float).tiny)
