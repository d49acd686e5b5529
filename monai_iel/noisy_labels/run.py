"""The steps of a run, each of which finds what an interrupted run has done of it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.noisy_labels.calibrate import calibrate
from monai_iel.noisy_labels.case_list import CaseList
from monai_iel.noisy_labels.checks import check_ignore_index, check_labels
from monai_iel.noisy_labels.manifest import read_manifest
from monai_iel.noisy_labels.one_case import Corruption, caption, remark_of_no_change, remarks
from monai_iel.noisy_labels.page import Picture, fill_page, shown_cases
from monai_iel.noisy_labels.run_folder import CALIBRATION, RunFolder
from monai_iel.processes import MapInOrder
from monai_iel.report import Report
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["NoisyDataset", "NoisyLabelWarning", "Run"]

Result = TypeVar("Result")


class NoisyLabelWarning(UserWarning):
    """A label that cannot get the noise meant for it, as it is empty or lacks a class, or a noise that does nothing."""


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


class Run:
    """The steps of `write_noisy_dataset`, in the order in which they are done."""

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

    @property
    def has_all_records(self) -> bool:
        """Whether every case is done."""
        return all(self.folder.record_of(case.case_id).is_file() for case in self.cases)

    @property
    def files(self) -> list[str]:
        """What is written for the cases."""
        return [name for case in self.cases for name in (case.target, case.error_map)]

    def check(self, mapped: MapInOrder, noise: LabelNoise) -> None:
        """Read every label, try the noise on it, and warn of what is empty or absent."""
        ignore_index = self.folder.asked["ignore_index"]
        found = check_labels(self.cases, mapped, noise, ignore_index)
        check_ignore_index(ignore_index, self.list.content, (number for numbers in found for number in numbers))
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
        complete = [record for record in records.values() if record is not None]
        for sentence in remark_of_no_change(complete):
            warnings.warn(sentence, NoisyLabelWarning, stacklevel=3)
        return complete

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
            warnings=[*remarks(present), *remark_of_no_change(records)],
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
