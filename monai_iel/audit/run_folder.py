"""The folder of an audit: what was asked for, and what is known of each case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_iel.audit.case import CaseScores, Finding
from monai_iel.audit.case_list import AuditEntry
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.data.settings_folder import SettingsFolder, hashed_name
from monai_iel.files import write_text

__all__ = ["AuditFolder", "digest", "scores_of"]

_KEPT = ".audit"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scores_of(record: Mapping[str, Any]) -> CaseScores:
    """What a record says of its case."""
    scores = record["scores"]
    findings = [
        Finding(**{**found, "position": tuple(found["position"]), "index": tuple(found["index"])})
        for found in scores["findings"]
    ]
    return CaseScores(**{**scores, "slices": tuple(scores["slices"]), "findings": tuple(findings)})


class AuditFolder(SettingsFolder):
    """A folder in which an audit can be killed at any point, taken up again, and brought up to date.

    ``.audit`` holds a record per case: its scores, its files, and what they were made from. A record is written when
    its files are whole, and counts only while these are there and what they were made from is the same.

    Args:
        path: the folder; it need not exist.
        asked: all settings that hold for the whole folder; ``json.dumps`` takes it.
        sources: files that are read, which may not lie in the folder.

    Raises:
        FileExistsError: the folder holds another run, files that no run made, or one of the sources.
        OSError: nothing can be written there.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], sources: Iterable[Path]) -> None:
        inside = next((file for file in sources if file.resolve().is_relative_to(path.resolve())), None)
        if inside is not None:
            raise FileExistsError(
                f"{path}: the output folder holds {inside}, which the audit reads; give another output folder, or copy "
                "the file elsewhere and name it there"
            )
        super().__init__(path, asked)
        self.check_writable()
        self.temperatures = path / _KEPT / "temperatures.json"

    def begin(self) -> None:
        """Write down what was asked for."""
        if self.is_new:
            self.write_settings()

    def abandon(self) -> None:
        """Leave the folder free for another audit, if nothing has been trained or scored in it."""
        folds = self.path / "folds.json"
        if {entry.name for entry in self.path.iterdir()} <= {self.settings_file.name, folds.name}:
            folds.unlink(missing_ok=True)
            self.settings_file.unlink(missing_ok=True)
            self.path.rmdir()

    def record_of(self, case_id: str) -> Path:
        """File of what is known of a case."""
        return self._file("cases", case_id)

    def load_record(self, case_id: str) -> dict[str, Any] | None:
        """What is known of a case; None unless its files are there."""
        path = self.record_of(case_id)
        if not path.is_file():
            return None
        record = read_json(path)
        return record if all((self.path / name).is_file() for name in record["files"].values()) else None

    def write_record(self, case_id: str, record: Mapping[str, Any]) -> None:
        """Write down what is known of a case."""
        write_json(self.record_of(case_id), dict(record))

    def write_pictures(self, case_id: str, pictures: Iterable[tuple[str, str]]) -> None:
        """Keep pictures of a case, each an address and a caption."""
        write_text(self._file("pictures", case_id), json.dumps(list(pictures)) + "\n")

    def has_pictures(self, case_id: str) -> bool:
        """Whether pictures of a case are kept."""
        return self._file("pictures", case_id).is_file()

    def pictures_of(self, case_id: str) -> list[tuple[str, str]]:
        """The pictures that are kept of a case."""
        path = self._file("pictures", case_id)
        return [(uri, caption) for uri, caption in json.loads(path.read_text())] if path.is_file() else []

    def forget_others(self, entries: Iterable[AuditEntry]) -> list[str]:
        """Remove records and files of cases that are not in the list any more; returns their ids."""
        kept = {self.record_of(entry.case_id).name for entry in entries}
        forgotten = []
        for path in sorted((self.path / _KEPT / "cases").glob("*.json")):
            if path.name in kept:
                continue
            record = read_json(path)
            for name in record["files"].values():
                (self.path / name).unlink(missing_ok=True)
            case_id = record["scores"]["case_id"]
            self._file("pictures", case_id).unlink(missing_ok=True)
            path.unlink()
            forgotten.append(case_id)
        return forgotten

    def _file(self, kind: str, case_id: str) -> Path:
        return self.path / _KEPT / kind / f"{hashed_name(case_id)}.json"
