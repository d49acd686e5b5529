"""Which file in a folder holds the probabilities of which case."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from monai_iel.audit.case_list import AuditEntry, suffix_of
from monai_iel.data.checks import MAX_PROBLEMS, raise_together
from monai_iel.data.files import CaseError, MissingCaseFileError

__all__ = ["find_predictions"]

_ENDINGS = ("", "_prob", "_probs", "_probabilities", "_softmax", "_pred", "_seg")
_SUFFIXES = (".nii.gz", ".nii")
_FIRST_CHANNEL = "_0000"  # what nnU-Net adds to the names of images
_LONGEST_PART, _LONGEST_PATH = 255, 4095  # bytes; the system refuses to look for longer names


def find_predictions(folder: Path, entries: Sequence[AuditEntry], list_folder: Path) -> dict[str, Path]:
    """Find the file of each case: ``NAME.nii.gz`` or ``NAME.nii``, perhaps with an ending such as ``_probabilities``.

    NAME is the first of these for which there is a file:

    1. the case's id, slashes being folders, or underscores in their place;
    2. the path of the image below the folder of the list, without its ending; its file name alone (without ``_0000``);
    3. the same of the label.

    Endings are ``_prob``, ``_probs``, ``_probabilities``, ``_softmax``, ``_pred`` and ``_seg``.

    Args:
        folder: of the predictions.
        entries: the cases.
        list_folder: folder of the data list.

    Returns:
        Files by case id.

    Raises:
        FileNotFoundError: there is no such folder, or, as ``MissingCaseFileError``, cases without a file; up to 20 are
            named.
        CaseError: several files fit a case, or a file fits several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give that of the predictions")
    found: dict[str, Path] = {}
    of_file: dict[Path, str] = {}
    problems: list[CaseError] = []
    for entry in entries:
        try:
            path = _find(folder, entry, list_folder)
            other = of_file.setdefault(path, entry.case_id)
            if other != entry.case_id:
                raise CaseError(f"{path}: fits the cases {other!r} and {entry.case_id!r}; name predictions by case id")
            found[entry.case_id] = path
        except CaseError as error:
            problems.append(error)
        if len(problems) == MAX_PROBLEMS:
            break
    raise_together(problems, len(entries))
    return found


def _find(folder: Path, entry: AuditEntry, list_folder: Path) -> Path:
    for name in _names(entry, list_folder):
        there = [path for path in _files(folder, name) if path.is_file()]
        if len(there) > 1:
            raise CaseError(
                f"{there[0]}: fits case {entry.case_id!r}, and so does {there[1].name}; expected one file, remove the "
                "other"
            )
        if there:
            return there[0]
    tried = f"{next(_names(entry, list_folder))}.nii.gz"
    raise MissingCaseFileError(
        f"{folder / tried}: no such file, nor one by the name of the image or the label, of case {entry.case_id!r}; "
        "add its probabilities, or take the case out of the list"
    )


def _files(folder: Path, name: str) -> Iterator[Path]:
    for ending in _ENDINGS:
        for suffix in _SUFFIXES:
            path = Path(os.path.abspath(folder / f"{name}{ending}{suffix}"))
            if path.is_relative_to(os.path.abspath(folder)) and _can_exist(path):  # an id can hold anything
                yield path


def _can_exist(path: Path) -> bool:
    longest = max(_size(part) for part in path.parts)
    return longest <= _LONGEST_PART and _size(str(path)) <= _LONGEST_PATH


def _size(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))


def _names(entry: AuditEntry, list_folder: Path) -> Iterator[str]:
    stem = entry.case_id.removesuffix(suffix_of(entry.case_id))
    yield stem
    yield stem.replace("/", "_")
    for file in (entry.image, entry.label.path):
        path = file.with_name(file.name.removesuffix(suffix_of(file.name)))
        if path.is_relative_to(list_folder):
            yield path.relative_to(list_folder).as_posix()
        yield path.name
        yield path.name.removesuffix(_FIRST_CHANNEL)
