"""The published presets: what they are and how much they change."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from monai.transforms import MapTransform, Randomizable

from monai_iel.transforms.label_noise import BlockLabelNoised, RandBlockLabelNoised, label_noise_preset

# name, scale, keep, classes, published share of changed voxels
PRESETS = [("iel-wbc", 2, 0.9, 3, 0.067), ("iel-dsb2018", 3, 0.8, 2, 0.10), ("iel-drive", 1, 0.5, 2, 0.25)]


@pytest.mark.parametrize(("name", "scale", "keep", "num_classes", "published"), PRESETS)
def test_each_preset_changes_the_published_fraction(name, scale, keep, num_classes, published):
    expected = (1 - keep) * (num_classes - 1) / num_classes
    assert round(expected, 3) == pytest.approx(published)
    shape, seeds = (120, 120), 10
    label = np.zeros((1, *shape), dtype=np.uint8)
    changed = [
        (label_noise_preset(name, "label", seed=seed)({"label": label, "case_id": "a"})["label"] != 0).mean()
        for seed in range(seeds)
    ]
    # Block variance q (c^2 + c (1 - c) / b) - (q c)^2 as in test_block_and_voxel; four standard deviations of the mean
    # over all blocks of all seeds.
    lost, other, blocks = 1 - keep, (num_classes - 1) / num_classes, seeds * (120 // scale) ** 2
    variance = lost * (other**2 + other * (1 - other) / scale**2) - (lost * other) ** 2
    assert abs(np.mean(changed) - expected) < 4 * math.sqrt(variance / blocks)


def test_wbc_has_one_mask_for_all_cases_and_redraws_classes():
    noise = label_noise_preset("iel-wbc", "label")
    label = np.zeros((1, 60, 60), dtype=np.uint8)
    union = [
        np.any([noise({"label": label + fill})["label"] != fill for _ in range(12)], axis=0).astype(np.uint8)
        for fill in (0, 1)
    ]
    # After 12 draws among 3 classes a lost voxel has shown with probability 1 - 3^-12: the masks of both cases agree.
    assert (union[0] == union[1]).mean() > 0.999
    assert union[0].mean() < 0.15
    assert isinstance(noise, RandBlockLabelNoised)


def test_drive_redraws_positions_and_dsb2018_is_fixed_per_case():
    label = np.zeros((1, 30, 30), dtype=np.uint8)
    drive, dsb = label_noise_preset("iel-drive", "label"), label_noise_preset("iel-dsb2018", "label", case_key="name")
    assert not np.array_equal(drive({"label": label})["label"], drive({"label": label})["label"])
    assert not drive.noise.shared_mask
    first, again, other = (dsb({"label": label, "name": name})["label"] for name in ("a", "a", "b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert isinstance(dsb, BlockLabelNoised)
    assert not isinstance(dsb, Randomizable)


@pytest.mark.parametrize("name", [preset[0] for preset in PRESETS])
def test_presets_are_dictionary_transforms_that_work_in_3d_and_pickle(name):
    noise = pickle.loads(pickle.dumps(label_noise_preset(name, ["label"], seed=3)))
    assert isinstance(noise, MapTransform)
    assert noise({"label": np.zeros((1, 8, 9, 7)), "case_id": 1})["label"].shape == (1, 8, 9, 7)
    assert noise.describe("a")["seed"] == 3


def test_a_misspelt_preset_names_the_nearest():
    with pytest.raises(ValueError, match="By 'iel-wcb', did you mean 'iel-wbc'"):
        label_noise_preset("iel-wcb", "label")
