"""``RESULTS.md``: the tables of a study in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai_iel.study.compare.plots import CAPTIONS
from monai_iel.study.compare.summary import Row, Summary

__all__ = ["as_markdown"]


def as_markdown(summary: Summary, noise: Sequence[Mapping[str, Any]], plots: Mapping[str, Mapping[str, str]]) -> str:
    """All tables, headed by what is missing and how to read them.

    Args:
        summary: of the study.
        noise: what `noise_rows` gives.
        plots: data set -> name of a figure -> its file.
    """
    study = summary.study
    parts = [f"# {study.title}", *summary.notes()]
    parts += [f"## Against {study.reference}", _table(summary.tally(), _signed)]
    best = sorted(summary.best_counts().items(), key=lambda item: -item[1])
    parts.append("Best mean Dice: " + ", ".join(f"{name} in {count}" for name, count in best) + ".")
    for data in summary.data_sets():
        parts += [f"## {data}", "Dice in points with its interval; the best mean of a column is bold."]
        parts += [_dice_table(summary, data), f"Difference from {study.reference!r} in points:"]
        parts.append(_table(summary.differences(data)))
        if epochs := summary.epochs(data):
            parts += ["Dice in points at the last epoch, and at the best of the noisy validation:", _table(epochs)]
        parts += [f"![{CAPTIONS[name]}]({file})\n\n{CAPTIONS[name]}" for name, file in plots.get(data, {}).items()]
        for place, heading in summary.columns(data).items():
            parts += [f"### {data}: {heading}", _table(summary.figures(place), _number)]
    if noise:
        parts += ["## The labels that were trained on", "Mean Dice between noisy and clean labels of the cases used."]
        parts.append(_table([dict(row) for row in noise], _number))
    return "\n\n".join(part for part in parts if part) + "\n"


def _dice_table(summary: Summary, data: str) -> str:
    columns = summary.columns(data)
    best: dict[str, float] = {}
    for row in summary.means(data):
        for heading in columns.values():
            value = row[heading]
            if isinstance(value, float):
                best[heading] = max(best.get(heading, value), value)
    rows: list[Row] = []
    for row in summary.means(data):
        name = str(row["method"])
        shown: Row = {"method": f"{name} (reference)" if name == summary.study.reference else name}
        for place, heading in columns.items():
            one = summary.interval(place, name)
            if one is None:
                shown[heading] = None
                continue
            text = f"{100 * one.mean:.1f}"
            text = f"**{text}**" if text == f"{100 * best[heading]:.1f}" else text
            shown[heading] = f"{text} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        rows.append(shown)
    return _table(rows)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _signed(value: object) -> str:
    return f"{value:+.1f}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Row], shown: Callable[[object], str] = str) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [["–" if row.get(name) is None else shown(row[name]) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
