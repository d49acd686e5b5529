"""Probabilities of a case, from whatever system wrote them."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase
from monai_iel.audit.case_list import AuditEntry, suffix_of
from monai_iel.data.files import AFFINE_TOLERANCE, CaseError, ImageFile, open_image

__all__ = ["count_classes", "is_one_hot", "read_case", "read_probabilities"]

_TOLERANCE = 1e-2  # of sums and of the range
_STEP = 1 / 255  # of probabilities in whole numbers of 8 bits; a sum is off by half of it per class

Probabilities = NDArray[np.float32]


def read_case(entry: AuditEntry, prediction: Path, class_names: Sequence[str]) -> AuditCase:
    """Read the label of a case and its probabilities.

    Raises:
        CaseError: as `LabelFile.read` and `read_probabilities`, or the label holds a class without probabilities.
    """
    label, spacing = entry.label.read()
    file = entry.label.open()
    probabilities = read_probabilities(prediction, file, label.shape, len(class_names))
    least, most = int(label.min(initial=0)), int(label.max(initial=0))
    if least < 0 or most >= len(class_names):
        raise CaseError(
            f"{entry.label.path}: found class {least if least < 0 else most}, expected 0 to {len(class_names) - 1} "
            f"({', '.join(class_names)}); correct the label, give its unknown voxels a class, or predict all classes"
        )
    return AuditCase(entry.case_id, label, probabilities, spacing, file.affine, tuple(class_names))


def read_probabilities(path: Path, label: ImageFile, shape: tuple[int, ...], num_classes: int) -> Probabilities:
    """Read probabilities of all classes on the grid of a label, ``C H W [D]``, their sum 1.

    The file is NIfTI, of whole numbers with a scale (scl_slope) or of floats. Classes are the last axis, or the first
    where the shape leaves no doubt; a label with less axes may have axes of one voxel before the classes. Without an
    axis for the classes the values are those of the one foreground class; whole numbers there are a class map, which
    has no doubt in it and is refused (zeros alone are not: a network can be sure that nothing is there). Sums within
    0.01 of 1 (0.002 per class more where the values have 8 bits) are made 1.

    Args:
        path: the file.
        label: header of the label.
        shape: of the label, see `LabelFile.read`.
        num_classes: with the background.

    Raises:
        CaseError: the file cannot be read or is no NIfTI, is the label or a class map, has another shape, affine (by
            more than 0.001 mm per entry) or number of classes, or its values are NaN, outside of [0, 1] or do not add
            to 1.
    """
    file = open_image(path)
    _check_geometry(file, label, shape)
    if filecmp.cmp(path, label.path, shallow=False):
        raise CaseError(
            f"{path}: is the label {label.path} itself, expected probabilities of networks that never saw it; save "
            "those, in a folder of their own"
        )
    found = count_classes(file, shape)
    stored = file.read()
    if found == 1:
        _refuse_class_map(path, stored)
    if found != num_classes and (found, num_classes) != (1, 2):
        what = f"probabilities of {found} classes" if found > 1 else "one value per voxel"
        raise CaseError(
            f"{path}: holds {what}, expected probabilities of {num_classes} classes, with the background; save all"
        )
    values = _classes_first(stored, shape, found).astype(np.float32, order="C", copy=False)
    _check_range(path, values)
    if found == 1:
        values = np.clip(values, 0, 1)
        return np.concatenate([1 - values, values])
    tolerance = _TOLERANCE + (_STEP / 2 * found if file.stored in ("uint8", "int8") else 0)
    return _normalised(path, values, tolerance)


def count_classes(file: ImageFile, shape: tuple[int, ...]) -> int:
    """Number of classes that a file of probabilities holds for a label of a shape.

    Raises:
        CaseError: the shape does not fit.
    """
    if _is_last(file.shape, shape) or _is_first(file.shape, shape):
        return prod(file.shape) // prod(shape)
    spatial = tuple(reversed(shape))
    turned = len(set(shape)) > 1 and (_is_last(file.shape, spatial) or _is_first(file.shape, spatial))
    hint = "the axes are in reverse order: save x first" if turned else "resample to the grid of the label"
    raise CaseError(
        f"{file.path}: has shape {file.shape}, expected that of the label, {shape}, with the classes behind it; {hint}"
    )


def is_one_hot(probabilities: Probabilities) -> bool:
    """Whether each is 0 or 1, as where the most probable class was saved and not how probable it is.

    False where one class is certain everywhere: a network can be sure that nothing is there.
    """
    held = sum(bool((one == 1).any()) for one in probabilities)
    return held > 1 and not bool(((probabilities > 0) & (probabilities < 1)).any())


def _refuse_class_map(path: Path, values: NDArray[Any]) -> None:
    if not values.any() or not (values == np.rint(values)).all():
        return
    mend = "save probabilities (the softmax, or the sigmoid of one class)"
    archive = path.with_name(f"{path.name.removesuffix(suffix_of(path.name))}.npz")
    if archive.is_file():
        mend = (
            f"probabilities may be in {archive.name} beside it: of nnU-Net, save "
            f"np.load({archive.name!r})['probabilities'].T as NIfTI with this file's affine, in a folder without the "
            "class maps"
        )
    raise CaseError(f"{path}: is a class map, with whole numbers alone, expected probabilities; {mend}")


def _is_last(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether that is the shape, with at most one axis behind it that is longer than 1, the last."""
    return found[: len(shape)] == shape and prod(found[len(shape) : -1]) == 1


