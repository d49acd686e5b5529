"""Temperature scaling: exact on probabilities whose temperature is known, and steady where annotations are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit.case import AuditCase
from monai_iel.audit.temperature import apply_temperature, fit_temperature, sample_voxels

from .shapes import block, case_of


def drawn_case(number: int, temperature: float, wrong: bool = False, shape: tuple[int, ...] = (40, 40)) -> AuditCase:
    """Each voxel annotated by drawing from softmax(logits / T), or at random; predicted as softmax(logits)."""
    rng = np.random.default_rng(number)
    logits = 4 * rng.standard_normal((3, *shape))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
    right = np.exp(logits / temperature) / np.exp(logits / temperature).sum(axis=0)
    label = (rng.random(shape) > np.cumsum(right, axis=0)[:-1]).sum(axis=0)
    if wrong:
        label = rng.integers(0, 3, shape)
    names = ("background", "a", "b")
    return AuditCase(str(number), label.astype(np.int32), softmax.astype(np.float32), (1.0,) * len(shape), None, names)


@pytest.mark.parametrize("temperature", [0.5, 1.7, 3.0])
def test_probabilities_are_those_of_the_logits_divided_by_the_temperature(temperature: float) -> None:
    logits = np.random.default_rng(0).standard_normal((4, 50))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
    expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum(axis=0)
    np.testing.assert_allclose(apply_temperature(softmax.astype(np.float32), temperature), expected, atol=2e-6)


def test_a_temperature_of_one_changes_nothing_and_no_argument_is_changed() -> None:
    probabilities = np.array([[0.25, 1.0], [0.75, 0.0]], dtype=np.float32)
    before = probabilities.copy()
    assert apply_temperature(probabilities, 1.0) is probabilities
    apply_temperature(probabilities, 2.0)
    np.testing.assert_array_equal(probabilities, before)


def test_a_saturated_voxel_is_not_sure_for_ever() -> None:
    saturated = np.array([[1.0], [0.0]], dtype=np.float32)
    # Zero counts as 1e-7: 1e-7^(1/2) / (1 + 1e-7^(1/2)).
    assert apply_temperature(saturated, 2.0)[1, 0] == pytest.approx(10**-3.5 / (1 + 10**-3.5))
    for temperature in (0.2, 10.0):
        assert np.isfinite(apply_temperature(saturated, temperature)).all()


@pytest.mark.parametrize("temperature", [0.1, 11.0, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"temperature is .*, expected 0.2 to 10"):
        apply_temperature(np.ones((2, 3), dtype=np.float32), temperature)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
@pytest.mark.parametrize("shape", [(40, 40), (12, 12, 11)])
def test_the_temperature_from_which_annotations_were_drawn_is_found(temperature: float, shape: tuple[int, ...]) -> None:
    fit = fit_temperature(sample_voxels(drawn_case(n, temperature, shape=shape)) for n in range(7))
    assert fit.temperature == pytest.approx(temperature, rel=0.06)
    assert fit.quartiles[0] <= fit.temperature <= fit.quartiles[1]
    assert (fit.cases, fit.left_out) == (7, 0)


def test_wrong_annotations_of_a_fifth_of_the_cases_hardly_move_the_temperature() -> None:
    cases = [drawn_case(n, 1.5, wrong=n < 2) for n in range(10)]
    wrong = [fit_temperature([sample_voxels(case)]).temperature for case in cases[:2]]
    assert min(wrong) > 4  # by themselves they call the network unsure
    assert fit_temperature(map(sample_voxels, cases)).temperature == pytest.approx(1.5, rel=0.06)


def test_a_sample_depends_on_the_case_and_nothing_else() -> None:
    case = drawn_case(1, 1.5)
    one, again = sample_voxels(case, 300), sample_voxels(case, 300)
    np.testing.assert_array_equal(one.probabilities, again.probabilities)
    other = AuditCase("other", case.label, case.probabilities, case.spacing, None, case.class_names)
    assert not np.array_equal(one.probabilities, sample_voxels(other, 300).probabilities)


def test_a_sample_has_half_its_voxels_where_there_is_doubt_and_weights_that_make_it_unbiased() -> None:
    seen, label = block((60, 60), (10, 50), (10, 50)), block((60, 60), (10, 50), (10, 45))
    sample = sample_voxels(case_of(label.astype(int), seen.astype(int), right=0.99), 400)
    disputed = sample.probabilities.argmax(axis=0) != sample.classes
    assert np.count_nonzero(disputed) == 200  # all there are
    assert len(sample.classes) == 400
    assert sample.weights.sum() == pytest.approx(1)
    # 200 disputed voxels in the box of 40 x 40 voxels and two more on each side.
    assert sample.weights[disputed].sum() == pytest.approx(200 / 44**2)


def test_a_small_case_is_taken_whole() -> None:
    seen = block((9, 9), (3, 6), (3, 6)).astype(int)
    sample = sample_voxels(case_of(seen, seen))
    assert len(sample.classes) == 7 * 7
    np.testing.assert_allclose(sample.weights, 1 / 49)


def test_cases_of_one_class_are_left_out_and_refused_where_there_are_no_others() -> None:
    empty = case_of(np.zeros((20, 20), int), np.zeros((20, 20), int))
    fit = fit_temperature([sample_voxels(empty), sample_voxels(drawn_case(0, 2.0))])
    assert (fit.cases, fit.left_out) == (1, 1)
    with pytest.raises(ValueError, match=r"each of the 1 samples holds one class only.*leave it at 1"):
        fit_temperature([sample_voxels(empty)])
    with pytest.raises(ValueError, match="each of the 0 samples"):
        fit_temperature([])


def test_a_fit_is_written_as_plain_numbers() -> None:
    record = fit_temperature([sample_voxels(drawn_case(0, 2.0))]).record()
    assert set(record) == {"temperature", "quartiles", "cases", "left_out"}
    assert isinstance(record["temperature"], float)
