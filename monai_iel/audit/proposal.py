"""What is proposed instead of an annotation, and where it is probably wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase
from monai_iel.audit.quality import self_confidence
from monai_iel.audit.score import Examination, examine
from monai_iel.audit.temperature import apply_temperature

__all__ = ["error_map", "propose"]


def propose(case: AuditCase | Examination, temperature: float = 1.0) -> NDArray[np.int32]:
    """The annotation with the prediction in its place wherever there is a finding; elsewhere as it is.

    Jitter stays as it was annotated, so a proposal never redraws a whole outline by a voxel. A proposal is to be looked
    at: where the networks are wrong, it is.

    Args:
        case: 2D or 3D; an `examine`d one saves the time.
        temperature: with which to calibrate the probabilities; not used of what is examined already.

    Returns:
        A class map of the label's shape.
    """
    found = case if isinstance(case, Examination) else examine(case, temperature)
    proposed = found.case.label.copy()
    inside = proposed[found.dispute.box]
    for region in found.regions:
        inside[region.voxels] = found.dispute.prediction[region.voxels]
    return proposed


def error_map(case: AuditCase | Examination, temperature: float = 1.0) -> NDArray[np.float32]:
    """Calibrated probability that the annotated class is wrong, per voxel; 0 where the dispute is jitter.

    Args:
        case: 2D or 3D; an `examine`d one saves the time.
        temperature: with which to calibrate the probabilities; not used of what is examined already.

    Returns:
        Values in [0, 1] of the label's shape.
    """
    found = case if isinstance(case, Examination) else examine(case, temperature)
    whole = found.case
    probabilities = apply_temperature(whole.probabilities, found.temperature)
    errors = 1 - self_confidence(probabilities, whole.label)
    errors[found.dispute.box] = 1 - found.quality
    return np.clip(errors, 0, 1, out=errors)
