"""The table of values by case that the bundles' evaluation writes."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean

__all__ = ["CASE_TABLE", "COUNTS", "read_case_table"]

CASE_TABLE = "cases.csv"
COUNTS = ("hd95_missed",)
_KEYS = ("case_id", "class")


def read_case_table(evaluation: Path) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Read the table in the folder of an evaluation.

    Returns:
        Metric -> case -> mean over the classes that it is known for, where cases without any are left out; and the sums
        of the `COUNTS`.
    """
    known: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, int] = {}
    with (evaluation / CASE_TABLE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for metric, text in row.items():
                if metric in COUNTS:
                    counts[metric] = counts.get(metric, 0) + round(float(text or 0))
                elif metric not in _KEYS and text:
                    known[metric][row["case_id"]].append(float(text))
    return {m: {case: fmean(parts) for case, parts in cases.items()} for m, cases in known.items()}, counts
