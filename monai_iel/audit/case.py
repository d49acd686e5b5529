"""What the audit knows of a case, and what it says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["REASONS", "AuditCase", "CaseScores", "Finding", "Reason"]

Reason = Literal[
    "component missing",
    "component surplus",
    "class swapped",
    "slices missing",
    "outline too far out",
    "outline too far in",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why a case is on the worklist, from the annotation's side: what it lacks, has too much, or has in the wrong place."""


@dataclass(frozen=True)
class AuditCase:
    """An annotation and what networks that never saw it predict.

    Args:
        case_id: of the case.
        label: class map ``H W [D]`` in the axes of `LabelFile.read`, int32.
        probabilities: of all classes, ``C H W [D]``, float32, sum 1 over the classes.
        spacing: mm per axis; 1 for pictures.
        affine: 4 x 4, from voxel indices (three of them) to mm, RAS as NIfTI has it; None for pictures, whose positions
            are pixels.
        class_names: background first.
    """

    case_id: str
    label: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None
    class_names: tuple[str, ...]

    @property
    def prediction(self) -> NDArray[np.int32]:
        """Class map of the most probable class."""
        return self.probabilities.argmax(axis=0).astype(np.int32)

    def position(self, index: tuple[float, ...]) -> tuple[float, ...]:
        """Place of a voxel index in mm, or in pixels where there is no affine."""
        if self.affine is None:
            return tuple(float(i) for i in index)
        homogeneous = np.array([*index, *([0.0] * (3 - len(index))), 1.0])
        return tuple(float(x) for x in (self.affine @ homogeneous)[:3])


@dataclass(frozen=True)
class Finding:
    """One thing in an annotation that the networks dispute.

    Args:
        reason: one of `REASONS`.
        class_name: the class that is missing, surplus or misplaced; of a swap the one that the networks see.
        text: the finding in words, with place and size, e.g. "component of nucleus missing near (12.0, 30.5, 8.0) mm,
            412 mm^3".
        weight: how much speaks for it: disputed volume (mm^3; mm^2 or pixels in 2D) times the mean confidence of the
            dispute, calibrated. The findings of a case are sorted by it.
        size: disputed volume in mm^3 (mm^2, pixels).
        distance_mm: of outlines the signed mean distance of the disputed outline, positive where the annotation reaches
            too far out; None for other reasons.
        position: in mm (pixels), see `AuditCase.position`.
        index: the voxel there.
    """

    reason: Reason
    class_name: str
    text: str
    weight: float
    size: float
    distance_mm: float | None
    position: tuple[float, ...]
    index: tuple[int, ...]

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


@dataclass(frozen=True)
class CaseScores:
    """What the audit says of one case.

    Args:
        case_id: of the case.
        suspicion: what the worklist is sorted by, the most suspicious first.
        measures: other scores of the whole case by name, see `score_case`.
        slices: label quality per slice along the last axis (one for a 2D image), low is bad.
        findings: the heaviest first.
    """

    case_id: str
    suspicion: float
    measures: dict[str, float | None]
    slices: tuple[float, ...]
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """The heaviest finding in words; empty where there is none."""
        return self.findings[0].text if self.findings else ""

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)
