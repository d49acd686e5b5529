"""Missed components: how many, which ones, and what they become."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage

from monai_iel.transforms.label_noise import InstanceLabelNoise


def cells(*count: int, classes: int = 1) -> np.ndarray:
    """Cells of 2 voxels an edge on a grid, the classes in turn."""
    label = np.zeros([4 * number for number in count], dtype=np.uint8)
    for place in np.ndindex(*count):
        label[tuple(slice(4 * start + 1, 4 * start + 3) for start in place)] = 1 + sum(place) % classes
    return label[None]


@pytest.mark.parametrize("count", [(30, 25), (9, 9, 9)])
@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_the_given_share_of_components_is_missing_and_the_others_are_whole(count, fraction):
    label = cells(*count)
    noisy = InstanceLabelNoise(fraction=fraction)(label, "a")
    number = math.prod(count)
    left = ndimage.label(noisy[0])[1]
    assert abs(number - left - fraction * number) < 4 * math.sqrt(number * fraction * (1 - fraction))
    assert noisy.sum() == left * 2 ** len(count)
    assert not (noisy > label).any()


def test_what_is_missing_at_one_strength_is_missing_at_every_greater_one():
    label, noise = cells(20, 20), InstanceLabelNoise(fraction=0.4, size_preference=0.2)
    results = [noise.at_strength(strength)(label, "a") for strength in (0.2, 0.5, 1, 2, noise.max_strength)]
    assert all((later <= former).all() for former, later in itertools.pairwise(results))
    assert len({int(result.sum()) for result in results}) == 5
    assert noise.max_strength == pytest.approx(1 / (0.4 * 0.8))
    assert not results[-1].any()


def lines() -> np.ndarray:
    """Five components of 1, 3, 5, 7 and 9 voxels, in the rows of an image."""
    label = np.zeros((1, 10, 9), dtype=np.uint8)
    for number in range(5):
        label[0, 2 * number, : 2 * number + 1] = 1
    return label


@pytest.mark.parametrize("preference", [1.0, -1.0, 0.5])
def test_a_preference_for_small_ones_is_linear_in_the_rank_of_the_size(preference):
    label, noise = lines(), InstanceLabelNoise(fraction=0.4, size_preference=preference)
    missed = np.zeros(5)
    for case in range(500):
        missed += noise(label, case)[0, ::2, 0] == 0
    expected = 0.4 * (1 + preference * (1 - np.arange(5) / 2))
    # Binomial: four standard deviations; none where the probability is 0.
    assert np.all(np.abs(missed / 500 - expected) <= 4 * np.sqrt(expected * (1 - expected) / 500))
    assert expected.mean() == pytest.approx(0.4)


def test_equal_sizes_are_missed_equally_often():
    label = cells(2, 2)
    noise = InstanceLabelNoise(fraction=0.5, size_preference=1)
    missed = sum((noise(label, case)[0, 1::4, 1::4] == 0).ravel().astype(int) for case in range(400))
    assert np.all(np.abs(missed - 200) < 4 * 10)  # binomial (400, 1/2)


def test_one_component_of_each_class_may_be_kept():
    label = cells(6, 6, classes=2)
    noisy = InstanceLabelNoise(fraction=1.0, keep_one=True)(label, "a")
    assert [ndimage.label(noisy[0] == number)[1] for number in (1, 2)] == [1, 1]
    half = InstanceLabelNoise(fraction=0.5, keep_one=True)
    kept = half.at_strength(2)(label, "b") > 0
    assert np.count_nonzero(kept) == 2 * 4
    assert (half(label, "b")[kept] > 0).all()
    assert not InstanceLabelNoise(fraction=1.0)(label, "a").any()


def test_a_missed_lesion_in_a_liver_becomes_liver_and_one_on_background_background():
    label = np.zeros((1, 20, 20, 6), dtype=np.uint8)
    label[0, 2:14, 2:14, 1:5] = 1
    label[0, 5:8, 5:8, 2:4], label[0, 16:18, 16:18, 2:4] = 2, 2
    noise = InstanceLabelNoise(fraction=1.0, classes=[2], become="surrounding")
    expected = np.where(label == 2, 0, label)
    expected[0, 5:8, 5:8, 2:4] = 1
    assert np.array_equal(noise(label, "a"), expected)
    assert np.array_equal(InstanceLabelNoise(fraction=1.0, classes=[2])(label, "a"), np.where(label == 2, 0, label))


@pytest.mark.parametrize(("liver", "expected"), [(2, 0), (3, 3), (1, 0)])
def test_the_surrounding_class_is_that_of_most_faces_and_the_lowest_of_equals(liver, expected):
    # The lesion has six face neighbours in the plane, ``liver`` of its two columns lie in class 3.
    label = np.zeros((1, 6, 6), dtype=np.uint8)
    label[0, 2, 2:4] = 1
    faces = [(1, 2), (1, 3), (2, 1), (2, 4), (3, 2), (3, 3)]
    for place in faces[: {1: 1, 2: 3, 3: 4}[liver]]:
        label[(0, *place)] = 3
    noisy = InstanceLabelNoise(fraction=1.0, classes=[1], become="surrounding")(label, "a")
    assert noisy[0, 2, 2:4].tolist() == [expected] * 2


def test_the_border_of_the_array_is_no_surrounding():
    label = np.ones((1, 4, 5), dtype=np.uint8)
    label[0, 0] = 2
    noise = InstanceLabelNoise(fraction=1.0, classes=[2], become="surrounding")
    assert (noise(label, "a") == 1).all()
    full = np.full((1, 4, 5), 2, dtype=np.uint8)
    assert np.array_equal(noise(full, "a"), full)
    assert np.array_equal(InstanceLabelNoise(fraction=1.0)(full, "a"), full)


def test_corners_join_components_if_asked_to():
    label = np.zeros((1, 300, 4), dtype=np.uint8)
    label[0, 0::3, 0] = label[0, 1::3, 1] = 1
    faces, corners = (
        InstanceLabelNoise(fraction=0.5, connectivity=kind)(label, "a")[0] for kind in ("faces", "corners")
    )
    assert np.array_equal(corners[0::3, 0], corners[1::3, 1])
    assert not np.array_equal(faces[0::3, 0], faces[1::3, 1])


def test_only_the_chosen_classes_are_missed():
    label = cells(8, 8, classes=2)
    noisy = InstanceLabelNoise(fraction=1.0, classes=[2, 7])(label, "a")
    assert np.array_equal(noisy, np.where(label == 2, 0, label))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"fraction": 1.2}, "fraction is 1.2, expected a fraction"),
        ({"size_preference": 2}, "size_preference is 2, expected a number between -1 and 1"),
        ({"size_preference": math.nan}, "size_preference is nan"),
        ({"size_preference": "small"}, "size_preference is 'small', expected a number between -1 and 1"),
        (
            {"become": "backgrund"},
            "^become is 'backgrund', expected 'background' or 'surrounding'; did you mean 'backgr",
        ),
        ({"connectivity": "face"}, r"^connectivity is 'face', expected 'faces' or 'corners'; did you mean 'faces'\?$"),
        ({"classes": []}, "classes is empty"),
    ],
)
def test_parameters_out_of_range_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        InstanceLabelNoise(**{"fraction": 0.5, **changes})
