"""Look at every case before anything long starts: files, geometry, classes, values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_iel.data.files import AFFINE_TOLERANCE, CaseError, ImageFile, MissingCaseFileError, open_image

__all__ = [
    "MAX_PROBLEMS",
    "CaseError",
    "MissingCaseFileError",
    "check_case",
    "check_cases",
    "check_classes",
    "check_finite",
    "check_image_mode",
    "check_label_mode",
    "check_pair",
    "check_whole",
    "raise_together",
    "spatial_shape",
]

MAX_PROBLEMS = 20

_IMAGE_MODES = ("1", "L", "I;16", "I;16L", "I;16B", "I", "F", "RGB")
_LABEL_MODES = ("1", "L", "P", "I;16", "I;16L", "I;16B", "I")
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")


def check_case(
    entry: Mapping[str, Any],
    *,
    spatial_dims: int,
    num_classes: int | None = None,
    in_channels: int | None = None,
) -> None:
    """Refuse a case that training, evaluation or inference would choke on, or silently get wrong.

    Each file is read once. A 2D NIfTI file may be stored as (H, W) or (H, W, 1); channels are the last axis. Pictures
    are (H, W) grey or RGB; a picture with transparency is refused, since nobody can know whether its alpha channel
    means anything. A label file may hold floats as long as they are whole numbers.

    Args:
        entry: ``image``: path; ``label``: path, may be absent.
        spatial_dims: 2 or 3, the bundle's.
        num_classes: number of classes with background; labels hold 0 .. num_classes - 1. ``None`` leaves the upper end
            open.
        in_channels: channels of the image. ``None``: one, or RGB for a picture.

    Raises:
        MissingCaseFileError: a file is not there (also a ``FileNotFoundError``).
        CaseError: a file is unreadable or empty, a NIfTI header is such that MONAI would use another affine, image and
            label differ in shape or affine (by more than 0.001 mm per entry), the label holds fractions, negative
            values or a class beyond ``num_classes``, the image holds NaN or infinite values, or the number of axes or
            channels does not fit.
        ValueError: ``spatial_dims`` is neither 2 nor 3.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims is {spatial_dims!r}; expected 2 or 3")
    image = open_image(Path(entry["image"]))
    check_image_mode(image)
    image_shape = spatial_shape(image, spatial_dims, in_channels)
    label = None
    if entry.get("label"):
        label = open_image(Path(entry["label"]))
        check_label_mode(label)
        check_pair(image, image_shape, label, spatial_shape(label, spatial_dims, 1))
    check_finite(image, image.read())
    if label is not None:
        values = label.read()
        check_whole(label, values)
        check_classes(label, int(values.min()), int(values.max()), num_classes)


def check_cases(
    entries: Iterable[Mapping[str, Any]],
    *,
    spatial_dims: int,
    num_classes: int | None = None,
    in_channels: int | None = None,
    progress: bool = True,
) -> None:
    """`check_case` for every entry; all problems (up to 20) in one error, each on its line.

    Args:
        entries: as for `check_case`; ``case_id``, where given, is named in the error.
        spatial_dims: 2 or 3.
        num_classes: as for `check_case`.
        in_channels: as for `check_case`.
        progress: show a progress bar.

    Raises:
        CaseError: as for `check_case`; a ``MissingCaseFileError`` where absent files are the only problem.
    """
    entries = list(entries)
    problems: list[CaseError] = []
    for entry in tqdm(entries, desc="checking cases", unit="case", disable=not progress):
        try:
            check_case(entry, spatial_dims=spatial_dims, num_classes=num_classes, in_channels=in_channels)
        except CaseError as error:
            case_id = entry.get("case_id")
            problems.append(type(error)(f"{error} (case {case_id!r})" if case_id else str(error)))
        if len(problems) == MAX_PROBLEMS:
            break
    raise_together(problems, len(entries))


