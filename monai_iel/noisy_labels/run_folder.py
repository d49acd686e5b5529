"""The folder of a run: what was asked for, what is done, and whether it is the same run at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_iel.data.building import MADE_BY, write_json
from monai_iel.data.datalist import read_json
from monai_iel.files import write_text
from monai_iel.noisy_labels.calibrate import Evaluation

__all__ = ["CALIBRATION", "RunFolder"]

CALIBRATION = "calibration.json"
_SHOWN_DIFFERENCES = 5
_LABEL_FILES = "label_files"  # in run.json, beside what was asked for
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # the names of monai_iel.files


class RunFolder:
    """A folder in which a run can be killed at any point and be taken up again.

    ``run.json`` says what was asked for and is written first, ``dataset.json`` last. Between them ``.records`` holds a
    file per case that is done and the strengths that were looked at. Every file is written under another name and
    renamed; what a killed run left of such names is removed in the end.

    Args:
        path: the folder; it need not exist.
        asked: all settings that the files depend on; ``json.dumps`` takes it.

    Raises:
        FileExistsError: the folder holds another run, or files that no run made; the message says what differs.
        OSError: nothing can be written there.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self.path = path
        self.asked: dict[str, Any] = json.loads(json.dumps({"made_by": MADE_BY, **asked}))
        self.dataset_json = path / "dataset.json"
        self._settings = path / "run.json"
        self._records = path / ".records"
        self._evaluations = self._records / "evaluations.jsonl"
        self.is_new = not self._settings.is_file()
        self._has_cases = self.dataset_json.is_file() or any(self._records.glob("*.json"))  # of an earlier call
        self._check()
        if not self.is_complete:
            self._check_writable()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be done."""
        return not self.is_new and self.dataset_json.is_file()

    def check_label_files(self, digests: Mapping[str, Any]) -> None:
        """Refuse to go on with clean labels that are not those that the run began with.

        Raises:
            FileExistsError: a label file has changed; it is named.
        """
        known = {} if self.is_new else read_json(self._settings).get(_LABEL_FILES, {})
        changed = [name for name, digest in known.items() if digests.get(name) != digest]
        if changed:
            more = len(changed) - 1
            raise FileExistsError(
                f"{self.path}: holds a run of other labels: {changed[0]}{f' (and {more} more)' if more else ''} has "
                "changed since; restore the file, give another folder, or delete this one"
            )

    def start(self, digests: Mapping[str, Any]) -> None:
        """Write down what was asked for, and the digests of the clean label files."""
        write_json(self._settings, {**self.asked, _LABEL_FILES: dict(digests)})
        self.is_new = False

    def abandon(self, files: Iterable[str]) -> None:
        """Leave the folder free for another run, unless an earlier call has done cases.

        Removed is what the run itself wrote, and no file else.

        Args:
            files: labels and error maps of the run, relative to the folder.
        """
        if self.is_new or self._has_cases:
            return
        shutil.rmtree(self._records, ignore_errors=True)
        self._sweep()
        made = [self.path / name for name in files]
        for file in (*made, self._settings, self.path / CALIBRATION):
            file.unlink(missing_ok=True)
        inside = {parent for file in made for parent in file.parents if parent.is_relative_to(self.path)}
        for folder in sorted({*inside, self.path}, key=lambda one: len(one.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def finish(self) -> None:
        """Remove what only a run that is not complete needs."""
        shutil.rmtree(self._records, ignore_errors=True)
        self._sweep()

    def record_of(self, case_id: str) -> Path:
        """File that says that a case is done; case ids may hold any character, so it is named by their hash."""
        return self._records / f"{hashlib.sha256(case_id.encode()).hexdigest()[:32]}.json"

    def load_record(self, case_id: str) -> dict[str, Any] | None:
        """What is known of a case that is done."""
        path = self.record_of(case_id)
        if not path.is_file():
            return None
        record = read_json(path)
        return record if (self.path / record["label"]).is_file() else None

    def evaluations(self) -> list[Evaluation]:
        """The strengths that were looked at so far."""
        if not self._evaluations.is_file():
            return []
        lines = self._evaluations.read_text(encoding="utf-8").splitlines()
        return [Evaluation(*json.loads(line)) for line in lines]

    def keep_evaluation(self, one: Evaluation) -> None:
        """Write down what was measured at a strength."""
        kept = [*self.evaluations(), one]
        write_text(self._evaluations, "".join(f"{json.dumps([e.strength, e.value])}\n" for e in kept))

    def _sweep(self) -> None:
        for left in self.path.rglob(".*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path}: is a file; give a folder")
        if self.is_new:
            others = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else []
            others = [name for name in others if not (name.startswith(".run.json.") and name.endswith(".tmp"))]
            if others:
                raise FileExistsError(
                    f"{self.path}: holds {sorted(others)[0]!r} and no run.json, so no run made it; give a folder that "
                    "is empty or not there"
                )
            return
        there = {name: value for name, value in read_json(self._settings).items() if name != _LABEL_FILES}
        differences = _differences(there, self.asked)
        if differences:
            shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
            more = len(differences) - _SHOWN_DIFFERENCES
            raise FileExistsError(
                f"{self.path}: holds another run: {shown}{f'; and {more} more' if more > 0 else ''}; give another "
                "folder, or delete this one"
            )

    def _check_writable(self) -> None:
        """Refuse a place where nothing can be written, before hours are spent on what shall be written there."""
        near = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        try:
            tempfile.TemporaryDirectory(dir=near, prefix=".monai_iel.").cleanup()
        except OSError as error:
            why = "is a file" if near.is_file() else f"cannot be written to ({error.strerror})"
            raise type(error)(f"{self.path}: {near} {why}; give an output folder elsewhere") from error


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Settings that differ, in words, those of nested mappings with dots."""
    one, other = _flat(there), _flat(asked)
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    return [f"{name} is {_said(one, name)} there, {_said(other, name)} here" for name in names]


def _said(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name]) if name in settings else "not set"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
