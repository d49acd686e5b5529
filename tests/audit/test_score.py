"""The scores of a case as a whole, and what is proposed."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

from monai_iel.audit.case import AuditCase
from monai_iel.audit.proposal import error_map, propose
from monai_iel.audit.score import examine, score_case

from .shapes import ball, block, case_of

CELL = ball((60, 60), (30, 30), 24, (1, 1)).astype(int) + ball((60, 60), (30, 30), 10, (1, 1))
"""Cytoplasm with a nucleus."""


def wrong_in_three_things() -> tuple[np.ndarray, np.ndarray]:
    """A nucleus missing in one cell, an outline too far out at another, a single voxel beside a third."""
    seen = np.zeros((64, 180), int)
    for at in (0, 60, 120):
        seen[:60, at : at + 60] = CELL
    label = seen.copy()
    label[:, :60] = np.minimum(label[:, :60], 1)
    label[20:40, 112:118] = 1
    label[30, 175] = 1
    return label, seen


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_right_annotation_is_not_suspicious(ndim: int) -> None:
    label = CELL if ndim == 2 else np.repeat(CELL[..., None], 12, axis=2)
    scores = score_case(case_of(label, label, right=0.99))
    assert scores.findings == ()
    assert scores.reason == ""
    assert abs(scores.suspicion) < 0.03
    assert scores.measures["dice"] == scores.measures["dice_beyond"] == scores.measures["worst_dice"] == 1
    assert scores.measures["self_confidence"] == pytest.approx(0.99)
    assert len(scores.slices) == (1 if ndim == 2 else 12)


def test_the_same_annotation_is_less_suspicious_where_the_networks_are_in_doubt() -> None:
    seen, label = (ball((60, 60), (30, 30), radius, (1, 1)) for radius in (20, 17))
    easy = case_of(label.astype(int), seen.astype(int))
    doubtful = easy.probabilities.copy()
    doubtful[:, seen & ~ball((60, 60), (30, 30), 13, (1, 1))] = np.array([0.45, 0.54, 0.01])[:, None]
    hard = dataclasses.replace(easy, probabilities=doubtful)
    in_doubt, sure = score_case(hard), score_case(easy)
    assert in_doubt.measures["dice"] == sure.measures["dice"]
    assert in_doubt.measures["expected_dice"] < sure.measures["expected_dice"] - 0.1
    assert in_doubt.suspicion < sure.suspicion - 0.1
    assert in_doubt.measures["surprise"] < 0 < sure.measures["surprise"]
    assert in_doubt.findings == ()  # 54 to 45 is no finding
    assert [finding.reason for finding in sure.findings] == ["outline too far in"]


def test_the_more_is_wrong_the_more_suspicious_a_case_is() -> None:
    suspicion = []
    for columns in (0, 3, 6, 12):
        label = CELL.copy()
        label[:, 6 : 6 + columns] = 0
        suspicion.append(score_case(case_of(label, CELL)).suspicion)
    assert suspicion == sorted(suspicion)
    assert suspicion[-1] > suspicion[0] + 0.1


def test_the_expected_dice_is_the_mean_over_annotations_drawn_from_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    probability = np.clip((22 - np.hypot(*(np.indices((64, 64)) - 32))) / 12, 0.02, 0.98)
    probabilities = np.stack([1 - probability, probability]).astype(np.float32)
    drawn = rng.random((1000, 64, 64)) < probability
    both, sizes = (drawn & (probability > 0.5)).sum(axis=(1, 2)), drawn.sum(axis=(1, 2))
    dice = (2 * both + 9) / ((probability > 0.5).sum() + sizes + 9)  # 3^2 voxels agree in any case
    case = AuditCase("a", drawn[0].astype(np.int32), probabilities, (1.0, 1.0), None, ("background", "cell"))
    assert score_case(case).measures["expected_dice"] == pytest.approx(dice.mean(), abs=1e-3)


def test_findings_are_sorted_by_weight_and_share_no_voxel() -> None:
    found = examine(case_of(*wrong_in_three_things()))
    scores = found.scores()
    assert [finding.reason for finding in scores.findings] == ["class swapped", "outline too far out"]
    assert scores.findings[0].weight > scores.findings[1].weight
    assert scores.reason == scores.findings[0].text
    voxels = np.concatenate([np.ravel_multi_index(one.voxels, found.dispute.label.shape) for one in found.regions])
    assert len(np.unique(voxels)) == len(voxels)
    sizes = {name: scores.measures[name] for name in ("swapped_volume", "outline_volume", "missing_volume")}
    assert sizes == {
        "swapped_volume": scores.findings[0].size,
        "outline_volume": scores.findings[1].size,
        "missing_volume": 0,
    }


def test_a_proposal_takes_over_the_findings_and_leaves_jitter_as_it_is_drawn() -> None:
    label, seen = wrong_in_three_things()
    before = label.copy()
    proposed = propose(case_of(label, seen))
    expected = seen.copy()
    expected[30, 175] = 1
    np.testing.assert_array_equal(proposed, expected)
    np.testing.assert_array_equal(label, before)
    assert proposed.dtype == np.int32


def test_the_error_map_is_the_probability_of_another_class_and_nothing_where_there_is_jitter() -> None:
    label, seen = wrong_in_three_things()
    errors = error_map(case_of(label, seen, right=0.9))
    assert errors.dtype == np.float32
    jitter = np.zeros_like(label, bool)
    jitter[30, 175] = True
    np.testing.assert_allclose(errors[(label != seen) & ~jitter], 0.95, atol=1e-6)
    np.testing.assert_allclose(errors[label == seen], 0.1, atol=1e-6)
    assert errors[30, 175] == 0


def test_what_was_examined_already_gives_the_same_proposal_and_error_map() -> None:
    case = case_of(*wrong_in_three_things())
    found = examine(case, 1.5)
    np.testing.assert_array_equal(propose(found), propose(case, 1.5))
    np.testing.assert_array_equal(error_map(found), error_map(case, 1.5))
    assert found.scores() == score_case(case, 1.5)


def test_nothing_depends_on_the_order_of_axes_or_their_direction() -> None:
    spacing = (0.8, 1.2, 2.0)
    seen = ball((30, 26, 18), (14, 12, 9), 9, spacing).astype(int)
    label = seen.copy()
    label[:, 14:17] = 0
    one = score_case(case_of(label, seen, spacing))
    turned = [np.transpose(array, (2, 0, 1))[::-1] for array in (label, seen)]
    other = score_case(case_of(*turned, spacing=(2.0, 0.8, 1.2)))
    assert [finding.reason for finding in other.findings] == [finding.reason for finding in one.findings]
    assert other.suspicion == pytest.approx(one.suspicion)
    for name, value in one.measures.items():
        assert other.measures[name] == pytest.approx(value), name


def test_an_organ_at_the_border_of_the_image_is_scored_like_one_inside() -> None:
    seen = np.zeros((40, 40), int)
    seen[:20, 25:] = 1
    label = seen.copy()
    label[:, 25:29] = 0
    (finding,) = score_case(case_of(label, seen)).findings
    assert (finding.reason, finding.size) == ("outline too far in", 80)
    # A column of 20 voxels 4 off, and at its lower end a row 3, 2 and 1 off; at the upper one the image ends.
    assert finding.distance_mm == pytest.approx(-(20 * 4 + 3 + 2 + 1) / 23)


@pytest.mark.parametrize(("drawn", "sees"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(20, 22), (20, 22, 8)])
def test_nothing_annotated_or_nothing_seen_is_scored_too(drawn: bool, sees: bool, shape: tuple[int, ...]) -> None:
    organ = block(shape, *[(3, 7)] * len(shape)).astype(int)
    case = case_of(organ * drawn, organ * sees)
    scores = score_case(case)
    if drawn == sees:
        assert scores.suspicion == 0
        assert scores.measures["dice"] is None
        assert scores.findings == ()
    else:
        assert scores.suspicion > 0.2
        assert scores.measures["dice"] == 0
        assert scores.measures["outline_mm"] is None
        assert [finding.reason for finding in scores.findings] == [f"component {'surplus' if drawn else 'missing'}"]
    np.testing.assert_array_equal(propose(case), organ * sees)
    assert error_map(case).shape == shape


def test_an_image_that_is_foreground_all_over_is_scored_too() -> None:
    full = np.ones((12, 12), int)
    assert score_case(case_of(full, full)).findings == ()
    scores = score_case(case_of(full, 2 * full))
    assert [finding.reason for finding in scores.findings] == ["class swapped"]
    assert scores.findings[0].size == 144


def test_all_that_is_written_is_plain_json() -> None:
    record = score_case(case_of(*wrong_in_three_things())).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == json.loads(json.dumps(record))
    assert all(type(value) in (float, type(None)) for value in record["measures"].values())


def test_the_memory_is_a_few_times_that_of_the_probabilities() -> None:
    seen = ball((48, 48, 48), (24, 24, 24), 23, (1, 1, 1)).astype(int)
    label = seen.copy()
    label[:, :, 22:26] = 0
    case = case_of(label, seen)
    score_case(case)  # imports what it needs
    tracemalloc.start()
    score_case(case, 1.5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 9 * case.probabilities.nbytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": np.zeros((9, 8), np.int32)}, r"probabilities have shape \(3, 60, 60\), label \(9, 8\)"),
        ({"label": np.full((60, 60), 3, np.int32)}, "the label holds class 3, the probabilities 0 to 2"),
        ({"label": np.full((60, 60), -1, np.int32)}, "the label holds class -1"),
        ({"class_names": ("background", "a")}, "probabilities of 3 classes, 2 class names"),
        ({"spacing": (1.0,)}, "expected 2 positive lengths"),
        ({"spacing": (1.0, 0.0)}, "expected 2 positive lengths"),
    ],
)
def test_a_case_that_does_not_fit_together_is_refused_by_name(change: dict, words: str) -> None:
    case = dataclasses.replace(case_of(CELL, CELL), **change)
    with pytest.raises(ValueError, match=f"case case: .*{words}"):
        score_case(case)


def test_a_single_class_is_refused_with_what_to_give_instead() -> None:
    case = AuditCase("a", np.zeros((9, 9), np.int32), np.ones((1, 9, 9), np.float32), (1.0, 1.0), None, ("cell",))
    with pytest.raises(ValueError, match="of a sigmoid p take 1 - p and p"):
        score_case(case)
