"""The worklist as tables, for people and programs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_iel.audit.case import CaseScores
from monai_iel.audit.case_list import AuditEntry
from monai_iel.data.building import write_json
from monai_iel.files import printable, write_bytes

__all__ = ["AuditedCase", "shown_path", "write_tables"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet computes where a cell begins with it


@dataclass(frozen=True)
class AuditedCase:
    """A case of the worklist.

    Args:
        rank: its place, from 1.
        entry: of the data list.
        fold: number of the fold, from 1.
        scores: of the case.
        files: what it is -> path: absolute, or relative to the folder of the audit.
    """

    rank: int
    entry: AuditEntry
    fold: int
    scores: CaseScores
    files: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """As it is written."""
        place = {"rank": self.rank, "section": self.entry.section, "group": self.entry.group, "fold": self.fold}
        return {
            "case": self.scores.case_id,
            **place,
            "reason": self.scores.reason,
            **self._scores(),
            "files": self.files,
        }

    def _scores(self) -> dict[str, Any]:
        return {name: value for name, value in self.scores.record().items() if name != "case_id"}


def write_tables(folder: Path, cases: Sequence[AuditedCase], about: Mapping[str, Any]) -> None:
    """Write ``worklist.csv``, ``worklist.json`` and ``slices.csv``.

    The tables are for spreadsheets: UTF-8 with a mark of it at the beginning (``utf-8-sig``), texts that would be
    computed behind an apostrophe, control characters as they are printed. The JSON file holds all texts as they are.

    Args:
        folder: of the audit.
        cases: in the order of the list.
        about: what ``worklist.json`` says of the whole.
    """
    measures = list(dict.fromkeys(name for case in cases for name in case.scores.measures))
    files = ("image", "label", "prediction", "error map", "proposal")
    head = ("rank", "case", "section", "fold", "suspicion", "reason", "findings")
    rows = (
        [
            *(case.rank, _text(case.scores.case_id), _text(case.entry.section), case.fold),
            *(_short(case.scores.suspicion), _text(case.scores.reason), len(case.scores.findings)),
            *(_short(case.scores.measures.get(name)) for name in measures),
            *(_text(case.files.get(name, "")) for name in files),
        ]
        for case in cases
    )
    _write_csv(folder / "worklist.csv", [*head, *measures, *(name.replace(" ", "_") for name in files)], rows)
    slices = [
        (quality, case.rank, case.scores.case_id, number)
        for case in cases
        for number, quality in enumerate(case.scores.slices)
    ]
    ranked = ([_text(case_id), number, _short(quality), rank] for quality, rank, case_id, number in sorted(slices))
    _write_csv(folder / "slices.csv", ["case", "slice", "quality", "rank_of_case"], ranked)
    write_json(folder / "worklist.json", {**about, "cases": [case.record() for case in cases]})


def shown_path(path: Path, folder: Path) -> str:
    """A path as it is written: relative where it lies below the folder."""
    inside = path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else os.path.abspath(path)


def _text(value: str) -> str:
    """A text as a spreadsheet shows it, and does not compute it."""
    return f"{chr(39) if value.startswith(_FORMULA) else ''}{printable(value)}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_bytes(path, table.getvalue().encode("utf-8-sig"))
