"""Run one cell: its training and all evaluations of its network, or what is left of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_iel.data import load_datalist
from monai_iel.data.building import write_json
from monai_iel.locks import locked
from monai_iel.resources import bundle_root, overlay
from monai_iel.study.compare.cells import Cell, Evaluation, evaluations_of
from monai_iel.study.compare.curves import CURVES, write_curves
from monai_iel.study.compare.datasets import DataLists
from monai_iel.study.compare.study import Method, Study
from monai_iel.study.quiet import LOG, quietly
from monai_iel.study.runs import EVALUATED, BundleRun, files_of, root_cause

__all__ = ["CellRun", "Outcome", "look_again", "run_cell"]

_WEIGHTS = {"last": "model_last.pt", "best": "model.pt"}
_DONE, _FAILED = "cell.json", "failed.txt"
_TUNED, _TUNED_EVALUATE = "tuned.yaml", "tuned_evaluate.yaml"  # as monai-iel tune names them
_PACKAGES = ("monai-iel", "monai", "torch", "pytorch-ignite")


@dataclass(frozen=True)
class Outcome:
    """How a cell went.

    Args:
        cell: which.
        state: ``"done"``, ``"reused"``, ``"failed"``, ``"busy"`` (another process has it), or ``"waits"`` for the
            trainings that it is chosen from.
        seconds: that it took.
        reason: of a failure.
    """

    cell: Cell
    state: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class CellRun:
    """A cell of a study in its folder.

    ``train/`` and ``evaluate-.../`` are those of the bundle; ``cell.json`` is written last, and holds the key of all
    that the results depend on.
    """

    study: Study
    cell: Cell
    study_folder: Path

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.cell.folder(self.study_folder)

    @property
    def evaluations(self) -> list[Evaluation]:
        """What is evaluated."""
        return evaluations_of(self.study, self.cell)

    @property
    def tuned(self) -> Path:
        """Folder of the overlays of a tuned method, for all seeds of a data set, noise and number of cases."""
        return self.study_folder / "tuned" / Path(self.cell.name).parent

    @property
    def waits(self) -> bool:
        """Whether its overlays have to be chosen and written first."""
        return self.cell.method.tuned and not (self.tuned / _TUNED).is_file()

    def bundle_run(self) -> BundleRun:
        """The training as a run of its bundle."""
        cell, method = self.cell, self.cell.method
        lists = DataLists(self.study_folder)
        overlays = (*cell.data.overlays, *cell.noise.overlays, *method.overlays)
        if method.tuned:
            overlays = (*overlays, str(self.tuned / _TUNED))
        settings = {
            **self._settings(method),
            "dataset_json": str(lists.of(cell.data, cell.noise)),
            "num_training_cases": cell.cases.number,
            "seed": cell.seed,
        }
        if self.study.watch:
            overlays = (*overlays, "watch")
            settings["watch_interval"] = self.study.watch
        run = BundleRun(overlays, settings, self.folder, cell.data.bundle, surroundings={"threads": self.study.threads})
        return run.with_own_settings()

    def is_done(self) -> bool:
        """Whether all of it is there, made by the same settings, versions and files."""
        done = None if self.waits else self.finished()
        return done is not None and done["key"] == self.key()

    def finished(self) -> dict[str, Any] | None:
        """What is written when all is done (key, seconds of the training); None where an evaluation is missing."""
        path = self.folder / _DONE
        if not path.is_file() or not all(self.evaluated(evaluation.name) for evaluation in self.evaluations):
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def evaluated(self, evaluation: str) -> Path | None:
        """Folder of an evaluation, by its name; None where it is not done."""
        folder = self.folder / evaluation
        return folder if (folder / EVALUATED).is_file() else None

    def state(self) -> str:
        """``"done"``, ``"failed"``, ``"changed"`` (done, by other settings, versions or files), ``"begun"``,
        ``"waits"`` (for a choice) or ``"-"``.

        Looks at files alone; a data set that is not made yet is not made.
        """
        if self.waits:
            return "waits"
        if self.finished() is not None:
            return "done" if self.is_done() else "changed"
        if (self.folder / _FAILED).is_file():
            return "failed"
        return "begun" if (self.folder / LOG).is_file() else "-"

    def key(self) -> str:
        """Changes with all that the results depend on, but not with where the folder lies."""
        run = self.bundle_run()
        settings = {name: value for name, value in run.settings.items() if name != "dataset_json"}
        configs = bundle_root(run.bundle) / "configs"
        parts = [
            [_text(configs / f"{name}.yaml") for name in ("train", "evaluate")],
            [_text(overlay(name)) for name in run.overlays],
            settings,
            [[e.name, *self._correction(e)[1:]] for e in self.evaluations],
            self.study.threads,
            [version(name) for name in _PACKAGES],
            _files_of(Path(run.settings["dataset_json"])),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def execute(self) -> None:
        """Train and evaluate what is not done; a training that was interrupted goes on from its checkpoint."""
        run = self.bundle_run()
        seconds = run.train(resume=True)
        self.evaluate(run)
        write_curves(self.folder / "train", self.folder / CURVES)
        for name in ("checkpoint.pt", "checkpoint_previous.pt"):
            (self.folder / "train" / name).unlink(missing_ok=True)
        write_json(self.folder / _DONE, {"key": self.key(), "cell": self.cell.words, "train_seconds": seconds})

    def evaluate(self, run: BundleRun) -> None:
        """Evaluate what is not done of the trained network."""
        for evaluation in self.evaluations:
            after, _, own = self._correction(evaluation)
            name = evaluation.name.removeprefix("evaluate-")
            run.evaluate_once(name, weights=_WEIGHTS[evaluation.epoch], overlays=after, **own)

    def _correction(self, evaluation: Evaluation) -> tuple[tuple[str, ...], list[str], dict[str, Any]]:
        """Overlays of an evaluation, their texts, and its own settings."""
        method = evaluation.method
        own = {} if method.trains else {**method.settings, **method.of_data.get(self.cell.data.name, {})}
        after = method.after
        if method.tuned and (self.tuned / _TUNED_EVALUATE).is_file():
            after = (*after, str(self.tuned / _TUNED_EVALUATE))
        return after, [_text(overlay(name)) for name in after], own

    def _settings(self, method: Method) -> dict[str, Any]:
        cell = self.cell
        layers: Sequence[Mapping[str, Any]] = (
            {"check_data": "files"},  # every case was read when the study began
            self.study.settings,
            cell.data.settings,
            cell.cases.settings,
            cell.noise.settings,
            method.settings,
            method.of_data.get(cell.data.name, {}),
        )
        return {name: value for layer in layers for name, value in layer.items()}


def run_cell(study: Study, cell: Cell, study_folder: Path) -> Outcome:
    """Run a cell, unless it is done or another process has it; what it prints goes into its ``log.txt``.

    A cell that fails is written down with its reason and does not end the study; the next run tries it again.
    """
    start = time.perf_counter()
    run = CellRun(study, cell, study_folder)
    if run.waits:
        return Outcome(cell, "waits", 0.0, "waits for the trainings that it is chosen from")
    with locked(run.folder / ".lock", wait=False) as mine:
        if not mine:
            return Outcome(cell, "busy", 0.0)
        if run.is_done():
            return Outcome(cell, "reused", time.perf_counter() - start)
        (run.folder / _DONE).unlink(missing_ok=True)
        (run.folder / _FAILED).unlink(missing_ok=True)
        try:
            with quietly(run.folder / LOG, study.threads):
                run.execute()
        except (RuntimeError, ValueError, TypeError, OSError, ArithmeticError) as error:
            cause = root_cause(error)
            reason = f"{type(cause).__name__}: {cause}"
            (run.folder / _FAILED).write_text(reason + "\n", encoding="utf-8")
            return Outcome(cell, "failed", time.perf_counter() - start, reason)
    return Outcome(cell, "done", time.perf_counter() - start)


def look_again() -> None:
    """Forget the data sets' files, which may have changed since an earlier run of this process."""
    _files_of.cache_clear()


def _text(path: Path) -> str:
    found = path.stat()
    return _text_at(path, found.st_mtime_ns, found.st_size)


@cache
def _text_at(path: Path, _mtime_ns: int, _size: int) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _files_of(dataset_json: Path) -> list[Any]:
    """What `files_of` gives of all sections, each row headed by its section."""
    sections = ("training", "validation", "test")
    lists = {name: load_datalist(dataset_json, name, spatial_dims=2, check="off") for name in sections}
    return [[name, *row] for name, cases in lists.items() for row in files_of(cases)]
