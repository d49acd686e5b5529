"""Cells of a table: numbers that can be compared at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

__all__ = ["Best", "Cell", "Column", "lay_out"]

Best = Literal["max", "min"]
MISSING = "–"

_DIGITS = 4  # significant digits of the largest number of a column: 0.9477, 12.35; but no fifth decimal


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """Heading and cells of a column; ``numeric`` ones are right aligned."""

    name: str
    numeric: bool
    cells: tuple[Cell, ...]


def lay_out(
    rows: Sequence[Mapping[str, object]], best: Mapping[str, Best], reference: Sequence[int] = ()
) -> list[Column]:
    """The columns of a table in order of first appearance; a key that a row lacks is missing there.

    The rows ``reference`` are never the best.

    Raises:
        ValueError: where ``best`` names a column that is not there or has no numbers, or asks for something else than
            ``"max"`` or ``"min"``.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name, wish in best.items():
        if name not in names or wish not in ("max", "min"):
            raise ValueError(
                f"highlight is {{{name!r}: {wish!r}}}; expected 'max' or 'min' for one of the columns {names}."
            )
    return [_column(name, [_plain(row.get(name)) for row in rows], best.get(name), reference) for name in names]


def _plain(value: object) -> object:
    """NumPy scalars and tensors without axes as Python numbers; NaN as missing."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        value = item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _column(name: str, values: Sequence[object], best: Best | None, reference: Sequence[int]) -> Column:
    present = [v for v in values if v is not None]
    numbers = [float(v) for v in present if isinstance(v, Real) and not isinstance(v, bool)]
    numeric = bool(present) and len(numbers) == len(present)
    if best is not None and not numeric:
        raise ValueError(f"highlight names column {name!r}, which holds something else than numbers: {present[:3]}.")
    decimals = _decimals([float(v) for v in numbers if math.isfinite(v)])
    compared = [float(v) for i, v in enumerate(values) if numeric and isinstance(v, Real) and i not in reference]
    winner = (max if best == "max" else min)(compared) if best and len(compared) > 1 else None
    cells = []
    for index, value in enumerate(values):
        text = _number(value, decimals) if numeric and isinstance(value, Real) else _text(value)
        # Equal as printed is equal: no winner by a digit that nobody sees.
        is_compared = value is not None and index not in reference
        wins = is_compared and winner is not None and text == _number(winner, decimals)
        cells.append(Cell(text, wins))
    return Column(name, numeric, tuple(cells))


def _decimals(numbers: Sequence[float]) -> int:
    largest = max((abs(n) for n in numbers), default=0.0)
    if largest == 0:
        return 0
    wanted = _DIGITS - 1 - math.floor(math.log10(largest))
    return max(0, min(wanted, 4 if largest >= 0.01 else 6))


def _number(value: Real | float, decimals: int) -> str:
    if isinstance(value, Integral):
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "−")
    number = float(value)
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    text = f"{number:,.{decimals}f}".replace(",", "\u202f")
    if number != 0 and float(f"{number:.{decimals}f}") == 0:  # would read as nothing at all
        text = f"{number:.1e}"
    return text.replace("-", "−")


def _text(value: object) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
