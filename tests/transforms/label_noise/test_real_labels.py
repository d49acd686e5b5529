"""The models on labels that people drew: nothing breaks, and the damage has the expected size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.metrics import compute_dice
from monai.networks.utils import one_hot
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from monai_iel.transforms.label_noise import (
    BlockLabelNoise,
    BumpLabelNoise,
    LabelNoised,
    MorphologyLabelNoise,
    VoxelLabelNoise,
)

NOISES = [
    BlockLabelNoise(scale=2, keep=0.9, num_classes=3),
    VoxelLabelNoise(rate=0.05, num_classes=3),
    MorphologyLabelNoise(radius=(1, 2)),
    BumpLabelNoise(radius=(1, 3), fraction=0.1),
    BumpLabelNoise(radius=(4, 8), count=2, mode="remove", classes="foreground"),
]


def files(shared_data: Path, kind: str) -> list[Path]:
    pattern = {"wbc": "wbc/labels/*.png", "hippocampus": "hippocampus/labelsTr/*.nii.gz"}[kind]
    found = sorted(shared_data.glob(pattern))[:6]
    if not found:
        pytest.skip(f"no labels under {shared_data}/{pattern}")
    return found


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.model)
@pytest.mark.parametrize("kind", ["wbc", "hippocampus"])
def test_real_labels_are_damaged_but_recognisable(shared_data, kind, noise):
    transform = Compose([LoadImaged("label"), EnsureChannelFirstd("label")])
    noisy_transform = Compose([transform, LabelNoised("label", noise)])
    scores = []
    for file in files(shared_data, kind):
        clean = transform({"label": file})["label"]
        noisy = noisy_transform({"label": file, "case_id": file.name})["label"]
        assert noisy.dtype == clean.dtype
        assert np.allclose(noisy.affine, clean.affine)
        assert set(np.unique(noisy)) <= {0, 1, 2}
        assert np.all([(noisy == number).any() for number in np.unique(clean)])
        pair = [one_hot(label[None].as_tensor(), 3) for label in (noisy, clean)]
        scores.append(float(compute_dice(*pair, include_background=False).nanmean()))
    # Clear of 1: the noise does something. Clear of 0: it leaves the organ in its place.
    assert 0.4 < np.mean(scores) < 0.995
