"""The Dice of a case, and the Dice that the probabilities themselves expect of a right annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_iel.audit.dispute import ClassView, Dispute
from monai_iel.audit.masks import Mask, smallest_region, touched

__all__ = ["ClassDice", "class_dice", "mean_of"]


@dataclass(frozen=True)
class ClassDice:
    """Agreement on one class.

    Args:
        number: the class.
        dice: of prediction and annotation.
        expected: of the prediction and an annotation drawn from the calibrated probabilities.
        gap: how much less the annotation agrees with the prediction than a right one would; negative where it is more.
        beyond: Dice with jitter counted as agreement.
        expected_beyond: as expected, with the voxels next to the predicted outline counted as certain.
    """

    number: int
    dice: float
    expected: float
    gap: float
    beyond: float
    expected_beyond: float

    @property
    def gap_beyond(self) -> float:
        """The gap beyond jitter."""
        return self.expected_beyond - self.beyond


def class_dice(dispute: Dispute, view: ClassView, beyond: Mask) -> ClassDice:
    """Compare the Dice with what the networks expect of it.

    For a prediction A and an annotation drawn voxel by voxel from the calibrated probabilities p, in the box of the
    class,

        expected = (2 sum_A p + s) / (|A| + sum p + s)

    which is low for a case that is hard, so that a hard case is told from a wrong one. Both Dices are also taken
    beyond jitter: of the annotation with jitter put right, and of p with certainty at the voxels on either side of A's
    outline. s is 3^n voxels, so that a class of few voxels says little, and one that is nowhere is agreed on; all but
    `dice` itself are with it.

    Args:
        dispute: the case.
        view: the class.
        beyond: disputed voxels that are more than jitter.
    """
    smooth = smallest_region(dispute.label.ndim)
    annotated, predicted = view.annotated, view.predicted
    probability = dispute.probabilities[view.number][view.box]
    size, both = int(np.count_nonzero(predicted)), int(np.count_nonzero(annotated & predicted))
    inside = float(probability.sum(where=predicted, dtype=np.float64))
    outside = float(probability.sum(dtype=np.float64)) - inside
    core, rim = predicted & ~touched(~predicted), touched(predicted)
    sure = float(probability.sum(where=core, dtype=np.float64)) + size - int(np.count_nonzero(core))
    doubt = float(probability.sum(where=~rim, dtype=np.float64))
    disputed = beyond[view.box]
    lacks = int(np.count_nonzero(predicted & ~annotated & disputed))
    extra = int(np.count_nonzero(annotated & ~predicted & disputed))
    drawn = int(np.count_nonzero(annotated))
    expected = _dice(size, inside, inside + outside, smooth)
    return ClassDice(
        number=view.number,
        dice=2 * both / (size + drawn),
        expected=expected,
        gap=expected - _dice(size, both, drawn, smooth),
        beyond=_dice(size, size - lacks, size - lacks + extra, smooth),
        expected_beyond=_dice(size, sure, sure + doubt, smooth),
    )


def mean_of(values: Sequence[float]) -> float | None:
    """The mean, None where there is nothing."""
    return float(np.mean(values)) if values else None


def _dice(size: float, both: float, other: float, smooth: float) -> float:
    return (2 * both + smooth) / (size + other + smooth)
