"""A small data set with predictions, as some system could have written them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_iel.audit import Audit, audit

AFFINE = np.array([[0, -0.8, 0.1, 5], [0.9, 0, 0, -7], [0.1, 0, 2.5, 3], [0, 0, 0, 1.0]])
SHAPE = (24, 20, 10)


def organ(number: int) -> np.ndarray:
    """A ball of class 1 with one of class 2 beside it, elsewhere for each number."""
    grid = np.indices(SHAPE)
    label = np.zeros(SHAPE, np.uint8)
    for value, centre, radius in ((1, (8 + number % 2, 8, 5), 5), (2, (18, 12 + number % 3, 5), 3)):
        label[np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) < radius] = value
    return label


def probabilities(label: np.ndarray, right: float = 0.9, classes: int = 3) -> np.ndarray:
    """``H W D C``: so much for the class of the label, the rest shared by the others."""
    rest = (1 - right) / (classes - 1)
    return (np.eye(classes, dtype=np.float32)[label] * (right - rest) + rest).astype(np.float32)


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def run(organs: Path, **arguments: Any) -> Audit:
    """Audit the predictions of `organs`."""
    folder = organs.parent.parent
    given = {"predictions": folder / "predictions", "progress": False, "pictures": 2, **arguments}
    return audit(organs, folder / "audit", **given)


@pytest.fixture
def organs(tmp_path: Path) -> Path:
    """A list of six volumes whose labels are right, but that c3 lacks its class 2, and their probabilities."""
    folder = tmp_path / "data"
    entries = []
    for number in range(6):
        clean = organ(number)
        label = np.where(clean == 2, 0, clean).astype(np.uint8) if number == 3 else clean
        save(folder / "image" / f"c{number}.nii.gz", clean * 50 + np.arange(20, dtype=np.uint8)[:, None])
        save(folder / "label" / f"c{number}.nii.gz", label)
        save(tmp_path / "predictions" / f"c{number}.nii.gz", probabilities(clean))
        entries.append({"id": f"c{number}", "image": f"image/c{number}.nii.gz", "label": f"label/c{number}.nii.gz"})
    content = {"labels": {"0": "background", "1": "liver", "2": "spleen"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder / "dataset.json"


@pytest.fixture
def rewrite(organs: Path) -> Callable[..., None]:
    """Change the list of `organs`: a function takes its content."""

    def changed(change: Callable[[dict], None]) -> None:
        content = json.loads(organs.read_text())
        change(content)
        organs.write_text(json.dumps(content))

    return changed
