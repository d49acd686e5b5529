"""A region that annotation and prediction dispute, and how it is put into words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase, Finding, Reason
from monai_iel.audit.dispute import Dispute
from monai_iel.audit.masks import Box, Mask

__all__ = ["Region", "Voxels", "detached_region", "finding_of", "voxels_of"]

Voxels = tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class Region:
    """Voxels of a dispute with one reason.

    Args:
        reason: what is wrong with the annotation there.
        number: the class it is about; of a swap the one that is predicted.
        voxels: one array of indices per axis, in the box of the dispute.
        rival: of a swap the class that is annotated.
        distance: of an outline, in mm, positive where the annotation reaches too far out.
        run: of slices the axis, and the first and the last slice in the case.
    """

    reason: Reason
    number: int
    voxels: Voxels
    rival: int = 0
    distance: float | None = None
    run: tuple[int, int, int] | None = None


def voxels_of(mask: Mask, *boxes: Box) -> Voxels:
    """Where a mask is set, seen from outside the boxes, the inner first, that it was cut to."""
    return tuple(at + sum(box[axis].start for box in boxes) for axis, at in enumerate(np.nonzero(mask)))


def detached_region(dispute: Dispute, number: int, lacks: bool, voxels: Voxels) -> Region:
    """A region that hangs together with nothing: missing, surplus, or there under the name of another class.

    The other map decides, by what most of the voxels are in it: background, or another class.
    """
    there = dispute.label if lacks else dispute.prediction
    most = int(np.bincount(there[voxels]).argmax())
    if most == 0:
        return Region("component missing" if lacks else "component surplus", number, voxels)
    seen, named = (number, most) if lacks else (most, number)
    return Region("class swapped", seen, voxels, rival=named)


def finding_of(region: Region, dispute: Dispute, case: AuditCase) -> Finding:
    """The region as the worklist has it."""
    index = _middle(region.voxels, dispute)
    size = len(region.voxels[0]) * dispute.voxel_size
    name = case.class_names[region.number]
    position = case.position(index)
    unit = "px" if case.affine is None else "mm"
    area = unit if case.affine is None else f"mm^{case.label.ndim}"
    what = _what(region, case, unit)
    place = ", ".join(f"{x:.1f}" if case.affine is not None else f"{x:.0f}" for x in position)
    extra = ""
    if region.run is not None:
        axis, first, last = region.run
        extra = f" {_short((last - first + 1) * case.spacing[axis])} {unit},"
    return Finding(
        reason=region.reason,
        class_name=name,
        text=f"{what} near ({place}) {unit},{extra} {_short(size)} {area}",
        weight=size * float(dispute.confidence[region.voxels].mean(dtype=np.float64)),
        size=size,
        distance_mm=region.distance,
        position=position,
        index=index,
    )


def _what(region: Region, case: AuditCase, unit: str) -> str:
    name = case.class_names[region.number]
    if region.reason == "class swapped":
        return f"{name} annotated as {case.class_names[region.rival]}"
    if region.run is not None:
        axis, first, last = region.run
        which = f"slice {'ijk'[axis]} = {first}" if first == last else f"slices {'ijk'[axis]} = {first} to {last}"
        return f"{which} of {name} missing"
    if region.distance is not None:
        return f"outline of {name} {_short(abs(region.distance))} {unit} {region.reason.removeprefix('outline ')}"
    return f"component of {name} {region.reason.removeprefix('component ')}"


def _middle(voxels: Voxels, dispute: Dispute) -> tuple[int, ...]:
    """The voxel of the region that is nearest to its centre."""
    far = np.zeros(len(voxels[0]))
    for at, spacing in zip(voxels, dispute.spacing, strict=True):
        far += ((at - at.mean()) * spacing) ** 2
    nearest = int(far.argmin())
    return tuple(int(at[nearest]) + start for at, start in zip(voxels, dispute.origin, strict=True))


def _short(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"