def _is_first(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(found) > len(shape) and found[1 : len(shape) + 1] == shape and prod(found[len(shape) + 1 :]) == 1


def _classes_first(values: NDArray[Any], shape: tuple[int, ...], classes: int) -> NDArray[Any]:
    if not _is_last(values.shape, shape):
        return values.reshape(classes, *shape)
    return np.moveaxis(values.reshape(*shape, classes), -1, 0)


def _check_geometry(file: ImageFile, label: ImageFile, shape: tuple[int, ...]) -> None:
    if file.affine is None:
        raise CaseError(f"{file.path}: is a picture, expected probabilities as NIfTI (.nii, .nii.gz); convert them")
    if label.affine is None or np.allclose(file.affine, label.affine, rtol=0, atol=AFFINE_TOLERANCE):
        return
    row, column = np.unravel_index(np.abs(file.affine - label.affine).argmax(), (4, 4))
    raise CaseError(
        f"{file.path}: lies elsewhere than its label {label.path.name}: entry ({row}, {column}) of the affine is "
        f"{file.affine[row, column]:.6g}, expected {label.affine[row, column]:.6g}; resample to the grid of the label, "
        "or save the probabilities with its affine"
    )


def _check_range(path: Path, values: Probabilities) -> None:
    if not np.isfinite(values).all():
        raise CaseError(f"{path}: holds NaN or infinite values, expected probabilities; predict the case again")
    least, most = float(values.min()), float(values.max())
    if least < -_TOLERANCE or most > 1 + _TOLERANCE:
        mend = "apply the softmax (or sigmoid) first"
        if least >= 0 and most <= 2**16:
            mend += "; where these are probabilities in whole numbers, set scl_slope so that the largest is 1"
        raise CaseError(
            f"{path}: holds values from {least:.6g} to {most:.6g}, expected probabilities from 0 to 1; {mend}"
        )


def _normalised(path: Path, values: Probabilities, tolerance: float) -> Probabilities:
    values = np.clip(values, 0, 1)
    sums = values.sum(axis=0)
    wrong = np.abs(sums - 1) > tolerance
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CaseError(
            f"{path}: the {len(values)} probabilities at voxel {at} add to {sums[at]:.6g}, expected 1 (and so at "
            f"{np.count_nonzero(wrong) / wrong.size:.2%} of the voxels); apply a softmax over the classes, or save "
            "the background too"
        )
    values /= sums
    return values
