"""Whole components that the annotation lacks, has too much, or has under the name of another class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from monai_iel.audit.dispute import ClassView, Dispute
from monai_iel.audit.masks import Mask, parts_of, smallest_region, touched
from monai_iel.audit.region import Region, detached_region, voxels_of

__all__ = ["detached_components"]

_OVERLAP = 0.1  # share of a component that may lie in the class's mask of the other map
_NEAR = 0.5  # share of it that may touch that mask: more is an outline that jitters


def detached_components(dispute: Dispute, view: ClassView, free: Mask) -> Iterator[Region]:
    """Components of a class in one map without a counterpart in the other.

    A component (connected over faces, edges and corners) of the prediction, of 3^n voxels at least, of which less than
    a tenth is annotated as this class and at most half shares a face with what is: **missing**, if most of it is
    annotated as background, and **swapped**, if most of it is annotated as another class. A component of the
    annotation by the same rule: **surplus** or swapped.

    Args:
        dispute: the case.
        view: the class.
        free: disputed voxels that belong to no region yet; the regions are of these.
    """
    least = smallest_region(dispute.label.ndim)
    unclaimed = free[view.box]
    for lacks, one, other in view.sides():
        parts, count = parts_of(one)
        if not count:
            continue
        sizes, shared, near = (
            np.bincount(parts[mask], minlength=count + 1) for mask in (one, one & other, one & touched(other))
        )
        alone = (sizes >= least) & (shared < _OVERLAP * sizes) & (near <= _NEAR * sizes)
        boxes = ndimage.find_objects(parts)
        for number in np.flatnonzero(alone):
            box = boxes[number - 1]
            mask = (parts[box] == number) & unclaimed[box]
            if np.count_nonzero(mask) >= least:
                yield detached_region(dispute, view.number, lacks, voxels_of(mask, box, view.box))
