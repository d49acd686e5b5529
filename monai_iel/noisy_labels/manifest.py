"""What was done to each case, as JSON lines and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from monai_iel.files import write_text

__all__ = ["classes_of", "read_manifest", "summary", "write_manifest"]

Record = Mapping[str, Any]
_COLUMNS = (
    *("case", "section", "label", "preset", "model", "parameters", "seed", "strength", "chosen"),
    *("dice", "distance_mm", "distance95_mm", "bias_mm", "changed", "changed_share", "unknown_share"),
    *("missed", "added"),
)
_MEASURED = ("dice", "distance_mm", "distance95_mm", "bias_mm", "changed_share", "unknown_share")


def classes_of(records: Sequence[Record]) -> list[int]:
    """Return the foreground classes of all cases, in ascending order."""
    return sorted({int(number) for record in records for number in record["classes"]})


def write_manifest(folder: Path, records: Sequence[Record]) -> None:
    """Write ``manifest.jsonl``, a line per case with all figures, and ``manifest.csv``.

    The table has a column ``changed_N`` for each class N of the data set; parameters are JSON, as is ``chosen`` (what a
    `ChoiceLabelNoise` drew for the case), and lists of classes are separated by spaces.
    """
    write_text(folder / "manifest.jsonl", "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    numbers = classes_of(records)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"changed_{number}" for number in numbers)])
    for record in records:
        changed = [record["classes"].get(str(number), {"changed": 0})["changed"] for number in numbers]
        writer.writerow([*(_cell(record.get(name)) for name in _COLUMNS), *changed])
    write_text(folder / "manifest.csv", table.getvalue())


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the records that `write_manifest` wrote."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else value


def summary(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row per figure: mean, median, least and greatest over the cases that have it."""
    rows = []
    for name in _MEASURED:
        known = [record[name] for record in records if record[name] is not None]
        if known and (any(known) or not name.startswith("unknown")):
            figures = {"mean": fmean(known), "median": median(known), "min": min(known), "max": max(known)}
            rows.append({"figure": name, **figures, "cases": len(known)})
    return rows
