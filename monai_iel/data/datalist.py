"""Read and write the data list: a Decathlon ``dataset.json`` with training, validation and test sections."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeGuard

from monai_iel.data.building import MADE_BY, write_json
from monai_iel.data.checks import MAX_PROBLEMS, CaseError, check_cases, raise_together
from monai_iel.data.files import check_exists
from monai_iel.data.roots import Roots, write_roots

__all__ = ["load_datalist", "read_entry", "read_json", "write_datalist"]

Check = Literal["full", "files", "off"]


def load_datalist(
    path: str | os.PathLike[str],
    section: str,
    *,
    spatial_dims: int,
    num_classes: int | None = None,
    in_channels: int | None = None,
    require_labels: bool = True,
    check: Check = "full",
    limit: int | None = None,
    progress: bool = True,
    roots: Sequence[str | os.PathLike[str]] | None = None,
) -> list[dict[str, str]]:
    """The cases of one section of a ``dataset.json``, looked at before they are used.

    The list is data: nothing in it is ever evaluated. Relative paths are relative to the json file. Files that lie
    outside the json file's folder (absolute paths, ``..``, symbolic links) are refused unless their folder is allowed:
    see ``roots``.

    Args:
        path: the ``dataset.json``.
        section: ``"training"``, ``"validation"`` or ``"test"`` (or another list in the file).
        spatial_dims: 2 or 3.
        num_classes: number of classes with background; see `check_case`.
        in_channels: channels of the images; see `check_case`.
        require_labels: refuse entries without ``label``. With ``False`` an entry may also be a bare path.
        check: ``"full"`` reads every case (`check_cases`), ``"files"`` asks only whether the files are there, ``"off"``
            does neither.
        limit: the first so many cases only. Lists written here are in the order of the hash of the case ids.
        progress: show a progress bar with ``check="full"``.
        roots: further folders that files may lie in. By default those in the environment variable
            ``MONAI_IEL_DATA_ROOTS`` and, where that is not set, those in the file ``dataset.json.roots`` beside
            ``dataset.json``, which `write_datalist` writes; see `monai_iel.data.roots.Roots`.

    Returns:
        A dictionary per case: ``image`` and (where there is one) ``label``: absolute paths; ``case_id``: the entry's
        ``id``, else its image path relative to the json file, with forward slashes.

    Raises:
        FileNotFoundError: no such json file, or (as ``MissingCaseFileError``) no such image or label.
        ValueError: no valid json, no such section, an empty section, an entry that cannot be understood, or a case id
            that stands twice; as ``CaseError`` a case that fails the check, or (``OutsideError``) a file in a folder
            that is not allowed.
    """
    path = Path(os.path.abspath(path))
    if check not in ("full", "files", "off"):
        raise ValueError(f"check is {check!r}; expected 'full', 'files' or 'off'")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more, or None for all cases")
    where = f"{path}, section {section!r}"
    written = _section(read_json(path), path, section)
    if not written:
        raise ValueError(
            f"{where}: the list is empty; add entries of the form {{'image': ..., 'label': ...}}, "
            "or write the list again with a larger share for this section"
        )
    entries = [
        read_entry(raw, f"{where}, entry {index}", path.parent, require_labels) for index, raw in enumerate(written)
    ]
    _check_ids(entries, where)
    entries = entries[:limit]
    try:
        _for_each_file(entries, Roots(path, roots).check)
        if check == "full":
            check_cases(
                entries, spatial_dims=spatial_dims, num_classes=num_classes, in_channels=in_channels, progress=progress
            )
        elif check == "files":
            _for_each_file(entries, check_exists)
    except CaseError as error:
        raise type(error)(f"{where}: {error}") from error
    return entries


def write_datalist(
    path: str | os.PathLike[str],
    *,
    name: str,
    labels: Sequence[str] | Mapping[str, str],
    channel_names: Sequence[str] | Mapping[str, str],
    training: Iterable[Mapping[str, Any]],
    validation: Iterable[Mapping[str, Any]],
    test: Iterable[Mapping[str, Any]],
    **extra: Any,
) -> Path:
    """Write a data list in the Decathlon form, whole or not at all.

    Args:
        path: the file to write.
        name: name of the data set.
        labels: names of the classes, background first (or ``{"0": "background", ...}``).
        channel_names: names of the image channels (or ``{"0": ...}``); Decathlon's ``modality``.
        training: entries with ``image``, ``label`` (may be absent) and ``id`` or ``case_id``. Paths are written
            relative to the json file where they lie below its folder, else absolute, and their folders into
            ``dataset.json.roots``, so that `load_datalist` takes them; a relative one is taken as relative to the json
            file.
        validation: as ``training``.
        test: as ``training``.
        **extra: further top-level keys (``licence``, ``reference``, ...), anything that JSON can hold.

    Returns:
        The path written.

    Raises:
        ValueError: an entry without ``image`` or id, an id that stands twice, or an extra key that is written anyway.
    """
    path = Path(os.path.abspath(path))
    given = {"training": list(training), "validation": list(validation), "test": list(test)}
    written = {
        section: [_written(entry, f"{section}, entry {index}", path.parent) for index, entry in enumerate(entries)]
        for section, entries in given.items()
    }
    _check_ids([{"case_id": entry["id"]} for entries in written.values() for entry in entries], str(path))
    content: dict[str, Any] = {
        "name": name,
        "made_by": MADE_BY,
        "modality": _numbered(channel_names),
        "labels": _numbered(labels),
        "numTraining": len(written["training"]),
        "numValidation": len(written["validation"]),
        "numTest": len(written["test"]),
    }
    clash = sorted(set(extra) & (set(content) | set(written)))
    if clash:
        raise ValueError(f"the extra keys {', '.join(clash)} are written by write_datalist itself; choose other names")
    write_roots(path, [entry for entries in written.values() for entry in entries])
    write_json(path, {**content, **extra, **written})
    return path


def read_json(path: Path) -> dict[str, Any]:
    """The object in a json file; errors name the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, is no UTF-8 JSON, or no object.
    """
    check_exists(path, "give the path of a dataset.json, or write one with scripts/prepare_data.py")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: is not valid JSON ({error}); correct the file or write it again") from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); allow this user to read it") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected an object with lists of cases")
    return content


def _section(content: dict[str, Any], path: Path, section: str) -> list[Any]:
    if section in content and not isinstance(content[section], list):
        kind = type(content[section]).__name__
        raise ValueError(f"{path}, section {section!r}: is a {kind}, expected a list of cases")
    if section in content:
        return list(content[section])
    # Only lists of entries are sections; Decathlon files hold other keys too.
    there = [
        key
        for key, value in content.items()
        if isinstance(value, list) and all(isinstance(x, (dict, str)) for x in value)
    ]
    near = get_close_matches(section, there, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, there)) or 'no lists at all'}"
    raise ValueError(f"{path}: has no section {section!r}; {hint}")


def read_entry(raw: Any, where: str, folder: Path, require_labels: bool) -> dict[str, str]:
    """``image``, ``label`` and ``case_id`` of an entry of a list in ``folder``; ``where`` begins the errors.

    Raises:
        ValueError: it is no entry; the message says why.
    """
    if isinstance(raw, str):
        raw = {"image": raw}
    if not isinstance(raw, dict):
        raise ValueError(f"{where}: is a {type(raw).__name__}, expected an object with 'image' and 'label'")
    image, label = raw.get("image"), raw.get("label")
    if not _is_text(image):
        raise ValueError(f"{where}: 'image' is {image!r}, expected the path of one file; add it")
    case_id = raw.get("id", _relative_id(image, folder))
    if isinstance(case_id, int) and not isinstance(case_id, bool):
        case_id = str(case_id)
    if not _is_text(case_id):
        raise ValueError(f"{where} ({image}): 'id' is {case_id!r}, expected a text; correct it, or leave it out")
    entry = {"image": _absolute(image, folder), "case_id": case_id}
    if label is None and require_labels:
        raise ValueError(
            f"{where} ({case_id}): has no 'label'; add one, or load images alone with require_labels=False"
        )
    if label is not None:
        if not _is_text(label):
            raise ValueError(f"{where} ({case_id}): 'label' is {label!r}, expected the path of one file; correct it")
        entry["label"] = _absolute(label, folder)
    return entry


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that can be a path and be printed: JSON can hold others."""
    return isinstance(value, str) and value != "" and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


