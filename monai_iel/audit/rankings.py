"""How well a ranking puts what is wrong first: AUROC, AUPRC and the top of the list, with intervals over the cases."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

__all__ = ["Estimate", "RankingComparison", "RankingQuality", "Units", "compare_rankings", "estimate", "rank_units"]

Floats = NDArray[np.float64]
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Args:
        value: of all cases.
        low: 2.5th percentile over the resamples of the cases.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The figure and its interval, three digits each."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class RankingQuality:
    """How well a ranking puts what is wrong first.

    Args:
        units: how many cases, slices or voxels there are.
        wrong: how many of them are wrong.
        auroc: probability that a wrong one ranks before a right one; 0.5 is chance.
        auprc: average precision; chance is ``wrong / units``.
        top: share of the wrong ones that is among the first ``wrong`` of the list; 1 is perfect.
        curve: of cases, the share of the wrong ones among the first 1, 2, ... of the list; else empty.
    """

    units: int
    wrong: int
    auroc: Estimate
    auprc: Estimate
    top: Estimate
    curve: tuple[float, ...] = ()

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


@dataclass(frozen=True)
class RankingComparison:
    """Rankings of the same cases, compared on the same resamples.

    Args:
        rankings: the quality of each, by name.
        differences: AUROC of the first less that of the second, for all pairs in the order of the names.
    """

    rankings: Mapping[str, RankingQuality]
    differences: Mapping[tuple[str, str], Estimate]

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "rankings": {name: quality.record() for name, quality in self.rankings.items()},
            "differences": [{"of": a, "less": b, **asdict(one)} for (a, b), one in self.differences.items()],
        }


@dataclass(frozen=True)
class Units:
    """What is ranked: entries of cases, each for some voxels, slices or cases with one score.

    Args:
        scores: of the entries, finite, high where something seems wrong.
        case: number of the case of each entry, from 0.
        wrong: how many wrong units the entry stands for.
        right: how many right ones.
    """

    scores: Floats
    case: NDArray[np.intp]
    wrong: Floats
    right: Floats

    def figures(self, weights: Floats | None = None) -> Floats:
        """AUROC, AUPRC and top where a case counts ``weights`` times; as scikit-learn has them, from counts."""
        wrong, right = self._cumulated(weights)
        precision = np.divide(wrong, wrong + right, out=np.zeros_like(wrong), where=wrong + right > 0)
        auroc = trapezoid(wrong, right) / (wrong[-1] * right[-1])
        auprc = np.diff(wrong) @ precision[1:] / wrong[-1]
        # Where units have one score their order is open, and a straight line is what is expected.
        top = np.interp(wrong[-1], wrong + right, wrong) / wrong[-1]
        return np.array([auroc, auprc, top])

    def found(self) -> tuple[float, ...]:
        """Share of the wrong units among the first 1, 2, ... of the list, expected where scores are equal."""
        wrong, right = self._cumulated()
        ranks = np.arange(1, round(wrong[-1] + right[-1]) + 1)
        return tuple((np.interp(ranks, wrong + right, wrong) / wrong[-1]).tolist())

    def _cumulated(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """How many wrong and right ones have a score above each that there is, from none to all."""
        values, place = self._values
        factor = 1.0 if weights is None else weights[self.case]
        wrong, right = (
            np.bincount(place, factor * one, len(values))[::-1].cumsum() for one in (self.wrong, self.right)
        )
        return np.concatenate([[0.0], wrong]), np.concatenate([[0.0], right])

    @cached_property
    def _values(self) -> tuple[Floats, NDArray[np.intp]]:
        values, place = np.unique(self.scores, return_inverse=True)
        return values, place


def compare_rankings(
    scores: Mapping[str, Mapping[str, float]], wrong: Set[str], *, resamples: int = 2000, seed: int = 0
) -> RankingComparison:
    """Compare rankings of the same cases by what is known to be wrong.

    The intervals are percentiles over resamples of the cases, with replacement: as many wrong and as many right ones
    as there are, because their numbers were set and not observed. All rankings see the same resamples, so the interval
    of a difference is paired. **What it does not cover**: other networks, another draw of the corruption; and where a
    ranking is perfect its interval has no width, however few the cases are.

    Args:
        scores: name of the ranking -> case id -> score, high where the case seems wrong.
        wrong: ids of the cases that are wrong.
        resamples: number of them.
        seed: of the resamples.

    Raises:
        ValueError: rankings of other cases, scores that are not finite, or no case that is wrong or none that is right.

    >>> truth = {"a", "b"}
    >>> good = {"a": 0.9, "b": 0.7, "c": 0.2, "d": 0.1, "e": 0.4}
    >>> compared = compare_rankings({"good": good, "bad": {i: -x for i, x in good.items()}}, truth, resamples=20)
    >>> compared.rankings["good"].auroc.value, compared.differences["good", "bad"].value
    (1.0, 1.0)
    """
    cases = list(next(iter(scores.values()), {}))
    for name, ranking in scores.items():
        if set(ranking) != set(cases):
            found = sorted(set(ranking) ^ set(cases))[0]
            raise ValueError(f"ranking {name!r} has other cases than the first one, such as {found!r}; rank all")
    if unknown := sorted(wrong - set(cases)):
        raise ValueError(f"case {unknown[0]!r} is wrong, but no ranking has it; rank all cases")
    is_wrong = np.array([case in wrong for case in cases], dtype=bool)
    drawn = list(_drawn(is_wrong, resamples, seed))
    figures: dict[str, Floats] = {}
    qualities = {}
    for name, ranking in scores.items():
        units = _of_cases(name, [ranking[case] for case in cases], is_wrong)
        figures[name] = np.array([units.figures(), *map(units.figures, drawn)])
        qualities[name] = _quality(units, figures[name], units.found())
    differences = {
        (one, other): estimate((figures[one] - figures[other])[:, 0])
        for one, other in itertools.combinations(scores, 2)
    }
    return RankingComparison(qualities, differences)


def rank_units(units: Units, is_wrong: NDArray[np.bool_], *, resamples: int, seed: int) -> RankingQuality | None:
    """Quality of a ranking of parts of cases, with intervals over resamples of the cases.

    None where all units are right, or all wrong: there is nothing to tell apart.

    Args:
        units: slices or voxels.
        is_wrong: which cases are wrong.
        resamples: number of them.
        seed: of the resamples.
    """
    if not (units.wrong.any() and units.right.any()):
        return None
    drawn = _drawn(is_wrong, resamples, seed)
    figures = np.array([units.figures(), *map(units.figures, drawn)])
    return _quality(units, figures)


def estimate(figures: Sequence[float] | Floats) -> Estimate:
    """The figure of all cases, which comes first, with the interval of those of the resamples behind it."""
    low, high = np.percentile(figures[1:], _INTERVAL)
    return Estimate(float(figures[0]), float(low), float(high))


def _quality(units: Units, figures: Floats, curve: tuple[float, ...] = ()) -> RankingQuality:
    wrong, right = int(units.wrong.sum()), int(units.right.sum())
    auroc, auprc, top = (estimate(column) for column in figures.T)
    return RankingQuality(wrong + right, wrong, auroc, auprc, top, curve)


def _of_cases(name: str, scores: Sequence[float], is_wrong: NDArray[np.bool_]) -> Units:
    values = np.array(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"ranking {name!r} has a score of {values[~np.isfinite(values)][0]}, expected finite numbers")
    return Units(values, np.arange(len(values)), is_wrong.astype(np.float64), (~is_wrong).astype(np.float64))


def _drawn(is_wrong: NDArray[np.bool_], resamples: int, seed: int) -> Iterator[Floats]:
    """How often each case is in each resample."""
    groups = [np.flatnonzero(is_wrong), np.flatnonzero(~is_wrong)]
    if not all(map(len, groups)):
        which = "wrong" if not len(groups[0]) else "right"
        raise ValueError(f"none of the {len(is_wrong)} cases is {which}, expected one at least of both kinds")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, expected 1 or more; 2000 are usual")
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        chosen = np.concatenate([rng.choice(group, len(group)) for group in groups])
        yield np.bincount(chosen, minlength=len(is_wrong)).astype(np.float64)
