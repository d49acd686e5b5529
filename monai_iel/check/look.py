"""One case: its files are read once, one after the other, and nothing but figures is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_iel.check import labels
from monai_iel.check.cases import Case, Expected
from monai_iel.check.finding import Finding, Notes
from monai_iel.check.geometry import orientation, pair_problem, spacing
from monai_iel.check.pictures import picture_of
from monai_iel.check.values import Figures, Values, class_voxels, constant_slices, digest, measure, repeated_slices
from monai_iel.data.checks import (
    check_classes,
    check_finite,
    check_image_mode,
    check_label_mode,
    check_whole,
    spatial_shape,
)
from monai_iel.data.files import CaseError, ImageFile, open_image

__all__ = ["CaseReport", "look_at"]

_LARGEST_CLASS = 2**16  # with more it is no label
_NAMED = 4


@dataclass
class CaseReport:
    """What was seen of a case; what could not be seen is empty."""

    case: Case
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    orientation: str = ""
    channels: int = 0
    stored: str = ""
    figures: Figures | None = None
    image_digest: str = ""
    label_digest: str = ""
    class_voxels: dict[int, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    picture: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def row(self) -> dict[str, Any]:
        """The figures, for a file."""
        left_out = ("case", "findings", "picture", "image_digest", "label_digest")
        return {**asdict(self.case), **{name: v for name, v in asdict(self).items() if name not in left_out}}


def look_at(case: Case, expected: Expected, max_voxels: int) -> CaseReport:
    """Read a case and note what is odd about it.

    Args:
        case: the case.
        expected: what it is held against.
        max_voxels: a file that declares more is not read.
    """
    notes = Notes(case.section, case.case_id)
    report = CaseReport(case, findings=notes.findings)
    image = _open(case.image, notes, max_voxels)
    label = _open(case.label, notes, max_voxels) if case.label else None
    image_shape = _spatial(image, notes, expected.spatial_dims, expected.in_channels, check_image_mode)
    label_shape = _spatial(label, notes, expected.spatial_dims, 1, check_label_mode)
    if image and label and image_shape and label_shape:
        problem = pair_problem(image, image_shape, label, label_shape)
        if problem:
            notes.add(*problem, file=case.label)
    plane = classes = None
    voxel: tuple[int, ...] = ()
    if image is not None:
        report.spacing, report.orientation = spacing(image, expected.spatial_dims), orientation(image)
        report.shape, report.stored = image.shape, image.stored or image.mode
        with notes.catching("unreadable", case.image):
            values = image.read()
            _look_at_image(image, values, image_shape, report, notes)
            plane = values if image_shape else None
    if label is not None:
        with notes.catching("unreadable", case.label):
            classes, voxel = _look_at_label(label, label.read(), label_shape, report, notes, expected)
    if report.label_digest and report.label_digest == report.image_digest:
        notes.add("label-is-image", "holds the same values as the image; pair the right files", case.label)
    odd = any(finding.severity != "info" for finding in notes.findings)
    if odd and plane is not None and image_shape is not None:
        same = classes is not None and classes.shape == image_shape
        report.picture = picture_of(plane, image_shape, classes if same else None, voxel if same else ())
    return report


def _open(path: str, notes: Notes, max_voxels: int) -> ImageFile | None:
    with notes.catching("unreadable", path):
        file = open_image(Path(path))
        if np.prod(file.shape, dtype=np.int64) <= max_voxels:
            return file
        notes.add(
            "too-large",
            f"has the shape {file.shape}, more than the {max_voxels} voxels that may be read (by default by the memory "
            "that is left); where there is memory, raise --max-voxels",
            path,
        )
    return None


def _spatial(
    file: ImageFile | None,
    notes: Notes,
    spatial_dims: int,
    channels: int | None,
    check_mode: Callable[[ImageFile], None],
) -> tuple[int, ...] | None:
    """The spatial part of a file's shape; ``None`` where its axes or colours do not fit."""
    if file is not None:
        with notes.catching("colour", str(file.path)):
            check_mode(file)
            with notes.catching("axes", str(file.path)):
                return spatial_shape(file, spatial_dims, channels)
    return None


