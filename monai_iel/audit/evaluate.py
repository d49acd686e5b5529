"""An audit against annotations whose errors are known: how much of what is wrong comes first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from monai_iel.audit.rankings import RankingQuality, Units, compare_rankings, rank_units
from monai_iel.data.datalist import read_json
from monai_iel.data.files import CaseError, open_image
from monai_iel.noisy_labels import LabelFile

__all__ = ["AuditEvaluation", "evaluate_audit"]

BINS = 4096
_LEAST = 1e-7  # nearer to 0 and 1 than float32 can tell from them
_EDGE = float(logit(1 - _LEAST))


@dataclass(frozen=True)
class AuditEvaluation:
    """How well an audit ranks cases, slices and voxels.

    Args:
        cases: by suspicion.
        slices: by label quality, of all cases together; of images the same cases by the quality of the whole image.
            None where no slice is wrong, or every one.
        voxels: by the error maps, of all cases together.
    """

    cases: RankingQuality
    slices: RankingQuality | None
    voxels: RankingQuality | None

    def record(self) -> dict[str, Any]:
        """As it is written."""
        levels = {"cases": self.cases, "slices": self.slices, "voxels": self.voxels}
        return {name: None if found is None else found.record() for name, found in levels.items()}


def evaluate_audit(
    folder: str | os.PathLike[str],
    clean: Mapping[str, str | os.PathLike[str]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> AuditEvaluation:
    """Compare what an audit says with what is wrong: where an audited label differs from its clean one.

    A case or a slice with one wrong voxel is wrong. Slices and voxels are ranked over all cases together, with much
    background among them that is easy to tell; so compare their AUROC between audits, and look at the AUPRC, for which
    chance is the share of what is wrong. Intervals are over resamples of the cases, see `compare_rankings`.

    One case is read at a time. Of its error map the numbers of wrong and right voxels are kept, in 4096 bins of equal
    width in ``log(e / (1 - e))`` from e = 1e-7 to 1 - 1e-7, fine where an error is improbable and where it is nearly
    certain; voxels of one bin count as tied. Error maps are written with three decimals (8 bits in pictures), so the
    voxels with less are tied with those of jitter.

    Args:
        folder: of a complete audit; ``worklist.json`` and the error maps are read.
        clean: case id -> the right label of each case, of any label format.
        resamples: number of resamples.
        seed: of the resamples.

    Raises:
        FileNotFoundError: there is no worklist, or (as ``MissingCaseFileError``) no such label or error map.
        ValueError: the worklist has cases without a clean label, the labels are all right or all wrong, or, as
            ``CaseError``, a clean label or an error map has another shape than the audited label.

    Example::

        evaluation = evaluate_audit("runs/audit", {entry["id"]: entry["clean"] for entry in entries})
        print(evaluation.cases.auroc)  # 0.957 (0.903 to 0.993)
    """
    place = Path(folder)
    cases = [_Case.read(record, place, clean) for record in read_json(place / "worklist.json")["cases"]]
    wrong = {case.case_id for case in cases if case.wrong}
    by_suspicion = {"suspicion": {case.case_id: case.suspicion for case in cases}}
    is_wrong = np.array([case.wrong for case in cases])
    parts = {"resamples": resamples, "seed": seed}
    return AuditEvaluation(
        cases=compare_rankings(by_suspicion, wrong, **parts).rankings["suspicion"],
        slices=rank_units(_together([case.slices for case in cases]), is_wrong, **parts),
        voxels=rank_units(_together([case.voxels for case in cases]), is_wrong, **parts),
    )


@dataclass(frozen=True)
class _Case:
    """What remains of a case: scores, and numbers of wrong and right units for each."""

    case_id: str
    suspicion: float
    slices: NDArray[np.float64]  # of each: score, wrong, right
    voxels: NDArray[np.float64]

    @property
    def wrong(self) -> bool:
        return bool(self.voxels[1].any())

    @classmethod
    def read(cls, record: Mapping[str, Any], folder: Path, clean: Mapping[str, str | os.PathLike[str]]) -> _Case:
        case_id, files = record["case"], record["files"]
        if case_id not in clean:
            raise ValueError(f"{folder}: the audit has case {case_id!r}, for which there is no clean label; give all")
        label, _ = LabelFile(folder / files["label"]).read()
        right, _ = LabelFile(Path(clean[case_id])).read()
        if right.shape != label.shape:
            raise CaseError(f"{clean[case_id]}: has shape {right.shape}, the audited label {label.shape}")
        differs = label != right
        slices = differs.any(axis=(0, 1)) if differs.ndim == 3 else np.array([differs.any()])
        doubt = 1 - np.array(record["slices"], dtype=np.float64)
        errors = _shares(folder / files["error map"], label.shape)
        return cls(case_id, float(record["suspicion"]), np.stack([doubt, slices, ~slices]), _histogram(errors, differs))


def _shares(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """An error map in the axes of its label."""
    file = open_image(path)
    values = file.read()
    values = values.T / np.float32(255) if file.is_picture else values
    if values.shape[: len(shape)] != shape or values.size != np.prod(shape):
        raise CaseError(f"{path}: has shape {values.shape}, the audited label {shape}")
    return values.reshape(shape)


def _histogram(errors: NDArray[Any], differs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Bins that hold voxels: number of the bin, wrong and right voxels in it."""
    steps = logit(np.clip(errors, _LEAST, 1 - _LEAST, dtype=np.float64))
    bins = np.rint((steps + _EDGE) / (2 * _EDGE) * (BINS - 1)).astype(np.intp)
    wrong, right = (np.bincount(bins[mask], minlength=BINS) for mask in (differs, ~differs))
    used = np.flatnonzero(wrong + right)
    return np.stack([used, wrong[used], right[used]]).astype(np.float64)


def _together(parts: list[NDArray[np.float64]]) -> Units:
    case = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    scores, wrong, right = np.concatenate(parts, axis=1)
    return Units(scores, case, wrong, right)