def raise_together(problems: list[CaseError], total: int) -> None:
    """Raise one error for a list of them; nothing where there are none."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    only_missing = all(isinstance(problem, MissingCaseFileError) for problem in problems)
    lines = [f"{len(problems)} of {total} cases cannot be used:", *(f"  {problem}" for problem in problems)]
    if len(problems) >= MAX_PROBLEMS:
        lines[0] = f"the first {len(problems)} cases that cannot be used, of {total} (there may be more):"
    raise (MissingCaseFileError if only_missing else CaseError)("\n".join(lines))


def check_image_mode(image: ImageFile) -> None:
    """Refuse a picture that is neither grey nor RGB."""
    _check_mode(image, _IMAGE_MODES, "an image is grey or RGB")


def check_label_mode(label: ImageFile) -> None:
    """Refuse a picture that does not hold one number per pixel."""
    _check_mode(label, _LABEL_MODES, "a label holds one class number per pixel")


def _check_mode(file: ImageFile, allowed: tuple[str, ...], expected: str) -> None:
    if not file.is_picture or file.mode in allowed:
        return
    if file.mode in _ALPHA_MODES:
        raise CaseError(
            f"{file.path}: the picture has an alpha channel (mode {file.mode}); {expected}; save it without "
            "transparency"
        )
    raise CaseError(f"{file.path}: the picture has mode {file.mode}; {expected}; convert it, e.g. to L (grey) or RGB")


def spatial_shape(file: ImageFile, spatial_dims: int, in_channels: int | None) -> tuple[int, ...]:
    """The spatial part of a file's shape, after its axes and channels were found to fit."""
    shape = file.shape
    if spatial_dims == 2 and not file.is_picture and len(shape) > 2 and shape[2] == 1:
        shape = shape[:2] + shape[3:]
    rank = len(shape)
    is_flat = rank == 2 or (rank == 3 and file.is_picture)
    if spatial_dims == 3 and (is_flat or min(shape[:3]) == 1):
        raise CaseError(
            f"{file.path}: found a 2D image of shape {file.shape}, expected a volume (spatial_dims is 3); use a 2D "
            "bundle or overlay, or stack the slices into a volume"
        )
    colour = file.is_picture and in_channels is None
    if spatial_dims == 2 and rank > 2 and not file.is_picture and in_channels in (None, 1):
        raise CaseError(
            f"{file.path}: found a volume of shape {file.shape}, expected one 2D image (spatial_dims is 2); use a 3D "
            "bundle or overlay, save the slices one by one, or, where the last axis is channels, set in_channels"
        )
    if rank > spatial_dims + 1 or rank < spatial_dims:
        raise CaseError(
            f"{file.path}: found {rank} axes (shape {file.shape}), expected {spatial_dims} spatial axes and at most "
            "one of channels, the last; save one time point or contrast per file, or move the channels to the last "
            "axis"
        )
    channels = shape[spatial_dims] if rank > spatial_dims else 1
    if channels != (in_channels or 1) and not colour:
        raise CaseError(
            f"{file.path}: found {channels} channels (shape {file.shape}), expected {in_channels or 1}; set "
            f"in_channels to {channels}, or save the one channel that is wanted"
        )
    return shape[:spatial_dims]


def check_pair(image: ImageFile, image_shape: tuple[int, ...], label: ImageFile, label_shape: tuple[int, ...]) -> None:
    """Refuse a label that does not lie on the voxels of its image."""
    if image.is_picture != label.is_picture:
        raise CaseError(
            f"{label.path}: the image {image.path.name} and its label are not of one kind (NIfTI and picture), so "
            "their axes cannot be matched; save both as NIfTI or both as PNG"
        )
    if image_shape != label_shape:
        raise CaseError(
            f"{label.path}: found the shape {label_shape}, expected {image_shape} as in the image {image.path.name}; "
            "resample the label to its image (nearest neighbour), or pair the right files"
        )
    if image.affine is None or label.affine is None:
        return
    difference = float(np.abs(image.affine - label.affine).max())
    if difference > AFFINE_TOLERANCE:
        raise CaseError(
            f"{label.path}: the affine differs by {difference:.4g} from that of the image {image.path.name}, expected "
            f"at most {AFFINE_TOLERANCE:g} mm; resample the label to its image, or copy the image's affine where only "
            "the header is wrong"
        )


def check_finite(image: ImageFile, values: np.ndarray[Any, Any]) -> None:
    """Refuse an image with NaN or infinite values."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int(values.size - np.isfinite(values).sum())
        raise CaseError(
            f"{image.path}: found {count} values that are NaN or infinite, expected finite intensities; replace them, "
            "e.g. with numpy.nan_to_num"
        )


def check_whole(label: ImageFile, values: np.ndarray[Any, Any]) -> None:
    """Refuse a label that holds something else than whole numbers."""
    if values.dtype.kind != "f":
        return
    whole = values == np.rint(values)  # False for NaN
    whole &= np.isfinite(values)
    if not whole.all():
        found = float(values[~whole].flat[0])
        raise CaseError(
            f"{label.path}: found the value {found:.9g}, expected whole class numbers; round it if a resampling "
            "went wrong (labels need nearest neighbour), or check that this is a label and not an image"
        )


def check_classes(label: ImageFile, lowest: int, highest: int, num_classes: int | None) -> None:
    """Refuse a label whose lowest or highest class is none of the network's."""
    if lowest < 0:
        raise CaseError(f"{label.path}: found class {lowest}, expected 0 or more; renumber the classes")
    if num_classes is not None and highest >= num_classes:
        raise CaseError(
            f"{label.path}: found class {highest}, expected 0 .. {num_classes - 1} ({num_classes} classes with "
            f"background); renumber the classes, or set the number of classes to {highest + 1}"
        )
