"""Rankings of the same cases: the audit's own, cleanlab's, and Dice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.segmentation.rank import get_label_quality_scores

from monai_iel.audit.probabilities import read_probabilities
from monai_iel.data.datalist import read_json
from monai_iel.noisy_labels import LabelFile

__all__ = ["audited", "rankings"]


def audited(folder: Path) -> list[dict[str, Any]]:
    """The cases of an audit, the most suspicious first."""
    return list(read_json(folder / "worklist.json")["cases"])


def rankings(folders: Mapping[str, Path], plain: str, num_classes: int) -> dict[str, dict[str, float]]:
    """Name of a ranking -> case id -> score, high where the case seems wrong.

    Args:
        folders: name of an audit -> its folder.
        plain: the audit whose predictions cleanlab gets.
        num_classes: with the background.
    """
    found: dict[str, dict[str, float]] = {}
    for name, folder in folders.items():
        found[f"audit, {name}"] = {case["case"]: case["suspicion"] for case in audited(folder)}
    found |= _of_cleanlab(folders[plain], num_classes)
    for name, folder in folders.items():
        dices = {case["case"]: case["measures"]["dice"] for case in audited(folder)}
        found[f"Dice, {name}"] = {case_id: 0.0 if dice is None else 1 - dice for case_id, dice in dices.items()}
    return found


def _of_cleanlab(folder: Path, num_classes: int) -> dict[str, dict[str, float]]:
    """Cleanlab's quality of a case: of an image its score, of a volume the mean and the lowest of its slices'."""
    scores = {case["case"]: _slices(folder, case["files"], num_classes) for case in audited(folder)}
    if all(len(qualities) == 1 for qualities in scores.values()):
        return {"cleanlab": {case_id: 1 - qualities[0] for case_id, qualities in scores.items()}}
    return {
        "cleanlab, mean of slices": {case_id: 1 - float(np.mean(qualities)) for case_id, qualities in scores.items()},
        "cleanlab, lowest slice": {case_id: 1 - min(qualities) for case_id, qualities in scores.items()},
    }


def _slices(folder: Path, files: Mapping[str, str], num_classes: int) -> Sequence[float]:
    file = LabelFile(folder / files["label"])
    label, _ = file.read()
    probabilities = read_probabilities(folder / files["prediction"], file.open(), label.shape, num_classes)
    if label.ndim == 2:
        label, probabilities = label[..., None], probabilities[..., None]
    scores, _ = get_label_quality_scores(np.moveaxis(label, -1, 0), np.moveaxis(probabilities, -1, 0), verbose=False)
    return [float(score) for score in scores]
