"""The data lists of a study: the clean ones, and those with noisy labels, written once for all cells."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from monai_iel.data import load_datalist
from monai_iel.data.datalist import read_json
from monai_iel.files import write_text
from monai_iel.locks import locked
from monai_iel.noisy_labels import NoisyLabelWarning, num_classes_of, write_noisy_dataset
from monai_iel.study.compare.cells import Cell
from monai_iel.study.compare.study import DataSet, Noise, slug
from monai_iel.study.runs import BundleRun

__all__ = ["DataLists"]

_NOISY = ("training", "validation")
_PICTURES = 12


@dataclass(frozen=True)
class DataLists:
    """The data lists of a study's folder.

    Several processes may prepare them at once: one does, the others wait.

    Args:
        folder: of the study.
    """

    folder: Path

    def prepare(self, cells: Iterable[Cell], workers: int = 1, progress: bool = True) -> None:
        """Make what the cells need and is not there.

        Raises:
            ValueError: a data set that cannot be used, a number of cases that it does not have, or a noise that does
                not reach its target.
            OSError: nothing can be written.
        """
        needed = list(cells)
        for data in {cell.data.name: cell.data for cell in needed}.values():
            self._check(data, [cell for cell in needed if cell.data.name == data.name])
        for data, noise in {(c.data.name, c.noise.name): (c.data, c.noise) for c in needed}.values():
            if noise.has_files:
                self._write(data, noise, workers, progress)

    def clean(self, data: DataSet) -> Path:
        """The data list with clean labels; that of an overlay which makes its own is made at the first call."""
        if data.dataset is not None:
            return data.dataset
        known = self.folder / "data" / f"{slug(data.name)}.json"
        if not known.is_file():
            with locked(known.with_suffix(".lock"), wait=True):
                settings = {"dataset_dir": str(self.folder / "data" / slug(data.name)), **data.settings}
                run = BundleRun(data.overlays, settings, self.folder / "data", data.bundle).with_own_settings()
                (found,) = run.content("@dataset_json")
                write_text(known, json.dumps(str(Path(found).resolve().relative_to(known.parent.resolve()))))
        return known.parent / json.loads(known.read_text())

    def of(self, data: DataSet, noise: Noise) -> Path:
        """The data list that is trained on."""
        return self._noisy_folder(data, noise) / "dataset.json" if noise.has_files else self.clean(data)

    def records(self, data: DataSet, noise: Noise) -> list[dict[str, Any]]:
        """What the noise did to each case, as in ``manifest.jsonl``; none where it has no files."""
        path = self._noisy_folder(data, noise) / "manifest.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def label_dice(self, data: DataSet, noise: Noise, number: int | None) -> dict[str, float]:
        """Mean Dice of the noisy labels by section, of the training cases that are used."""
        records = self.records(data, noise)  # in the order of the list
        found = {}
        for section, limit in zip(_NOISY, (number, None), strict=True):
            used = [record["dice"] for record in records if record["section"] == section][:limit]
            known = [dice for dice in used if dice is not None]
            if known:
                found[section] = fmean(known)
        return found

    def _noisy_folder(self, data: DataSet, noise: Noise) -> Path:
        return self.folder / "noisy" / slug(data.name) / slug(noise.name)

    def _check(self, data: DataSet, cells: list[Cell]) -> None:
        """Read every case once, and see that there are enough of them."""
        path = self.clean(data)
        run = BundleRun(data.overlays, data.settings, self.folder, data.bundle).with_own_settings()
        dims, classes, channels = run.content("@spatial_dims", "@num_classes", "@in_channels")
        for section in (*_NOISY, "test"):
            found = load_datalist(
                path, section, spatial_dims=dims, num_classes=classes, in_channels=channels, progress=False
            )
            for cell in cells:
                if section == "training" and (cell.cases.number or 0) > len(found):
                    raise ValueError(
                        f"cases: {cell.cases.number} training cases of {data.name} are asked for, and {path} has "
                        f"{len(found)}; ask for fewer, or for all"
                    )

    def _write(self, data: DataSet, noise: Noise, workers: int, progress: bool) -> None:
        path = self.clean(data)
        out = self._noisy_folder(data, noise)
        with locked(out.parent / f"{out.name}.lock", wait=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", NoisyLabelWarning)  # they stand in the report beside the labels
            try:
                write_noisy_dataset(
                    path,
                    noise.label_noise(data.name, num_classes_of(read_json(path))),
                    out,
                    sections=_NOISY,
                    preset=noise.preset,
                    pictures=_PICTURES,
                    workers=workers,
                    progress=progress,
                    target_dice=noise.target.get("target_dice"),
                    target_distance_mm=noise.target.get("target_distance_mm"),
                )
            except FileExistsError as error:
                raise FileExistsError(f"noise {noise.name!r} of {data.name!r} was changed: {error}") from error
            except ValueError as error:
                raise ValueError(f"noise {noise.name!r} of {data.name!r}: {error}") from error