def _written(entry: Mapping[str, Any], where: str, folder: Path) -> dict[str, str]:
    case_id = entry.get("id") or entry.get("case_id")
    if not isinstance(case_id, str):
        raise ValueError(f"{where}: 'id' is {case_id!r}, expected a text; give each case an id")
    if not entry.get("image"):
        raise ValueError(f"{where} ({case_id}): has no 'image'; give the path of one file")
    paths = {key: _relative(str(entry[key]), folder) for key in ("image", "label") if entry.get(key)}
    return {"id": case_id, **paths}


def _for_each_file(entries: Sequence[Mapping[str, str]], check: Callable[[Path], object]) -> None:
    problems: list[CaseError] = []
    for entry in entries:
        try:
            for key in ("image", "label"):
                if key in entry:
                    check(Path(entry[key]))
        except CaseError as error:
            problems.append(type(error)(f"{error} (case {entry['case_id']!r})"))
        if len(problems) == MAX_PROBLEMS:
            break
    raise_together(problems, len(entries))


def _check_ids(entries: Iterable[Mapping[str, str]], where: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry["case_id"] in seen:
            raise ValueError(f"{where}: case id {entry['case_id']!r} stands twice; each case needs an id of its own")
        seen.add(entry["case_id"])


def _absolute(path: str, folder: Path) -> str:
    return os.path.abspath(folder / path)


def _relative(path: str, folder: Path) -> str:
    absolute = Path(_absolute(path, folder))
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _relative_id(image: str, folder: Path) -> str:
    inside = Path(_absolute(image, folder))
    return inside.relative_to(folder).as_posix() if inside.is_relative_to(folder) else posixpath.normpath(image)


def _numbered(names: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(names, Mapping):
        return {str(key): str(value) for key, value in names.items()}
    return {str(index): name for index, name in enumerate(names)}
