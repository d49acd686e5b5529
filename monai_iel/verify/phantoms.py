"""A tiny data set for any segmentation bundle, made after its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from monai_iel.data import write_datalist
from monai_iel.verify.network import described_input

__all__ = ["write_phantoms"]


def write_phantoms(folder: Path, metadata: dict[str, Any]) -> list[dict[str, str]]:
    """One case per section of a ``dataset.json`` in ``folder``, of the size and channels of the network's input.

    Nested ellipsoids, a class each, with noise. PNG where the metadata's ``data_type`` is ``"pillow"``, else NIfTI.

    Returns:
        The cases for training, validation and test: ``image``, ``label`` and ``case_id``.

    Raises:
        ValueError: the metadata describes an input for which no such files can be made.
    """
    channels, shape = described_input(metadata)
    classes = int(metadata["network_data_format"]["outputs"]["pred"]["num_channels"])
    pictures = metadata.get("data_type") == "pillow"
    if len(shape) not in (2, 3) or (pictures and (len(shape) != 2 or channels not in (1, 3, 4))):
        kind = "pictures" if pictures else "volumes"
        raise ValueError(f"there are no phantom {kind} with {len(shape)} axes and {channels} channels")
    rng = np.random.default_rng(0)
    cases = []
    for section in ("training", "validation", "test"):
        label = _nested(shape, classes)
        image = 20 + 200 * label[..., None] / max(classes - 1, 1) + rng.normal(0, 10, (*shape, channels))
        case = {"id": section}
        for key, values in (("image", image[..., 0] if channels == 1 else image), ("label", label)):
            case[key] = str(_write(folder / f"{section}_{key}", values, pictures))
        cases.append(case)
    training, validation, test = ([case] for case in cases)
    write_datalist(
        folder / "dataset.json",
        name="phantom",
        labels=[f"class {index}" for index in range(classes)],
        channel_names=[f"channel {index}" for index in range(channels)],
        training=training,
        validation=validation,
        test=test,
    )
    return [{"image": case["image"], "label": case["label"], "case_id": case["id"]} for case in cases]


def _nested(shape: tuple[int, ...], classes: int) -> np.ndarray[Any, Any]:
    """Class of each voxel: 0 outside, the last one in the middle."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return np.clip(np.ceil((0.9 - radius) / 0.9 * (classes - 1)), 0, classes - 1).astype(np.uint8)


def _write(stem: Path, values: np.ndarray[Any, Any], as_picture: bool) -> Path:
    path = stem.with_name(f"{stem.name}.png" if as_picture else f"{stem.name}.nii.gz")
    if as_picture:
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    else:
        kind = np.uint8 if values.dtype == np.uint8 else np.float32
        nibabel.save(nibabel.Nifti1Image(values.astype(kind), np.eye(4)), path)
    return path
