"""The Markov walk of outlines: exact where all takes part, binomial where chance decides."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage

from monai_iel.transforms.label_noise import MarkovLabelNoise
from monai_iel.transforms.label_noise.markov import walk_outline


def walk(**changes) -> MarkovLabelNoise:
    return MarkovLabelNoise(**{"steps": 3, "expand": 1.0, "flip": 1.0, "smoothing": 0, **changes})


def ball(*shape: int, radius: float) -> np.ndarray:
    axes = np.ix_(*[np.arange(size) - size // 2 for size in shape])
    return sum(axis**2 for axis in axes) <= radius**2


def rough(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape) > 0.8


@pytest.mark.parametrize("steps", [1, 3, 20])  # 20 steps need two boxes
@pytest.mark.parametrize("mask", [ball(50, 60, radius=4), ball(46, 44, 45, radius=2), rough(9, 11)])
def test_steps_outwards_of_all_voxels_are_dilations_with_the_face_neighbours(mask, steps):
    noisy = walk(steps=steps)(mask[None].astype(np.uint8), "a")
    assert np.array_equal(noisy[0], ndimage.binary_dilation(mask, iterations=steps))


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    "mask", [ball(30, 34, radius=9), ball(20, 18, 19, radius=7), np.arange(80).reshape(8, 10) > 35]
)
def test_steps_inwards_of_all_voxels_are_erosions_and_the_border_is_no_outline(mask, steps):
    noisy = walk(steps=steps, expand=0.0)(mask[None].astype(np.uint8), "a")
    expected = ndimage.binary_erosion(mask, iterations=steps, border_value=1)
    assert expected.any()
    assert np.array_equal(noisy[0], expected)


@pytest.mark.parametrize("expand", [1.0, 0.0])
@pytest.mark.parametrize("shape", [(400, 300), (60, 50, 40)])
def test_the_share_of_the_outline_that_takes_part_is_theta2(shape, expand):
    mask = rough(*shape)
    other = ndimage.binary_dilation(mask) if expand else ndimage.binary_erosion(mask, border_value=1)
    outline = mask != other
    changed = walk(steps=1, expand=expand, flip=0.3)(mask[None].astype(np.uint8), "a")[0] != mask
    assert not (changed & ~outline).any()
    number = np.count_nonzero(outline)
    assert abs(np.count_nonzero(changed) - 0.3 * number) < 4 * math.sqrt(number * 0.3 * 0.7)


def test_the_share_of_the_steps_that_go_outwards_is_theta1():
    label = ball(9, 9, radius=2)[None].astype(np.uint8)
    grown = sum(walk(steps=1, expand=0.7)(label, number).sum() > label.sum() for number in range(400))
    assert abs(grown - 280) < 4 * math.sqrt(400 * 0.7 * 0.3)


@pytest.mark.parametrize(("first", "more"), [(3, 4), (10, 25)])
def test_the_first_steps_are_the_same_however_many_follow(first, more):
    mask, rng = ball(60, 60, radius=12), np.random.default_rng(5)
    halfway = walk_outline(mask, first, 0.6, 0.2, rng)
    assert not np.array_equal(halfway, mask)
    expected = walk_outline(mask, first + more, 0.6, 0.2, np.random.default_rng(5))
    assert np.array_equal(walk_outline(halfway, more, 0.6, 0.2, rng), expected)


def test_strength_is_a_factor_on_the_steps_and_a_fraction_of_a_step_is_a_part_of_it():
    label = ball(40, 40, 40, radius=9)[None].astype(np.uint8)
    noise = walk(steps=8, flip=0.2)
    results = [noise.at_strength(strength)(label, "a") for strength in (0, 0.5, 0.53, 0.56, 0.6, 0.625, 1, 1.25)]
    counts = [int(result.sum()) for result in results]
    assert len(set(counts)) == len(counts)
    assert all((low <= high).all() for low, high in itertools.pairwise(results))
    assert np.array_equal(walk(steps=0)(label, "a"), label)
    # Five steps at a strength of 0.625: those that are sure to happen show how many there were.
    assert np.array_equal(
        walk(steps=8).at_strength(0.625)(label, "a")[0], ndimage.binary_dilation(label[0], iterations=5)
    )


def test_the_array_around_a_region_plays_no_part():
    mask = ball(50, 50, radius=8)
    framed = np.pad(mask, ((40, 13), (7, 29)))
    result, in_frame = (walk_outline(part, 60, 0.6, 0.1, np.random.default_rng(1)) for part in (mask, framed))
    assert np.array_equal(result, in_frame[40:-13, 7:-29])


@pytest.mark.parametrize(("expand", "sign"), [(0.8, 1), (0.2, -1)])
@pytest.mark.parametrize("shape", [(160, 160), (64, 64, 64)])
def test_the_published_settings_bias_the_outline(shape, expand, sign):
    # The published steps with flip 0.05 move it by 10 pixels or more; here 60 of 180.
    mask = ball(*shape, radius=18)
    noise = walk(steps=60, expand=expand, flip=0.05, random_flip=0.2, smoothing=2, window=2)
    noisy = noise(mask[None].astype(np.uint8), "a")[0]
    radius = 18 * (noisy.sum() / mask.sum()) ** (1 / mask.ndim)
    assert 1.5 < sign * (radius - 18) < 7


def test_random_flips_hit_theta3_of_all_voxels_and_those_of_a_weaker_noise_are_among_them():
    label = ball(120, 100, radius=30)[None].astype(np.uint8)
    noise = walk(steps=0, random_flip=0.2)
    changed, weaker = (noise.at_strength(strength)(label, "a") != label for strength in (1, 0.5))
    for share, hits in ((0.2, changed), (0.1, weaker)):
        for region in (label > 0, label == 0):
            assert abs(hits[region].mean() - share) < 4 * math.sqrt(share * (1 - share) / region.sum())
    assert not (weaker & ~changed).any()
    assert np.array_equal(noise.at_strength(3)(label, "a") != label, changed)


def test_random_flips_do_not_depend_on_the_walk():
    label = np.zeros((1, 90, 30), dtype=np.uint8)
    label[0, :10] = 1
    far = [walk(steps=steps, flip=0.5, random_flip=0.1)(label, "a")[0, 50:] for steps in (2, 2, 7)]
    assert far[0].any()
    assert np.array_equal(far[0], far[1])
    # Another number of steps is another noise; its strength is not.
    assert not np.array_equal(far[0], far[2])
    noise = walk(steps=7, flip=0.5, random_flip=0.1)
    assert np.array_equal(noise.at_strength(2)(label, "a")[0, 50:], far[2])


@pytest.mark.parametrize(("sigma", "window"), [(2.0, 2), (1.0, 4)])
@pytest.mark.parametrize("shape", [(30, 28), (16, 15, 14)])
def test_the_smoothing_is_half_of_a_truncated_gaussian(shape, sigma, window):
    mask = ball(*shape, radius=5) ^ (np.random.default_rng(0).random(shape) < 0.15)
    bell = np.exp(-(np.arange(-window, window + 1) ** 2) / (2 * sigma**2))
    bell /= bell.sum()
    kernel = bell
    for _ in shape[1:]:
        kernel = np.multiply.outer(kernel, bell)
    blurred = ndimage.convolve(mask.astype(float), kernel, mode="nearest")
    assert np.abs(blurred - 0.5).min() > 1e-6  # no voxel where rounding decides
    noisy = walk(steps=0, smoothing=sigma, window=window)(mask[None].astype(np.uint8), "a")
    assert np.array_equal(noisy[0], blurred > 0.5)


def test_a_region_walks_alike_whatever_other_classes_there_are():
    label = np.zeros((1, 80, 40), dtype=np.uint8)
    label[0, 10:20, 15:25] = 2
    both = label.copy()
    both[0, 55:65, 15:25] = 1
    noise = walk(steps=15, expand=0.6, flip=0.3)
    assert np.array_equal(noise(label, "a") == 2, noise(both, "a") == 2)
    # The two squares are the same 45 rows apart, but each goes its own way.
    first, second = (noise(both, "a")[0] == number for number in (1, 2))
    assert not np.array_equal(np.roll(second, 45, axis=0), first)


def test_what_a_class_loses_becomes_the_nearest_class_and_what_it_gains_its_own():
    label = np.zeros((1, 12, 30), dtype=np.uint8)
    label[0, :, 10:20], label[0, :, 20:] = 1, 2
    shrunk = walk(expand=0.0, classes=[1])(label, "a")[0, 5]
    assert shrunk.tolist() == [0] * 13 + [1] * 4 + [2] * 13
    grown = walk(classes=[1])(label, "a")[0, 5]
    assert grown.tolist() == [0] * 7 + [1] * 16 + [2] * 7


def test_the_foreground_as_one_region_keeps_its_inner_borders():
    label = np.zeros((1, 12, 40), dtype=np.uint8)
    label[0, :, 10:20], label[0, :, 20:30] = 1, 2
    grown = walk(classes="foreground")(label, "a")[0, 5]
    assert grown.tolist() == [0] * 7 + [1] * 13 + [2] * 13 + [0] * 7
    shrunk = walk(classes="foreground", expand=0.0)(label, "a")[0, 5]
    assert shrunk.tolist() == [0] * 13 + [1] * 7 + [2] * 7 + [0] * 13


def test_a_region_that_vanished_does_not_come_back_and_a_missing_class_is_skipped():
    label = ball(20, 20, radius=2)[None].astype(np.uint8)
    assert not walk(steps=40, expand=0.2, flip=0.9)(label, "a").any()
    assert np.array_equal(walk(classes=[3], random_flip=0.5)(label, "a"), label)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"steps": 1.5}, "steps is 1.5, expected a whole number"),
        ({"steps": -1}, "steps is -1, expected at least 0"),
        ({"expand": 1.1}, "expand is 1.1, expected a fraction"),
        ({"flip": -0.1}, "flip is -0.1, expected a fraction"),
        ({"random_flip": math.nan}, "random_flip is nan, expected a fraction"),
        ({"smoothing": -1}, "smoothing is -1, expected a finite number of 0 or more"),
        ({"window": 0}, "window is 0, expected at least 1"),
        ({"classes": [0]}, "classes is 0, expected at least 1"),
        ({"classes": "foregrund"}, "did you mean 'foreground'"),
    ],
)
def test_parameters_out_of_range_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        walk(**changes)
