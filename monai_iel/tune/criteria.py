"""How a candidate is chosen without a clean label: pure functions of figures by case."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CRITERIA", "Choice", "Evidence", "Scores", "choose", "choose_by_discrepancy", "halves_scores"]

Scores = Mapping[str, float]
"""Case id -> a figure that is better the higher it is."""

_RESAMPLES = 2000


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate from noisy labels.

    Args:
        dice: of held-out cases with their noisy labels.
        cross_entropy: of the same; lower is better.
        training: Dice of the cases that were trained on with their noisy labels; empty if not asked for.
        halves: see `halves_scores`; empty if not asked for.
    """

    dice: Scores
    cross_entropy: Scores = field(default_factory=dict)
    training: Scores = field(default_factory=dict)
    halves: Scores = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A candidate and why.

    Args:
        name: of the candidate.
        reasons: sentences.
        table: a row per candidate.
    """

    name: str
    reasons: tuple[str, ...]
    table: tuple[dict[str, Any], ...]


def choose(scores: Mapping[str, Scores], *, what: str = "Dice with the noisy labels", seed: int = 0) -> Choice:
    """The simplest candidate that is as good as the best one, and that no simpler one beats.

    As good is: not worse by more than the standard error of their difference.

    **Why noisy labels can serve.** Let p be a prediction for a held-out case, z its true and y its noisy label as
    numbers per voxel, y = z + n. Then

        E |p - y|^2 = E |p - z|^2 + E |n|^2 - 2 E <p - z, n>

    The network has not seen the noise n of this case. Where n is independent of the image and of the other cases'
    noise, and its mean is zero, or a change of class that hits all classes alike (then E y = c z + constant, c > 0,
    and the argument holds for the Dice score up to the errors of its denominator), the last term is zero, and the
    expected noisy score orders predictors as the clean one does. Noise makes the differences smaller and their
    errors larger, so more cases are needed than with clean labels.

    **When this fails.** A rater who draws every organ too large, or a fault at the same place in all cases: n has a
    mean that a network can predict, so the candidate that reproduces the bias wins, and nothing in the noisy labels
    tells.

    The standard error is that of the mean over cases of the paired difference, by bootstrap.

    Args:
        scores: of each candidate by case, higher is better; the candidates from the simplest on.
        what: the score in words.
        seed: of the bootstrap.

    Returns:
        The choice; rows with ``score``, ``difference`` (from the best), ``standard_error`` and the 95 % interval of the
        difference, ``low`` and ``high``.

    Raises:
        ValueError: no candidates, fewer than two cases, a figure that is not finite, or other cases for some.

    Example:
        >>> cases = ["a", "b", "c", "d"]
        >>> plain = dict(zip(cases, [0.80, 0.70, 0.75, 0.78]))
        >>> better = {case: value + 0.02 + 0.001 * i for i, (case, value) in enumerate(plain.items())}
        >>> choose({"none": plain, "heat": better}).name
        'heat'
        >>> choose({"none": plain, "heat": {**plain, "a": 0.82, "b": 0.685}}).name
        'none'
    """
    names, matrix = _matrix(scores)
    means = matrix.mean(axis=1)
    best = int(means.argmax())
    paired = _paired(matrix - matrix[best], seed)
    chosen = _simplest(-means, [-one.mean <= one.error for one in paired])
    rows = [
        {"candidate": name, "chosen": i == chosen, "score": float(mean), **one.row()}
        for i, (name, mean, one) in enumerate(zip(names, means, paired, strict=True))
    ]
    cases = matrix.shape[1]
    reasons = [f"{what}, mean of {cases} held-out cases: {means[chosen]:.4f} for {names[chosen]!r}."]
    if chosen != best:
        reasons.append(
            f"The highest is {means[best]:.4f}, of {names[best]!r}; the difference of {-paired[chosen].mean:.4f} is "
            f"within its standard error ({paired[chosen].error:.4f}), so the simpler one is taken."
        )
    else:
        simpler = [f"{names[i]!r} by {-paired[i].mean:.4f}" for i in range(chosen)]
        reasons.append(
            "It is the highest, above each simpler one by more than the standard error of the difference"
            + (f" ({', '.join(simpler)})." if simpler else "; there is no simpler one.")
        )
    return Choice(names[chosen], tuple(reasons), tuple(rows))


def halves_scores(first: Scores, second: Scores, agreement: Scores) -> dict[str, float]:
    """Expected score with all cases, from two networks that were trained on a half each.

    Let a and b be the two predictions for a held-out case, y its noisy label, as vectors over the voxels; each is the
    mean s over training sets plus a part e that depends on the half (memorised noise, chance): a = s + e_a, b = s +
    e_b, e_a and e_b independent. Their mean (a + b) / 2 has half the variance of one of them, which is what a
    network has that was trained on twice as many cases, if variance falls as 1 / n. And exactly, for vectors of one
    length,

        cos((a + b) / 2, y) = (cos(a, y) + cos(b, y)) / 2 * sqrt(2 / (1 + cos(a, b)))

    (Spearman and Brown's formula for a test of double length). Dice is the cosine of two masks of one size, and is put
    in its place. So the fit to noisy labels is corrected by the agreement: of two candidates with the same fit that
    is better whose halves agree *less*, because more of its error is chance and goes away with more cases. A
    constant agrees with itself and fits nothing, so it does not win.

    As with `choose`, of which this gives the scores, a bias that all raters share is not seen.

    Args:
        first: Dice of the first network with the noisy labels of held-out cases.
        second: that of the other one.
        agreement: Dice between the two predictions.

    Raises:
        ValueError: the three do not hold the same cases.

    >>> halves_scores({"a": 0.6}, {"a": 0.8}, {"a": 1.0})
    {'a': 0.7}
    >>> round(halves_scores({"a": 0.6}, {"a": 0.8}, {"a": 0.5})["a"], 4)
    0.8083
    """
    if not set(first) == set(second) == set(agreement):
        raise ValueError("the scores of the two halves and their agreement hold different cases")
    return {case: (first[case] + second[case]) / 2 * math.sqrt(2 / (1 + agreement[case])) for case in first}


def choose_by_discrepancy(training: Mapping[str, Scores], held_out: Mapping[str, Scores], *, seed: int = 0) -> Choice:
    """Morozov's principle: the strength at which the training cases are fitted as closely as their noise allows.

    The residual is 1 - Dice with the noisy labels. That of held-out cases holds the noise and the network's own error,
    and the smallest among the candidates is taken for the noise level delta. A candidate whose training residual is
    below it has memorised noise, one above it smooths away more than noise; the nearest to it is chosen, and of
    those that are as near, within the standard error of their difference, the simplest that no simpler one is nearer
    than.

    **When this fails.** delta is too large by the error that networks make on cases they have not seen. With few cases,
    or clean labels, most of it is that, and the choice is too strong.

    Args:
        training: scores of each candidate on the cases it was trained on; the candidates from the simplest on.
        held_out: those on cases that it has not seen.
        seed: of the bootstrap.

    Raises:
        ValueError: as `choose`.

    References:
        V. A. Morozov, *On the solution of functional equations by the method of regularization*, Soviet Mathematics
        Doklady 7 (1966) 414-417. There the noise level is known; here it is estimated.
    """
    names, matrix = _matrix(training)
    others, unseen = _matrix(held_out)
    if names != others:
        raise ValueError(f"training and held-out scores are of different candidates: {names} and {others}")
    level = float(1 - unseen.mean(axis=1).max())
    residuals = 1 - matrix.mean(axis=1)
    away = np.abs(residuals - level)
    best = int(away.argmin())
    paired = _paired(matrix - matrix[best], seed)
    chosen = _simplest(away, [away[i] - away[best] <= one.error for i, one in enumerate(paired)])
    rows = [
        {"candidate": name, "chosen": i == chosen, "score": float(-away[i]), "residual": float(residuals[i])}
        for i, name in enumerate(names)
    ]
    reasons = (
        f"The noise level, the smallest residual (1 - Dice) of held-out cases, is {level:.4f}; the training residual "
        f"of {names[chosen]!r} is {residuals[chosen]:.4f}.",
        f"The nearest is {names[best]!r} with {residuals[best]:.4f}"
        + ("." if chosen == best else "; the difference is within its standard error, so the simpler one is taken."),
    )
    return Choice(names[chosen], reasons, tuple(rows))


def _simplest(costs: NDArray[np.float64], as_good: Sequence[bool]) -> int:
    """The first that is as good as the best one, and not worse than a simpler one whose difference is more certain."""
    return next(i for i in range(len(costs)) if as_good[i] and costs[i] <= costs[: i + 1].min())


def _by_likelihood(evidence: Mapping[str, Evidence], seed: int) -> Choice:
    scores = {name: {case: -v for case, v in one.cross_entropy.items()} for name, one in evidence.items()}
    return choose(scores, what="Log-likelihood of the noisy labels per voxel", seed=seed)


def _by_dice(evidence: Mapping[str, Evidence], seed: int) -> Choice:
    return choose({name: one.dice for name, one in evidence.items()}, seed=seed)


def _by_halves(evidence: Mapping[str, Evidence], seed: int) -> Choice:
    what = "Dice with the noisy labels, of networks trained on halves, corrected by their agreement"
    return choose({name: one.halves for name, one in evidence.items()}, what=what, seed=seed)


def _by_discrepancy(evidence: Mapping[str, Evidence], seed: int) -> Choice:
    training, held_out = ({name: getattr(one, of) for name, one in evidence.items()} for of in ("training", "dice"))
    return choose_by_discrepancy(training, held_out, seed=seed)


CRITERIA: Mapping[str, Callable[[Mapping[str, Evidence], int], Choice]] = {
    "held-out": _by_dice,
    "likelihood": _by_likelihood,
    "halves": _by_halves,
    "discrepancy": _by_discrepancy,
}
"""Name -> function of the evidence of each candidate, from the simplest on, and the bootstrap's seed."""


@dataclass(frozen=True)
class _Difference:
    mean: float
    error: float
    low: float
    high: float

    def row(self) -> dict[str, float]:
        return {"difference": self.mean, "standard_error": self.error, "low": self.low, "high": self.high}


def _matrix(scores: Mapping[str, Scores]) -> tuple[list[str], NDArray[np.float64]]:
    """Names, and a row of scores per candidate, the cases in one order."""
    if not scores:
        raise ValueError("no candidates; give at least one")
    cases = sorted(next(iter(scores.values())))
    if len(cases) < 2:
        raise ValueError(f"found scores of {len(cases)} cases, expected 2 or more; add cases to the section")
    for name, of_case in scores.items():
        if sorted(of_case) != cases:
            raise ValueError(f"candidate {name!r} has scores of other cases than {next(iter(scores))!r}")
        if wrong := [case for case in cases if not math.isfinite(of_case[case])]:
            raise ValueError(f"candidate {name!r}: the score of case {wrong[0]!r} is {of_case[wrong[0]]}")
    return list(scores), np.array([[of_case[case] for case in cases] for of_case in scores.values()])


def _paired(differences: NDArray[np.float64], seed: int) -> Sequence[_Difference]:
    """Mean, standard error and 95 % interval of each row's mean, by the same resamples of the cases."""
    cases = differences.shape[1]
    drawn = np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=_RESAMPLES)
    means = differences @ drawn.T / cases
    lows, highs = np.percentile(means, [2.5, 97.5], axis=1)
    figures = zip(differences.mean(axis=1), means.std(axis=1), lows, highs, strict=True)
    return [_Difference(*map(float, one)) for one in figures]
