"""A data set with noisy annotations, written once: labels, list, manifest and report."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from monai_iel import __version__
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.noisy_labels.calibrate import calibrate
from monai_iel.noisy_labels.case_list import CaseList, check_labels
from monai_iel.noisy_labels.manifest import read_manifest, write_manifest
from monai_iel.noisy_labels.named import ignore_index_of
from monai_iel.noisy_labels.one_case import Corruption, caption, remarks
from monai_iel.noisy_labels.page import Picture, fill_page, shown_cases
from monai_iel.noisy_labels.run_folder import CALIBRATION, RunFolder
from monai_iel.noisy_labels.workers import MapInOrder, map_in_order
from monai_iel.report import Report
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["NoisyDataset", "NoisyLabelWarning", "write_noisy_dataset"]

Result = TypeVar("Result")


class NoisyLabelWarning(UserWarning):
    """A label that cannot get the noise that was meant for it: it is empty, or lacks a class."""


@dataclass(frozen=True)
class NoisyDataset:
    """What a run wrote.

    Args:
        folder: the output folder.
        noise: at the strength that was applied.
        calibration: `Calibration.as_dict`; None where a strength was given.
        records: one per case, as in ``manifest.jsonl``.
    """

    folder: Path
    noise: LabelNoise
    calibration: Mapping[str, Any] | None
    records: Sequence[Mapping[str, Any]]

    @property
    def dataset_json(self) -> Path:
        """The new data list."""
        return self.folder / "dataset.json"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.folder / "report.html"


def write_noisy_dataset(
    datalist: str | os.PathLike[str],
    noise: LabelNoise,
    out: str | os.PathLike[str],
    *,
    sections: Sequence[str] = ("training",),
    target_dice: float | None = None,
    target_distance_mm: float | None = None,
    tolerance: float | None = None,
    preset: str | None = None,
    ignore_index: int | None = None,
    error_maps: bool = False,
    pictures: int = 40,
    workers: int = 1,
    progress: bool = True,
) -> NoisyDataset:
    """Write the labels of a data set with annotation noise, fixed per case.

    The folder gets ``labels/`` (files like the clean ones in all but their classes, see `LabelFile.rewrite`),
    ``dataset.json`` (clean images, noisy labels of ``sections``, clean labels of the others), ``manifest.jsonl`` and
    ``manifest.csv`` (per case noise, seed, strength and damage), ``calibration.json`` where a target is given,
    ``report.html``, and ``run.json`` with the settings.

    A run that was killed goes on where it was when it is called again with the same settings; a complete one is left as
    it is. The files are the same, byte for byte, for any number of workers and interruptions; they hold no times.
    Nothing is evaluated or written before every label was read once and found usable.

    The noise is that of the label as it is stored. Transforms that turn or resample labels before they apply the same
    noise in training give other annotations.

    Args:
        datalist: a Decathlon ``dataset.json``; see `load_datalist`.
        noise: applied at its strength, or, with a target, at the strength that reaches it.
        out: the output folder.
        sections: lists whose labels get noise; not ``"test"``.
        target_dice: see `calibrate`, which takes all cases that get noise.
        target_distance_mm: see `calibrate`.
        tolerance: see `calibrate`.
        preset: name of the preset that ``noise`` is, for the records.
        ignore_index: value of unknown voxels; that of the noise, if it has one.
        error_maps: write where the labels differ, into ``error_maps/``; see `LabelFile.error_map`.
        pictures: most cases that are shown in the report.
        workers: number of processes. Each holds one case. Above 1 a script needs ``if __name__ == "__main__":``.
        progress: show progress bars.

    Raises:
        FileExistsError: ``out`` holds another run, or other files; the message says what differs.
        FileNotFoundError: the data list, or a file that it names, is not there.
        UnreachableTargetError: no strength reaches the target; the message says what can be reached.
        ValueError: an argument is out of range, or, as ``CaseError``, a label cannot be used, or the noise refuses
            one; cases are named. ``out`` is left free for another attempt, unless labels were written already.
        ImportError: jinja2 or matplotlib is missing.

    Example::

        >>> import tempfile
        >>> from monai_iel import BumpLabelNoise
        >>> from monai_iel.data import make_phantom_dataset
        >>> folder = Path(tempfile.mkdtemp())
        >>> sizes = {"num_training": 2, "num_validation": 1, "num_test": 1}
        >>> source = make_phantom_dataset(folder / "clean", shape=(24, 28, 20), **sizes)
        >>> noise = BumpLabelNoise(radius=(2, 4), count=3)
        >>> result = write_noisy_dataset(source, noise, folder / "noisy", progress=False)
        >>> result.dataset_json.name, [0 < record["dice"] < 1 for record in result.records]
        ('dataset.json', [True, True])
    """
    cases = CaseList(Path(datalist), sections)
    report = Report("Annotation noise", f"{cases.content.get('name', cases.path.parent.name)}: {preset or noise.model}")
    ignore_index = ignore_index_of(noise) if ignore_index is None else ignore_index
    if pictures < 0:
        raise ValueError(f"pictures is {pictures}, expected 0 or more")
    asked = {
        "version": __version__,
        **cases.identity(),
        "sections": list(sections),
        "preset": preset,
        "noise": {"model": noise.model, "parameters": noise.parameters, "seed": noise.seed, "strength": noise.strength},
        "target_dice": target_dice,
        "target_distance_mm": target_distance_mm,
        "tolerance": tolerance,
        "ignore_index": ignore_index,
        "error_maps": error_maps,
        "pictures": pictures,
    }
    folder = RunFolder(Path(os.path.abspath(out)), asked)
    run = _Run(cases, noise, folder, progress)
    if folder.is_complete and run.has_all_labels:
        folder.finish()
        return run.result()
    with map_in_order(workers) as mapped:
        if folder.is_new:
            run.check(mapped)
            folder.start()
        try:
            if target_dice is not None or target_distance_mm is not None:
                run.calibrate(mapped, target_dice, target_distance_mm, tolerance)
            records = run.write_labels(mapped)
        except ValueError:  # the next attempt will have other settings, and could not use the folder
            folder.abandon()
            raise
        write_manifest(folder.path, records)
        run.write_page(report, records, mapped)
    run.write_list()
    folder.finish()
    return run.result()


class _Run:
    """The steps of `write_noisy_dataset`."""

    def __init__(self, cases: CaseList, noise: LabelNoise, folder: RunFolder, progress: bool) -> None:
        self.list, self.cases, self.noise, self.folder = cases, cases.cases, noise, folder
        self.progress = progress
        self._calibration = folder.path / CALIBRATION
        if self._calibration.is_file():
            self.noise = noise.at_strength(read_json(self._calibration)["strength"])

    @property
    def has_all_labels(self) -> bool:
        """Whether every noisy label is there."""
        return all((self.folder.path / case.target).is_file() for case in self.cases)

    def check(self, mapped: MapInOrder) -> None:
        """Read every label, and warn of what is empty or absent."""
        found = check_labels(self.cases, mapped, self.folder.asked["ignore_index"])
        for sentence in remarks([(case.case_id, numbers) for case, numbers in zip(self.cases, found, strict=True)]):
            warnings.warn(sentence, NoisyLabelWarning, stacklevel=3)

    def calibrate(
        self, mapped: MapInOrder, dice: float | None, distance: float | None, tolerance: float | None
    ) -> None:
        """Find the strength, unless it was found before."""
        if self._calibration.is_file():
            return
        found = calibrate(
            self.noise,
            [(case.case_id, case.label) for case in self.cases],
            target_dice=dice,
            target_distance_mm=distance,
            tolerance=tolerance,
            ignore_index=self.folder.asked["ignore_index"],
            progress=self.progress,
            known=self.folder.evaluations(),
            on_evaluation=self.folder.keep_evaluation,
            map_cases=mapped,
        )
        write_json(self._calibration, found.as_dict())
        self.noise = found.noise

    def write_labels(self, mapped: MapInOrder) -> list[dict[str, Any]]:
        """Write the noisy labels that are not there yet; return the records of all, in the order of the list."""
        records = {case.case_id: self.folder.load_record(case.case_id) for case in self.cases}
        left = [case for case in self.cases if records[case.case_id] is None]
        work = Corruption(self.noise, self.folder)
        done = self._shown(mapped(work, left), "noisy labels", len(left))
        records |= {case.case_id: record for case, record in zip(left, done, strict=True)}
        return [record for record in records.values() if record is not None]

    def write_page(self, report: Report, records: Sequence[Mapping[str, Any]], mapped: MapInOrder) -> None:
        """Write ``report.html``."""
        chosen = shown_cases(records, self.folder.asked["pictures"])
        drawn = mapped(Picture(self.folder.path), [self.cases[i] for i in chosen])
        captions = [caption(records[i]) for i in chosen]
        gallery = list(zip(self._shown(drawn, "pictures", len(chosen)), captions, strict=True))
        labels = self.list.content.get("labels") or {}
        names = labels if isinstance(labels, dict) else {str(i): name for i, name in enumerate(labels)}
        present = [
            (r["case"], [int(number) for number, one in r["classes"].items() if one["voxels"] + one["unknown"]])
            for r in records
        ]
        fill_page(
            report,
            records,
            gallery,
            class_names=names,
            warnings=remarks(present),
            calibration=self._calibrated(),
            details={**_flat_details(self.folder.asked), "applied": repr(self.noise)},
        )
        report.write(self.folder.path / "report.html")

    def write_list(self) -> None:
        """Write ``dataset.json``, the last of all files."""
        asked = self.folder.asked
        self.list.write(
            self.folder.path,
            {
                "preset": asked["preset"],
                **{**asked["noise"], "strength": self.noise.strength},
                "sections": asked["sections"],
            },
        )

    def result(self) -> NoisyDataset:
        """What was written."""
        return NoisyDataset(self.folder.path, self.noise, self._calibrated(), read_manifest(self.folder.path))

    def _calibrated(self) -> dict[str, Any] | None:
        return read_json(self._calibration) if self._calibration.is_file() else None

    def _shown(self, results: Iterable[Result], what: str, total: int) -> Iterable[Result]:
        bar: Iterable[Result] = tqdm(results, what, total, unit="case", disable=not self.progress)
        return bar


def _flat_details(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if not isinstance(value, dict) else json.dumps(value) for name, value in asked.items()}
