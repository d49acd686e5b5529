"""The figures that a calibration needs, without the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_iel.noisy_labels.outlines import Map, diagonal_of, foreground_of, mean_of_known, pairs_of, surface_distances

__all__ = ["mean_dice", "mean_distance"]


def mean_dice(noisy: Map, clean: Map, spacing: Sequence[float], *, ignore_index: int | None = None) -> float | None:
    """`LabelDamage.dice` alone, from counts; ``spacing`` is not used."""
    if ignore_index is not None:
        known = (noisy != ignore_index) & (clean != ignore_index)
        noisy, clean = noisy[known], clean[known]
    numbers = foreground_of(noisy, clean)
    counts = [_counts(classes, numbers) for classes in (noisy, clean, clean[noisy == clean])]
    return mean_of_known(2 * float(both) / float(one + other) for one, other, both in zip(*counts, strict=True))


def mean_distance(noisy: Map, clean: Map, spacing: Sequence[float], *, ignore_index: int | None = None) -> float | None:
    """`LabelDamage.distance_mm` alone."""
    diagonal = diagonal_of(clean.shape, spacing)
    known = (pair for pair in pairs_of(noisy, clean, ignore_index) if pair.noisy.any() or pair.clean.any())
    return mean_of_known(surface_distances(*pair.outlines(spacing), diagonal)[0] for pair in known)


def _counts(classes: Map, numbers: NDArray[np.int32]) -> NDArray[np.int64]:
    found, counts = np.unique(classes, return_counts=True)
    here = np.isin(numbers, found)
    result = np.zeros(len(numbers), dtype=np.int64)
    result[here] = counts[np.searchsorted(found, numbers[here])]
    return result
