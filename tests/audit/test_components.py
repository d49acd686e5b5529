"""Components that were missed, drawn where nothing is, or given the wrong class."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit.case import AuditCase
from monai_iel.audit.score import score_case

from .shapes import NAMES, ball, block, case_of, sure_of

OBLIQUE = np.array([[0.6, -0.64, 0.3, 12], [0.5, 0.77, -0.2, -30], [-0.16, 0.1, 1.95, 8], [0, 0, 0, 1.0]])
SPACING = tuple(float(s) for s in np.linalg.norm(OBLIQUE[:3, :3], axis=0))
SHAPE = (48, 44, 20)


def two_balls() -> tuple[np.ndarray, np.ndarray]:
    return ball(SHAPE, (14, 14, 9), 7, SPACING), ball(SHAPE, (34, 30, 10), 5, SPACING)


def test_a_ball_that_was_not_annotated_is_named_with_its_volume_and_its_place_in_mm() -> None:
    large, small = two_balls()
    case = case_of(2 * large.astype(int), 2 * (large | small).astype(int), SPACING, OBLIQUE)
    (finding,) = score_case(case).findings
    x, y, z = (OBLIQUE @ [34, 30, 10, 1])[:3]
    volume = np.count_nonzero(small) * abs(np.linalg.det(OBLIQUE[:3, :3]))  # voxels are sheared a little
    assert (finding.reason, finding.class_name, finding.index) == ("component missing", "nucleus", (34, 30, 10))
    assert finding.position == pytest.approx((x, y, z))
    assert finding.size == pytest.approx(volume)
    assert finding.text == f"component of nucleus missing near ({x:.1f}, {y:.1f}, {z:.1f}) mm, {volume:.0f} mm^3"
    assert finding.distance_mm is None


def test_its_weight_is_the_volume_times_how_sure_the_networks_are() -> None:
    large, small = two_balls()
    case = case_of(2 * large.astype(int), 2 * (large | small).astype(int), SPACING, OBLIQUE, right=0.8)
    (finding,) = score_case(case).findings
    assert finding.weight == pytest.approx(finding.size * (0.8 - 0.1), rel=1e-6)
    # At T = 2: 0.8^0.5 and twice 0.1^0.5, normalised.
    first, second = np.sqrt([0.8, 0.1]) / (np.sqrt(0.8) + 2 * np.sqrt(0.1))
    (calibrated,) = score_case(case, 2.0).findings
    assert calibrated.weight == pytest.approx(finding.size * (first - second), rel=1e-5)


def test_a_ball_that_nobody_sees_is_surplus() -> None:
    large, small = two_balls()
    (finding,) = score_case(case_of(2 * (large | small).astype(int), 2 * large.astype(int), SPACING, OBLIQUE)).findings
    assert (finding.reason, finding.index) == ("component surplus", (34, 30, 10))
    assert finding.text.startswith("component of nucleus surplus near (")


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_nucleus_annotated_as_cytoplasm_is_a_swap_and_nothing_else(ndim: int) -> None:
    shape, middle = (40,) * ndim, [20] * ndim
    cell, nucleus = (ball(shape, middle, radius, (1,) * ndim) for radius in (16, 7))
    (finding,) = score_case(case_of(cell.astype(int), cell.astype(int) + nucleus)).findings
    assert (finding.reason, finding.class_name) == ("class swapped", "nucleus")
    assert finding.size == np.count_nonzero(nucleus)
    assert finding.text.startswith("nucleus annotated as cytoplasm near (20")


def test_cytoplasm_annotated_as_nucleus_is_a_swap_the_other_way_round() -> None:
    cell, nucleus = (ball((40, 40), (20, 20), radius, (1, 1)) for radius in (16, 7))
    (finding,) = score_case(case_of(2 * cell.astype(int), cell.astype(int) + nucleus)).findings
    assert (finding.reason, finding.class_name) == ("class swapped", "cytoplasm")
    assert finding.size == np.count_nonzero(cell & ~nucleus)


def test_two_swapped_organs_are_two_swaps() -> None:
    one, other = block((40, 40), (5, 18), (5, 30)), block((40, 40), (18, 33), (5, 30))
    findings = score_case(case_of(2 * one + other, one + 2 * other)).findings
    assert [finding.reason for finding in findings] == ["class swapped"] * 2
    assert [finding.size for finding in findings] == [15 * 25, 13 * 25]
    assert {finding.class_name for finding in findings} == {"cytoplasm", "nucleus"}


@pytest.mark.parametrize(("side", "count"), [(2, 0), (3, 1)])
@pytest.mark.parametrize("ndim", [2, 3])
def test_less_than_three_voxels_a_side_is_nothing_to_report(side: int, count: int, ndim: int) -> None:
    seen = block((20,) * ndim, *[(8, 8 + side)] * ndim).astype(int)
    scores = score_case(case_of(np.zeros_like(seen), seen))
    assert len(scores.findings) == count
    assert scores.suspicion > 0


def test_of_many_nuclei_the_missed_ones_are_named_and_no_others() -> None:
    centres = [(x, y) for x in range(10, 100, 15) for y in range(10, 100, 15)]
    nuclei = [ball((100, 100), centre, 5, (1, 1)) for centre in centres]
    missed = {3, 17, 30}
    seen = np.any(nuclei, axis=0).astype(int)
    label = np.any([one for number, one in enumerate(nuclei) if number not in missed], axis=0).astype(int)
    findings = score_case(case_of(label, seen)).findings
    assert {finding.reason for finding in findings} == {"component missing"}
    assert {finding.index for finding in findings} == {centres[number] for number in missed}


def test_a_component_that_is_annotated_elsewhere_is_missing_here_and_surplus_there() -> None:
    one, other = block((40, 40), (5, 11), (5, 11)), block((40, 40), (25, 31), (25, 31))
    findings = score_case(case_of(one.astype(int), other.astype(int))).findings
    assert {(finding.reason, finding.index) for finding in findings} == {
        ("component missing", (27, 27)),
        ("component surplus", (7, 7)),
    }


def test_a_thin_line_moved_by_one_voxel_is_jitter_though_it_overlaps_nowhere() -> None:
    seen = block((40, 40), (20, 21), (5, 35)).astype(int)
    assert score_case(case_of(np.roll(seen, 1, 0), seen)).findings == ()
    assert len(score_case(case_of(np.roll(seen, 2, 0), seen)).findings) == 2


def test_a_class_beyond_the_annotated_ones_is_found_missing() -> None:
    """Nobody labelled a nucleus; the label's largest class is below it."""
    cell, nucleus = block((30, 30), (3, 12), (3, 12)), block((30, 30), (18, 27), (18, 27))
    case = AuditCase("a", cell.astype(np.int32), sure_of(cell + 2 * nucleus), (1.0, 1.0), None, NAMES)
    (finding,) = score_case(case).findings
    assert finding.text == "component of nucleus missing near (22, 22) px, 81 px"
