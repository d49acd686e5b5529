"""Checks of the parameters that several annotation-noise models share."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "check_classes",
    "check_fraction",
    "check_length",
    "check_range",
    "check_strength",
    "check_weights",
    "check_whole",
    "check_within",
    "reach_all",
]


def check_whole(name: str, value: Any, minimum: int | None = None) -> int:
    """Return ``value`` as a Python int, or raise a ValueError that names the argument."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}, expected a whole number; write it without a decimal point") from None
    if minimum is not None and whole < minimum:
        raise ValueError(f"{name} is {whole}, expected at least {minimum}")
    return whole


def check_fraction(name: str, value: float) -> float:
    """Return ``value`` as a Python float in [0, 1], or raise a ValueError that names the argument."""
    if not 0.0 <= value <= 1.0:  # also false for NaN
        raise ValueError(f"{name} is {value}, expected a fraction between 0 and 1 (10 % is 0.1)")
    return float(value)


def check_strength(name: str, value: float) -> float:
    """Return ``value`` as a finite Python float of 0 or more, or raise a ValueError that names the argument."""
    if not 0.0 <= value < math.inf:  # also false for NaN
        raise ValueError(f"{name} is {value}, expected a finite number of 0 or more")
    return float(value)


def check_length(name: str, value: float) -> float:
    """Return a positive length in mm as a Python float, or raise a ValueError that names the argument."""
    if not 0.0 < value < math.inf:  # also false for NaN
        raise ValueError(f"{name} is {value}, expected a positive length in mm")
    return float(value)


def check_range(name: str, value: float | Sequence[float], *, allow_zero: bool = False) -> tuple[float, float]:
    """Return a positive ``(min, max)``; one number stands for both ends."""
    ends = np.atleast_1d(np.asarray(value, dtype=float))
    if ends.shape == (1,):
        ends = np.repeat(ends, 2)
    if ends.shape != (2,) or not 0.0 <= ends[0] <= ends[1] < math.inf or (ends[0] == 0.0 and not allow_zero):
        least, one = ("<=", "number of 0 or more") if allow_zero else ("<", "positive number")
        raise ValueError(f"{name} is {value!r}, expected (min, max) with 0 {least} min <= max, or one {one}")
    return float(ends[0]), float(ends[1])


def check_weights(name: str, weights: Sequence[float], number: int) -> tuple[float, ...]:
    """Return ``number`` weights as Python floats of 0 or more, not all 0."""
    given = tuple(float(weight) for weight in weights)
    if len(given) != number or not all(0 <= weight < math.inf for weight in given) or not sum(given):
        raise ValueError(f"{name} is {given}, expected {number} numbers of 0 or more, not all 0")
    return given


def check_classes(classes: Iterable[int] | None) -> tuple[int, ...] | None:
    """Return foreground class numbers in ascending order; None means all that a label holds."""
    if classes is None:
        return None
    numbers = tuple(sorted({check_whole("classes", number, minimum=1) for number in classes}))
    if not numbers:
        raise ValueError("classes is empty, expected foreground class numbers from 1 upwards, or None for all")
    return numbers


def check_within(label: NDArray[np.int32], num_classes: int) -> None:
    """Refuse a label whose classes are not 0 .. num_classes - 1: the drawn classes would not fit to it."""
    low, high = (int(label.min()), int(label.max())) if label.size else (0, 0)
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"label holds classes from {low} to {high}, but num_classes={num_classes} expects 0 to {num_classes - 1}; "
            "raise num_classes, or map the label to its classes first (an instance map with label > 0)"
        )


def reach_all(share: float) -> float:
    """Return the strength at which a share of what may be hit becomes all of it; infinity for a share of 0."""
    return 1 / share if share > 0 else math.inf
