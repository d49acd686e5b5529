"""Splits that depend on the case ids alone, never on the order of a folder or on a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

__all__ = ["sort_by_hash", "split_by_hash"]

Amount = int | float | None
"""A count (``int``), a fraction of all cases (``float`` in [0, 1]), or ``None`` for the rest."""

SECTIONS = ("training", "validation", "test")


def sort_by_hash(case_ids: Iterable[str]) -> list[str]:
    """The ids in the order of the SHA-256 of their UTF-8 bytes.

    >>> sort_by_hash(["a", "b", "c"])
    ['c', 'b', 'a']
    """
    return sorted(case_ids, key=lambda case_id: hashlib.sha256(case_id.encode()).digest())


def split_by_hash(
    case_ids: Iterable[str], *, training: Amount, validation: Amount, test: Amount
) -> dict[str, list[str]]:
    """Sort the ids by SHA-256 and cut: training from the front, validation behind it, test from the end.

    The order of ``case_ids`` does not matter. "The first 20 training cases" and "the last 60 test cases" name the same
    cases however the other two arguments are chosen. Ids in the middle that nobody asked for are left out.

    Args:
        case_ids: the ids, each once.
        training: a count (``int``), a fraction of all cases (``float`` in [0, 1]: ``1`` is one case, ``1.0`` all of
            them; rounded down), or ``None``: the rest. At most one of the three may be ``None``.
        validation: as ``training``.
        test: as ``training``.

    Where all three are fractions that add to 1, training takes what rounding down leaves.

    Raises:
        ValueError: no ids, an id twice, more than one ``None``, a negative count, a fraction outside [0, 1], or more
            cases asked for than there are.
        TypeError: an id that is no text, or an amount that is no number.

    >>> split_by_hash(["a", "b", "c", "d"], training=None, validation=1, test=0.25)
    {'training': ['d', 'c'], 'validation': ['b'], 'test': ['a']}
    """
    ids = _checked_ids(case_ids)
    asked = {"training": training, "validation": validation, "test": test}
    rest = [name for name, amount in asked.items() if amount is None]
    if len(rest) > 1:
        raise ValueError(f"{' and '.join(rest)} are both the rest (None); give a number for all but one of them")
    fractions = [amount for amount in asked.values() if isinstance(amount, float)]
    if len(fractions) == 3 and math.isclose(sum(fractions), 1.0):
        rest = ["training"]
    counts = {name: 0 if name in rest else _count(name, amount, len(ids)) for name, amount in asked.items()}
    taken = sum(counts.values())
    if taken > len(ids):
        listed = ", ".join(f"{name} {count}" for name, count in counts.items() if name not in rest)
        raise ValueError(f"{listed} make {taken} cases, but there are {len(ids)}; ask for fewer")
    if rest:
        counts[rest[0]] = len(ids) - taken
    first, second, last = (counts[name] for name in SECTIONS)
    return {
        "training": ids[:first],
        "validation": ids[first : first + second],
        "test": ids[len(ids) - last :],
    }


def _checked_ids(case_ids: Iterable[str]) -> list[str]:
    if isinstance(case_ids, str):
        raise TypeError(f"case_ids is one text ({case_ids!r}); expected a list of ids")
    ids = list(case_ids)
    if not ids:
        raise ValueError("case_ids is empty: there is nothing to split; check the folder that the ids come from")
    seen: set[str] = set()
    for case_id in ids:
        if not isinstance(case_id, str):
            raise TypeError(f"case id {case_id!r} is a {type(case_id).__name__}; expected text")
        if case_id in seen:
            raise ValueError(f"case id {case_id!r} stands twice in case_ids; each case needs an id of its own")
        seen.add(case_id)
    return sort_by_hash(ids)


def _count(name: str, amount: Amount, total: int) -> int:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(
            f"{name} is {amount!r}; expected a count (int), a fraction (float in [0, 1]) or None for the rest"
        )
    if isinstance(amount, int):
        if amount < 0:
            raise ValueError(f"{name} is {amount}; expected a count of 0 or more")
        return amount
    if not 0.0 <= amount <= 1.0:
        raise ValueError(f"{name} is {amount}; a fraction lies in [0, 1]; for a count give an int")
    # The small number keeps 0.29 * 100 (28.999...) at 29.
    return math.floor(amount * total + 1e-9)
