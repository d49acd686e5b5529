"""Checks of the parameters that several annotation-noise models share."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "check_classes",
    "check_fraction",
    "check_items",
    "check_length",
    "check_number",
    "check_option",
    "check_range",
    "check_regions",
    "check_strength",
    "check_weights",
    "check_whole",
    "check_within",
    "reach_all",
    "suggest",
]

Option = TypeVar("Option", bound=str)


def check_number(name: str, value: Any, fits: Callable[[float], bool], expected: str) -> float:
    """Return a number that ``fits`` as a Python float, or raise a ValueError that says what was ``expected``."""
    number = _as_float(value)
    if not fits(number):
        raise ValueError(f"{name} is {value!r}, expected {expected}")
    return number


def _as_float(value: Any) -> float:
    """Return a number as a Python float, NaN for what is none."""
    try:
        return math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):  # a list, None, an array of several numbers
        return math.nan


def check_whole(name: str, value: Any, minimum: int | None = None) -> int:
    """Return ``value`` as a Python int, or raise a ValueError that names the argument."""
    try:
        whole = operator.index(value)
    except TypeError:
        hint = "; write it without a decimal point" if isinstance(value, float) else ""
        raise ValueError(f"{name} is {value!r}, expected a whole number{hint}") from None
    if minimum is not None and whole < minimum:
        raise ValueError(f"{name} is {whole}, expected at least {minimum}")
    return whole


def check_fraction(name: str, value: Any) -> float:
    """Return ``value`` as a Python float in [0, 1], or raise a ValueError that names the argument."""
    return check_number(name, value, lambda n: 0.0 <= n <= 1.0, "a fraction between 0 and 1 (10 % is 0.1)")


def check_strength(name: str, value: Any) -> float:
    """Return ``value`` as a finite Python float of 0 or more, or raise a ValueError that names the argument."""
    return check_number(name, value, lambda n: 0.0 <= n < math.inf, "a finite number of 0 or more")


def check_length(name: str, value: Any) -> float:
    """Return a positive length in mm as a Python float, or raise a ValueError that names the argument."""
    return check_number(name, value, lambda n: 0.0 < n < math.inf, "a positive length in mm")


def check_range(name: str, value: float | Sequence[float], *, allow_zero: bool = False) -> tuple[float, float]:
    """Return a positive ``(min, max)``; one number stands for both ends."""
    try:
        given = np.atleast_1d(np.asarray(value))
    except ValueError:  # rows of unequal length
        given = np.empty(0)
    ends = given.astype(float) if given.dtype.kind in "iuf" else np.empty(0)
    if ends.shape == (1,):
        ends = np.repeat(ends, 2)
    if ends.shape != (2,) or not 0.0 <= ends[0] <= ends[1] < math.inf or (ends[0] == 0.0 and not allow_zero):
        least, one = ("<=", "number of 0 or more") if allow_zero else ("<", "positive number")
        raise ValueError(f"{name} is {value!r}, expected (min, max) with 0 {least} min <= max, or one {one}")
    return float(ends[0]), float(ends[1])


def check_items(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    """Return what a list, tuple or array holds; a text is none of these."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name} is {value!r}, expected {expected}")
    return tuple(value)


def check_weights(name: str, weights: Any, number: int) -> tuple[float, ...]:
    """Return ``number`` weights as Python floats of 0 or more, not all 0."""
    expected = f"{number} numbers of 0 or more, not all 0"
    given = check_items(name, weights, expected)
    checked = tuple(_as_float(weight) for weight in given)
    if len(checked) != number or not all(0 <= weight < math.inf for weight in checked) or not sum(checked):
        raise ValueError(f"{name} is {given}, expected {expected}")
    return checked


def check_classes(classes: Any) -> tuple[int, ...] | None:
    """Return foreground class numbers in ascending order; None means all that a label holds."""
    if classes is None:
        return None
    given = check_items("classes", classes, "foreground class numbers such as [1, 2], or None for all")
    numbers = tuple(sorted({check_whole("classes", number, minimum=1) for number in given}))
    if not numbers:
        raise ValueError("classes is empty, expected foreground class numbers from 1 upwards, or None for all")
    return numbers


def check_regions(classes: Any) -> tuple[int, ...] | Literal["foreground"] | None:
    """Return foreground class numbers as `check_classes` does, or "foreground" for their union."""
    if not isinstance(classes, str):
        return check_classes(classes)
    union: tuple[Literal["foreground"]] = ("foreground",)
    return check_option("classes", classes, union, also=", class numbers such as [1, 2], or None for all")


def check_option(name: str, value: Any, options: tuple[Option, ...], also: str = "") -> Option:
    """Return the one of ``options`` that ``value`` is, or raise a ValueError that lists them and names the nearest."""
    for option in options:
        if option == value:
            return option
    *others, last = map(repr, options)
    listed = f"{', '.join(others)} or {last}" if others else last
    raise ValueError(f"{name} is {value!r}, expected {listed}{also}{suggest(value, options)}")


def suggest(value: Any, known: Iterable[str]) -> str:
    """Return a question after the names that ``value`` may have been meant for, in their order; empty if none is near.

    Upper and lower case are taken as the same.
    """
    folded = {name.lower(): name for name in known}
    asked = str(value).lower()
    near = [asked] if asked in folded else get_close_matches(asked, folded)
    names = [repr(name) for fold, name in folded.items() if fold in near]
    return f"; did you mean {' or '.join(names)}?" if names else ""


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
