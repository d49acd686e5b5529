"""What the worklist is sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.dispute import Dispute

__all__ = ["suspicion_of"]

_POWER = 6


def suspicion_of(dispute: Dispute) -> float:
    r"""How suspicious a case is: what the networks dispute confidently, per area of outline.

    .. math:: \frac{V \sum_i (\max_c q_i^c - q_i^{y_i})^6}{(A_y + A_p) / 2 + a}

    with the calibrated probabilities q, the annotation y, the volume V of a voxel, and the areas A_y and A_p of the
    faces between voxels of different classes, of annotation and prediction. a is the surface of a cube of 3 voxels a
    side, so that a case with next to no outline says little. In mm: as if a layer that thick were wrong along the whole
    outline; in images without geometry in pixels.

    A voxel counts as 0 where the annotation is the most probable class, and as 1 where another one is certain. The
    power makes doubt small: along every outline, and in images that are hard, the networks are unsure of much and sure
    of little. Without it hard cases are listed before wrong ones; with a high one a single voxel decides, as it nearly
    does in a soft-min. The outline, and not the volume, is the divisor because a right annotation and a good prediction
    differ by a layer as well, which is a large share of small objects; by Dice these come first.

    0 for an annotation that is the prediction. A ranking within a data set, no probability.

    Args:
        dispute: annotation and prediction.
    """
    spacing = dispute.spacing
    disputed = float((dispute.confidence.astype(np.float64) ** _POWER).sum()) * dispute.voxel_size
    area = (_outline_area(dispute.label, spacing) + _outline_area(dispute.prediction, spacing)) / 2
    cube = sum(2 * 3 ** (len(spacing) - 1) * prod(spacing) / side for side in spacing)
    return disputed / (area + cube)


def _outline_area(classes: NDArray[Any], spacing: Sequence[float]) -> float:
    """Area of the faces between voxels of different classes, in mm^2 (in 2D their length in mm)."""
    faces = [np.count_nonzero(np.diff(classes, axis=axis)) for axis in range(classes.ndim)]
    return sum(count * prod(spacing) / side for count, side in zip(faces, spacing, strict=True))
