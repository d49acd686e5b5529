"""A folder of one run: it holds what was asked for, and refuses another run."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_iel.data.building import MADE_BY, write_json
from monai_iel.data.datalist import read_json

__all__ = ["SettingsFolder", "hashed_name"]

_SHOWN_DIFFERENCES = 5
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # the names of monai_iel.files


def hashed_name(case_id: str) -> str:
    """Name of a file for a case: ids may hold any character."""
    return hashlib.sha256(case_id.encode()).hexdigest()[:32]


class SettingsFolder:
    """A folder whose ``run.json`` says what was asked for, so that a killed run can be taken up again.

    Args:
        path: the folder; it need not exist.
        asked: all settings that the files depend on; ``json.dumps`` takes it.
        beside: what ``run.json`` holds that is no setting.

    Attributes:
        is_new: whether no run has begun there.
        lock_file: for a lock on the folder; it does not count as a file that is there.

    Raises:
        FileExistsError: the folder holds another run, or files that no run made; the message says what differs.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any], *, beside: Sequence[str] = ()) -> None:
        self.path = path
        self.asked: dict[str, Any] = json.loads(json.dumps({"made_by": MADE_BY, **asked}))
        self.settings_file = path / "run.json"
        self.lock_file = path / ".lock"
        self.is_new = not self.settings_file.is_file()
        if path.exists() and not path.is_dir():
            raise FileExistsError(f"{path}: is a file; give a folder")
        if self.is_new:
            self._check_empty()
        else:
            self._check_same(beside)

    def write_settings(self, **beside: Any) -> None:
        """Write down what was asked for, and what else ``run.json`` holds."""
        write_json(self.settings_file, {**self.asked, **beside})
        self.is_new = False

    def check_writable(self) -> None:
        """Refuse a place where nothing can be written, before hours are spent on what shall be written there.

        Raises:
            OSError: nothing can be written there.
        """
        near = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        try:
            tempfile.TemporaryDirectory(dir=near, prefix=".monai_iel.").cleanup()
        except OSError as error:
            why = "is a file" if near.is_file() else f"cannot be written to ({error.strerror})"
            raise type(error)(f"{self.path}: {near} {why}; give an output folder elsewhere") from error

    def sweep(self) -> None:
        """Remove what a killed run has left of files that were being written."""
        for left in self.path.rglob(".*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)

    def _check_empty(self) -> None:
        others = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else []
        others = [name for name in others if not (name.startswith(".run.json.") and name.endswith(".tmp"))]
        others = [name for name in others if name != self.lock_file.name]
        if others:
            raise FileExistsError(
                f"{self.path}: holds {sorted(others)[0]!r} and no run.json, so no run made it; give a folder that "
                "is empty or not there"
            )

    def _check_same(self, beside: Sequence[str]) -> None:
        there = {name: value for name, value in read_json(self.settings_file).items() if name not in beside}
        differences = _differences(there, self.asked)
        if differences:
            shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
            more = len(differences) - _SHOWN_DIFFERENCES
            raise FileExistsError(
                f"{self.path}: holds another run: {shown}{f'; and {more} more' if more > 0 else ''}; give another "
                "folder, or delete this one"
            )


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