def _look_at_image(
    image: ImageFile, values: Values, shape: tuple[int, ...] | None, report: CaseReport, notes: Notes
) -> None:
    path = str(image.path)
    with notes.catching("not-finite", path):
        check_finite(image, values)
    report.figures = measure(values)
    report.channels = int(np.prod(values.shape) // np.prod(shape)) if shape else 0
    if report.figures is None:
        return
    if report.figures.minimum == report.figures.maximum:
        notes.add("constant-image", f"all values are {report.figures.minimum:g}; export the image again", path)
        return
    report.image_digest = digest(values)
    if values.ndim == 3 and values.shape[2] == 3 and image.is_picture and (values == values[..., :1]).all():
        notes.add("grey-as-colour", "the three channels are equal; it could be saved as grey", path)
    if shape and len(shape) == 3:
        volume = values.reshape(*shape, -1)[..., 0] if values.ndim > 3 else values
        for kind, find in (("missing-slices", constant_slices), ("repeated-slices", repeated_slices)):
            found = [f"{_listed(slices)} across axis {axis}" for axis in range(3) if (slices := find(volume, axis))]
            if found:
                notes.add(kind, f"slices {'; '.join(found)}; export the volume again, or leave them out", path)


def _look_at_label(
    label: ImageFile,
    values: Values,
    shape: tuple[int, ...] | None,
    report: CaseReport,
    notes: Notes,
    expected: Expected,
) -> tuple[labels.Labels | None, tuple[int, ...]]:
    """Note what is odd about a label; its classes, where they make sense, and a voxel worth showing, where there is."""
    path, before = str(label.path), len(notes.findings)
    with notes.catching("fractional-label", path):
        check_whole(label, values)
    if len(notes.findings) > before:
        return None, ()
    lowest, highest = int(values.min()), int(values.max())
    with notes.catching("unexpected-class", path):
        check_classes(label, lowest, highest, expected.num_classes)
        if highest > _LARGEST_CLASS:
            raise CaseError(f"{path}: found class {highest}; check that this is a label and not an image")
    if max(-lowest, highest) > _LARGEST_CLASS:
        return None, ()
    report.class_voxels = class_voxels(values)
    if values.dtype.kind == "f":
        notes.add("float-label", f"stored as {values.dtype.name}", path)
    if lowest == highest:
        kind = "constant-label" if highest else "empty-label"
        notes.add(kind, f"all voxels are of class {expected.name(highest)}", path)
        return None, ()
    report.label_digest = digest(values)
    if shape is None or lowest < 0:
        return None, ()
    classes = values.reshape(shape).astype(np.int32)
    return classes, _look_at_structures(classes, path, notes, expected)


def _look_at_structures(classes: labels.Labels, path: str, notes: Notes, expected: Expected) -> tuple[int, ...]:
    """Note specks, gaps and holes; a voxel of one of them."""
    shown: tuple[int, ...] = ()
    found: dict[str, list[str]] = {"islands": [], "label-gap": []}
    try:
        for number, start, mask in labels.structures(classes):
            sizes, first = labels.islands(mask)
            if sizes:
                voxel = shown = tuple(i + j for i, j in zip(first, start, strict=True))
                islands = f"{_counted('island', sizes)}, one at voxel {voxel}"
                found["islands"].append(f"class {expected.name(number)}: {islands}")
            for axis, low, high in labels.gaps(mask):
                where = _listed(range(low + start[axis], high + start[axis] + 1))
                found["label-gap"].append(f"class {expected.name(number)}: slices {where} across axis {axis}")
    except labels.BusyError as error:
        notes.add("not-searched", f"{error}; check that this is a label and not an image", path)
    sizes, voxel = labels.holes(classes)
    if sizes:
        shown = voxel
        notes.add("holes", f"{_counted('hole', sizes)}, one at voxel {voxel}", path)
    for kind, texts in found.items():
        if texts:
            more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
            notes.add(kind, "; ".join(texts[:_NAMED]) + more, path)
    return shown


def _counted(name: str, sizes: list[int]) -> str:
    voxels = f"{max(sizes)} voxel{'s' if max(sizes) > 1 else ''}"
    article = "an" if name.startswith("i") else "a"
    return f"{len(sizes)} {name}s of at most {voxels}" if len(sizes) > 1 else f"{article} {name} of {voxels}"


def _listed(numbers: Iterable[int]) -> str:
    listed = [str(number) for number in numbers]
    return ", ".join(listed[:_NAMED]) + (f", ... ({len(listed)})" if len(listed) > _NAMED else "")
