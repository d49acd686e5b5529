"""The cases of an audit, as the data list names them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_iel.audit.groups import ImageDigests, name_groups
from monai_iel.data.datalist import load_datalist, read_json
from monai_iel.data.settings_folder import hashed_name
from monai_iel.noisy_labels import LabelFile, class_names_of, num_classes_of

__all__ = ["AuditEntry", "AuditList", "suffix_of"]

_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_PLAIN_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class AuditEntry:
    """A case of the list.

    Args:
        case_id: its id.
        section: the list that it stands in.
        group: cases of one group are never judged by a network that learnt from another of them.
        image: its image file.
        label: its label.
        name: path of its files below a folder for all cases, without an ending.
    """

    case_id: str
    section: str
    group: str
    image: Path
    label: LabelFile
    name: str

    @property
    def suffix(self) -> str:
        """Ending of files in the label's format."""
        return suffix_of(self.label.path.name) or self.label.path.suffix


class AuditList:
    """The labelled cases of some sections of a data list.

    Cases belong together where their entries have the same value of ``group_key``, or the same image: under whatever
    name, through a link or as a copy. What belongs together with a third case does too; see `name_groups`.

    Args:
        path: the ``dataset.json``.
        sections: whose labels are audited.
        group_key: key of the entries that names what they share, such as the patient.
        roots: folders outside that of the list in which files may lie; see `load_datalist`.

    Raises:
        FileNotFoundError: no such list, or (as ``MissingCaseFileError``) a label or image that is not there.
        ValueError: a section that is absent or empty, a case id in two of them, or a list that cannot be understood.
    """

    def __init__(
        self,
        path: Path,
        sections: Sequence[str],
        *,
        group_key: str = "patient",
        roots: Sequence[str | os.PathLike[str]] | None = None,
    ) -> None:
        if not sections or len(set(sections)) < len(sections):
            raise ValueError(f"sections is {list(sections)}, expected one or more, each once, such as 'training'")
        self.path = Path(os.path.abspath(path))
        self.sections = tuple(sections)
        self.group_key = group_key
        self.roots = roots
        self.content = read_json(self.path)
        self._digest_of = ImageDigests()
        found = [(section, *pair) for section in sections for pair in self._read(section)]
        self._check_ids([(section, entry["case_id"]) for section, _, entry in found])
        names = _names([entry["case_id"] for _, _, entry in found])
        groups = self._groups([(raw, entry) for _, raw, entry in found])
        self.entries = [
            AuditEntry(entry["case_id"], section, group, Path(entry["image"]), LabelFile(Path(entry["label"])), name)
            for (section, _, entry), group, name in zip(found, groups, names, strict=True)
        ]

    @property
    def num_classes(self) -> int | None:
        """What the list declares, with the background."""
        return num_classes_of(self.content)

    @property
    def title(self) -> str:
        """Name of the data set."""
        return str(self.content.get("name") or self.path.parent.name)

    def image_digests(self) -> dict[str, str]:
        """Case id -> SHA-256 of the image; each file is read once."""
        return {entry.case_id: self._digest_of(entry.image) for entry in self.entries}

    def class_names(self, num_classes: int, others: Sequence[str] = ()) -> tuple[str, ...]:
        """Names of the classes: those of the list, else ``others`` if they are as many, else numbers."""
        known = class_names_of(self.content)
        if not known and len(others) == num_classes:
            return tuple(others)
        return tuple(known.get(i, f"class {i}" if i else "background") for i in range(num_classes))

    def check_in_full(self, *, spatial_dims: int, num_classes: int, in_channels: int, progress: bool) -> None:
        """Read every case once, before a training does; see `load_datalist`.

        Raises:
            CaseError: cases cannot be used; they are named.
        """
        for section in self.sections:
            load_datalist(
                self.path,
                section,
                spatial_dims=spatial_dims,
                num_classes=num_classes,
                in_channels=in_channels,
                progress=progress,
                roots=self.roots,
            )

    def _read(self, section: str) -> list[tuple[Any, dict[str, str]]]:
        entries = load_datalist(self.path, section, spatial_dims=3, check="files", roots=self.roots)
        return list(zip(self.content[section], entries, strict=True))

    def _check_ids(self, found: Sequence[tuple[str, str]]) -> None:
        where: dict[str, str] = {}
        for section, case_id in found:
            before = where.setdefault(case_id, section)
            if before != section:
                raise ValueError(
                    f"{self.path}: case id {case_id!r} stands in the sections {before!r} and {section!r}; each case "
                    "needs an id of its own"
                )

    def _groups(self, found: Sequence[tuple[Any, Mapping[str, str]]]) -> list[str]:
        patients: list[str | None] = []
        for raw, entry in found:
            value = raw.get(self.group_key) if isinstance(raw, dict) else None
            if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int)) or value == ""):
                raise ValueError(
                    f"{self.path}: {self.group_key!r} of case {entry['case_id']!r} is {value!r}, expected a text or a "
                    "number; correct it, or leave it out"
                )
            patients.append(None if value is None else f"{self.group_key} {value}")
        if self.group_key != "patient" and not any(patients):
            raise ValueError(f"{self.path}: no entry has {self.group_key!r}; give the key that names what cases share")
        entries = [entry for _, entry in found]
        images = [Path(entry["image"]) for entry in entries]
        return name_groups([entry["case_id"] for entry in entries], patients, images, self._digest_of)


def suffix_of(name: str) -> str:
    """The ending of an image file, as it is written; empty for another one."""
    found = next((suffix for suffix in _IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[len(name) - len(found) :]


def _names(case_ids: Sequence[str]) -> list[str]:
    """Paths for the files of cases: the ids where they are plain paths and no two the same, else with a hash."""
    plain = [case_id.removesuffix(suffix_of(case_id)) for case_id in case_ids]
    lower = [name.lower() for name in plain]
    names = []
    for case_id, name in zip(case_ids, plain, strict=True):
        is_plain = all(_PLAIN_PART.fullmatch(part) for part in name.split("/"))
        if not is_plain or lower.count(name.lower()) > 1:
            name = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:80]}-{hashed_name(case_id)[:12]}"
        names.append(name)
    return names
