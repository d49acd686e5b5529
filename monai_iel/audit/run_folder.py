"""The folder of an audit: what was asked for, and what is known of each case."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from monai_iel.audit.case import CaseScores, Finding
from monai_iel.audit.case_list import AuditEntry, suffix_of
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.data.settings_folder import SettingsFolder, hashed_name
from monai_iel.files import digest, write_text

__all__ = ["AuditFolder", "scores_of"]

_KEPT = ".audit"
_PROPOSALS = "proposals"
_EDITED = ".edited"  # before the ending of a proposal that someone has changed


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
    its files are whole, and counts only while these are there and what they were made from is the same. What is known
    of a case is cleared before its new files are written, so that no record vouches for files that are not its own. A
    proposal that is not as it was written has been edited, and is kept under another name.

    Args:
        path: the folder; it need not exist.
        asked: all settings that hold for the whole folder; ``json.dumps`` takes it.
        sources: files that are read, which may not lie in the folder.
        is_made_here: whether the folder is the audit's own; by default, if it is not there yet.

    Raises:
        FileExistsError: the folder holds another run, files that no run made, or one of the sources.
        OSError: nothing can be written there.
    """

    def __init__(
        self, path: Path, asked: Mapping[str, Any], sources: Iterable[Path], *, is_made_here: bool | None = None
    ) -> None:
        inside = next((file for file in sources if file.resolve().is_relative_to(path.resolve())), None)
        if inside is not None:
            raise FileExistsError(
                f"{path}: the output folder holds {inside}, which the audit reads; give another output folder, or copy "
                "the file elsewhere and name it there"
            )
        self._given = asked
        self._is_made_here = not path.exists() if is_made_here is None else is_made_here
        super().__init__(path, asked)
        self.check_writable()
        self.temperatures = path / _KEPT / "temperatures.json"

    def look_again(self) -> AuditFolder:
        """Find what another call has begun or ended here since this was made, and refuse it as then."""
        return AuditFolder(self.path, self._given, (), is_made_here=self._is_made_here)

    def begin(self) -> None:
        """Write down what was asked for."""
        if self.is_new:
            self.write_settings()

    def abandon(self) -> None:
        """Leave the folder free for another audit, if nothing has been trained or scored in it.

        Removed is only a folder that was not there before, and no link to one.
        """
        folds = self.path / "folds.json"
        if {entry.name for entry in self.path.iterdir()} <= {self.settings_file.name, folds.name, self.lock_file.name}:
            self.lock_file.unlink(missing_ok=True)
            folds.unlink(missing_ok=True)
            self.settings_file.unlink(missing_ok=True)
            if self._is_made_here and not self.path.is_symlink():
                self.path.rmdir()

    def record_of(self, case_id: str) -> Path:
        """File of what is known of a case."""
        return self._file("cases", case_id)

    def load_record(self, case_id: str) -> dict[str, Any] | None:
        """What is known of a case; None unless its files are there."""
        record = self._written(case_id)
        there = record is not None and all((self.path / name).is_file() for name in record["files"].values())
        return record if there else None

    def write_record(self, case_id: str, record: Mapping[str, Any]) -> None:
        """Write down what is known of a case."""
        write_json(self.record_of(case_id), dict(record))

    def clear_case(self, case_id: str, kept: Iterable[str] = ()) -> None:
        """Forget a case, its record last, so that a killed call is finished by the next one.

        Args:
            case_id: of the case.
            kept: files that are there to be written over.
        """
        record = self._written(case_id) or {"files": {}}
        proposal = record["files"].get("proposal")
        if proposal is not None:
            self.set_aside_edited(proposal, record.get("proposal_digest"))
        for name in {*record["files"].values()} - {*kept}:
            (self.path / name).unlink(missing_ok=True)
        self._file("pictures", case_id).unlink(missing_ok=True)
        self.record_of(case_id).unlink(missing_ok=True)

    def set_aside_edited(self, name: str, written: str | None) -> None:
        """Rename a proposal, if it is there and not as it was written.

        Args:
            name: of the proposal, seen from the folder.
            written: digest of what was written.
        """
        path = self.path / name
        if path.is_file() and digest(path) != written:
            path.rename(_free_name(path))

    def edited_proposals(self, proposals: Iterable[str]) -> list[str]:
        """Names of the proposals that were set aside.

        Args:
            proposals: of the cases, which are none of them.
        """
        known = set(proposals)
        found = (path.relative_to(self.path).as_posix() for path in (self.path / _PROPOSALS).rglob(f"*{_EDITED}*"))
        return sorted(name for name in found if name not in known)

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
            case_id = read_json(path)["scores"]["case_id"]
            self.clear_case(case_id)
            forgotten.append(case_id)
        return forgotten

    def _written(self, case_id: str) -> dict[str, Any] | None:
        path = self.record_of(case_id)
        return read_json(path) if path.is_file() else None

    def _file(self, kind: str, case_id: str) -> Path:
        return self.path / _KEPT / kind / f"{hashed_name(case_id)}.json"


def _free_name(path: Path) -> Path:
    suffix = suffix_of(path.name) or path.suffix
    stem = path.name.removesuffix(suffix)
    names = (f"{stem}{_EDITED}{f'-{number}' if number > 1 else ''}{suffix}" for number in count(1))
    return next(place for name in names if not os.path.lexists(place := path.with_name(name)))
