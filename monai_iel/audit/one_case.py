"""What the workers do with one case: look at it, and score it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_iel.audit.case import AuditCase, CaseScores
from monai_iel.audit.case_list import AuditEntry
from monai_iel.audit.pictures import case_picture
from monai_iel.audit.probabilities import is_one_hot, read_case
from monai_iel.audit.proposal import error_map, propose
from monai_iel.audit.run_folder import AuditFolder
from monai_iel.audit.score import Examination, examine
from monai_iel.audit.temperature import VoxelSample, sample_voxels
from monai_iel.data.files import CaseError, open_image
from monai_iel.files import digest, write_bytes

__all__ = ["Look", "Looking", "Scoring", "Work", "prediction_digest"]

_DECIMALS = 3  # of an error map, which is so a quarter as large


@dataclass(frozen=True)
class Work:
    """A case to be looked at or scored.

    Args:
        entry: of the list.
        prediction: its probabilities.
        with_sample: whether its voxels are needed for the temperature.
        made_from: what its scores depend on.
    """

    entry: AuditEntry
    prediction: Path
    with_sample: bool = False
    made_from: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """What was found in a case.

    Args:
        problem: why it cannot be used; empty if it can.
        sample: some of its voxels, where they are needed.
    """

    problem: str = ""
    sample: VoxelSample | None = None


def prediction_digest(work: Work) -> str:
    """SHA-256 of the file of probabilities."""
    return digest(work.prediction)


@dataclass(frozen=True)
class Looking:
    """Reads a case as it will be scored."""

    class_names: Sequence[str]

    def __call__(self, work: Work) -> Look:
        try:
            case = read_case(work.entry, work.prediction, self.class_names)
            _check_image(work.entry, case.label.shape)
        except CaseError as error:
            return Look(problem=f"{error} (case {work.entry.case_id!r})")
        return Look(sample=sample_voxels(case) if work.with_sample else None)


@dataclass(frozen=True)
class Scoring:
    """Clears what is known of one case, writes error map, proposal and pictures, then its record.

    Args:
        folder: of the audit.
        class_names: background first.
        with_pictures: whether pictures are drawn.
    """

    folder: AuditFolder
    class_names: Sequence[str]
    with_pictures: bool

    def __call__(self, work: Work) -> None:
        entry = work.entry
        case = read_case(entry, work.prediction, self.class_names)
        found = examine(case, work.made_from["temperature"])
        scores = found.scores()
        errors = f"error_maps/{entry.name}{entry.suffix}"
        self.folder.clear_case(entry.case_id, kept=[errors])
        write_bytes(self.folder.path / errors, entry.label.map_of_shares(error_map(found).round(_DECIMALS)))
        proposal, written, remark = self._propose(entry, found)
        self._draw(entry, case, scores)
        record = {
            "made_from": dict(work.made_from),
            "classes": [int(number) for number in np.unique(case.label)],
            "one_hot": is_one_hot(case.probabilities),
            "remark": remark,
            "files": {"error map": errors, **({"proposal": proposal} if proposal else {})},
            "proposal_digest": written,
            "scores": scores.record(),
        }
        self.folder.write_record(entry.case_id, record)

    def _propose(self, entry: AuditEntry, found: Examination) -> tuple[str, str, str]:
        """Name and digest of the proposal, where it is not the label itself, and why there is none."""
        name = f"proposals/{entry.name}{entry.suffix}"
        proposed = propose(found)
        if np.array_equal(proposed, found.case.label):
            return "", "", ""
        try:
            content = entry.label.rewrite(proposed)
        except CaseError as error:
            return "", "", f"There is no proposal for {entry.case_id}: {error}."
        written = hashlib.sha256(content).hexdigest()
        self.folder.set_aside_edited(name, written)  # of a killed call, or of someone
        write_bytes(self.folder.path / name, content)
        return name, written, ""

    def _draw(self, entry: AuditEntry, case: AuditCase, scores: CaseScores) -> None:
        if self.with_pictures:
            pictures = case_picture(_read_image(entry, case.label.shape), case, scores)
            self.folder.write_pictures(entry.case_id, [(one.uri, one.caption) for one in pictures])


def _check_image(entry: AuditEntry, shape: tuple[int, ...]) -> None:
    image = open_image(entry.image)
    found = image.shape[1::-1] if image.is_picture else image.shape[: len(shape)]
    if found != shape:
        raise CaseError(
            f"{entry.label.path}: the label has shape {shape}, its image {entry.image.name} {image.shape}; resample "
            "one of them, or pair the right files"
        )


def _read_image(entry: AuditEntry, shape: tuple[int, ...]) -> NDArray[Any]:
    """The image in the axes of its label, channels first where it has any."""
    image = open_image(entry.image)
    values = image.read()
    if image.is_picture:
        return values.T
    return values.reshape(shape) if values.size == np.prod(shape) else np.moveaxis(values.reshape(*shape, -1), -1, 0)
