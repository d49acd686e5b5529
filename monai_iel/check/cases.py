"""The cases of a data list, and what the list says of all of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_iel.check.finding import Finding
from monai_iel.data.datalist import read_entry, read_json
from monai_iel.data.files import CaseError, ImageFile, open_image
from monai_iel.data.roots import OutsideError, Roots

__all__ = ["Case", "Expected", "expect", "read_cases"]

SECTIONS = ("training", "validation", "test")
_PROBED = 20


@dataclass(frozen=True)
class Case:
    """An entry of a data list; paths are absolute, ``label`` is ``""`` where there is none."""

    section: str
    case_id: str
    image: str
    label: str


@dataclass(frozen=True)
class Expected:
    """What every case is held against.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of an image; ``None``: one, or RGB for a picture.
        classes: names of the classes, by number; empty where none are declared.
    """

    spatial_dims: int
    in_channels: int | None
    classes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int | None:
        """Number of classes with background; ``None`` where none are declared."""
        return len(self.classes) or None

    def name(self, number: int) -> str:
        """A class for a message: its number and, where it has one, its name."""
        return f"{number} ({self.classes[number]})" if 0 <= number < len(self.classes) else str(number)


def read_cases(path: Path, roots: Roots) -> tuple[list[Case], list[Finding], dict[str, Any]]:
    """All cases of a list, what was found in the list itself, and the content of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no data list, or holds no cases.
    """
    content = read_json(path)
    sections = [key for key, value in content.items() if _is_section(key, value)]
    if not any(content[section] for section in sections):
        raise ValueError(
            f"{path}: holds no cases; expected lists 'training', 'validation' or 'test' of entries of the form "
            "{'image': ..., 'label': ...}"
        )
    cases: list[Case] = []
    findings: list[Finding] = []
    for section in sections:
        if not content[section]:
            findings.append(Finding("empty-section", f"section {section!r} holds no cases", section))
        ids: set[str] = set()
        for index, raw in enumerate(content[section]):
            try:
                entry = read_entry(raw, f"entry {index}", path.parent, False)
            except ValueError as error:
                findings.append(Finding("bad-entry", str(error), section))
                continue
            case = Case(section, entry["case_id"], entry["image"], entry.get("label", ""))
            if case.case_id in ids:
                message = "the id stands twice in this section; each case needs an id of its own"
                findings.append(Finding("duplicate-id", message, section, case.case_id))
            ids.add(case.case_id)
            cases += _allowed(case, roots, findings)
    return cases, [*findings, *_about_labels(cases), *_about_outside(cases, roots)], content


def _is_section(key: str, value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return key in SECTIONS or any(isinstance(entry, dict) and "image" in entry for entry in value)


def _allowed(case: Case, roots: Roots, findings: list[Finding]) -> list[Case]:
    """The case without what may not be read; no case where that is its image."""
    kept = {"image": case.image, "label": case.label}
    for key in [key for key, file in kept.items() if file]:
        try:
            roots.check(kept[key])
        except OutsideError as error:
            message = str(error).removeprefix(f"{kept[key]}: ")
            findings.append(Finding("outside", message, case.section, case.case_id, kept[key]))
            kept[key] = ""
    return [replace(case, label=kept["label"])] if kept["image"] else []


def _about_labels(cases: Sequence[Case]) -> list[Finding]:
    findings = []
    for section in dict.fromkeys(case.section for case in cases):
        without = [case for case in cases if case.section == section and not case.label]
        if section in ("training", "validation"):
            message = "has no label that may be read; add one, or move the case to the test section"
            findings += [Finding("missing-label", message, section, case.case_id, case.image) for case in without]
        elif without:
            findings.append(Finding("unlabelled", f"{len(without)} cases have no label", section))
    return findings


def _about_outside(cases: Sequence[Case], roots: Roots) -> list[Finding]:
    files = [file for case in cases for file in (case.image, case.label) if file]
    outside = {os.path.dirname(os.path.realpath(file)) for file in files if not roots.is_own(file)}
    findings = [Finding("roots-file", sentence) for sentence in roots.unused]
    if outside:
        count = f"{len(outside)} folder{'s' if len(outside) > 1 else ''}"
        message = f"{count}, allowed by {roots.source}: {', '.join(sorted(outside))}"
        if roots.by_file:
            message += "; look at them, and allow them by --root, if this folder came from somebody else"
        findings.append(Finding("roots-file" if roots.by_file else "outside-allowed", message))
    return findings


def expect(
    cases: Sequence[Case], content: dict[str, Any], *, spatial_dims: int | None, num_classes: int | None
) -> Expected:
    """What the list declares; the number of axes, where it is not given, from the headers of some cases.

    Raises:
        ValueError: ``spatial_dims`` is neither 2 nor 3.
    """
    if spatial_dims not in (None, 2, 3):
        raise ValueError(f"spatial_dims is {spatial_dims!r}; expected 2 or 3")
    declared = _names(content.get("channel_names", content.get("modality")))
    channels = len(declared) if len(declared) > 1 else None
    classes = _names(content.get("labels"))
    if num_classes is not None:
        classes = tuple(classes[i] if i < len(classes) else f"class {i}" for i in range(num_classes))
    if spatial_dims is None:
        step = max(1, len(cases) // _PROBED)
        votes = Counter(_axes(case, channels) for case in cases[::step])
        spatial_dims = 2 if votes[2] > votes[3] else 3
    return Expected(spatial_dims, channels, classes)


def _names(written: Any) -> tuple[str, ...]:
    """Names by number, of ``{"0": name}``, ``{name: 0}`` or ``[name]``; empty for anything else."""
    if isinstance(written, list):
        return tuple(str(name) for name in written)
    if not isinstance(written, dict):
        return ()
    if all(str(key).isdecimal() for key in written):
        numbered = {int(key): str(name) for key, name in written.items()}
    elif all(isinstance(number, int) for number in written.values()):
        numbered = {number: str(name) for name, number in written.items()}
    else:
        return ()
    return tuple(numbered.values()) if sorted(numbered) == list(range(len(numbered))) else ()


def _axes(case: Case, channels: int | None) -> int:
    """2 or 3, by the header of an image; 0 where it cannot be read."""
    try:
        image: ImageFile = open_image(Path(case.image))
    except CaseError:
        return 0
    shape = image.shape
    flat = len(shape) == 2 or (len(shape) > 2 and (shape[2] == 1 or (channels and shape[2:] == (channels,))))
    return 2 if image.is_picture or flat else 3
