"""The worklist as tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from monai_iel.audit.case import CaseScores, Finding
from monai_iel.audit.case_list import AuditEntry
from monai_iel.audit.outputs import AuditedCase, write_tables
from monai_iel.noisy_labels import LabelFile


def audited(case_id: str, reason: str = "r", file: str = "error_maps/a.nii") -> AuditedCase:
    entry = AuditEntry(case_id, "training", case_id, Path("i"), LabelFile(Path("l")), "a")
    finding = Finding("component missing", "organ", reason, 1.0, 1.0, None, (0.0, 0.0), (0, 0))
    return AuditedCase(
        1, entry, 1, CaseScores(case_id, -0.5, {"outline_mm": -1.25}, (0.5,), (finding,)), {"label": file}
    )


def tables(folder: Path, case: AuditedCase) -> tuple[dict[str, str], dict[str, str]]:
    write_tables(folder, [case], {})
    rows = [next(csv.DictReader((folder / name).open(encoding="utf-8-sig"))) for name in ("worklist.csv", "slices.csv")]
    return rows[0], rows[1]


def test_no_text_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    for first in "=+-@\t\r":
        text = f"{first}1+cmd|' /C calc'!A0"
        row, one_slice = tables(tmp_path, audited(text, text, text))
        for cell in (row["case"], row["reason"], row["label"], one_slice["case"]):
            assert cell[0] == "'"
            assert cell.isprintable()
        assert (float(row["suspicion"]), float(row["outline_mm"])) == (-0.5, -1.25)
        record = json.loads((tmp_path / "worklist.json").read_text())["cases"][0]
        assert (record["case"], record["reason"]) == (text, text)


def test_control_characters_are_written_out(tmp_path: Path) -> None:
    row, _ = tables(tmp_path, audited("a\x1b[2J\n=b"))
    assert row["case"] == "a\\x1b[2J\\n=b"


def test_the_tables_say_that_they_are_utf_8(tmp_path: Path) -> None:
    row, _ = tables(tmp_path, audited("Müller"))
    assert row["case"] == "Müller"
    for name in ("worklist.csv", "slices.csv"):
        assert (tmp_path / name).read_bytes().startswith(b"\xef\xbb\xbf")
