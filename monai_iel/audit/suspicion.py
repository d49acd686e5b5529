"""What the worklist is sorted by."""

from __future__ import annotations

import numpy as np

from monai_iel.audit.dispute import Dispute
from monai_iel.audit.masks import smallest_region

__all__ = ["suspicion_of"]

_POWER = 3


def suspicion_of(dispute: Dispute) -> float:
    r"""How suspicious a case is: what the networks dispute confidently, as a share of the foreground.

    .. math:: \frac{\sum_i (\max_c q_i^c - q_i^{y_i})^3}{(\sum_i (1 - q_i^0) + \#\{y_i > 0\}) / 2 + s}

    with the calibrated probabilities q, the annotation y and s = 3^n voxels. A voxel counts as 0 where the annotation
    is the most probable class, and as 1 where another one is certain. The power makes doubt small: along every outline,
    and in images that are hard, the networks are unsure of much and sure of little. Without it hard cases are listed
    before wrong ones, as they are by Dice; with a high one a single voxel decides, as it nearly does in a soft-min.

    0 for an annotation that is the prediction, about 1 for one that shares nothing with it. A ranking within a data
    set, no probability.

    Args:
        dispute: annotation and prediction.
    """
    disputed = float((dispute.confidence.astype(np.float64) ** _POWER).sum())
    expected = float((1 - dispute.probabilities[0].astype(np.float64)).sum())
    annotated = int(np.count_nonzero(dispute.label))
    return disputed / ((expected + annotated) / 2 + smallest_region(dispute.label.ndim))
