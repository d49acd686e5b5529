"""The cases of a run: their files, where the noisy labels go, and a look at all of them before anything is written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_iel.data.checks import MAX_PROBLEMS, raise_together
from monai_iel.data.datalist import load_datalist, read_json, write_datalist
from monai_iel.data.files import CaseError, open_image
from monai_iel.noisy_labels.label_file import LabelFile
from monai_iel.noisy_labels.workers import MapInOrder

__all__ = ["CaseList", "NoisyCase", "check_labels", "num_classes_of"]

_SECTIONS = ("training", "validation", "test")
# Keys that `write_datalist` writes itself, and names of its arguments.
_WRITTEN = {
    *("name", "made_by", "modality", "channel_names", "labels", "numTraining", "numValidation", "numTest"),
    *(*_SECTIONS, "noise", "path"),
}


@dataclass(frozen=True)
class NoisyCase:
    """A case whose label gets noise.

    Args:
        case_id: its id in the data list.
        section: the list that it stands in.
        image: its image file.
        label: its clean label.
        target: path of the noisy label relative to the output folder, with forward slashes.
    """

    case_id: str
    section: str
    image: Path
    label: LabelFile
    target: str

    @property
    def error_map(self) -> str:
        """Path of the error map relative to the output folder."""
        return self.target.replace("labels/", "error_maps/", 1)


class CaseList:
    """A data list, with the cases of some sections to be made noisy.

    Noisy labels keep the paths that the clean ones have below the deepest folder that holds them all. Where two cases
    share a label file they are named by their ids. Either way they lie below ``labels``, whatever an id holds.

    Args:
        path: the ``dataset.json``.
        sections: those whose labels get noise.

    Raises:
        FileNotFoundError: no such list, or (as ``MissingCaseFileError``) a label or image that is not there.
        ValueError: a section that is absent, empty or the test section, or a list that cannot be understood.
    """

    def __init__(self, path: Path, sections: Sequence[str]) -> None:
        if not sections or "test" in sections or len(set(sections)) < len(sections):
            raise ValueError(
                f"sections is {list(sections)}, expected sections such as 'training' and 'validation', each once; the "
                "labels of the test section stay clean"
            )
        self.path = Path(os.path.abspath(path))
        self.content = read_json(self.path)
        self.entries: dict[str, list[dict[str, str]]] = {}
        lists = [name for name, value in self.content.items() if _is_section(value)]
        for section in dict.fromkeys([*sections, *_SECTIONS, *lists]):
            noisy = section in sections
            if noisy or self.content.get(section):
                self.entries[section] = load_datalist(
                    self.path, section, spatial_dims=3, require_labels=noisy, check="files" if noisy else "off"
                )
        self._check_ids(sections)
        self.cases = self._cases(sections)

    def _check_ids(self, sections: Sequence[str]) -> None:
        where: dict[str, str] = {}
        for section in dict.fromkeys([*sections, *_SECTIONS]):
            for entry in self.entries.get(section, []):
                before = where.setdefault(entry["case_id"], section)
                if before != section:
                    raise ValueError(
                        f"{self.path}: case id {entry['case_id']!r} stands in the sections {before!r} and {section!r}; "
                        "each case needs an id of its own"
                    )

    def _cases(self, sections: Sequence[str]) -> list[NoisyCase]:
        chosen = [(section, entry) for section in sections for entry in self.entries[section]]
        labels = [Path(entry["label"]) for _, entry in chosen]
        if len(set(labels)) == len(labels):
            top = Path(os.path.commonpath([label.parent for label in labels]))
            targets = [label.relative_to(top).as_posix() for label in labels]
        else:
            targets = [_safe_name(entry["case_id"], Path(entry["label"])) for _, entry in chosen]
        return [
            NoisyCase(
                entry["case_id"], section, Path(entry["image"]), LabelFile(Path(entry["label"])), f"labels/{name}"
            )
            for (section, entry), name in zip(chosen, targets, strict=True)
        ]

    def write(self, out: Path, noise: Mapping[str, Any]) -> None:
        """Write ``dataset.json`` into ``out``: this list, with the noisy labels in place of the clean ones.

        Args:
            out: the folder that the targets are relative to.
            noise: what the list says of the noise.
        """
        targets = {case.case_id: str(out / case.target) for case in self.cases}
        sections: dict[str, list[dict[str, str]]] = {name: [] for name in _SECTIONS}
        for name, entries in self.entries.items():
            sections[name] = [
                {**entry, "label": targets[entry["case_id"]]} if entry["case_id"] in targets else entry
                for entry in entries
            ]
        main = {name: sections.pop(name) for name in _SECTIONS}
        others = {
            name: [{("id" if key == "case_id" else key): value for key, value in entry.items()} for entry in entries]
            for name, entries in sections.items()
        }
        write_datalist(
            out / "dataset.json",
            name=str(self.content.get("name", self.path.parent.name)),
            labels=self.content.get("labels") or {},
            channel_names=self.content.get("modality") or self.content.get("channel_names") or {},
            **main,
            **{key: value for key, value in self.content.items() if key not in _WRITTEN and key not in others},
            **others,
            noise=dict(noise),
        )

    def identity(self) -> dict[str, Any]:
        """What tells this list from another one."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"datalist": str(self.path), "datalist_sha256": digest}


def _is_section(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "image" in one for one in value)


def _safe_name(case_id: str, label: Path) -> str:
    suffix = ".nii.gz" if label.name.lower().endswith(".nii.gz") else label.suffix
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", case_id)[:80]
    return f"{plain}-{hashlib.sha256(case_id.encode()).hexdigest()[:12]}{suffix}"


def num_classes_of(content: Mapping[str, Any]) -> int | None:
    """Return the number of classes that a data list declares with ``labels``, background included; None without."""
    labels = content.get("labels")
    if isinstance(labels, list) and labels:
        return len(labels)
    if isinstance(labels, dict) and labels and all(str(number).isdecimal() for number in labels):
        return max(int(number) for number in labels) + 1
    return None


def check_labels(cases: Sequence[NoisyCase], mapped: MapInOrder, ignore_index: int | None = None) -> list[list[int]]:
    """Read every label once; return the classes in each, without 0 and ``ignore_index``.

    Raises:
        CaseError: one or more labels cannot be used, or do not fit to their images; up to 20 are named.
    """
    problems: list[CaseError] = []
    classes: list[list[int]] = []
    for case, found in zip(cases, mapped(_classes_or_problem, cases), strict=True):
        if isinstance(found, str):
            problems.append(CaseError(f"{found} (case {case.case_id!r})"))
        else:
            classes.append([number for number in found if number != ignore_index])
        if len(problems) == MAX_PROBLEMS:
            break
    raise_together(problems, len(cases))
    return classes


def _classes_or_problem(case: NoisyCase) -> list[int] | str:
    try:
        label, _ = case.label.read()
        image = open_image(case.image)
    except CaseError as error:
        return str(error)
    shape = image.shape[1::-1] if image.is_picture else image.shape[: label.ndim]
    if shape != label.shape:
        return (
            f"{case.label.path}: the label has shape {label.shape}, its image {case.image.name} {image.shape}; "
            "resample the label to its image, or pair the right files"
        )
    if label.min(initial=0) < 0:
        return f"{case.label.path}: found class {label.min()}, expected 0 or more; renumber the classes"
    return [int(number) for number in np.unique(label) if number]
