"""Unlabelled regions: how many, as a whole, and in which labels they fit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from monai_iel.transforms.label_noise import UnknownLabelNoise


@pytest.mark.parametrize(("shape", "scale"), [((60, 60), 1), ((120, 100), 3), ((24, 24, 24), 1), ((32, 32, 32), 2)])
@pytest.mark.parametrize("fraction", [0.1, 0.6])
def test_the_given_share_of_blocks_is_unknown_and_each_as_a_whole(shape, scale, fraction):
    label = np.random.default_rng(0).integers(3, size=(1, *[size // scale * scale for size in shape])).astype(np.uint8)
    noisy = UnknownLabelNoise(fraction=fraction, scale=scale)(label, "a")
    unknown = noisy == 255
    assert np.array_equal(noisy[~unknown], label[~unknown])
    blocks = unknown[0][tuple(slice(None, None, scale) for _ in shape)]
    assert abs(blocks.mean() - fraction) < 4 * math.sqrt(fraction * (1 - fraction) / blocks.size)
    for axis in range(len(shape)):
        blocks = np.repeat(blocks, scale, axis=axis)
    assert np.array_equal(blocks, unknown[0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_unknown_with_all_that_is_in_them(axis):
    label = np.ones((1, 40, 44, 48), dtype=np.uint8)
    unknown = np.moveaxis(UnknownLabelNoise(fraction=0.5, per="slice", axis=axis)(label, "a")[0], axis, 0) == 255
    whole, some = unknown.all(axis=(1, 2)), unknown.any(axis=(1, 2))
    assert np.array_equal(whole, some)
    assert abs(whole.mean() - 0.5) < 4 * math.sqrt(0.25 / len(whole))


def test_components_are_unknown_as_a_whole_and_the_background_never():
    label = np.zeros((1, 60, 60), dtype=np.uint8)
    label[0, ::3, ::3] = label[0, ::3, 1::3] = np.arange(400).reshape(20, 20) % 2 + 1
    noisy = UnknownLabelNoise(fraction=0.3, per="component")(label, "a")
    first, second = noisy[0, ::3, ::3] == 255, noisy[0, ::3, 1::3] == 255
    assert np.array_equal(first, second)
    assert abs(first.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 400)
    assert not noisy[label == 0].any()


@pytest.mark.parametrize("per", ["block", "slice", "component"])
def test_what_is_unknown_stays_so_at_every_greater_strength(per):
    label = (np.indices((30, 30, 30)) % 3 == 0).all(axis=0)[None].astype(np.uint8)
    noise = UnknownLabelNoise(fraction=0.4, per=per, scale=3)
    unknown = [noise.at_strength(strength)(label, "a") == 255 for strength in (0.3, 1, 2, 2.5)]
    assert all(weaker.sum() < stronger.sum() for weaker, stronger in itertools.pairwise(unknown))
    assert all((weaker <= stronger).all() for weaker, stronger in itertools.pairwise(unknown))
    assert unknown[-1][label > 0].all()
    with pytest.raises(ValueError, match=r"can do no more than at 2\.5"):
        noise.at_strength(3)(label, "a")


@pytest.mark.parametrize("per", ["block", "component"])
def test_voxels_that_are_unknown_already_stay_so(per):
    label = np.zeros((1, 12, 12), dtype=np.uint8)
    label[0, :4], label[0, 6:9] = 255, 1
    noisy = UnknownLabelNoise(fraction=1.0, per=per, scale=3)(label, "a")
    assert (noisy[label > 0] == 255).all()
    assert (noisy[label == 0] == (255 if per == "block" else 0)).all()


def test_an_index_that_the_dtype_cannot_hold_is_refused():
    label = np.ones((1, 6, 6), dtype=np.int8)
    with pytest.raises(ValueError, match="the noise drew class 255, but the label's dtype int8 holds at most 127"):
        UnknownLabelNoise(fraction=1.0)(label, "a")
    noisy = UnknownLabelNoise(fraction=1.0, ignore_index=2)(label, "a")
    assert noisy.dtype == np.int8
    assert (noisy == 2).all()


def test_an_image_has_no_slices():
    with pytest.raises(ValueError, match=r"label is an image \(1 H W\), expected a volume"):
        UnknownLabelNoise(fraction=0.5, per="slice")(np.ones((1, 6, 6), dtype=np.uint8), "a")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"fraction": -1}, "fraction is -1, expected a fraction"),
        ({"per": "blocks"}, r"^per is 'blocks', expected 'block', 'slice' or 'component'; did you mean 'block'\?$"),
        ({"scale": 0}, "scale is 0, expected at least 1"),
        ({"axis": 3}, "axis is 3, expected a spatial axis from 0 to 2"),
        ({"ignore_index": 0}, "ignore_index is 0, expected at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        UnknownLabelNoise(**{"fraction": 0.5, **changes})
