"""Means, spreads and counts of a table of cases, with NaN left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Values", "summarise"]

Values = NDArray[np.float64]


def summarise(
    num_cases: int,
    classes: Sequence[str],
    values: Mapping[str, Values],
    table: Mapping[str, Values],
    counts: Sequence[str],
) -> dict[str, Any]:
    """What goes into the summary file, see :class:`~monai_iel.handlers.CaseTableHandler`.

    Args:
        num_cases: number of rows of ``values``.
        classes: names of the classes that have rows in the table.
        values: metric -> ``case x column`` as measured.
        table: metric -> ``case x class`` as written.
        counts: the metrics to sum up.
    """
    metrics: dict[str, Any] = {}
    sums: dict[str, Any] = {}
    for name, raw in values.items():
        by_class = dict(zip(classes, table[name].T, strict=True)) if raw.shape[1] > 1 or len(classes) == 1 else {}
        if name in counts:
            totals = {c: int(np.nansum(v)) for c, v in by_class.items()}
            sums[name] = {"sum": int(np.nansum(raw)), "classes": totals}
        else:
            metrics[name] = {
                **_statistics(_case_means(raw)),
                "classes": {c: _statistics(v) for c, v in by_class.items()},
            }
    return {"num_cases": num_cases, "classes": list(classes), "metrics": metrics, "counts": sums}


def _case_means(values: Values) -> Values:
    known = ~np.isnan(values)
    number = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    means: Values = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return means


def _statistics(values: Values) -> dict[str, float | int | None]:
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return {"mean": None, "std": None, "median": None, "num_cases": 0}
    with np.errstate(invalid="ignore"):  # inf - inf, of other packages' metrics
        figures = {"mean": known.mean(), "std": known.std(), "median": np.median(known)}
    return {**{k: float(v) if np.isfinite(v) else None for k, v in figures.items()}, "num_cases": len(known)}
