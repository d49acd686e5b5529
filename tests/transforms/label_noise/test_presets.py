"""The published presets: what they are and how much they change."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from scipy import ndimage

from monai_iel.transforms.label_noise import (
    BlockLabelNoise,
    ChoiceLabelNoise,
    LabelNoise,
    LabelNoised,
    RandBlockLabelNoised,
    label_noise_of_preset,
    label_noise_preset,
)
from monai_iel.transforms.label_noise.presets import LABEL_NOISE_PRESETS

REDRAWN = ("iel-wbc", "iel-drive")
FIXED = [name for name in LABEL_NOISE_PRESETS if name not in REDRAWN]
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
    assert isinstance(dsb, LabelNoised)
    assert isinstance(dsb.noise, BlockLabelNoise)
    assert not isinstance(dsb, Randomizable)


@pytest.mark.parametrize("name", LABEL_NOISE_PRESETS)
def test_presets_are_dictionary_transforms_that_work_in_3d_and_pickle(name):
    noise = pickle.loads(pickle.dumps(label_noise_preset(name, ["label"], seed=3)))
    assert isinstance(noise, MapTransform)
    assert noise({"label": np.zeros((1, 8, 9, 7)), "case_id": 1})["label"].shape == (1, 8, 9, 7)
    assert noise.describe("a")["seed"] == 3


def disc(size: int, radius: float) -> np.ndarray:
    """One of class 1, with its centre between voxels."""
    grid = np.indices((size, size)) - size / 2 + 0.37
    return ((grid**2).sum(0) < radius**2).astype(np.uint8)[None]


def share_within(found: int, number: int, share: float) -> bool:
    """Whether ``found`` of ``number`` cases fit to a probability: four standard deviations of the binomial."""
    return abs(found - share * number) < 4 * math.sqrt(number * share * (1 - share))


def choice(name: str) -> ChoiceLabelNoise:
    noise = label_noise_of_preset(name)
    assert isinstance(noise, ChoiceLabelNoise)
    return noise


@pytest.mark.parametrize(
    ("name", "share"),
    [(f"cl-slsr-{alpha}", alpha) for alpha in (0.3, 0.5, 0.7)]
    + [(f"alpha-beta-{alpha}-{beta}", alpha) for alpha in (0.3, 0.5, 0.7) for beta in (0.5, 0.7)]
    + [("pymic-jsrt", 0.95)],
)
def test_the_published_share_of_the_cases_is_noisy(name, share):
    noise = choice(name)
    assert share_within(sum(noise.chosen(case) is not None for case in range(1000)), 1000, share)


@pytest.mark.parametrize("beta", [0.5, 0.7])
def test_alpha_beta_dilates_erodes_and_moves_a_third_each_up_to_the_published_ratio(beta):
    noise, label = choice(f"alpha-beta-0.7-{beta}"), disc(80, 18)
    size = label.sum()
    noisy = [noise(label, case) for case in range(150) if noise.chosen(case) is not None]
    for result in noisy:
        assert np.count_nonzero(result != label) / size == pytest.approx(beta, abs=0.03)
    sizes = np.array([result.sum() for result in noisy]) / size
    for expected in (1 + beta, 1 - beta, 1):
        assert share_within(np.count_nonzero(abs(sizes - expected) < 0.1), len(noisy), 1 / 3)


def outline_radii(noise: LabelNoise, radius: float) -> np.ndarray:
    """How far the outline of a disc lies outside the clean one, from the area, for cases that dilate or erode."""
    label = disc(128, radius)
    return np.array([math.sqrt(noise(label, case).sum() / math.pi) - radius for case in range(60)])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("cl-slsr-0.5", 10, 15), ("pymic-jsrt", 6, 12), ("markov-J3", 7, 9), ("markov-I3", 7, 9), ("markov-B3", 3, 5)],
)
def test_half_dilates_and_half_erodes_by_the_published_radii(name, low, high):
    noise = label_noise_of_preset(name)
    (outline, *_) = noise.noises
    radii = outline_radii(outline, 30)
    assert share_within(np.count_nonzero(radii > 0), len(radii), 0.5)
    # Distances are between voxel centres: the outline, half a voxel from both, moves by up to half a voxel less.
    assert low - 0.7 < abs(radii).min() < low + 0.5
    assert high - 0.7 < abs(radii).max() < high + 0.2


@pytest.mark.parametrize(("name", "circles", "reach"), [("cl-slsr-0.5", 0.34, 14.5), ("pymic-jsrt", 0.3, 12)])
def test_the_others_get_circles_on_the_edge(name, circles, reach):
    noise, label = choice(name), disc(90, 25)
    chosen = [noise.chosen(case) for case in range(1000)]
    kinds = [part.model != "morphology" for part in chosen if part is not None]
    assert share_within(sum(kinds), len(kinds), circles)
    depth = ndimage.distance_transform_edt(label[0])
    height = ndimage.distance_transform_edt(1 - label[0])
    changed = [noise.noises[1](label, case)[0] != label[0] for case in range(4)]
    assert 0.5 * reach < max(depth[change].max() for change in changed) <= reach + 1  # centres are edge voxels, depth 1
    # In PyMIC's variant the discs that are removed sit on an outline that those added have moved.
    assert 0.5 * reach < max(height[change].max() for change in changed) <= reach


def test_circles_sit_on_the_published_share_of_the_edge():
    slsr, (add, remove) = choice("cl-slsr-0.5").noises[1], choice("pymic-jsrt").noises[1].noises
    assert (slsr.fraction, slsr.mode, slsr.radius) == (0.5, "both", (0.5, 14.5))
    assert (add.fraction, add.mode, add.radius) == (0.1, "add", (6, 12))
    assert (remove.fraction, remove.mode, remove.radius) == (0.1, "remove", (6, 12))


# T, theta1, theta2, theta3; and whether the annotation becomes too large.
MARKOV = {
    "markov-J1": ((180, 0.8, 0.05, 0.2), True),
    "markov-J2": ((180, 0.2, 0.05, 0.2), False),
    "markov-B1": ((80, 0.7, 0.05, 0), True),
    "markov-B2": ((80, 0.3, 0.05, 0), False),
    "markov-I1": ((200, 0.2, 0.05, 0.2), False),
    "markov-I2": ((200, 0.8, 0.05, 0.2), True),
}


@pytest.mark.parametrize("name", MARKOV)
def test_markov_presets_have_the_published_settings_and_their_bias(name):
    published, larger = MARKOV[name]
    (walk,) = label_noise_of_preset(name).noises
    assert (walk.steps, walk.expand, walk.flip, walk.random_flip) == published
    label = disc(100, 22)
    grown = np.mean([label_noise_of_preset(name)(label, case).sum() > label.sum() for case in range(3)])
    assert grown == larger


@pytest.mark.parametrize("name", FIXED)
def test_presets_are_in_voxels_whatever_the_spacing(name):
    label = np.zeros((1, 30, 28, 24), dtype=np.uint8)
    label[0, 6:24, 5:22, 4:19] = 1
    if name != "iel-dsb2018":  # which has two classes
        label[0, 9:18, 9:16, 9:15] = 2
    noise = label_noise_of_preset(name)
    case = next(c for c in range(99) if not isinstance(noise, ChoiceLabelNoise) or noise.chosen(c) is not None)
    spaced = MetaTensor(torch.from_numpy(label), affine=torch.diag(torch.tensor([0.5, 2.0, 3.0, 1.0])))
    noisy = noise(spaced, case).numpy()
    assert np.array_equal(noisy, noise(label, case))
    assert not np.array_equal(noisy, label)


@pytest.mark.parametrize("name", FIXED)
def test_the_array_form_does_what_the_dictionary_form_does(name):
    label = disc(48, 12)
    array = label_noise_of_preset(name, seed=5)
    dictionary = label_noise_preset(name, "label", seed=5, case_key="id")
    assert dictionary.describe("a") == array.describe("a")
    assert np.array_equal(array(label, "a"), dictionary({"label": label, "id": "a"})["label"])


@pytest.mark.parametrize("name", REDRAWN)
def test_a_redrawn_preset_has_no_array_form_and_the_message_says_what_to_take(name):
    with pytest.raises(
        ValueError, match=rf"preset '{name}' redraws the classes .*no case has a noisy label of its own"
    ):
        label_noise_of_preset(name)
    with pytest.raises(
        ValueError,
        match=r"take the same blocks fixed per case, BlockLabelNoise\(scale=([12]), keep=(0\.\d).*\), on the command "
        r"line --model block --set scale=\1 --set keep=\2$",
    ):
        label_noise_of_preset(name)


def test_the_name_of_a_family_lists_its_presets():
    with pytest.raises(ValueError, match=r"'cl-slsr' is a family.*one of cl-slsr-0.3, cl-slsr-0.5, cl-slsr-0.7$"):
        label_noise_of_preset("cl-slsr")
    with pytest.raises(ValueError, match=r"'alpha-beta-0.5' is a .*one of alpha-beta-0.5-0.5, alpha-beta-0.5-0.7$"):
        label_noise_preset("alpha-beta-0.5", "label")


def test_a_misspelt_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"^no preset 'iel-wcb'; did you mean 'iel-wbc'\?; there are iel-wbc, iel-dsb"):
        label_noise_preset("iel-wcb", "label")
    for name, near in (
        ("pymic-jrst", "'pymic-jsrt'"),
        ("PYMIC-JSRT", "'pymic-jsrt'"),
        ("markov-b1", "'markov-B1'"),
        ("cl-slsr-0.4", "'cl-slsr-0.3' or 'cl-slsr-0.5' or 'cl-slsr-0.7'"),
    ):
        with pytest.raises(ValueError, match=rf"^no preset '{name}'; did you mean {near}"):
            label_noise_of_preset(name)
    with pytest.raises(ValueError, match=r"^no preset 'xyz'; there are iel-wbc.*, markov-I3$"):
        label_noise_of_preset("xyz")
