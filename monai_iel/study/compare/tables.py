"""The tables of a study: every figure and every comparison, as CSV, the same whoever ran which part."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_iel.files import write_text
from monai_iel.study.compare.cells import Cell
from monai_iel.study.compare.datasets import DataLists
from monai_iel.study.compare.differences import BETTER, Comparison, compare_methods
from monai_iel.study.compare.study import Study
from monai_iel.study.compare.values import Measured, Place, by_place

__all__ = [
    "best_of",
    "comparisons_of",
    "noise_rows",
    "write_noise",
    "write_results",
    "write_seconds",
    "write_statistics",
]

_PLACE = ("data", "noise", "cases")


def comparisons_of(study: Study, measured: Sequence[Measured]) -> list[Comparison]:
    """Every method against the reference, and against the best of its place, for all metrics that have a direction."""
    found: list[Comparison] = []
    for place, methods in by_place(measured).items():
        for metric in BETTER:
            if study.reference in methods:
                found += compare_methods(place, methods, metric, study.reference, "reference")
            best = best_of(methods, metric)
            if best is not None:
                found += compare_methods(place, methods, metric, best, "best")
    return found


def best_of(methods: Mapping[str, Sequence[Measured]], metric: str) -> str | None:
    """The method with the best mean over seeds and cases; None where none has the metric."""
    means = {}
    for name, measured in methods.items():
        known = [mean for one in measured if (mean := one.mean(metric)) is not None]
        if known:
            means[name] = BETTER[metric] * sum(known) / len(known)
    return max(means, key=means.__getitem__) if means else None


def write_results(path: Path, measured: Sequence[Measured]) -> None:
    """A row per place, method, epoch and seed: means over the test cases, and sums of what is counted.

    It holds no times, and the same digits for any number of shards and interruptions.
    """
    metrics = list(dict.fromkeys(name for one in measured for name in one.values))
    counts = list(dict.fromkeys(name for one in measured for name in one.counts))
    rows = [
        {
            **_place_columns(one.place),
            "method": one.method,
            "epoch": one.epoch,
            "seed": one.seed,
            "is_compared": int(one.is_compared),
            "test_cases": len(one.values.get("dice", {})),
            **{name: _digits(one.mean(name)) for name in metrics},
            **{name: one.counts.get(name, "") for name in counts},
        }
        for one in measured
    ]
    columns = [*_PLACE, "method", "epoch", "seed", "is_compared", "test_cases", *metrics, *counts]
    _write(path, columns, rows)


def write_seconds(path: Path, measured: Sequence[Measured]) -> None:
    """A row per training with its seconds, which no run repeats."""
    by_training = {(one.place, one.method, one.seed): one for one in measured}
    rows = [
        {**_place_columns(o.place), "method": o.method, "seed": o.seed, "train_seconds": f"{o.train_seconds:.1f}"}
        for o in by_training.values()
    ]
    _write(path, [*_PLACE, "method", "seed", "train_seconds"], rows)


def write_statistics(path: Path, comparisons: Sequence[Comparison], tolerance: float) -> None:
    """A row per place, metric, method and what it is compared with."""
    rows = [
        {
            **_place_columns(one.place),
            "metric": one.metric,
            "method": one.method,
            "against": one.against,
            "other": one.other,
            "difference": _digits(one.difference.mean),
            "low": _digits(one.difference.low),
            "high": _digits(one.difference.high),
            "test_cases": one.cases,
            "seeds": one.seeds,
            "p_wilcoxon": _digits(one.p_value),
            "p_holm": _digits(one.p_holm),
            "verdict": one.verdict(tolerance),
        }
        for one in comparisons
    ]
    columns = ["metric", "method", "against", "other", "difference", "low", "high", "test_cases", "seeds"]
    _write(path, [*_PLACE, *columns, "p_wilcoxon", "p_holm", "verdict"], rows)


def noise_rows(study: Study, cells: Sequence[Cell], folder: Path) -> list[dict[str, Any]]:
    """What the noise did to the labels of the cases that are used: mean Dice with the clean ones."""
    lists = DataLists(folder)
    rows = {}
    for cell in cells:
        dice = lists.label_dice(cell.data, cell.noise, cell.cases.number)
        if dice:
            place = {"data": cell.data.name, "noise": cell.noise.name, "cases": cell.cases.name}
            rows[tuple(place.values())] = {
                **place,
                "strength": lists.records(cell.data, cell.noise)[0]["strength"],
                "dice_training": dice.get("training"),
                "dice_validation": dice.get("validation"),
            }
    return list(rows.values())


def write_noise(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """What `noise_rows` gives."""
    columns = [*_PLACE, "strength", "dice_training", "dice_validation"]
    _write(path, columns, [{k: _digits(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows])


def _place_columns(place: Place) -> dict[str, Any]:
    return {"data": place.data, "noise": place.noise, "cases": place.cases}


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
