"""Outlines that lie too far out or in, in mm; what is jitter and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit.masks import touched
from monai_iel.audit.outline import beyond_jitter
from monai_iel.audit.outline_distances import signed_outlines
from monai_iel.audit.score import score_case

from .shapes import ball, block, case_of


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 0.8, 1.0)])
@pytest.mark.parametrize(("by", "words"), [(2.4, "too far out"), (-2.4, "too far in")])
def test_a_ball_annotated_too_large_or_too_small_is_so_by_that_distance(
    spacing: tuple[float, ...], by: float, words: str
) -> None:
    shape = (44,) * len(spacing)
    seen, label = (ball(shape, [22] * len(shape), radius, spacing) for radius in (12, 12 + by))
    scores = score_case(case_of(label.astype(int), seen.astype(int), spacing, np.diag([0.8, 0.8, 1.0, 1.0])))
    (finding,) = scores.findings
    assert finding.reason == f"outline {words}"
    assert finding.distance_mm == pytest.approx(by, abs=0.4)  # half a voxel: outlines are voxels
    assert scores.measures["outline_mm"] == pytest.approx(by, abs=0.4)
    assert finding.size == pytest.approx(np.count_nonzero(seen != label) * np.prod(spacing))
    assert f"outline of cytoplasm {abs(finding.distance_mm):.3g} mm {words} near (" in finding.text


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wall_moved_by_two_voxels_is_moved_by_two_spacings_of_its_axis(axis: int) -> None:
    spacing = (0.5, 1.0, 3.0)
    seen, label = (np.moveaxis(block((16, 16, 16), (0, to), (0, 16), (0, 16)), 0, axis) for to in (8, 10))
    scores = score_case(case_of(label.astype(int), seen.astype(int), spacing))
    (finding,) = scores.findings
    # The outer outline is two voxels out; where it lies, both layers of voxels are disputed.
    assert finding.distance_mm == pytest.approx(2 * spacing[axis])
    assert finding.size == pytest.approx(2 * 16 * 16 * 1.5)
    assert scores.measures["outline_mm"] == scores.measures["outline_distance_mm"] == pytest.approx(2 * spacing[axis])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_shift_by_one_voxel_is_no_finding(axis: int, step: int) -> None:
    spacing = (0.7, 0.7, 4.0)
    seen = ball((30, 30, 12), (15, 15, 6), 9, spacing).astype(int)
    seen[12:18, 12:18, 4:8] = 2
    scores = score_case(case_of(np.roll(seen, step, axis), seen, spacing))
    assert scores.findings == ()
    assert scores.measures["disputed"] == 0
    assert scores.measures["dice"] < 1
    assert scores.measures["dice_beyond"] == 1


def test_single_voxels_anywhere_on_an_outline_are_no_finding() -> None:
    seen = block((40, 40), (10, 30), (10, 30))
    label = seen.copy()
    rim = seen & touched(~seen)
    label[rim & (np.random.default_rng(0).random(rim.shape) < 0.5)] ^= True
    scores = score_case(case_of(label.astype(int), seen.astype(int)))
    assert np.count_nonzero(label != seen) > 30
    assert scores.findings == ()


def test_of_a_rim_of_two_voxels_both_are_beyond_jitter_and_of_one_none() -> None:
    small, larger, large = (block((20, 20), (8 - n, 12 + n), (8 - n, 12 + n)) for n in (0, 1, 2))
    np.testing.assert_array_equal(beyond_jitter(large, small), large & ~small)
    assert not beyond_jitter(touched(small), small).any()
    # The corners of the larger square share no face with the small one, and take along what touches them.
    assert np.count_nonzero(beyond_jitter(larger, small)) == 4 * 3


def test_two_bumps_are_two_findings_each_with_its_place() -> None:
    seen = block((60, 60), (20, 40), (20, 40)).astype(int)
    label = seen.copy()
    label[40:46, 22:30] = 1
    label[25:35, 10:20] = 1
    scores = score_case(case_of(label, seen))
    assert [finding.reason for finding in scores.findings] == ["outline too far out"] * 2
    assert [finding.size for finding in scores.findings] == [100, 48]
    assert [finding.index for finding in scores.findings] == [(29, 14), (42, 25)]
    assert scores.findings[1].text.endswith("near (42, 25) px, 48 px")


def test_a_hole_that_was_filled_in_is_as_deep_as_it_is() -> None:
    seen = block((40, 40), (5, 35), (5, 35)) & ~block((40, 40), (16, 23), (16, 23))
    scores = score_case(case_of(block((40, 40), (5, 35), (5, 35)).astype(int), seen.astype(int)))
    (finding,) = scores.findings
    # The middle of seven voxels is four voxels from the nearest that is seen.
    assert (finding.reason, finding.distance_mm, finding.size) == ("outline too far out", 4.0, 49)


def test_a_nucleus_missed_beside_one_that_it_touches_is_a_component() -> None:
    one, other = (ball((50, 50), (25, at), 9, (1, 1)) for at in (15, 32))
    scores = score_case(case_of(2 * one.astype(int), 2 * (one | other).astype(int)))
    (finding,) = scores.findings
    assert finding.reason == "component missing"
    assert finding.size == np.count_nonzero(other & ~one)


def test_the_border_of_the_image_is_no_outline() -> None:
    seen = block((20, 20), (0, 20), (0, 12)).astype(int)
    found = signed_outlines(seen > 0, np.roll(seen, 0) > 0, (1.0, 1.0))
    assert found is not None
    assert set(found.annotated[:, 1]) == {11}
    assert signed_outlines(np.ones((5, 5), bool), np.ones((5, 5), bool), (1.0, 1.0)) is None


def test_an_inner_outline_is_what_is_wrong_where_two_classes_meet() -> None:
    cell = ball((60, 60), (30, 30), 25, (1, 1)).astype(int)
    seen = cell + ball((60, 60), (30, 30), 10, (1, 1))
    label = cell + ball((60, 60), (30, 30), 14, (1, 1))
    (finding,) = score_case(case_of(label, seen)).findings
    assert (finding.reason, finding.class_name) == ("outline too far out", "nucleus")
    assert finding.distance_mm == pytest.approx(4, abs=0.5)
