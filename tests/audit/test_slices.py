"""Slices that were not annotated."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit.score import score_case

from .shapes import ball, block, case_of

SPACING = (0.5, 0.8, 2.0)


def rod(axis: int, *, number: int = 1) -> np.ndarray:
    """Sixteen slices of 8 x 8 voxels, 4 to 19 of 24."""
    return number * np.moveaxis(block((24, 20, 20), (4, 20), (6, 14), (6, 14)), 0, axis).astype(int)


def without(seen: np.ndarray, axis: int, *numbers: int) -> np.ndarray:
    label = seen.copy()
    np.moveaxis(label, axis, 0)[list(numbers)] = 0
    return label


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_left_out_between_others_are_named_with_their_numbers(axis: int) -> None:
    seen = rod(axis, number=2)
    (finding,) = score_case(case_of(without(seen, axis, 12, 13, 14), seen, SPACING)).findings
    assert (finding.reason, finding.class_name) == ("slices missing", "nucleus")
    volume, thick = 3 * 64 * np.prod(SPACING), 3 * SPACING[axis]
    assert finding.size == pytest.approx(volume)
    assert finding.index[axis] == 13
    place = ", ".join(f"{i * s:.1f}" for i, s in zip(finding.index, SPACING, strict=True))
    expected = f"slices {'ijk'[axis]} = 12 to 14 of nucleus missing near ({place}) mm, {thick:g} mm, {volume:.3g} mm^3"
    assert finding.text == expected


def test_one_slice_between_others_is_enough_though_its_voxels_all_touch_the_annotation() -> None:
    seen = rod(2)
    scores = score_case(case_of(without(seen, 2, 9), seen, SPACING))
    assert [finding.text.split(" near")[0] for finding in scores.findings] == ["slice k = 9 of cytoplasm missing"]
    assert scores.measures["slices_volume"] == pytest.approx(64 * np.prod(SPACING))
    assert scores.slices[9] < 0.5 < min(scores.slices[8], scores.slices[10])


def test_two_runs_are_two_findings_the_larger_first() -> None:
    seen = rod(0)
    findings = score_case(case_of(without(seen, 0, 6, 10, 11, 12), seen)).findings
    assert [finding.text.split(" near")[0] for finding in findings] == [
        "slices i = 10 to 12 of cytoplasm missing",
        "slice i = 6 of cytoplasm missing",
    ]


def test_where_runs_cross_the_larger_one_has_the_voxels_of_both() -> None:
    seen = rod(0)
    label = without(without(seen, 0, 10, 11, 12), 2, 9)
    findings = score_case(case_of(label, seen)).findings
    assert [finding.text.split(" of")[0] for finding in findings] == ["slices i = 10 to 12", "slice k = 9"]
    assert [finding.size for finding in findings] == [3 * 64, (16 - 3) * 8]


@pytest.mark.parametrize(("left_out", "found"), [((19,), 0), ((18, 19), 1), ((4, 5, 6), 1), ((4,), 0)])
def test_at_an_end_two_slices_are_missing_and_one_is_jitter(left_out: tuple[int, ...], found: int) -> None:
    seen = rod(1)
    findings = score_case(case_of(without(seen, 1, *left_out), seen)).findings
    assert [finding.reason for finding in findings] == ["slices missing"] * found
    if found:
        assert findings[0].size == 64 * len(left_out)


def test_a_ball_annotated_too_small_lacks_no_slices_but_its_outline_is_too_far_in() -> None:
    shape = (40, 40, 40)
    seen, label = (ball(shape, (20, 20, 20), radius, (1, 1, 1)).astype(int) for radius in (14, 10))
    (finding,) = score_case(case_of(label, seen)).findings
    assert finding.reason == "outline too far in"
    assert finding.distance_mm == pytest.approx(-4, abs=0.5)


def test_the_end_of_one_class_annotated_as_the_next_lacks_no_slices() -> None:
    seen, label = rod(0), rod(0)
    seen[12:20] *= 2
    label[15:20] *= 2
    (finding,) = score_case(case_of(label, seen, (1.0, 1.0, 1.0))).findings
    assert (finding.reason, finding.class_name) == ("outline too far in", "nucleus")
    # Of the predicted outline in three slices of 8 x 8: a whole slice 3 voxels off, and the rims of two, 2 and 1 off.
    assert finding.distance_mm == pytest.approx(-(64 * 3 + 28 * 2 + 28 * 1) / (64 + 28 + 28))


def test_slices_left_out_of_one_of_two_organs_of_a_class_are_found_there() -> None:
    seen = np.zeros((24, 40, 20), int)
    seen[4:20, 4:12, 6:14] = seen[4:20, 24:32, 6:14] = 1
    label = seen.copy()
    label[10:12, 24:32] = 0
    (finding,) = score_case(case_of(label, seen)).findings
    assert finding.text.startswith("slices i = 10 to 11 of cytoplasm missing near (10.0, 27.0")


def test_numbers_are_those_of_the_whole_volume_and_outside_of_the_organ_slices_are_good() -> None:
    seen = np.pad(rod(2), ((9, 3), (5, 1), (30, 8)))
    scores = score_case(case_of(without(seen, 2, 40, 41), seen))
    assert scores.findings[0].text.startswith("slices k = 40 to 41 of")
    assert len(scores.slices) == seen.shape[2]
    assert np.argsort(scores.slices)[:2].tolist() == [40, 41]
    assert set(scores.slices[:30]) == {1.0}


def test_an_organ_that_was_not_annotated_at_all_is_a_component_not_its_slices() -> None:
    (finding,) = score_case(case_of(np.zeros((24, 20, 20), int), rod(0))).findings
    assert finding.reason == "component missing"
