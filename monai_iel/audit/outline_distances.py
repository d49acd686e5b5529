"""Distances in mm between the annotated and the predicted outline of a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.masks import Mask
from monai_iel.noisy_labels.outlines import Outline, signed_distance

__all__ = ["SignedOutlines", "signed_outlines"]


@dataclass(frozen=True)
class SignedOutlines:
    """How far the outlines of a class lie apart: positive where the annotation reaches further out.

    Args:
        annotated: voxels of the annotated outline, ``N n`` indices.
        annotated_mm: their distances from the predicted outline.
        predicted: voxels of the predicted outline.
        predicted_mm: their distances from the annotated outline.
    """

    annotated: NDArray[np.intp]
    annotated_mm: NDArray[np.float64]
    predicted: NDArray[np.intp]
    predicted_mm: NDArray[np.float64]

    @property
    def mean_mm(self) -> float:
        """Mean over the points of both outlines."""
        return float(np.concatenate([self.annotated_mm, self.predicted_mm]).mean())

    @property
    def distance_mm(self) -> float:
        """Mean without the sign: how far apart, to whichever side."""
        return float(np.abs(np.concatenate([self.annotated_mm, self.predicted_mm])).mean())


def signed_outlines(annotated: Mask, predicted: Mask, spacing: tuple[float, ...]) -> SignedOutlines | None:
    """The outlines of a class in both maps and their distances in mm; None where one map has no outline.

    The outline of a mask is the set of its voxels with a face neighbour that is not of it; the border of the image is
    no outline. Distances are those between voxel centres.
    """
    known = np.ones_like(annotated)
    one, other = (Outline(mask, known, spacing) for mask in (annotated, predicted))
    if not len(one) or not len(other):
        return None
    return SignedOutlines(
        annotated=one.indices,
        annotated_mm=signed_distance(one, other, predicted),
        predicted=other.indices,
        predicted_mm=-signed_distance(other, one, annotated),
    )
