"""Sequences and choices of noises: their parts do what they do alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel.transforms.label_noise import (
    BlockLabelNoise,
    BumpLabelNoise,
    ChoiceLabelNoise,
    MorphologyLabelNoise,
    SequentialLabelNoise,
    VoxelLabelNoise,
)

BITES = BumpLabelNoise(radius=(2, 4), count=2, mode="remove")
GROWN = MorphologyLabelNoise(radius=2, dilate_probability=1, erode_probability=0)
SPECKLE = VoxelLabelNoise(rate=0.1, num_classes=2)


@pytest.fixture
def label() -> np.ndarray:
    square = np.zeros((1, 30, 30), dtype=np.uint8)
    square[0, 8:22, 8:22] = 1
    return square


def test_a_sequence_is_the_chain_of_its_noises(label):
    noise = SequentialLabelNoise(noises=[BITES, GROWN, SPECKLE])
    assert np.array_equal(noise(label, "a"), SPECKLE(GROWN(BITES(label, "a"), "a"), "a"))
    half = noise.at_strength(0.5)
    parts = [part.at_strength(0.5) for part in (BITES, GROWN, SPECKLE)]
    assert np.array_equal(half(label, "a"), parts[2](parts[1](parts[0](label, "a"), "a"), "a"))


def test_strengths_multiply_and_the_first_limit_holds(label):
    noise = SequentialLabelNoise(noises=[BITES.at_strength(2), SPECKLE.at_strength(4)], strength=0.5)
    assert np.array_equal(noise(label, "a"), SPECKLE.at_strength(2)(BITES(label, "a"), "a"))
    assert noise.max_strength == pytest.approx(10 / 4)


def test_in_voxels_the_spacing_plays_no_part(label):
    spaced = MetaTensor(torch.from_numpy(label), affine=torch.diag(torch.tensor([0.5, 3.0, 1.0, 1.0])))
    for kind in (SequentialLabelNoise, ChoiceLabelNoise):
        in_mm, in_voxels = kind(noises=[GROWN]), kind(noises=[GROWN], unit="voxel")
        assert np.array_equal(in_voxels(spaced, "a").numpy(), GROWN(label, "a"))
        assert np.array_equal(in_mm(spaced, "a").numpy(), GROWN(spaced, "a").numpy())
        assert not np.array_equal(in_mm(spaced, "a").numpy(), GROWN(label, "a"))
    # What stands inside a noise in voxels is in voxels too.
    nested = SequentialLabelNoise(noises=[SequentialLabelNoise(noises=[GROWN])], unit="voxel")
    assert np.array_equal(nested(spaced, "a").numpy(), GROWN(label, "a"))
    with pytest.raises(ValueError, match=r"^unit is 'voxels', expected 'mm' or 'voxel'; did you mean 'voxel'\?$"):
        SequentialLabelNoise(noises=[GROWN], unit="voxels")


def test_a_choice_gives_each_noise_to_its_share_of_the_cases(label):
    noise = ChoiceLabelNoise(noises=[BITES, GROWN], weights=[1, 3], fraction=0.6)
    names = range(1000)
    chosen = [noise.chosen(name) for name in names]
    bitten, grown = (
        sum(part is not None and part.model == model for part in chosen) for model in ("bumps", "morphology")
    )
    # Four standard deviations of a binomial with 1000 draws.
    assert abs(bitten - 150) < 4 * np.sqrt(1000 * 0.15 * 0.85)
    assert abs(grown - 450) < 4 * np.sqrt(1000 * 0.45 * 0.55)
    for name, part in zip(names[:20], chosen, strict=False):
        assert np.array_equal(noise(label, name), label if part is None else part(label, name))


def test_strength_does_not_change_which_case_gets_which_noise():
    noise = ChoiceLabelNoise(noises=[BITES, GROWN], fraction=0.5)
    models = [[getattr(n.chosen(case), "model", None) for case in range(50)] for n in (noise, noise.at_strength(3))]
    assert models[0] == models[1]


def test_the_description_says_what_a_case_got():
    noise = ChoiceLabelNoise(noises=[BITES, GROWN], fraction=0.5)
    records = [noise.describe(case)["chosen"] for case in range(30)]
    assert None in records
    assert {record["model"] for record in records if record} == {"bumps", "morphology"}
    assert noise.describe(0)["parameters"]["noises"][0] == {
        "model": "bumps",
        "parameters": BITES.parameters,
        "seed": 0,
        "strength": 1.0,
    }


def test_other_parameters_of_a_part_give_other_choices():
    first = ChoiceLabelNoise(noises=[BITES, GROWN], fraction=0.5)
    second = ChoiceLabelNoise(noises=[BITES, SPECKLE], fraction=0.5)
    assert [first.chosen(case) is None for case in range(40)] != [second.chosen(case) is None for case in range(40)]


@pytest.mark.parametrize("noises", [[], [BITES, "grown"], 5, "grown"])
def test_what_is_no_noise_is_refused(noises):
    with pytest.raises(ValueError, match=r"noises is .*expected one or more LabelNoise"):
        SequentialLabelNoise(noises=noises)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, np.nan], 3, "12", [1, "x"]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match=r"weights is .*expected 2 numbers of 0 or more, not all 0"):
        ChoiceLabelNoise(noises=[BITES, GROWN], weights=weights)


def test_a_strength_beyond_a_part_is_refused_as_it_was_asked_for_whatever_the_case_gets(label):
    blocks = BlockLabelNoise(scale=2, keep=0.5, num_classes=2, strength=0.5)
    for noise in (SequentialLabelNoise(noises=[blocks]), ChoiceLabelNoise(noises=[blocks], fraction=0.0)):
        assert noise.at_strength(4)(label, "a").shape == label.shape
        with pytest.raises(ValueError, match=rf"^strength is 5.0, but {type(noise).__name__}.* no more than at 4$"):
            noise.at_strength(5)(label, "a")
