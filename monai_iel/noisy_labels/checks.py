"""What can be known before anything is written: whether the labels can be used, and get this noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_iel.data.checks import MAX_PROBLEMS, raise_together
from monai_iel.data.files import CaseError, open_image
from monai_iel.noisy_labels.case_list import NoisyCase
from monai_iel.noisy_labels.named import classes_after
from monai_iel.processes import MapInOrder
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["check_ignore_index", "check_labels"]

_SAMPLE = 6  # voxels along each axis of the label that a noise is tried on
# Names of a declared class that is none.
_NO_CLASS = {"ignore", "ignored", "unknown", "unlabelled", "unlabeled", "void"}


@dataclass(frozen=True)
class _Found:
    """What is known of a label: its classes without 0, what is wrong with it, and why the noise refuses it."""

    classes: Sequence[int] = field(default_factory=list)
    problem: str = ""
    refusal: str = ""


def check_labels(
    cases: Sequence[NoisyCase], mapped: MapInOrder, noise: LabelNoise, ignore_index: int | None = None
) -> list[list[int]]:
    """Read every label once, and try the noise on it; return the classes in each, without 0 and ``ignore_index``.

    The noise is tried on a few voxels with the spacing and the classes of the label, and where it refuses them on the
    label itself.

    Raises:
        CaseError: one or more labels cannot be used, do not fit to their images, or their files cannot hold the classes
            that the noise may draw; up to 20 are named.
        ValueError: the noise refuses one or more labels; the first is named.
    """
    problems: list[CaseError] = []
    refused: list[str] = []
    classes: list[list[int]] = []
    for case, found in zip(cases, mapped(partial(_look_at, noise), cases), strict=True):
        if found.problem:
            problems.append(CaseError(f"{found.problem} (case {case.case_id!r})"))
        elif found.refusal:
            refused.append(f"case {case.case_id!r}, {case.label.path}: {found.refusal}")
        classes.append([number for number in found.classes if number != ignore_index])
        if len(problems) == MAX_PROBLEMS:
            break
    raise_together(problems, len(cases))
    if refused:
        more = len(refused) - 1
        raise ValueError(f"{refused[0]}{f' (and so for {more} more of the {len(cases)} cases)' if more else ''}")
    return classes


def check_ignore_index(ignore_index: int | None, content: Mapping[str, Any], seen: Iterable[int] = ()) -> None:
    """Refuse a value of unknown voxels that is a class, or lies among the classes.

    Args:
        ignore_index: the value; None for none.
        content: the data list, whose ``labels`` declare classes. A declared class of the value is none if it is named
            "ignore", "unknown" or the like.
        seen: classes in the labels, without the value.

    Raises:
        ValueError: it is not above all classes.
    """
    if ignore_index is None:
        return
    labels = content.get("labels") or {}
    named = dict(enumerate(labels)) if isinstance(labels, list) else labels
    declared = {int(number): str(name).casefold() for number, name in named.items() if str(number).isdecimal()}
    if declared.get(ignore_index) in _NO_CLASS:
        del declared[ignore_index]
    for highest, where in ((max(declared, default=0), "that the data list declares"), (max(seen, default=0), "seen")):
        if ignore_index <= highest:
            raise ValueError(
                f"ignore_index is {ignore_index}, but the classes {where} go up to {highest}; unknown voxels need a "
                "value above all classes, such as 255"
            )


def _look_at(noise: LabelNoise, case: NoisyCase) -> _Found:
    try:
        label, spacing = case.label.read()
        image = open_image(case.image)
    except CaseError as error:
        return _Found(problem=str(error))
    shape = image.shape[1::-1] if image.is_picture else image.shape[: label.ndim]
    if shape != label.shape:
        return _Found(
            problem=f"{case.label.path}: the label has shape {label.shape}, its image {case.image.name} {image.shape}; "
            "resample the label to its image, or pair the right files"
        )
    if label.min(initial=0) < 0:
        return _Found(problem=f"{case.label.path}: found class {label.min()}, expected 0 or more; renumber the classes")
    classes = [int(number) for number in np.unique(label) if number]
    refusal = _refusal(noise, label, spacing, classes, case.case_id)
    if not refusal:
        try:
            case.label.check_storable(classes_after(noise, case.case_id, classes) - set(classes))
        except CaseError as error:
            return _Found(classes, problem=f"{error}; the noise may draw it")
    return _Found(classes, refusal=refusal)


def _refusal(
    noise: LabelNoise, label: NDArray[np.int32], spacing: tuple[float, ...], classes: Sequence[int], case_id: str
) -> str:
    """Why the noise refuses a label, or nothing."""
    few = np.resize(np.array([0, *reversed(classes)], np.int32), [min(size, _SAMPLE) for size in label.shape])
    try:
        noise.corrupt_case(few, spacing, case_id)
    except ValueError:
        try:
            noise.corrupt_case(label, spacing, case_id)
        except ValueError as error:
            return str(error)
    return ""
