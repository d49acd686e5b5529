"""Swapped structures: the confusion matrix in the mean, and whole structures only."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from monai_iel.transforms.label_noise import ClassLabelNoise

MATRIX = [[1, 0, 0, 0], [0.1, 0.6, 0.3, 0], [0, 0.25, 0.5, 0.25], [0, 0, 0, 1]]


def cells(*count: int) -> np.ndarray:
    """Cells of 2 voxels an edge on a grid, of classes 1, 2 and 3 in turn."""
    label = np.zeros([3 * number for number in count], dtype=np.uint8)
    for place in np.ndindex(*count):
        label[tuple(slice(3 * start, 3 * start + 2) for start in place)] = 1 + sum(place) % 3
    return label[None]


@pytest.mark.parametrize("count", [(45, 40), (12, 12, 12)])
@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_the_confusion_is_that_of_the_matrix_in_the_mean(count, strength):
    label = cells(*count)
    noisy = ClassLabelNoise(confusion=MATRIX, strength=strength)(label, "a")
    corner = (0, *[slice(None, None, 3)] * len(count))
    matrix = np.array(MATRIX)
    scaled = strength * (matrix - np.diag(np.diag(matrix)))
    scaled += np.diag(1 - scaled.sum(axis=1))
    for number in range(1, 4):
        found = noisy[corner][label[corner] == number]
        shares = np.bincount(found, minlength=4) / found.size
        # Binomial: four standard deviations; exact where the probability is 0 or 1.
        limits = 4 * np.sqrt(scaled[number] * (1 - scaled[number]) / found.size)
        assert np.all(np.abs(shares - scaled[number]) <= limits + 1e-12)
    assert not noisy[label == 0].any()


def test_a_component_changes_as_a_whole():
    label = cells(20, 20)
    noisy = ClassLabelNoise(confusion=MATRIX)(label, "a")
    pieces, number = ndimage.label(label[0])
    low, high = (extreme(noisy[0], pieces, range(1, number + 1)) for extreme in (ndimage.minimum, ndimage.maximum))
    assert number == 400
    assert np.array_equal(low, high)


def test_per_case_all_of_a_class_changes_and_the_share_of_cases_is_that_of_the_matrix():
    label = cells(6, 6)
    noise = ClassLabelNoise(confusion=MATRIX, per="case")
    drawn = []
    for case in range(300):
        noisy = noise(label, case)
        results = [np.unique(noisy[label == number]) for number in (1, 2, 3)]
        assert all(len(result) == 1 for result in results)
        drawn.append([int(result[0]) for result in results])
    shares = [np.mean(np.array(drawn)[:, 0] == number) for number in range(4)]
    assert np.all(np.abs(np.array(shares) - MATRIX[1]) <= 4 * np.sqrt(0.25 / 300))


def test_two_classes_swap_at_once():
    label = cells(9, 9)
    noise = ClassLabelNoise(confusion=[[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert np.array_equal(noise(label, "a"), np.array([0, 2, 1, 3], dtype=np.uint8)[label])


@pytest.mark.parametrize("per", ["component", "case"])
def test_what_is_confused_is_confused_with_the_same_class_at_every_greater_strength(per):
    label, noise = cells(20, 20), ClassLabelNoise(confusion=MATRIX, per=per)
    assert noise.max_strength == pytest.approx(2)
    for case in range(5):
        results = [noise.at_strength(strength)(label, case) for strength in (0.3, 1, 1.6, 2)]
        for weaker, stronger in itertools.pairwise(results):
            hit = weaker != label
            assert np.array_equal(weaker[hit], stronger[hit])
    assert not (results[-1] == 2)[label == 2].any()  # class 2 is confused most
    with pytest.raises(ValueError, match="can do no more than at 2"):
        noise.at_strength(2.1)(label, "a")


def test_components_of_one_class_that_touch_at_a_corner_are_two_unless_asked_for():
    label = np.zeros((1, 300, 4), dtype=np.uint8)
    label[0, 0::3, 0] = label[0, 1::3, 1] = 1
    matrix = [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]]
    faces, corners = (
        ClassLabelNoise(confusion=matrix, connectivity=kind)(label, "a")[0] for kind in ("faces", "corners")
    )
    assert np.array_equal(corners[0::3, 0], corners[1::3, 1])
    assert not np.array_equal(faces[0::3, 0], faces[1::3, 1])


def test_a_class_beyond_the_matrix_is_refused():
    with pytest.raises(ValueError, match="label holds classes from 0 to 3, but num_classes=3 expects 0 to 2"):
        ClassLabelNoise(confusion=np.eye(3))(cells(3, 3), "a")


@pytest.mark.parametrize(
    ("confusion", "match"),
    [
        ([[1, 0], [0.5, 0.5, 0]], r"confusion has rows of length \[2, 3\], expected a square matrix"),
        ([[1.0]], r"confusion has rows of length \[1\], expected a square matrix"),
        ([[1, 0], [0.5, 0.4]], r"confusion\[1\] sums to 0.9, expected 1"),
        ([[1, 0], [1.5, -0.5]], "confusion is 1.5, expected a fraction"),
        (0.2, r"confusion is 0.2, expected one row of probabilities for each class, background included, such as \[\["),
        ([1, 0], r"confusion\[0\] is 1, expected a row of probabilities, one for each class"),
        ([[1, 0], ["x", 1]], "confusion is 'x', expected a fraction"),
        ([[0.9, 0.1], [0, 1]], r"confusion\[0\] is \[0.9, 0.1\], expected \[1, 0, ...\]: the background"),
    ],
)
def test_a_matrix_that_is_none_is_refused(confusion, match):
    with pytest.raises(ValueError, match=match):
        ClassLabelNoise(confusion=confusion)


def test_a_misspelt_option_names_the_nearest():
    match = r"^per is 'componnt', expected 'component' or 'case'; did you mean 'component'\?$"
    with pytest.raises(ValueError, match=match):
        ClassLabelNoise(confusion=np.eye(2), per="componnt")
