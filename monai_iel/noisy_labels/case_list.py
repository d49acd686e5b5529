"""The cases of a run: their files, where the noisy labels go, and the new list."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_iel.data.building import MADE_BY, write_json
from monai_iel.data.datalist import load_datalist, read_json
from monai_iel.data.roots import write_roots
from monai_iel.files import digest
from monai_iel.noisy_labels.label_file import LabelFile

__all__ = ["CaseList", "NoisyCase", "class_names_of", "num_classes_of"]

_SECTIONS = ("training", "validation", "test")
_IGNORED = "ignore"  # nnU-Net's name for voxels of no class


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
        roots: folders outside that of the list in which files may lie; see `load_datalist`.

    Raises:
        FileNotFoundError: no such list, or (as ``MissingCaseFileError``) a label or image that is not there.
        ValueError: a section that is absent, empty or the test section, or a list that cannot be understood.
    """

    def __init__(
        self, path: Path, sections: Sequence[str], roots: Sequence[str | os.PathLike[str]] | None = None
    ) -> None:
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
                    self.path,
                    section,
                    spatial_dims=3,
                    require_labels=noisy,
                    check="files" if noisy else "off",
                    roots=roots,
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

        What else a list or an entry holds (a fold, an age) is kept as it is, but for names of files beside the image
        and the label, such as a mask: a text, alone or in a list, that names a file seen from the folder of this list
        is made to name it from ``out``.

        Args:
            out: the folder that the targets are relative to.
            noise: what the list says of the noise.
        """
        targets = {case.case_id: str(out / case.target) for case in self.cases}
        sections = {
            section: [
                self._written(raw, {**entry, "label": targets[entry["case_id"]]} if noisy else entry, out)
                for raw, entry in zip(self.content[section], entries, strict=True)
                for noisy in [entry["case_id"] in targets]
            ]
            for section, entries in self.entries.items()
        }
        lists = {name: sections.get(name, []) for name in (*_SECTIONS, *sections)}
        counts = {f"num{name.capitalize()}": len(lists[name]) for name in _SECTIONS}
        head = {"name": self.path.parent.name, **self.content, "made_by": MADE_BY, **counts}
        others = {key: value for key, value in head.items() if key not in lists}
        path = out / "dataset.json"
        write_roots(path, [entry for entries in lists.values() for entry in entries])
        write_json(path, {**others, "noise": dict(noise), **lists})

    def _written(self, raw: Any, entry: Mapping[str, str], out: Path) -> dict[str, Any]:
        """An entry of the new list: what ``raw`` holds, with the paths of ``entry``."""
        kept = raw if isinstance(raw, dict) else {}
        own = {"id": entry["case_id"], "image": _seen_from(out, entry["image"])}
        if "label" in entry:
            own["label"] = _seen_from(out, entry["label"])
        return {**own, **{key: self._moved(value, out) for key, value in kept.items() if key not in (*own, "label")}}

    def _moved(self, value: Any, out: Path) -> Any:
        """A value of an entry, with the files that it names as seen from ``out``."""
        if isinstance(value, list):
            return [self._moved(one, out) for one in value]
        if not isinstance(value, str) or os.path.isabs(value) or not os.path.isfile(self.path.parent / value):
            return value
        return _seen_from(out, os.path.abspath(self.path.parent / value))

    def label_digests(self) -> dict[str, dict[str, Any]]:
        """Size and SHA-256 of each label file that gets noise."""
        digests: dict[str, dict[str, Any]] = {}
        for path in dict.fromkeys(case.label.path for case in self.cases):
            digests[str(path)] = {"bytes": path.stat().st_size, "sha256": digest(path)}
        return digests

    def identity(self) -> dict[str, Any]:
        """What tells this list from another one."""
        return {"datalist": str(self.path), "datalist_sha256": digest(self.path)}


def _seen_from(folder: Path, path: str) -> str:
    """An absolute path, relative to a folder where it lies below it."""
    return Path(path).relative_to(folder).as_posix() if Path(path).is_relative_to(folder) else path


def _is_section(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "image" in one for one in value)


def _safe_name(case_id: str, label: Path) -> str:
    suffix = ".nii.gz" if label.name.lower().endswith(".nii.gz") else label.suffix
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", case_id)[:80]
    return f"{plain}-{hashlib.sha256(case_id.encode()).hexdigest()[:12]}{suffix}"


def num_classes_of(content: Mapping[str, Any]) -> int | None:
    """Return the number of classes that a data list declares with ``labels``, background included; None without."""
    names = class_names_of(content)
    return max(names) + 1 if names else None


def class_names_of(content: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of the classes that a data list declares with ``labels``, by their numbers.

    ``labels`` maps numbers to names, as in the Decathlon, or names to numbers, as of nnU-Net (without its "ignore"), or
    lists the names. Empty for anything else, such as nnU-Net's regions of several classes.

    >>> class_names_of({"labels": {"0": "background", "1": "liver"}})
    {0: 'background', 1: 'liver'}
    >>> class_names_of({"labels": {"background": 0, "liver": 1, "ignore": 2}})
    {0: 'background', 1: 'liver'}
    """
    labels = content.get("labels")
    if isinstance(labels, list):
        return {number: str(name) for number, name in enumerate(labels)}
    if not isinstance(labels, dict):
        return {}
    if all(str(number).isdecimal() for number in labels):
        return {int(number): str(name) for number, name in labels.items()}
    if all(type(number) is int and number >= 0 for number in labels.values()):
        return {number: str(name) for name, number in labels.items() if name != _IGNORED}
    return {}
