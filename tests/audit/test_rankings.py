"""Rankings against what is known to be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit.rankings import Units, compare_rankings, estimate, rank_units

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="comes with the extra 'audit'")


def ranking(number: int, wrong: int, shift: float, seed: int = 0) -> dict[str, float]:
    """Normal scores, the first ``wrong`` of them higher by ``shift``; with one decimal, so that some are tied."""
    values = np.random.default_rng(seed).normal(size=number)
    values[:wrong] += shift
    return {f"c{i}": float(value) for i, value in enumerate(values.round(1))}


def names(number: int) -> set[str]:
    return {f"c{i}" for i in range(number)}


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_figures_are_those_of_scikit_learn_also_with_ties_and_weights(decimals: int) -> None:
    rng = np.random.default_rng(1)
    is_wrong = rng.random(200) < 0.2
    scores = (rng.normal(size=200) + is_wrong).round(decimals)
    weights = rng.integers(0, 4, 40).astype(float)
    case = np.repeat(np.arange(40), 5)
    units = Units(scores, case, is_wrong.astype(float), (~is_wrong).astype(float))
    auroc, auprc, _ = units.figures(weights)
    assert auroc == pytest.approx(
        sklearn_metrics.roc_auc_score(is_wrong, scores, sample_weight=weights[case]), abs=1e-12
    )
    expected = sklearn_metrics.average_precision_score(is_wrong, scores, sample_weight=weights[case])
    assert auprc == pytest.approx(expected, abs=1e-12)


def test_an_entry_that_stands_for_many_units_counts_as_many() -> None:
    scores, wrong, right = np.array([0.1, 0.5, 0.9]), np.array([1.0, 0.0, 3.0]), np.array([6.0, 2.0, 1.0])
    few = Units(scores, np.zeros(3, np.intp), wrong, right)
    counts = np.concatenate([wrong, right]).astype(int)
    is_wrong = np.repeat([1] * 3 + [0] * 3, counts)
    assert few.figures()[0] == pytest.approx(
        sklearn_metrics.roc_auc_score(is_wrong, np.repeat(np.tile(scores, 2), counts)), abs=1e-12
    )


def test_the_top_of_the_list_is_counted_and_ties_share_their_places() -> None:
    scores = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 1.0, "e": 0.0}
    found = compare_rankings({"one": scores}, {"a", "c"}, resamples=5).rankings["one"]
    # The third and the fourth place are open between c and d.
    assert found.curve == pytest.approx((0.5, 0.5, 0.75, 1.0, 1.0))
    assert (found.top.value, found.units, found.wrong) == (0.5, 5, 2)


def test_the_interval_holds_the_figure_and_narrows_with_the_cases() -> None:
    widths = []
    for number in (60, 960):
        scores = ranking(number, number // 5, 1.0)
        auroc = compare_rankings({"one": scores}, names(number // 5), resamples=300).rankings["one"].auroc
        assert auroc.low < auroc.value < auroc.high
        widths.append(auroc.high - auroc.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.5)  # as 1 / sqrt(cases)


def test_a_difference_is_taken_on_the_same_resamples() -> None:
    scores = ranking(60, 12, 1.0)
    better = {case: value + (case in names(12)) for case, value in scores.items()}
    found = compare_rankings({"one": scores, "same": dict(reversed(scores.items())), "better": better}, names(12))
    same, less = found.differences["one", "same"], found.differences["one", "better"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    one, other = (found.rankings[name].auroc for name in ("one", "better"))
    assert less.value == pytest.approx(one.value - other.value)
    assert less.high < 0  # though the two intervals overlap
    assert one.high > other.low


def test_an_interval_is_repeatable_and_depends_on_the_seed() -> None:
    scores = {"one": ranking(60, 12, 1.0)}
    one, again, other = (
        compare_rankings(scores, names(12), resamples=50, seed=seed).rankings["one"].auroc for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other
    assert one.value == other.value


def test_parts_of_cases_are_resampled_with_their_case() -> None:
    """Ten equal slices a case: as many slices say no more than one each does."""
    rng = np.random.default_rng(0)
    is_wrong = np.arange(40) < 8
    score = rng.normal(size=40) + is_wrong
    each, many = (
        rank_units(
            Units(
                np.repeat(score, n),
                np.repeat(np.arange(40), n),
                np.repeat(1.0 * is_wrong, n),
                np.repeat(1.0 * ~is_wrong, n),
            ),
            is_wrong,
            resamples=100,
            seed=0,
        )
        for n in (1, 10)
    )
    assert each is not None
    assert many is not None
    assert (many.units, many.wrong) == (400, 80)
    assert vars(many.auroc) == pytest.approx(vars(each.auroc), abs=1e-12)


def test_units_that_are_all_right_have_no_quality() -> None:
    units = Units(np.ones(3), np.arange(3), np.zeros(3), np.ones(3))
    assert rank_units(units, np.array([True, False, False]), resamples=5, seed=0) is None


def test_percentiles_are_of_the_resamples_alone() -> None:
    found = estimate([1000.0, *range(101)])
    assert (found.value, found.low, found.high) == (1000.0, 2.5, 97.5)
    assert str(estimate([0.9571, 0.9, 0.9])) == "0.957 (0.900 to 0.900)"


@pytest.mark.parametrize(
    ("scores", "wrong", "message"),
    [
        (
            {"one": {"a": 1.0, "b": 0.0}, "two": {"a": 1.0}},
            {"a"},
            "'two' has other cases than the first one, such as 'b'",
        ),
        ({"one": {"a": 1.0, "b": 0.0}}, {"c"}, "'c' is wrong, but no ranking has it"),
        ({"one": {"a": 1.0, "b": 0.0}}, set(), "none of the 2 cases is wrong"),
        ({"one": {"a": 1.0, "b": 0.0}}, {"a", "b"}, "none of the 2 cases is right"),
        ({"one": {"a": 1.0, "b": float("nan")}}, {"a"}, "'one' has a score of nan"),
    ],
)
def test_what_cannot_be_compared_is_refused(scores: dict, wrong: set, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_rankings(scores, wrong)


def test_no_resamples_are_refused() -> None:
    with pytest.raises(ValueError, match="resamples is 0, expected 1 or more"):
        compare_rankings({"one": {"a": 1.0, "b": 0.0}}, {"a"}, resamples=0)
