"""What the picture data sets share: reading a published folder, cutting it by hash, writing PNG files and the list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from monai_iel.data.building import building_folder
from monai_iel.data.checks import CaseError, check_case
from monai_iel.data.datalist import write_datalist
from monai_iel.data.files import MissingCaseFileError, read_picture
from monai_iel.data.splits import Amount, split_by_hash

__all__ = [
    "Description",
    "PathLike",
    "PictureCase",
    "binary_map",
    "checked_source",
    "class_map",
    "files_below",
    "grey_map",
    "paired_files",
    "split_published",
    "write_pictures",
]

PathLike = str | os.PathLike[str]
Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PictureCase:
    """One case in its published form.

    Args:
        case_id: becomes the file name and the ``id`` in the list.
        image: the picture; named in errors.
        mode: Pillow's mode that the image is converted to, ``"L"`` or ``"RGB"``.
        read_label: gives the class map (H, W); ``None`` for a case without one.
    """

    case_id: str
    image: Path
    mode: str
    read_label: Callable[[], Values] | None


@dataclass(frozen=True)
class Description:
    """What the list says about the data set as a whole."""

    name: str
    labels: Sequence[str]
    channel_names: Sequence[str]
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)


def checked_source(source: PathLike, inner: Iterable[str] = ()) -> Path:
    """The folder ``source``, or the first of the folders ``inner`` that it holds.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder that the data set was unpacked to")
    return next((folder / name for name in inner if (folder / name).is_dir()), folder)


def files_below(folder: Path, pattern: str, what: str) -> list[Path]:
    """The files that match ``pattern``, sorted; hidden ones are left out.

    Raises:
        FileNotFoundError: there are none.
    """
    found = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"{folder}: found no {what} ({pattern}); give the folder in its published layout")
    return found


def paired_files(images: Iterable[Path], label_of: Callable[[Path], Path], labels: Iterable[Path]) -> dict[Path, Path]:
    """Image -> label; an error that names the file for an image without label or a label without image."""
    pairs = {image: label_of(image) for image in images}
    for image, label in pairs.items():
        if not label.is_file():
            raise MissingCaseFileError(f"{label}: no such file, expected as the label of {image.name}; restore it")
    wanted = set(pairs.values())
    for label in labels:
        if label not in wanted:
            raise MissingCaseFileError(f"{label}: is a label without image; restore the image, or remove the label")
    return pairs


def grey_map(path: Path, classes: Mapping[int, int], tolerance: int = 2) -> Values:
    """A class map from a picture whose grey values stand for classes (``{grey: class}``).

    Raises:
        CaseError: a grey value further than ``tolerance`` from all of them, or an unreadable file.
    """
    grey = read_picture(path, "L").astype(np.int16)
    result = np.full(grey.shape, 255, dtype=np.uint8)
    for value, number in classes.items():
        result[np.abs(grey - value) <= tolerance] = number
    strange = np.unique(grey[result == 255])
    if strange.size:
        listed = ", ".join(str(int(value)) for value in strange[:5]) + (", ..." if strange.size > 5 else "")
        raise CaseError(
            f"{path}: found the grey values {listed}, expected {', '.join(map(str, classes))}; use the published "
            "mask, saved without loss and without resampling"
        )
    return result


def class_map(path: Path, num_classes: int) -> Values:
    """A class map that is stored as one.

    Raises:
        CaseError: a value beyond the classes, colours, or an unreadable file.
    """
    values = read_picture(path)
    if values.ndim != 2:
        raise CaseError(
            f"{path}: found {values.shape[-1]} channels, expected one class number per pixel; save it as grey"
        )
    if int(values.min()) < 0 or int(values.max()) >= num_classes:
        raise CaseError(
            f"{path}: found class {int(values.max())}, expected 0 .. {num_classes - 1}; renumber the classes, or use "
            "the published folder, whose grey values are converted"
        )
    return values.astype(np.uint8)


def binary_map(path: Path) -> Values:
    """1 where a picture is not 0 (an instance map, or a black and white mask).

    Raises:
        CaseError: colours, or an unreadable file.
    """
    values = read_picture(path)
    if values.ndim != 2:
        values = read_picture(path, "L")
    return (values > 0).astype(np.uint8)


def split_published(
    ids: Mapping[str, Iterable[str]], *, training: Amount, validation: Amount, test: Amount
) -> dict[str, list[str]]:
    """Cut ``ids["training"]`` by hash; sections that were published as such stay as they are.

    Args:
        ids: case ids of ``"training"``, and of ``"validation"`` and ``"test"`` where those were published.
        training: see `split_by_hash`.
        validation: must be ``None`` where the section was published.
        test: must be ``None`` where the section was published.

    Raises:
        ValueError: a number for a published section, and as for `split_by_hash`.
    """
    asked = {"training": training, "validation": validation, "test": test}
    kept = {section: sorted(members) for section, members in ids.items() if section != "training"}
    for section in kept:
        if asked[section] is not None:
            raise ValueError(
                f"{section} is {asked[section]!r}, but this data set has a published {section} section of "
                f"{len(kept[section])} cases, which is kept; leave {section} out"
            )
        asked[section] = 0
    return {**split_by_hash(ids["training"], **asked), **kept}


def write_pictures(
    out: PathLike,
    source: Path,
    cases: Iterable[PictureCase],
    parts: Mapping[str, Sequence[str]],
    about: Description,
    *,
    overwrite: bool,
    progress: bool,
) -> Path:
    """Write ``images/ID.png``, ``labels/ID.png`` and ``dataset.json`` into ``out``, all or nothing.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        CaseError: a case that cannot be used, with the published file's name.
        FileExistsError: ``out`` exists and may not be replaced.
    """
    by_id = {case.case_id: case for case in cases}
    total = sum(len(members) for members in parts.values())
    with (
        building_folder(Path(out), overwrite=overwrite, sources=(source,)) as temporary,
        tqdm(total=total, desc=f"writing {about.name}", unit="case", disable=not progress) as bar,
    ):
        lists: dict[str, list[dict[str, str]]] = {}
        for section, members in parts.items():
            lists[section] = []
            for case_id in members:
                lists[section].append(_write_case(by_id[case_id], temporary, about))
                bar.update()
        write_datalist(
            temporary / "dataset.json",
            name=about.name,
            labels=about.labels,
            channel_names=about.channel_names,
            training=lists["training"],
            validation=lists["validation"],
            test=lists["test"],
            tensorImageSize="2D",
            reference=about.reference,
            **about.options,
        )
    return Path(out).resolve() / "dataset.json"


def _write_case(case: PictureCase, folder: Path, about: Description) -> dict[str, str]:
    image = read_picture(case.image, case.mode)
    entry = {"id": case.case_id, "image": _save(folder / "images" / f"{case.case_id}.png", image)}
    if case.read_label is not None:
        label = case.read_label()
        if label.shape != image.shape[:2]:
            raise CaseError(
                f"{case.image}: the image is {image.shape[:2]} and its label {label.shape}, expected equal shapes; "
                "pair the right files, or download them again"
            )
        entry["label"] = _save(folder / "labels" / f"{case.case_id}.png", label)
    # What was written has to pass the check that training makes.
    check_case(entry, spatial_dims=2, num_classes=len(about.labels), in_channels=len(about.channel_names))
    return entry


def _save(path: Path, values: Values) -> str:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values)).save(path)
    return str(path)
