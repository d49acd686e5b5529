"""Regions: sets of classes that are one structure together."""

from __future__ import annotations

import operator
from collections.abc import Sequence

__all__ = ["check_regions"]


def check_regions(regions: Sequence[Sequence[int]] | None) -> tuple[tuple[int, ...], ...] | None:
    """Return the classes of every region in ascending order, the regions in the order given; None stays None.

    Args:
        regions: for example ``[[1, 2], [2]]`` for a disc of rim (1) and cup (2), and the cup by itself.

    Raises:
        ValueError: for an empty list, an empty region, or a class that is no whole number of 0 or more.
    """
    if regions is None:
        return None
    try:
        checked = tuple(tuple(sorted({operator.index(c) for c in region})) for region in regions)
    except TypeError:
        checked = ()
    if not checked or not all(region and region[0] >= 0 for region in checked):
        raise ValueError(
            f"regions is {regions!r}; expected a list of lists of class numbers, such as [[1, 2], [2]], or None for "
            "every foreground class by itself."
        )
    return checked
