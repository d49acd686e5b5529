"""Intervals, tests and words, against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from monai_iel.study.compare.differences import (
    Comparison,
    Interval,
    compare_methods,
    holm,
    interval_of_mean,
    matrix_of,
)
from monai_iel.study.compare.values import Measured, Place

PLACE = Place("data", "noise", "40")


def measured(method: str, values: np.ndarray, metric: str = "dice") -> list[Measured]:
    """One per row of ``seed x case``."""
    return [
        Measured(PLACE, method, "last", s, {metric: {f"c{i}": float(v) for i, v in enumerate(row)}}, {}, 1.0, True)
        for s, row in enumerate(values)
    ]


def test_the_interval_over_cases_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.05, (1, 400))
    found = interval_of_mean(values, "a")
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.06)
    assert found.mean - found.low == pytest.approx(half, rel=0.06)


def test_a_seed_that_is_better_on_all_cases_widens_the_interval() -> None:
    """Drawing the seeds within each case would average their difference away."""
    values = np.array([[0.03] * 50, [-0.01] * 50])
    found = interval_of_mean(values, "a")
    assert (found.low, found.high) == (pytest.approx(-0.01), pytest.approx(0.03))


def test_the_interval_is_the_same_every_time_and_another_for_another_place() -> None:
    values = np.random.default_rng(1).normal(size=(2, 20))
    assert interval_of_mean(values, "a") == interval_of_mean(values, "a")
    assert interval_of_mean(values, "a") != interval_of_mean(values, "b")


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_methods_are_paired_by_case_and_seed() -> None:
    rng = np.random.default_rng(2)
    cases = rng.uniform(0.3, 0.95, 30)  # cases differ far more than methods
    plain = np.stack([cases, cases + 0.01])
    better = plain + 0.02 + rng.normal(0, 0.005, plain.shape)
    same = plain + rng.normal(0, 0.005, plain.shape)
    methods = {"plain": measured("plain", plain), "better": measured("b", better), "same": measured("s", same)}
    one, other = compare_methods(PLACE, methods, "dice", "plain", "reference")
    assert (one.method, one.cases, one.seeds) == ("better", 30, 2)
    assert 0.017 < one.difference.low < one.difference.mean < one.difference.high < 0.024
    assert one.p_value == pytest.approx(wilcoxon((better - plain).mean(axis=0)).pvalue)
    assert one.p_holm == pytest.approx(2 * one.p_value)
    assert one.word == "better"
    assert other.verdict(0.01).startswith("no difference seen, none above 1 point (interval ")


def test_only_cases_and_seeds_that_both_have_are_compared() -> None:
    one, other = measured("a", np.ones((2, 3))), measured("b", np.zeros((1, 3)))
    del other[0].values["dice"]["c1"]  # type: ignore[attr-defined]
    pair = matrix_of([one, other], "dice")
    assert pair is not None
    assert pair.shape == (2, 1, 2)
    assert matrix_of([one, other], "ece") is None


def test_equal_methods_are_no_different() -> None:
    methods = {"a": measured("a", np.full((2, 5), 0.5)), "b": measured("b", np.full((2, 5), 0.5))}
    (one,) = compare_methods(PLACE, methods, "dice", "a", "reference")
    assert (one.p_value, one.difference) == (1.0, Interval(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("metric", "interval", "p_holm", "words"),
    [
        ("dice", (0.01, 0.03), 0.01, "better (interval +1.0 to +3.0 points)"),
        ("dice", (-0.03, -0.01), 0.01, "worse (interval -3.0 to -1.0 points)"),
        ("dice", (-0.004, -0.001), 0.01, "worse, by less than 1 point (interval -0.4 to -0.1 points)"),
        ("hd95_mm", (-3.0, -1.0), 0.01, "better (interval -3.00 to -1.00 mm)"),
        ("hd95_mm", (1.0, 3.0), 0.01, "worse (interval +1.00 to +3.00 mm)"),
        ("ece", (0.01, 0.03), 0.01, "worse (interval +1.0 to +3.0 points)"),
        ("dice", (0.01, 0.03), 0.2, "perhaps better (interval +1.0 to +3.0 points)"),
        ("dice", (-0.004, 0.006), 0.9, "no difference seen, none above 1 point (interval -0.4 to +0.6 points)"),
        ("dice", (-0.004, 0.02), 0.01, "no difference seen (interval -0.4 to +2.0 points)"),
        ("hd95_mm", (-0.2, 0.3), 0.9, "no difference seen (interval -0.20 to +0.30 mm)"),
    ],
)
def test_words_say_what_interval_and_test_agree_on(
    metric: str, interval: tuple[float, float], p_holm: float, words: str
) -> None:
    difference = Interval(sum(interval) / 2, *interval)
    one = Comparison(PLACE, metric, "a", "b", "reference", difference, 40, 2, p_holm / 2, p_holm)
    assert one.verdict(0.01) == words
