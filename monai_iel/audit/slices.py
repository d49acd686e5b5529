"""Slices of a volume in which a structure was not annotated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.audit.dispute import ClassView, Dispute
from monai_iel.audit.masks import Box, Mask, parts_of, smallest_region
from monai_iel.audit.region import Region, voxels_of

__all__ = ["missing_slices"]

Counts = NDArray[np.int64]
Run = tuple[int, int, int]
"""Axis, first and last slice."""

_CUT = 0.5  # share of the predicted cross section that the annotation fills up to the gap
_FREE = 0.5  # share of a run that another one may not have taken


def missing_slices(dispute: Dispute, view: ClassView, free: Mask) -> Iterator[Region]:
    """Runs of slices, along any axis, where a structure goes on but its annotation does not.

    Within the box of each predicted component, a run of slices

    - without annotation of the class, in each of which the prediction has 3^(n-1) voxels or more;
    - beside which the annotation, in the slice next to the run, fills half of the predicted cross section or more: it
      was cut off. One that tapers off is an outline that lies too far in;
    - which lies between annotated slices, be it one slice; or at an end of the annotation with two slices or more,
      because where a structure ends is uncertain by one slice;
    - whose voxels are annotated as background for the most part; otherwise the outline between two classes is meant.

    Of runs along different axes the largest come first. Images have no slices.

    Args:
        dispute: the case.
        view: the class.
        free: disputed voxels that belong to no region yet; the regions are of these.
    """
    if dispute.label.ndim != 3 or not view.annotated.any():
        return
    unclaimed = free[view.box].copy()
    label = dispute.label[view.box]
    parts, _ = parts_of(view.predicted)
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        predicted = parts[box] == number
        if np.count_nonzero(predicted & unclaimed[box]) < smallest_region(2):
            continue
        for axis, first, last in _runs(view.annotated[box], predicted):
            mask = _between(predicted, axis, first, last)
            whole = np.count_nonzero(mask)
            mask &= unclaimed[box]
            count = np.count_nonzero(mask)
            if count < max(_FREE * whole, smallest_region(2)) or 2 * np.count_nonzero(label[box][mask]) > count:
                continue
            unclaimed[box] &= ~mask
            start = sum(side[axis].start for side in (box, view.box, dispute.box))
            run = (axis, first + start, last + start)
            yield Region("slices missing", view.number, voxels_of(mask, box, view.box), run=run)


def _runs(annotated: Mask, predicted: Mask) -> list[Run]:
    """All runs by the rules for one component, the largest first."""
    found: list[tuple[int, Run]] = []
    for axis in range(annotated.ndim):
        others = tuple(a for a in range(annotated.ndim) if a != axis)
        drawn, seen = annotated.sum(axis=others), predicted.sum(axis=others)
        gaps, _ = ndimage.label((drawn == 0) & (seen >= smallest_region(annotated.ndim - 1)))
        for (side,) in ndimage.find_objects(gaps):
            if _is_cut(drawn, seen, side):
                found.append((int(seen[side].sum()), (axis, side.start, side.stop - 1)))
    return [run for _, run in sorted(found, reverse=True)]


def _is_cut(drawn: Counts, seen: Counts, side: Any) -> bool:
    beside = [at for at in (side.start - 1, side.stop) if 0 <= at < len(drawn) and drawn[at]]
    enough = len(beside) == 2 or side.stop - side.start >= 2
    return bool(beside) and enough and all(drawn[at] >= _CUT * seen[at] for at in beside)


def _between(mask: Mask, axis: int, first: int, last: int) -> Mask:
    """The mask in these slices alone."""
    box: Box = tuple(slice(first, last + 1) if a == axis else slice(None) for a in range(mask.ndim))
    result = np.zeros_like(mask)
    result[box] = mask[box]
    return result
