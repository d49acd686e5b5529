"""The folder of a run: what was asked for, what is done, and whether it is the same run at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_iel.data.datalist import read_json
from monai_iel.data.settings_folder import SettingsFolder, hashed_name
from monai_iel.files import write_text
from monai_iel.noisy_labels.calibrate import Evaluation

__all__ = ["CALIBRATION", "RunFolder"]

CALIBRATION = "calibration.json"
_LABEL_FILES = "label_files"  # in run.json, beside what was asked for


class RunFolder(SettingsFolder):
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
        super().__init__(path, asked, beside=[_LABEL_FILES])
        self.dataset_json = path / "dataset.json"
        self._records = path / ".records"
        self._evaluations = self._records / "evaluations.jsonl"
        self._has_cases = self.dataset_json.is_file() or any(self._records.glob("*.json"))  # of an earlier call
        if not self.is_complete:
            self.check_writable()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be done."""
        return not self.is_new and self.dataset_json.is_file()

    def check_label_files(self, digests: Mapping[str, Any]) -> None:
        """Refuse to go on with clean labels that are not those that the run began with.

        Raises:
            FileExistsError: a label file has changed; it is named.
        """
        known = {} if self.is_new else read_json(self.settings_file).get(_LABEL_FILES, {})
        changed = [name for name, digest in known.items() if digests.get(name) != digest]
        if changed:
            more = len(changed) - 1
            raise FileExistsError(
                f"{self.path}: holds a run of other labels: {changed[0]}{f' (and {more} more)' if more else ''} has "
                "changed since; restore the file, give another folder, or delete this one"
            )

    def start(self, digests: Mapping[str, Any]) -> None:
        """Write down what was asked for, and the digests of the clean label files."""
        self.write_settings(**{_LABEL_FILES: dict(digests)})

    def abandon(self, files: Iterable[str]) -> None:
        """Leave the folder free for another run, unless an earlier call has done cases.

        Removed is what the run itself wrote, and no file else.

        Args:
            files: labels and error maps of the run, relative to the folder.
        """
        if self.is_new or self._has_cases:
            return
        shutil.rmtree(self._records, ignore_errors=True)
        self.sweep()
        made = [self.path / name for name in files]
        for file in (*made, self.settings_file, self.path / CALIBRATION):
            file.unlink(missing_ok=True)
        inside = {parent for file in made for parent in file.parents if parent.is_relative_to(self.path)}
        for folder in sorted({*inside, self.path}, key=lambda one: len(one.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def finish(self) -> None:
        """Remove what only a run that is not complete needs."""
        shutil.rmtree(self._records, ignore_errors=True)
        self.sweep()

    def record_of(self, case_id: str) -> Path:
        """File that says that a case is done; case ids may hold any character, so it is named by their hash."""
        return self._records / f"{hashed_name(case_id)}.json"

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
