"""What the audit says of a case: findings and measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase, CaseScores, Reason
from monai_iel.audit.components import detached_components
from monai_iel.audit.dice import ClassDice, class_dice, mean_of
from monai_iel.audit.dispute import ClassView, Dispute, dispute_of
from monai_iel.audit.masks import Mask, grown, smallest_region
from monai_iel.audit.outline import beyond_jitter, disputed_outlines
from monai_iel.audit.quality import self_confidence, slice_quality, softmin, surprise
from monai_iel.audit.region import Region, finding_of
from monai_iel.audit.slices import missing_slices
from monai_iel.audit.suspicion import suspicion_of

__all__ = ["Examination", "examine", "score_case"]

_VOLUMES: dict[str, tuple[Reason, ...]] = {
    "missing_volume": ("component missing",),
    "surplus_volume": ("component surplus",),
    "swapped_volume": ("class swapped",),
    "slices_volume": ("slices missing",),
    "outline_volume": ("outline too far out", "outline too far in"),
}


@dataclass(frozen=True)
class Examination:
    """A case with the regions that annotation and prediction dispute: what scores, error map and proposal rest on.

    Args:
        case: as given.
        dispute: the part of it with foreground.
        temperature: with which the probabilities were calibrated.
        views: its classes, the smallest first.
        regions: no voxel is in two of them.
        beyond: disputed voxels that are more than jitter, in a region or too few for one.
    """

    case: AuditCase
    dispute: Dispute
    temperature: float
    views: tuple[ClassView, ...]
    regions: tuple[Region, ...]
    beyond: Mask

    @cached_property
    def quality(self) -> NDArray[np.float32]:
        """Calibrated probability of the annotated class, in the box of the dispute; 1 where the dispute is jitter."""
        jitter = (self.dispute.label != self.dispute.prediction) & ~self.beyond
        annotated = self_confidence(self.dispute.probabilities, self.dispute.label)
        return np.where(jitter, np.float32(1), annotated)

    @cached_property
    def classes(self) -> tuple[ClassDice, ...]:
        """Dice and expected Dice of each class."""
        return tuple(class_dice(self.dispute, view, self.beyond) for view in self.views)

    def scores(self) -> CaseScores:
        """All that the worklist needs, see `score_case`."""
        measures = self._measures()
        findings = [finding_of(region, self.dispute, self.case) for region in self.regions]
        return CaseScores(
            case_id=self.case.case_id,
            suspicion=suspicion_of(self.dispute),
            measures=measures,
            slices=self._slices(),
            findings=tuple(sorted(findings, key=lambda finding: -finding.weight)),
        )

    def _slices(self) -> tuple[float, ...]:
        inside = slice_quality(self.quality)
        if self.case.label.ndim == 2:
            return inside
        first = self.dispute.origin[-1]
        after = self.case.label.shape[-1] - first - len(inside)
        return (1.0,) * first + inside + (1.0,) * after

    def _measures(self) -> dict[str, float | None]:
        dispute = self.dispute
        agreed = self.classes
        outlines = [view.outlines for view in self.views if view.outlines is not None]
        foreground = (dispute.label > 0) | (dispute.prediction > 0)
        volume = int(np.count_nonzero(foreground)) * dispute.voxel_size
        around = grown(grown(foreground))
        return {
            "dice": mean_of([one.dice for one in agreed]),
            "worst_dice": min((one.dice for one in agreed), default=None),
            "expected_dice": mean_of([one.expected for one in agreed]),
            "dice_beyond": mean_of([one.beyond for one in agreed]),
            "expected_dice_beyond": mean_of([one.expected_beyond for one in agreed]),
            "worst_gap": max((one.gap for one in agreed), default=None),
            "worst_gap_beyond": max((one.gap_beyond for one in agreed), default=None),
            "surprise": self._surprise(foreground),
            "disputed": self._share(np.ones_like(dispute.confidence), volume),
            "disputed_confidence": self._share(dispute.confidence, volume),
            "self_confidence": float(self.quality.mean(where=around, dtype=np.float64)) if volume else None,
            "softmin": softmin(self.quality),
            "outline_mm": mean_of([one.mean_mm for one in outlines]),
            "outline_distance_mm": mean_of([one.distance_mm for one in outlines]),
            "volume": volume,
            **self._volumes(),
        }

    def _surprise(self, foreground: Mask) -> float:
        total = surprise(self.dispute.probabilities, self.dispute.label).sum(dtype=np.float64)
        return float(total) / (int(np.count_nonzero(foreground)) + smallest_region(foreground.ndim))

    def _share(self, values: NDArray[np.float32], volume: float) -> float | None:
        if not volume:
            return None
        return float(values.sum(where=self.beyond, dtype=np.float64)) * self.dispute.voxel_size / volume

    def _volumes(self) -> Mapping[str, float]:
        return {
            name: sum(len(region.voxels[0]) for region in self.regions if region.reason in reasons)
            * self.dispute.voxel_size
            for name, reasons in _VOLUMES.items()
        }


def examine(case: AuditCase, temperature: float = 1.0, *, confidence: float = 0.3) -> Examination:
    """Find what annotation and prediction of a case dispute, beyond jitter of one voxel.

    A voxel belongs to one region: whole components (missing, surplus, swapped) come before slices, slices before
    pieces of outline, and within each the smallest class first. What the order means: an organ that was not drawn at
    all is a missing component, not its slices; slices that were left out are not an outline that lies too far in; and
    where a nucleus was drawn too large into its cell, it is the nucleus that reaches too far out.

    Args:
        case: 2D or 3D.
        temperature: with which to calibrate the probabilities, from `fit_temperature`.
        confidence: regions where the networks are less sure on average are left out: probability of the predicted less
            that of the annotated class, so 0.3 is 65 to 35 between two classes. Their voxels count as disputed still.

    Raises:
        ValueError: the case does not fit together, or the temperature is out of range.
    """
    dispute = dispute_of(case, temperature)
    views = dispute.views()
    regions = tuple(_regions(dispute, views))
    sure = tuple(region for region in regions if dispute.confidence[region.voxels].mean() >= confidence)
    beyond = np.zeros(dispute.label.shape, bool)
    for view in views:
        for _, one, other in view.sides():
            beyond[view.box] |= beyond_jitter(one, other)
    for region in regions:
        beyond[region.voxels] = True
    return Examination(case, dispute, temperature, views, sure, beyond)


def _regions(dispute: Dispute, views: Sequence[ClassView]) -> Iterator[Region]:
    free = dispute.label != dispute.prediction
    for find in (detached_components, missing_slices, disputed_outlines):
        for view in views:
            for region in list(find(dispute, view, free)):
                free[region.voxels] = False
                yield region


def score_case(case: AuditCase, temperature: float = 1.0) -> CaseScores:
    """What is suspicious about a case, in numbers and in words.

    The measures, None where there is nothing to measure:

    - ``dice``, ``worst_dice``: of prediction and annotation, mean over the foreground classes that one of the two has,
      and of the worst of them;
    - ``expected_dice``: what the calibrated probabilities expect for a right annotation;
    - ``dice_beyond``, ``expected_dice_beyond``: both beyond jitter, see `class_dice`; ``worst_gap``,
      ``worst_gap_beyond``: by how much the Dice is less than expected, of the class where it is most;
    - ``surprise``: by how much the annotation is less probable than expected, in nats per foreground voxel;
    - ``disputed``, ``disputed_confidence``: share of the foreground (of either map) that is disputed beyond jitter,
      and the same with each voxel weighed by how sure the networks are of the dispute;
    - ``self_confidence``: mean label quality within two voxels of the foreground; ``softmin``: that of cleanlab, of the
      box around the foreground; jitter counting as 1 in both;
    - ``outline_mm``, ``outline_distance_mm``: mean distance of the outlines, signed (positive: the annotation reaches
      too far out) and not, over the classes that have an outline in both;
    - ``volume``: of the foreground of either map, and ``missing_volume``, ``surplus_volume``, ``swapped_volume``,
      ``slices_volume``, ``outline_volume``: of the findings by reason, in mm^3 (mm^2, pixels).

    The quality of a slice is its `softmin` within the box of the foreground, 1 outside. What the networks have wrong
    in the same way in all cases, or have learnt from annotations that are wrong in the same way, is not found.

    Args:
        case: 2D or 3D.
        temperature: with which to calibrate the probabilities, from `fit_temperature`.

    Raises:
        ValueError: the case does not fit together, or the temperature is out of range.
        ImportError: cleanlab is missing.

    Example: a square of nine pixels a side that was not annotated.

        >>> seen = np.zeros((2, 20, 20), dtype=np.float32)
        >>> seen[1, 5:14, 5:14] = 0.9
        >>> seen[0] = 1 - seen[1]
        >>> label = np.zeros((20, 20), dtype=np.int32)
        >>> score_case(AuditCase("a", label, seen, (1.0, 1.0), None, ("background", "cell"))).reason
        'component of cell missing near (9, 9) px, 81 px'
    """
    return examine(case, temperature).scores()
