"""Tiny data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image


def blob(size: int, number: int, spacing: float = 1.0) -> np.ndarray:
    """A disc of class 1 with a smaller one of class 2 in it, another for each number."""
    grid = np.indices((size, size)) - size / 2 + (number % 3) / 2
    far = np.hypot(*grid)
    return (far < size * (0.3 + 0.02 * number)).astype(np.uint8) + (far < size * 0.15)


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """A list of five PNG cases: 3 training (one id with slashes), 1 validation, 1 test."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    entries = []
    for number in range(5):
        label = blob(24, number)
        image = (label * 90 + np.arange(24)[:, None]).astype(np.uint8)
        for name, values in (("image", image), ("label", label)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(values).save(folder / name / f"{number}.png")
        entries.append({"image": f"image/{number}.png", "label": f"label/{number}.png", "id": f"case {number}"})
    entries[1]["id"] = "../site/case 1"
    content = {
        "name": "blobs",
        "labels": {"0": "background", "1": "cell", "2": "nucleus"},
        "modality": {"0": "grey"},
        "licence": "CC0",
        "training": entries[:3],
        "validation": entries[3:4],
        "test": entries[4:],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def save_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write a label with an oblique affine, a qform of its own, units, a description and an extension."""

    def save(
        values: np.ndarray,
        name: str = "label.nii.gz",
        kind: Any = nibabel.Nifti1Image,
        endianness: str = "<",
        **header: Any,
    ) -> Path:
        affine = np.array([[0, -0.8, 0.1, 5], [0.9, 0, 0, -7], [0.1, 0, 2.5, 3], [0, 0, 0, 1.0]])
        image = kind(values, affine, kind.header_class(endianness=endianness), dtype=values.dtype)
        image.header.set_xyzt_units("mm", "sec")
        image.set_sform(affine, code=4)
        image.set_qform(affine, code=1)
        image.header["descrip"] = b"drawn by hand"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"rater 3"))
        for field, value in header.items():
            image.header[field] = value
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return save


def tree(folder: Path) -> dict[str, str]:
    """Name -> hash of every file; in the one with the allowed folders the name of ``folder`` itself does not count."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes().replace(f"folder: {folder.resolve()}\n".encode(), b"")
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(name="tree")
def _tree() -> Callable[[Path], dict[str, str]]:
    return tree
