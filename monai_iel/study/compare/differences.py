"""Are two methods different? Intervals over cases and seeds, a paired test, and words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from monai_iel.study.compare.values import Measured, Place

__all__ = ["BETTER", "Comparison", "Interval", "compare_methods", "holm", "interval_of_mean", "matrix_of", "points"]

BETTER = {"dice": 1, "surface_dice": 1, "solidity": 1, "hd95_mm": -1, "ece": -1, "concavity_mm": -1}
"""Metrics that have a direction: 1 where more is better, -1 where less is."""

_RESAMPLES = 4000
_LEVEL = 0.95
_SIGNIFICANT = 0.05
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval of 95 %."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A method against another one, on the same cases and seeds.

    Args:
        place: where.
        metric: of what.
        method: the method.
        other: what it is compared with.
        against: ``"reference"`` or ``"best"``.
        difference: method minus other.
        cases: number of test cases that both have.
        seeds: number of seeds that both have.
        p_value: of Wilcoxon's signed-rank test over the cases, each the mean over the seeds; two-sided.
        p_holm: the same, corrected over the methods of the place.
    """

    place: Place
    metric: str
    method: str
    other: str
    against: str
    difference: Interval
    cases: int
    seeds: int
    p_value: float
    p_holm: float

    @property
    def word(self) -> str:
        """Better or worse where interval and corrected test agree; perhaps so where the interval alone says it."""
        sign = BETTER[self.metric]
        low, high = sorted((sign * self.difference.low, sign * self.difference.high))
        if low <= 0 <= high:
            return "no difference seen"
        word = "better" if low > 0 else "worse"
        return word if self.p_holm < _SIGNIFICANT else f"perhaps {word}"

    def verdict(self, tolerance: float) -> str:
        """In words, with the interval, and that it is below the tolerance where all of the interval is."""
        shown = f"(interval {self._shown(self.difference.low)} to {self._shown(self.difference.high)}{self._unit})"
        return f"{self.word}{self.remark(tolerance)} {shown}"

    def remark(self, tolerance: float) -> str:
        """``", by less than 1 point"`` where all of the interval of a fraction is below a tolerance."""
        largest = max(abs(self.difference.low), abs(self.difference.high))
        if self.metric not in _FRACTIONS or largest >= tolerance:
            return ""
        above = "none above" if self.word == "no difference seen" else "by less than"
        return f", {above} {points(tolerance)}"

    @property
    def _unit(self) -> str:
        return " points" if self.metric in _FRACTIONS else " mm" if self.metric.endswith("_mm") else ""

    def _shown(self, value: float) -> str:
        return f"{100 * value:+.1f}" if self.metric in _FRACTIONS else f"{value:+.2f}"


_FRACTIONS = ("dice", "surface_dice", "solidity", "ece")


def points(fraction: float) -> str:
    """A fraction of Dice in words.

    >>> points(0.01), points(0.005)
    ('1 point', '0.5 points')
    """
    number = f"{100 * fraction:g}"
    return f"{number} point{'' if number == '1' else 's'}"


def compare_methods(
    place: Place, methods: Mapping[str, Sequence[Measured]], metric: str, other: str, against: str
) -> list[Comparison]:
    """Every method of a place against one of them, paired by case and seed."""
    found = []
    for name, measured in methods.items():
        if name == other:
            continue
        pair = matrix_of([measured, methods[other]], metric)
        if pair is None:
            continue
        difference = pair[0] - pair[1]
        p_value = _wilcoxon(difference.mean(axis=0))
        found.append((name, interval_of_mean(difference, str(place)), *difference.shape, p_value))
    corrected = holm([p for *_, p in found])
    return [
        Comparison(place, metric, name, other, against, interval, cases, seeds, p_value, p_holm)
        for (name, interval, seeds, cases, p_value), p_holm in zip(found, corrected, strict=True)
    ]


def matrix_of(methods: Sequence[Sequence[Measured]], metric: str) -> Values | None:
    """Values ``method x seed x case`` of the seeds and cases that all of the methods have; None where there is none."""
    by_seed = [{one.seed: one.values.get(metric, {}) for one in measured} for measured in methods]
    seeds = sorted(set.intersection(*(set(one) for one in by_seed)))
    if not seeds:
        return None
    cases = sorted(set.intersection(*(set(one[seed]) for one in by_seed for seed in seeds)))
    if not cases:
        return None
    return np.array([[[one[seed][case] for case in cases] for seed in seeds] for one in by_seed])


def interval_of_mean(values: Values, name: str) -> Interval:
    """Mean of values ``seed x case`` with its bootstrap interval.

    Every seed meets every case, so seeds and cases are drawn by themselves, both with replacement (Owen's pigeonhole
    bootstrap): a seed that did well did so on all cases. Where all is chance of single cases and seeds, the interval is
    too wide (up to three times the variance). Where seeds differ as a whole, two of them tell little of how much, and a
    bootstrap of two makes that variance half as large as it is on average: then it is too narrow.

    Args:
        values: ``seed x case``.
        name: chooses the random numbers, so that all methods of a place are drawn alike.

    References:
        A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007).
    """
    seeds, cases = values.shape
    digest = hashlib.sha256(name.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    of_seeds = rng.multinomial(seeds, [1 / seeds] * seeds, size=_RESAMPLES)
    of_cases = rng.multinomial(cases, [1 / cases] * cases, size=_RESAMPLES)
    means = np.einsum("bs,sc,bc->b", of_seeds, values, of_cases, optimize=True) / (seeds * cases)
    tail = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: the smallest times their number, the next times one less, and never less than one before.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _wilcoxon(differences: Values) -> float:
    return float(wilcoxon(differences).pvalue) if np.any(differences != 0) else 1.0
