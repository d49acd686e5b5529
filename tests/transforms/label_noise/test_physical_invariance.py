"""The geometric models do the same damage in mm to an organ, whatever voxels it was sampled with."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.transforms.label_noise import (
    AffineLabelNoise,
    AreaRatioLabelNoise,
    BumpLabelNoise,
    ElasticLabelNoise,
    LabelNoise,
    MorphologyLabelNoise,
    OutlineLabelNoise,
)

EXTENT = 54.0  # mm, a multiple of all voxel sizes
SAMPLINGS = [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)]
NOISES = [
    MorphologyLabelNoise(radius=(4, 7)),
    AreaRatioLabelNoise(ratio=0.4),
    BumpLabelNoise(radius=(5, 8), count=8),
    ElasticLabelNoise(displacement=2.5, correlation=10),
    AffineLabelNoise(rotation=15, shift=(2, 5), scale=(0.9, 1.1)),
    OutlineLabelNoise(vertices=7, axis=2),
]


def organ(spacing: tuple[float, ...]) -> np.ndarray:
    """An ellipsoid with half axes of 14, 17 and 15 mm."""
    shape = [round(EXTENT / size) for size in spacing]
    axes = np.ix_(*[(np.arange(n) + 0.5) * size - EXTENT / 2 for n, size in zip(shape, spacing, strict=True)])
    return (sum((axis / half) ** 2 for axis, half in zip(axes, (14, 17, 15), strict=True)) < 1).astype(np.int32)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.model)
def test_the_same_organ_gets_the_same_damage_in_mm_at_any_sampling(noise):
    first, second = (
        np.array([changed_mm3(noise, organ(spacing), spacing, case) for case in range(12)]) for spacing in SAMPLINGS
    )
    # Both samplings draw the same numbers, but what is drawn from a list of voxels (an edge) is another place in each:
    # three standard errors of the mean, and what voxels of 3 mm round away.
    error = 3 * np.hypot(first.std(), second.std()) / np.sqrt(len(first))
    assert abs(first.mean() - second.mean()) < error + 0.06 * first.mean()
    assert first.mean() > 1000  # of 15 000: there is something to compare


def changed_mm3(noise: LabelNoise, clean: np.ndarray, spacing: tuple[float, ...], case: int) -> float:
    """Volume that is labelled otherwise: the mean displacement of the outline times its area."""
    return np.count_nonzero(noise.corrupt_case(clean.copy(), spacing, case) != clean) * float(np.prod(spacing))
