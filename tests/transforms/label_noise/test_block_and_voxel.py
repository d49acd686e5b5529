"""Block and voxel noise: how much changes, where, and into what."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose

from monai_iel.transforms.label_noise import (
    BlockLabelNoise,
    LabelNoised,
    RandBlockLabelNoise,
    RandBlockLabelNoiseD,
    RandBlockLabelNoised,
    RandBlockLabelNoiseDict,
    VoxelLabelNoise,
)


def block_tolerance(scale: int, keep: float, num_classes: int, shape: tuple[int, ...], labels: int = 1) -> float:
    """Four standard deviations of the changed fraction.

    A block of b = scale^d voxels is lost with probability q = 1 - keep; then X of its voxels change, X binomial (b, c),
    c = (num_classes - 1) / num_classes. So the changed fraction of a block has the mean q c and the second moment
    q (c^2 + c (1 - c) / b); the label is the mean of m independent blocks.
    """
    lost, other, voxels = 1 - keep, (num_classes - 1) / num_classes, scale ** len(shape)
    variance = lost * (other**2 + other * (1 - other) / voxels) - (lost * other) ** 2
    blocks = labels * math.prod(size // scale for size in shape)
    return 4 * math.sqrt(variance / blocks)


@pytest.mark.parametrize("shape", [(120, 120), (24, 24, 24)])
@pytest.mark.parametrize(("scale", "keep", "num_classes"), [(2, 0.9, 3), (3, 0.8, 2), (1, 0.5, 2), (4, 0.3, 5)])
def test_blocks_change_the_expected_fraction(shape, scale, keep, num_classes):
    label = np.ones((1, *shape), dtype=np.uint8)
    noisy = BlockLabelNoise(scale=scale, keep=keep, num_classes=num_classes)(label, "a")
    expected = (1 - keep) * (num_classes - 1) / num_classes
    assert abs((noisy != label).mean() - expected) < block_tolerance(scale, keep, num_classes, shape)


@pytest.mark.parametrize("shape", [(11, 7), (7, 5, 9)])
def test_blocks_are_lost_as_a_whole_and_cut_at_the_far_border(shape):
    # With 200 classes a lost voxel keeps its class once in 200 draws: a lost block shows in nearly all its voxels.
    scale, label = 3, np.zeros((1, *shape), dtype=np.uint8)
    changed = np.concatenate(
        [BlockLabelNoise(scale=scale, keep=0.5, num_classes=200, seed=s)(label, "a") != 0 for s in range(40)]
    )
    fractions = []
    for corner in np.ndindex(*[math.ceil(size / scale) for size in shape]):
        box = tuple(slice(scale * number, scale * (number + 1)) for number in corner)
        fractions.append(changed[(slice(None), *box)].reshape(40, -1).mean(axis=1))
    fractions = np.array(fractions)
    assert ((fractions == 0) | (fractions > 0.5)).mean() > 0.97
    assert 0.4 < (fractions > 0).mean() < 0.6


def test_every_voxel_of_a_lost_block_draws_its_own_class_from_all_classes():
    noisy = BlockLabelNoise(scale=10, keep=0.0, num_classes=4)(np.full((1, 100, 100), 2, dtype=np.uint8), "a")
    # Binomial (10^4, 1/4): four standard deviations are 4 * sqrt(1875) = 173.
    assert np.all(np.abs(np.bincount(noisy.ravel(), minlength=4) - 2500) < 173)


def test_keep_one_changes_nothing_and_rate_zero_neither():
    label = np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 3
    assert np.array_equal(BlockLabelNoise(scale=2, keep=1.0, num_classes=3)(label, "a"), label)
    assert np.array_equal(VoxelLabelNoise(rate=0.0, num_classes=3)(label, "a"), label)


@pytest.mark.parametrize("shape", [(100, 100), (22, 21, 22)])
@pytest.mark.parametrize(("rate", "num_classes"), [(0.1, 2), (0.3, 3), (1.0, 5)])
def test_voxels_change_at_the_given_rate_and_never_to_their_own_class(shape, rate, num_classes):
    label = np.random.default_rng(0).integers(num_classes, size=(1, *shape)).astype(np.int16)
    noisy = VoxelLabelNoise(rate=rate, num_classes=num_classes)(label, "a")
    # Binomial: four standard deviations.
    assert abs((noisy != label).mean() - rate) <= 4 * math.sqrt(rate * (1 - rate) / label.size)


def test_voxels_take_each_other_class_equally_often():
    noisy = VoxelLabelNoise(rate=1.0, num_classes=4)(np.full((1, 90, 100), 1, dtype=np.uint8), "a")
    counts = np.bincount(noisy.ravel(), minlength=4)
    assert counts[1] == 0
    # Binomial (9000, 1/3): four standard deviations are 4 * sqrt(2000) = 179.
    assert np.all(np.abs(counts[[0, 2, 3]] - 3000) < 179)


# The redrawn variant


def redrawn(shared_mask: bool, **changes) -> RandBlockLabelNoise:
    return RandBlockLabelNoise(
        **{"scale": 2, "keep": 0.6, "num_classes": 100, "shared_mask": shared_mask, "seed": 0, **changes}
    )


LABEL = np.zeros((1, 40, 40), dtype=np.uint8)


@pytest.mark.parametrize("shared_mask", [True, False])
def test_redrawn_noise_differs_at_every_access_and_repeats_with_its_random_state(shared_mask):
    noise = redrawn(shared_mask)
    noise.set_random_state(seed=5)
    first = [noise(LABEL) for _ in range(3)]
    assert not np.array_equal(first[0], first[1])
    noise.set_random_state(seed=5)
    assert all(np.array_equal(a, noise(LABEL)) for a in first)
    noise.set_random_state(seed=6)
    assert not np.array_equal(first[0], noise(LABEL))


def lost_positions(noise: RandBlockLabelNoise, label: np.ndarray) -> np.ndarray:
    # Among 100 classes a lost voxel draws the true one of both labels twice with probability 1e-4.
    return (noise(label) != label) | (noise(label) != label)


def test_a_shared_mask_loses_the_same_blocks_in_all_cases_and_instances():
    other_case = np.full_like(LABEL, 7)
    noise = redrawn(shared_mask=True)
    positions = lost_positions(noise, LABEL)
    assert (positions != lost_positions(noise, other_case)).mean() < 0.002
    again = redrawn(shared_mask=True)
    again.set_random_state(seed=99)  # the state chooses classes, not positions
    assert (positions != lost_positions(again, LABEL)).mean() < 0.002
    assert (positions != lost_positions(redrawn(shared_mask=True, seed=1), LABEL)).mean() > 0.3


def test_without_a_shared_mask_the_positions_are_redrawn():
    noise = redrawn(shared_mask=False)
    # Two masks with 40 % lost differ in 2 * 0.4 * 0.6 = 48 % of the voxels.
    assert ((noise(LABEL) != 0) != (noise(LABEL) != 0)).mean() > 0.4


def test_a_shared_mask_depends_on_the_shape_alone():
    noise = redrawn(shared_mask=True)
    small = np.zeros((1, 30, 40), dtype=np.uint8)
    before = lost_positions(noise, small)
    noise(LABEL)
    assert (before != lost_positions(noise, small)).mean() < 0.002
    # A mask of another shape is no cut-out of this one, although both have 20 blocks in a row.
    assert (before != lost_positions(noise, LABEL)[:, :30]).mean() > 0.3


def test_redrawn_noise_keeps_the_label_and_its_kind():
    label = torch.zeros(1, 12, 12, dtype=torch.int32)
    result = redrawn(shared_mask=True)(label)
    assert type(result) is torch.Tensor
    assert result.dtype == torch.int32
    assert result.any()
    assert not label.any()


def test_a_cache_dataset_redraws_after_the_cache_and_compose_sets_the_state():
    def access(seed):
        noise = RandBlockLabelNoised("label", scale=1, keep=0.5, num_classes=2, shared_mask=False)
        dataset = CacheDataset([{"label": LABEL}], Compose([noise]), num_workers=0, progress=False)
        dataset.transform.set_random_state(seed)
        return [dataset[0]["label"] for _ in range(2)]

    first, again, other = access(0), access(0), access(1)
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_dictionary_form_shares_one_draw_among_its_keys():
    noise = RandBlockLabelNoised(["a", "b"], scale=2, keep=0.5, num_classes=3, shared_mask=False)
    result = noise({"a": LABEL, "b": LABEL})
    assert np.array_equal(result["a"], result["b"])
    assert not np.array_equal(result["a"], noise({"a": LABEL, "b": LABEL})["a"])
    with pytest.raises(ValueError, match=r"the last draw was for shape \(40, 40\), the label has \(8, 8\)"):
        noise({"a": LABEL, "b": np.zeros((1, 8, 8))})
    assert RandBlockLabelNoiseD is RandBlockLabelNoiseDict is RandBlockLabelNoised


def test_redrawn_noise_pickles_and_describes_itself():
    noise = redrawn(shared_mask=True)
    again = pickle.loads(pickle.dumps(noise))
    assert np.array_equal(noise(LABEL), again(LABEL))
    assert noise.describe("x") == {
        "case": "x",
        "model": "rand_block",
        "parameters": {"scale": 2, "keep": 0.6, "num_classes": 100, "shared_mask": True},
        "seed": 0,
    }


def test_applying_a_draw_that_was_never_made_is_an_error():
    with pytest.raises(ValueError, match=r"the last draw was for shape None, the label has \(40, 40\)"):
        redrawn(shared_mask=True)(LABEL, randomize=False)


@pytest.mark.parametrize(
    "noise",
    [
        BlockLabelNoise(scale=2, keep=0.5, num_classes=2),
        VoxelLabelNoise(rate=0.5, num_classes=2),
    ],
    ids=lambda noise: noise.model,
)
@pytest.mark.parametrize(("value", "found"), [(2, "from 0 to 2"), (-1, "from -1 to 0")])
def test_a_class_beyond_the_given_number_is_refused(noise, value, found):
    label = np.zeros((1, 6, 6), dtype=np.int16)
    label[0, 2, 2] = value
    with pytest.raises(ValueError, match=rf"label holds classes {found}, but num_classes=2 expects 0 to 1"):
        LabelNoised("label", noise)({"label": label, "case_id": "a"})


def refused_label(kind: str):
    """A label with class 2: an array, or a tensor that knows its file."""
    label = np.full((1, 6, 6), 2, dtype=np.int16)
    return label if kind == "array" else MetaTensor(torch.from_numpy(label), meta={"filename_or_obj": "/x/lab.nii"})


@pytest.mark.parametrize(
    "transform",
    [
        LabelNoised("label", VoxelLabelNoise(rate=0.5, num_classes=2)),
        RandBlockLabelNoised("label", scale=1, keep=0.5, num_classes=2, shared_mask=False),
    ],
    ids=["fixed", "redrawn"],
)
@pytest.mark.parametrize(("kind", "names"), [("array", "case 'a'"), ("file", "case 'a', /x/lab.nii")])
def test_a_refused_label_is_named_by_case_and_file(transform, kind, names):
    with pytest.raises(ValueError, match=rf"^{names}: label holds classes from 2 to 2") as caught:
        transform({"label": refused_label(kind), "case_id": "a"})
    assert str(caught.value) == f"{names}: {caught.value.__cause__}"


@pytest.mark.parametrize(("kind", "start"), [("array", "label holds"), ("file", "/x/lab.nii: label holds")])
def test_redrawn_noise_names_what_it_knows_without_a_case_id(kind, start):
    transform = RandBlockLabelNoised("label", scale=1, keep=0.5, num_classes=2, shared_mask=False)
    with pytest.raises(ValueError, match=rf"^{start} classes from 2 to 2"):
        transform({"label": refused_label(kind)})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"scale": 0}, "scale is 0, expected at least 1"),
        ({"scale": 1.5}, "scale is 1.5, expected a whole number"),
        ({"keep": 1.2}, "keep is 1.2, expected a fraction between 0 and 1"),
        ({"keep": float("nan")}, "keep is nan, expected a fraction"),
        ({"num_classes": 1}, "num_classes is 1, expected at least 2"),
    ],
)
def test_block_parameters_out_of_range_are_named(changes, match):
    arguments = {"scale": 2, "keep": 0.9, "num_classes": 3, **changes}
    with pytest.raises(ValueError, match=match):
        BlockLabelNoise(**arguments)
    with pytest.raises(ValueError, match=match):
        RandBlockLabelNoise(**arguments, shared_mask=True)


def test_voxel_parameters_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"rate is -0.1, expected a fraction between 0 and 1"):
        VoxelLabelNoise(rate=-0.1, num_classes=2)
    with pytest.raises(ValueError, match="num_classes is 1, expected at least 2"):
        VoxelLabelNoise(rate=0.1, num_classes=1)
