"""Slices that nobody drew: which ones, and what is put in their place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel.transforms.label_noise import SliceLabelNoise
from monai_iel.transforms.label_noise.slices import interpolate_slices


def cone(*, grows: float = 0.5, size: int = 33, slices: int = 25) -> np.ndarray:
    """Discs whose radius grows by ``grows`` a slice, from 3 on; slices 2 to 22 of 25."""
    row = np.arange(size) - size // 2
    radius = 3 + grows * np.arange(-2, slices - 2)
    inside = row[:, None, None] ** 2 + row[None, :, None] ** 2 <= radius**2
    inside[..., :2], inside[..., -2:] = False, False
    return inside[None].astype(np.uint8)


def kept_slices(noisy: np.ndarray) -> np.ndarray:
    return np.flatnonzero(noisy[0].any(axis=(0, 1)))


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_every_kth_slice_is_kept_as_it_is_and_no_other(every):
    label, starts = cone(), set()
    for case in range(40):
        noisy = SliceLabelNoise(every=every)(label, case)
        kept = kept_slices(noisy)
        assert np.array_equal(noisy[..., kept], label[..., kept])
        assert np.array_equal(kept, np.arange(kept[0], 23, every))
        starts.add(int(kept[0]))
    assert starts == set(range(2, 2 + every))


def test_half_the_strength_of_every_fifth_is_every_third():
    label = cone()
    kept = kept_slices(SliceLabelNoise(every=5, strength=0.5)(label, "a"))
    assert np.array_equal(np.diff(kept), np.full(len(kept) - 1, 3))
    numbers = [
        len(kept_slices(SliceLabelNoise(every=5).at_strength(s)(label, "a"))) for s in (0.01, 0.3, 0.6, 1, 2, 99)
    ]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] >= 20  # of 21
    assert numbers[-1] == 1


@pytest.mark.parametrize("missing", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("interpolate", [False, True])
def test_the_given_share_is_missing_in_a_random_order(missing, interpolate):
    label = np.random.default_rng(0).integers(1, 200, size=(1, 5, 5, 20)).astype(np.uint8)
    noise = SliceLabelNoise(missing=missing, interpolate=interpolate)
    changed = [np.flatnonzero((noise(label, case) != label)[0].any(axis=(0, 1))) for case in range(6)]
    expected = round(missing * (18 if interpolate else 20))
    assert all(len(numbers) == expected for numbers in changed)
    assert len({tuple(numbers) for numbers in changed}) == 6
    if interpolate:
        assert all(numbers.min() > 0 and numbers.max() < 19 for numbers in changed)


def test_the_slices_missing_at_one_strength_are_missing_at_every_greater_one():
    label, noise = cone(), SliceLabelNoise(missing=0.4)
    kept = [set(kept_slices(noise.at_strength(strength)(label, "a"))) for strength in (0.5, 1, 2, 2.5)]
    assert [len(numbers) for numbers in kept] == [17, 13, 4, 1]
    assert all(later < former for former, later in itertools.pairwise(kept))
    with pytest.raises(ValueError, match=r"strength is 2.6, but SliceLabelNoise.*can do no more than at 2.5"):
        noise.at_strength(2.6)(label, "a")


@pytest.mark.parametrize(
    ("spacing", "axis", "expected"),
    [
        ((1, 1, 1), None, 2),
        ((1, 3, 1), None, 1),
        ((3, 1, 3), None, 2),
        ((1, 1, 3), 0, 0),
        ((0.1 * 3, 0.3, 0.2), None, 1),
    ],
)
def test_slices_lie_across_the_coarsest_axis_unless_one_is_given(spacing, axis, expected):
    label = MetaTensor(torch.ones(1, 8, 8, 8), affine=torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64)))
    noisy = np.asarray(SliceLabelNoise(missing=0.5, axis=axis)(label, "a"))[0]
    whole = [len({np.moveaxis(noisy, number, 0)[plane].min() for plane in range(8)}) > 1 for number in range(3)]
    assert whole == [number == expected for number in range(3)]


@pytest.mark.parametrize("options", [{"every": 5}, {"missing": 0.8}])
def test_a_cylinder_of_several_classes_is_interpolated_without_loss(options):
    label = np.repeat((cone()[..., 12:13] + cone()[..., 5:6]), 20, axis=3)
    assert set(np.unique(label)) == {0, 1, 2}
    label[..., :3], label[..., -2:] = 0, 0
    noise = SliceLabelNoise(interpolate=True, **options)
    assert not np.array_equal(SliceLabelNoise(**options)(label, "a"), label)
    assert np.array_equal(noise(label, "a"), label)


def test_an_interpolated_cone_is_right_within_a_voxel():
    label = cone(grows=1.0, size=61)
    row = np.arange(61) - 30
    distance = np.sqrt(row[:, None, None] ** 2 + row[None, :, None] ** 2)
    errors = []
    for case in range(6):
        noisy = SliceLabelNoise(every=6, interpolate=True)(label, case)
        changed = (noisy != label)[0]
        assert np.abs(distance - (3 + np.arange(-2, 23)))[changed].max() <= 1
        found, true = (np.sqrt(part.sum(axis=(0, 1, 2)) / np.pi) for part in (noisy, label))
        errors += list((found - true)[changed.any(axis=(0, 1))])
    # Of the radius, in voxels; a rule for equal distances that favours one side would show in the mean.
    assert np.abs(errors).max() < 0.5
    assert abs(np.mean(errors)) < 0.1


def brute_distance(mask: np.ndarray, sampling: tuple[float, float]) -> np.ndarray:
    """Signed distance between voxel centres, by comparing all pairs."""
    places = np.indices(mask.shape).reshape(2, -1).T * np.array(sampling)
    between = np.linalg.norm(places[:, None] - places[None], axis=-1)
    inside = mask.ravel()
    to_inside, to_outside = between[:, inside].min(axis=1), between[:, ~inside].min(axis=1)
    return (to_outside - to_inside).reshape(mask.shape)


def test_between_two_slices_the_greatest_interpolated_distance_in_mm_wins():
    rng = np.random.default_rng(3)
    slices = np.zeros((5, 9, 8), dtype=np.int32)
    slices[0, 1:8, 1:7], slices[4, 1:8, 1:7] = rng.integers(0, 3, (2, 7, 6))
    low, high = slices[0].copy(), slices[4].copy()
    interpolate_slices(slices, np.array([False, True, True, True, False]), (1.0, 2.5))
    for number in (1, 2, 3):
        weight = number / 4
        distances = [
            (1 - weight) * brute_distance(low == c, (1.0, 2.5)) + weight * brute_distance(high == c, (1.0, 2.5))
            for c in range(3)
        ]
        assert np.array_equal(slices[number], np.argmax(distances, axis=0))
    assert np.array_equal(slices[0], low)
    assert np.array_equal(slices[4], high)


@pytest.mark.parametrize("hole", [False, True])
def test_a_lone_class_tapers_off_at_the_slice_that_lacks_it(hole):
    # Where the class fills the other slice, it is the gap that tapers off.
    row = np.arange(25) - 12
    disc = (row[:, None] ** 2 + row**2 <= 64) ^ hole
    slices = np.stack([disc, *[np.zeros_like(disc)] * 7, np.full_like(disc, hole)]).astype(np.int32)
    interpolate_slices(slices, np.array([False, *[True] * 7, False]), (1.0, 1.0))
    areas = [int((plane != hole).sum()) for plane in slices]
    radii = np.sqrt(np.array(areas) / np.pi)
    assert np.abs(radii - np.arange(8, -1, -1))[:-1].max() < 1
    assert areas == sorted(areas, reverse=True)


def test_a_class_that_takes_the_place_of_another_does_so_halfway():
    slices = np.zeros((4, 3, 3), dtype=np.int32)
    slices[0], slices[3] = 1, 2
    interpolate_slices(slices, np.array([False, True, True, False]), (1.0, 1.0))
    assert [int(plane[0, 0]) for plane in slices] == [1, 1, 2, 2]


@pytest.mark.parametrize("options", [{"missing": 1.0}, {"every": 9}])
@pytest.mark.parametrize("interpolate", [False, True])
def test_a_label_of_one_slice_stays_as_it_is(options, interpolate):
    noise = SliceLabelNoise(interpolate=interpolate, **options)
    volume = np.zeros((1, 5, 5, 7), dtype=np.uint8)
    volume[0, 1:4, 1:4, 3] = 1
    assert np.array_equal(noise(volume, "a"), volume)
    assert np.array_equal(noise(volume[..., 3:4], "a"), volume[..., 3:4])


def test_an_image_has_no_slices():
    with pytest.raises(ValueError, match=r"label is an image \(1 H W\), expected a volume \(1 H W D\)"):
        SliceLabelNoise(missing=0.5)(np.ones((1, 5, 5), dtype=np.uint8), "a")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "missing is None and every is None, expected exactly one"),
        ({"missing": 0.5, "every": 2}, "missing is 0.5 and every is 2, expected exactly one"),
        ({"missing": 1.5}, "missing is 1.5, expected a fraction"),
        ({"every": 0}, "every is 0, expected at least 1"),
        ({"every": 2, "axis": 3}, "axis is 3, expected a spatial axis from 0 to 2"),
        ({"every": 2, "axis": -1}, "axis is -1, expected at least 0"),
    ],
)
def test_parameters_out_of_range_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        SliceLabelNoise(**options)
