"""Pictures of what the networks dispute in an annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase, CaseScores, Finding
from monai_iel.report import compact_uri
from monai_iel.visualize import OKABE_ITO, best_slice, outline_overlay, shaded, take_slice

__all__ = ["COLOURS", "TINT", "CasePicture", "case_picture"]

LABEL, PREDICTION = "annotation", "prediction (on top)"
COLOURS = {LABEL: OKABE_ITO["sky blue"], PREDICTION: OKABE_ITO["yellow"]}
"""Of the outlines."""
TINT = {"where they differ": OKABE_ITO["vermillion"]}
"""Of the voxels with another class."""

_OPACITY = 0.25
# Along the longer side: the most voxels that are shown, about the pixels of a picture, and their most; around organs.
_MOST, _SHOWN, _LARGEST, _MARGIN = 320, 480, 640, 0.15
_NAMED = 3  # findings in a caption


class CasePicture(NamedTuple):
    """A slice of a case with the outlines of annotation and prediction.

    Args:
        uri: the picture, as a data URI.
        caption: where it is and what is disputed there, e.g. "slice 12: nucleus, component missing".
    """

    uri: str
    caption: str


@dataclass
class _View:
    """A part of the slice ``at`` (None: of an image), and the findings in it."""

    at: int | None
    window: tuple[slice, slice]
    findings: list[Finding] = field(default_factory=list)

    def holds(self, at: int | None, place: Sequence[int]) -> bool:
        return at == self.at and all(w.start <= i < w.stop for w, i in zip(self.window, place, strict=True))

    def caption(self) -> str:
        told = list(dict.fromkeys(f"{finding.class_name}, {finding.reason}" for finding in self.findings))
        if len(told) > _NAMED:
            told = [*told[:_NAMED], f"and {len(told) - _NAMED} more"]
        what = "; ".join(told) or "nothing disputed"
        return what if self.at is None else f"slice {self.at}: {what}"


def case_picture(image: NDArray[Any], case: AuditCase, scores: CaseScores, most: int = 3) -> tuple[CasePicture, ...]:
    """Pictures of the slices with the heaviest findings, the heaviest first.

    Volumes are cut across their last axis, as annotators mostly do, and turned upright by the affine (right and front,
    or head, are right and up). The part around the organ is shown, a large organ or picture around the finding alone,
    with square pixels whatever the spacing. Without findings it is one picture, of the slice with the lowest quality.

    Args:
        image: of the case, in the axes of its label: ``H W [D]``, or channels first. Three channels in 2D are colours,
            as are four, the last being the opacity; else the first one is shown.
        case: label and probabilities.
        scores: of the case.
        most: pictures at most.

    Raises:
        ValueError: for an image of another shape.

    Example:
        >>> label = np.zeros((40, 30), np.int32)
        >>> case = AuditCase("a", label, np.stack([label == 0, label == 1]), (1.0, 1.0), None, ("background", "cell"))
        >>> [picture.caption for picture in case_picture(label, case, CaseScores("a", 0.0, {}, (1.0,), ()))]
        ['nothing disputed']
    """
    channels = _channels(image, case)
    pictures = []
    for view in _views(case, scores, most):
        label = _plane(case.label, view)
        prediction = _plane(case.probabilities, view).argmax(axis=0).astype(label.dtype)
        shown = [_upright(plane, case) for plane in (*_plane(channels, view), label, prediction)]
        *drawn, label, prediction = shown
        picture = _drawn(np.stack(drawn, axis=-1) if len(drawn) == 3 else drawn[0], label, prediction)
        pictures.append(CasePicture(compact_uri(picture), view.caption()))
    return tuple(pictures)


def _drawn(image: NDArray[Any], label: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.uint8]:
    scale = max(1, round(_SHOWN / max(label.shape)))
    plain = outline_overlay(image, {}, scale=scale)
    outlined = outline_overlay(image, {LABEL: label, PREDICTION: prediction}, colours=COLOURS, scale=scale)
    tinted = shaded(plain, label != prediction, *TINT.values(), opacity=_OPACITY)
    # The outlines, with what is darkened beside them, lie on the tint.
    return np.where((outlined != plain).any(axis=-1, keepdims=True), outlined, tinted)


def _channels(image: NDArray[Any], case: AuditCase) -> NDArray[Any]:
    """What is drawn, ``C H W [D]``, C being 1 or 3."""
    shape = case.label.shape
    channels = image[None] if image.shape == shape else image
    if channels.ndim != len(shape) + 1 or channels.shape[1:] != shape or not len(channels):
        raise ValueError(
            f"image of case {case.case_id!r} has shape {image.shape}, its label {shape}; expected the same, or "
            "channels before it."
        )
    return channels[:3] if len(channels) in (3, 4) and len(shape) == 2 else channels[:1]


def _views(case: AuditCase, scores: CaseScores, most: int) -> list[_View]:
    views: list[_View] = []
    volume = case.label.ndim == 3
    for finding in scores.findings:
        at, place = (finding.index[2] if volume else None), finding.index[:2]
        found = next((view for view in views if view.holds(at, place)), None)
        if found is None and len(views) < most:
            found = _View(at, _window(case, at, place))
            views.append(found)
        if found is not None:
            found.findings.append(finding)
    if not scores.findings and most > 0:
        at = None
        if volume:
            at = int(np.argmin(scores.slices)) if scores.slices else best_slice(case.label)
        views.append(_View(at, _window(case, at, tuple(size // 2 for size in case.label.shape[:2]))))
    return views


def _window(case: AuditCase, at: int | None, place: Sequence[int]) -> tuple[slice, slice]:
    """The organ in all slices, what is predicted in this one, and some surroundings; of them what is near the place.

    Small pictures are shown whole.
    """
    shape = case.label.shape[:2]
    if at is None and max(shape) <= _MOST:
        return slice(0, shape[0]), slice(0, shape[1])
    probabilities = case.probabilities if at is None else case.probabilities[..., at]
    organ = probabilities.argmax(axis=0) != 0
    organ |= case.label.any(axis=2) if at is not None else case.label != 0
    organ[tuple(place)] = True
    boxes = [np.flatnonzero(organ.any(axis=1 - axis)) for axis in range(2)]
    margin = round(_MARGIN * max(box[-1] - box[0] + 1 for box in boxes)) + 2
    first, second = (
        _cut(int(box[0]) - margin, int(box[-1]) + margin + 1, size, centre)
        for box, size, centre in zip(boxes, shape, place, strict=True)
    )
    return first, second


def _cut(start: int, stop: int, size: int, centre: int) -> slice:
    start, stop = max(0, start), min(size, stop)
    if stop - start > _MOST:
        start = min(max(start, centre - _MOST // 2), stop - _MOST)
        stop = start + _MOST
    return slice(start, stop)


def _plane(values: NDArray[Any], view: _View) -> NDArray[Any]:
    """The part of a class map, or of something with channels first, that a view shows."""
    plane = values if view.at is None else values[..., view.at]
    return plane[(..., *view.window)]


def _upright(plane: NDArray[Any], case: AuditCase) -> NDArray[Any]:
    """A plane with rows downwards and square pixels, by repeating or leaving out voxels."""
    spacing = case.spacing[:2]
    extents = [size * step for size, step in zip(plane.shape, spacing, strict=True)]
    pixel = max(min(spacing), max(extents) / _LARGEST)
    for axis, extent in enumerate(extents):
        size, wanted = plane.shape[axis], max(1, round(extent / pixel))
        plane = plane.take(((np.arange(wanted) + 0.5) * size / wanted).astype(np.int64), axis=axis)
    if case.affine is None:
        return take_slice(plane, orientation="xy")
    turn = io_orientation(case.affine)[:2]
    plane = plane[tuple(slice(None, None, -1 if direction < 0 else 1) for _, direction in turn)]
    return take_slice(plane.T if turn[0, 0] > turn[1, 0] else plane, orientation="ras")
