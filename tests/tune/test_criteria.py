"""Choices from figures: what is known of them exactly, and what each criterion must do with it."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.tune import CRITERIA, Evidence, choose, choose_by_discrepancy, halves_scores

CASES = [f"case_{index}" for index in range(24)]
RNG = np.random.default_rng


def scores(values: np.ndarray) -> dict[str, float]:
    return dict(zip(CASES, map(float, values), strict=True))


def drawn(share_wrong: float, truth: np.ndarray, seed: int) -> np.ndarray:
    """A prediction that errs in a share of the voxels, each by itself."""
    return truth ^ (RNG(seed).random(truth.shape) < share_wrong)


def accuracy(masks: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return scores((masks == labels).reshape(len(CASES), -1).mean(axis=1))


@pytest.mark.parametrize("seed", range(5))
def test_symmetric_noise_of_held_out_labels_leaves_the_candidate_with_fewer_clean_errors_first(seed: int) -> None:
    truth = RNG(100 + seed).random((len(CASES), 40, 40)) < 0.5
    noisy = truth ^ (RNG(200 + seed).random(truth.shape) < 0.3)  # independent, alike for both classes
    predictions = {name: drawn(wrong, truth, seed) for name, wrong in [("none", 0.12), ("heat", 0.05), ("tv", 0.09)]}
    clean = {name: np.mean(masks == truth) for name, masks in predictions.items()}
    assert max(clean, key=lambda name: clean[name]) == "heat"
    choice = choose({name: accuracy(masks, noisy) for name, masks in predictions.items()})
    assert choice.name == "heat"
    # The expected difference shrinks by 1 - 2 * 0.3.
    (row,) = (row for row in choice.table if row["candidate"] == "none")
    assert row["difference"] == pytest.approx(0.4 * (clean["none"] - clean["heat"]), abs=0.012)


def test_a_bias_that_all_labels_share_is_followed() -> None:
    """What the docstring warns of."""
    truth = np.zeros((len(CASES), 20, 20), bool)
    truth[:, 5:15, 5:15] = True
    biased = np.zeros_like(truth)
    biased[:, 4:16, 4:16] = True
    assert choose({"right": accuracy(truth, biased), "biased": accuracy(biased, biased)}).name == "biased"


def test_equal_candidates_give_the_simplest() -> None:
    same = scores(RNG(0).random(len(CASES)))
    choice = choose({"none": same, "smooth": same, "heat": same})
    assert choice.name == "none"
    assert [row["chosen"] for row in choice.table] == [True, False, False]


def test_a_difference_within_its_standard_error_gives_the_simpler_one_and_the_reasons_say_so() -> None:
    plain = 0.8 + 0.05 * RNG(0).standard_normal(len(CASES))
    better = plain + RNG(1).standard_normal(len(CASES)) * 0.02
    better += 0.002 - (better - plain).mean()  # 0.002 on average; the standard error is about 0.02 / sqrt(24) = 0.004
    choice = choose({"none": scores(plain), "heat": scores(better)})
    assert choice.name == "none"
    assert "'heat'" in choice.reasons[1]
    assert "within its standard error" in choice.reasons[1]


def test_a_small_difference_in_every_case_gives_the_better_one() -> None:
    """The cases differ by 0.05, but the comparison is paired."""
    plain = 0.8 + 0.05 * RNG(0).standard_normal(len(CASES))
    assert choose({"none": scores(plain), "heat": scores(plain + 0.004)}).name == "heat"


def test_the_standard_error_and_the_interval_are_those_of_the_paired_mean() -> None:
    difference = RNG(3).standard_normal(len(CASES)) * 0.01
    plain = RNG(4).random(len(CASES))
    choice = choose({"none": scores(plain + 0.1), "heat": scores(plain + difference)})
    (row,) = (row for row in choice.table if row["candidate"] == "heat")
    error = (difference - 0.1).std() / np.sqrt(len(CASES))
    assert row["standard_error"] == pytest.approx(error, rel=0.05)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_on_clean_labels_where_smoothing_takes_detail_away_nothing_is_done() -> None:
    plain = 0.95 + 0.01 * RNG(0).standard_normal(len(CASES))
    candidates = {"none": plain, "weak": plain - 0.002, "strong": plain - 0.02}
    assert choose({name: scores(values) for name, values in candidates.items()}).name == "none"


def test_the_order_of_the_cases_does_not_matter() -> None:
    plain, other = (scores(RNG(seed).random(len(CASES))) for seed in (0, 1))
    turned = dict(reversed(other.items()))
    assert choose({"none": plain, "heat": other}) == choose({"none": plain, "heat": turned})


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({}, "no candidates"),
        ({"none": {"a": 0.5}}, "found scores of 1 cases, expected 2 or more"),
        ({"none": {"a": 0.5, "b": 0.5}, "heat": {"a": 0.5, "c": 0.5}}, "'heat' has scores of other cases than 'none'"),
        ({"none": {"a": 0.5, "b": float("nan")}}, "'none': the score of case 'b' is nan"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(table: dict[str, dict[str, float]], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        choose(table)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_formula_of_the_halves_is_the_cosine_of_their_mean() -> None:
    rng = RNG(0)
    a, b = (v / np.linalg.norm(v) for v in rng.random((2, 50)))
    y = rng.random(50)
    found = halves_scores({"x": cosine(a, y)}, {"x": cosine(b, y)}, {"x": cosine(a, b)})
    assert found["x"] == pytest.approx(cosine((a + b) / 2, y), rel=1e-12)


def test_halves_predict_what_twice_the_cases_would_give() -> None:
    """A candidate with less variance and more bias is better on half the cases, and worse on all of them."""
    rng = RNG(0)
    truth = rng.standard_normal((len(CASES), 4000))
    noisy = truth + rng.standard_normal(truth.shape)

    def predictions(bias: float, variance: float) -> np.ndarray:
        shared = truth + np.sqrt(bias) * rng.standard_normal(truth.shape)
        return shared + np.sqrt(variance) * rng.standard_normal((2, *truth.shape))

    def of_halves(halves: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        first, second = (scores(np.array([*map(cosine, half, noisy)])) for half in halves)
        both = scores(np.array([*map(cosine, *halves)]))
        return first, halves_scores(first, second, both)

    rigid, flexible = of_halves(predictions(0.5, 0.1)), of_halves(predictions(0.1, 0.6))
    assert choose({"rigid": rigid[0], "flexible": flexible[0]}).name == "rigid"  # errors 0.6 and 0.7
    assert choose({"rigid": rigid[1], "flexible": flexible[1]}).name == "flexible"  # errors 0.55 and 0.4


def test_a_constant_that_agrees_with_itself_does_not_win_by_halves() -> None:
    ones, fit, low = (dict.fromkeys(CASES, value) for value in (1.0, 0.8, 0.3))
    constant = halves_scores(low, low, ones)
    learned = halves_scores(fit, fit, dict.fromkeys(CASES, 0.85))
    assert choose({"constant": constant, "learned": learned}).name == "learned"


def test_halves_of_other_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="hold different cases"):
        halves_scores({"a": 0.5}, {"b": 0.5}, {"a": 0.5})


def test_discrepancy_takes_the_strength_that_leaves_as_much_as_the_noise() -> None:
    spread = 0.01 * RNG(0).standard_normal(len(CASES))
    training = {"none": 0.95, "weak": 0.85, "right": 0.80, "strong": 0.60}
    held_out = {"none": 0.70, "weak": 0.75, "right": 0.80, "strong": 0.60}
    tables = ({name: scores(mean + spread) for name, mean in table.items()} for table in (training, held_out))
    choice = choose_by_discrepancy(*tables)
    assert choice.name == "right"
    assert "noise level" in choice.reasons[0]


def test_every_criterion_chooses_from_the_same_evidence() -> None:
    def evidence(dice: float) -> Evidence:
        same = dict.fromkeys(CASES, dice)
        return Evidence(dice=same, cross_entropy=dict.fromkeys(CASES, 1 - dice), training=same, halves=same)

    tables = {"none": evidence(0.5), "heat": evidence(0.9)}
    assert {name: criterion(tables, 0).name for name, criterion in CRITERIA.items()} == dict.fromkeys(CRITERIA, "heat")


def test_a_candidate_that_a_simpler_one_beats_is_not_taken_because_its_difference_is_uncertain() -> None:
    best = 0.8 + 0.01 * RNG(0).standard_normal(len(CASES))
    centred = RNG(1).standard_normal((2, len(CASES)))
    centred -= centred.mean(axis=1, keepdims=True)
    plain = best - 0.01 + 0.02 * centred[0]  # a standard error of 0.004
    wild = best - 0.02 + 0.12 * centred[1]  # one of 0.024
    found = {"none": scores(plain), "wild": scores(wild), "best": scores(best)}
    choice = choose(found)
    rows = {str(row["candidate"]): row for row in choice.table}
    assert -rows["none"]["difference"] > rows["none"]["standard_error"]
    assert -rows["wild"]["difference"] < rows["wild"]["standard_error"]
    assert choice.name == "best"
    # A held-out score of 0.8 makes 0.2 the noise level, and the same three are away from it by the same.
    assert choose_by_discrepancy(found, {name: scores(best) for name in found}).name == "best"
