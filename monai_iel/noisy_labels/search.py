"""The search for a strength: doubling, bisection, and a look around the largest damage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Literal

__all__ = ["IN_WORDS", "UNDAMAGED", "Evaluation", "Measure", "StrengthSearch", "harm"]

Measure = Literal["dice", "distance_mm"]
IN_WORDS = {"dice": "mean Dice", "distance_mm": "mean surface distance (mm)"}
UNDAMAGED = {"dice": 1.0, "distance_mm": 0.0}
_PEAK_EVALUATIONS = 8
_MAX_DOUBLINGS = 30
_CLOSEST = 1e-5  # relative distance of two strengths between which a step is taken to lie


@dataclass(frozen=True)
class Evaluation:
    """What was measured at one strength: the mean over the cases of the case's mean over its classes."""

    strength: float
    value: float


def harm(measure: Measure, value: float) -> float:
    """The same figure such that more is worse."""
    return -value if measure == "dice" else value


class StrengthSearch:
    """The search over strengths; keeps what was evaluated."""

    def __init__(
        self,
        evaluate: Callable[[float], float],
        measure: Measure,
        target: float,
        tolerance: float,
        known: Mapping[float, float],
        on_evaluation: Callable[[Evaluation], object] | None,
    ) -> None:
        self.evaluate, self.measure, self.target, self.tolerance = evaluate, measure, target, tolerance
        self.known, self.on_evaluation = known, on_evaluation
        self.evaluations: list[Evaluation] = []
        self.why = ""

    def run(self, start: float, most: float) -> Evaluation:
        """Return the evaluation nearest to the target."""
        bracket = self._double(start, most)
        if bracket is not None:
            self._bisect(*bracket)
        return self._nearest()

    def _at(self, strength: float) -> float:
        """How far the damage at a strength is beyond the target."""
        for one in self.evaluations:
            if one.strength == strength:
                return self._beyond(one.value)
        value = self.known.get(strength)
        fresh = value is None
        one = Evaluation(strength, self.evaluate(strength) if value is None else value)
        self.evaluations.append(one)
        if fresh and self.on_evaluation is not None:
            self.on_evaluation(one)
        return self._beyond(one.value)

    def _beyond(self, value: float) -> float:
        return harm(self.measure, value) - harm(self.measure, self.target)

    def _nearest(self) -> Evaluation:
        return min(self.evaluations, key=lambda one: (abs(one.value - self.target), one.strength))

    def _near_enough(self) -> bool:
        return abs(self._nearest().value - self.target) <= self.tolerance

    def _double(self, start: float, most: float) -> tuple[float, float] | None:
        """Return two strengths with the target between them; None where the search is over."""
        low, strength, best, idle = 0.0, min(start, most), -math.inf, 0
        # Whatever the tolerance is, so that a larger one finds at the latest what a smaller one found.
        rise = 0.0002 if self.measure == "dice" else 0.001 * self.target
        for _ in range(_MAX_DOUBLINGS):
            beyond = self._at(strength)
            if self._near_enough():
                return None
            if beyond > 0:
                return low, strength
            idle = 0 if beyond > best + rise else idle + 1
            best = max(best, beyond)
            if strength >= most or idle == 2:
                break
            low, strength = strength, min(2 * strength, most)
        limit = (
            "from {} on the noise can do no more" if strength >= most else "up to {} the damage does not grow further"
        )
        self.why = f"and {limit.format(f'strength {strength:.6g}')}"
        return self._climb(most)

    def _climb(self, most: float) -> tuple[float, float] | None:
        """Search around the largest damage, which may lie between the strengths that were looked at."""
        tried = sorted(one.strength for one in self.evaluations)
        top = max(tried, key=self._at)
        if top == most:
            return None
        low = max((s for s in tried if s < top), default=0.0)
        high = min((s for s in tried if s > top), default=top)
        for _ in range(_PEAK_EVALUATIONS):
            # Into the wider of the two sides, by a bit more than a third.
            strength = top - 0.38 * (top - low) if top - low > high - top else top + 0.38 * (high - top)
            if self._at(strength) > 0 or self._near_enough():
                return None if self._near_enough() else (low, strength)
            if self._at(strength) > self._at(top):
                low, top, high = (low, strength, top) if strength < top else (top, strength, high)
            elif strength < top:
                low = strength
            else:
                high = strength
        return None

    def _bisect(self, low: float, high: float) -> None:
        while not self._near_enough() and high - low > _CLOSEST * high:
            middle = (low + high) / 2
            low, high = (low, middle) if self._at(middle) > 0 else (middle, high)
        below, above = (UNDAMAGED[self.measure] if s == 0 else self._value_at(s) for s in (low, high))
        self.why = (
            f"and the damage jumps there, from {below:.4g} at strength {low:.6g} to {above:.4g} at strength {high:.6g}"
        )

    def _value_at(self, strength: float) -> float:
        return next(one.value for one in self.evaluations if one.strength == strength)

    def explain(self, noise: object, found: Evaluation) -> str:
        """Why the target is not reached, and what is."""
        return (
            f"a {IN_WORDS[self.measure]} of {self.target:g} cannot be reached with {noise!r}: the nearest is "
            f"{found.value:.4g} at strength {found.strength:.6g}, {self.why}; ask for what can be "
            f"reached, allow a tolerance of {_rounded_up(abs(found.value - self.target))}, or change the noise's "
            "parameters"
        )


def _rounded_up(gap: float) -> str:
    """Two digits of a positive number that is not below it."""
    exact = Decimal(gap)
    return f"{float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), ROUND_CEILING)):g}"
