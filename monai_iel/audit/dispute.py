"""An annotation beside a prediction, cut to what matters: the base on which the findings are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.audit.case import AuditCase
from monai_iel.audit.checks import check_case
from monai_iel.audit.masks import Box, Mask, box_around, foreground_box
from monai_iel.audit.outline_distances import SignedOutlines, signed_outlines
from monai_iel.audit.quality import self_confidence
from monai_iel.audit.temperature import apply_temperature

__all__ = ["ClassView", "Dispute", "dispute_of"]


@dataclass(frozen=True)
class ClassView:
    """One class of a `Dispute`, in the box of its voxels and two more on each side.

    Args:
        number: the class.
        box: where it lies in the dispute.
        annotated: its mask in the annotation.
        predicted: its mask in the prediction.
        spacing: mm per axis.
    """

    number: int
    box: Box
    annotated: Mask
    predicted: Mask
    spacing: tuple[float, ...]

    @cached_property
    def outlines(self) -> SignedOutlines | None:
        """Both outlines and their distances; None where one map has none."""
        return signed_outlines(self.annotated, self.predicted, self.spacing)

    @property
    def size(self) -> int:
        """Voxels of both masks."""
        return int(np.count_nonzero(self.annotated) + np.count_nonzero(self.predicted))

    def sides(self) -> tuple[tuple[bool, Mask, Mask], ...]:
        """What the annotation lacks, then what it has too much: ``(lacks, the mask that has it, the other one)``."""
        return (True, self.predicted, self.annotated), (False, self.annotated, self.predicted)


@dataclass(frozen=True)
class Dispute:
    """Annotation and prediction of a case, in the box of all that either of them calls foreground, and two voxels more.

    Args:
        label: the annotation.
        prediction: the most probable classes.
        probabilities: of all classes, calibrated.
        confidence: calibrated probability of the predicted class less that of the annotated one.
        spacing: mm per axis.
        voxel_size: volume of a voxel in mm^3 (mm^2).
        box: where this lies in the case.
    """

    label: NDArray[np.int32]
    prediction: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    spacing: tuple[float, ...]
    voxel_size: float
    box: Box

    @property
    def origin(self) -> tuple[int, ...]:
        """The first voxel of the box."""
        return tuple(side.start for side in self.box)

    def views(self) -> tuple[ClassView, ...]:
        """The foreground classes that either map holds, the smallest first.

        A voxel belongs to one finding only, and where a nucleus was drawn too large into its cell, the nucleus is what
        is wrong.
        """
        last = int(max(self.label.max(initial=0), self.prediction.max(initial=0)))
        found = [ndimage.find_objects(classes, max_label=last) for classes in (self.label, self.prediction)]
        held = [(n, [box for box in boxes if box is not None]) for n, boxes in enumerate(zip(*found, strict=True), 1)]
        views = [self._view(number, boxes) for number, boxes in held if boxes]
        return tuple(sorted(views, key=lambda view: view.size))

    def _view(self, number: int, boxes: list[Box]) -> ClassView:
        box = box_around(boxes, self.label.shape)
        return ClassView(number, box, self.label[box] == number, self.prediction[box] == number, self.spacing)


def dispute_of(case: AuditCase, temperature: float = 1.0) -> Dispute:
    """Cut a case to its foreground and calibrate the probabilities there.

    Raises:
        ValueError: the case does not fit together, or the temperature is out of range.
    """
    check_case(case)
    prediction = case.prediction
    box = foreground_box(case.label, prediction)
    label, prediction = case.label[box], prediction[box]
    probabilities = apply_temperature(case.probabilities[:, *box], temperature)
    confidence = self_confidence(probabilities, prediction) - self_confidence(probabilities, label)
    return Dispute(label, prediction, probabilities, confidence, case.spacing, _voxel_size(case), box)


def _voxel_size(case: AuditCase) -> float:
    """Volume of a voxel, whose edges need not be at right angles (gantry tilt)."""
    if case.affine is None or case.label.ndim < 3:
        return float(np.prod(case.spacing))
    return abs(float(np.linalg.det(case.affine[:3, :3])))
