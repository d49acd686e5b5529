"""Nuclei of the 2018 Data Science Bowl (BBBC038)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from monai_iel.data.checks import CaseError
from monai_iel.data.files import MissingCaseFileError
from monai_iel.data.prepare.common import (
    Description,
    PathLike,
    PictureCase,
    binary_map,
    checked_source,
    files_below,
    paired_files,
    write_pictures,
)
from monai_iel.data.splits import Amount, split_by_hash

__all__ = ["prepare_dsb2018"]


def prepare_dsb2018(
    source: PathLike,
    out: PathLike,
    *,
    training: Amount = None,
    validation: Amount = 0.1,
    test: Amount = 0.2,
    grey: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write the nuclei as PNG files with a ``dataset.json``; labels are 0 (background) and 1 (nucleus).

    Args:
        source: the published folder (``stage1_train``, or the one around it: ``ID/images/ID.png`` and one mask per
            nucleus in ``ID/masks``), or one with ``images/X.png`` and ``labels/X.png`` (instance maps).
        out: the folder to make.
        training: see `split_by_hash`.
        validation: see `split_by_hash`.
        test: see `split_by_hash`.
        grey: one grey channel; ``False`` keeps red, green and blue (the published images are RGBA; some are stained
            tissue). Transparency is dropped.
        overwrite: replace a data set that was prepared before.
        progress: show a progress bar.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        FileNotFoundError: a missing folder or file.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: an impossible split; as ``CaseError`` a file that cannot be used.
    """
    folder = checked_source(source, ("stage1_train",))
    mode = "L" if grey else "RGB"
    cases = _flat_cases(folder, mode) if (folder / "images").is_dir() else _published_cases(folder, mode)
    parts = split_by_hash([case.case_id for case in cases], training=training, validation=validation, test=test)
    about = Description(
        name="DSB2018",
        labels=("background", "nucleus"),
        channel_names=("grey",) if grey else ("red", "green", "blue"),
        reference="2018 Data Science Bowl, stage 1; Broad Bioimage Benchmark Collection BBBC038",
        options={"grey": grey},
    )
    return write_pictures(out, folder, cases, parts, about, overwrite=overwrite, progress=progress)


def _flat_cases(folder: Path, mode: str) -> list[PictureCase]:
    images = files_below(folder / "images", "*.png", "images")
    labels = files_below(folder / "labels", "*.png", "labels")
    pairs = paired_files(images, lambda image: folder / "labels" / image.name, labels)
    return [PictureCase(image.stem, image, mode, partial(binary_map, label)) for image, label in pairs.items()]


def _published_cases(folder: Path, mode: str) -> list[PictureCase]:
    cases = []
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        image = inner / "images" / f"{inner.name}.png"
        if not image.is_file():
            raise MissingCaseFileError(f"{image}: no such file; expected ID/images/ID.png; restore it")
        masks = sorted((inner / "masks").glob("*.png"))
        if not masks:
            raise MissingCaseFileError(
                f"{inner / 'masks'}: found no masks (*.png), expected one per nucleus; restore them"
            )
        cases.append(PictureCase(inner.name, image, mode, partial(_union, masks)))
    if not cases:
        raise FileNotFoundError(f"{folder}: found no case folders; give the folder stage1_train")
    return cases


def _union(masks: list[Path]) -> np.ndarray[Any, Any]:
    union = binary_map(masks[0])
    for path in masks[1:]:
        mask = binary_map(path)
        if mask.shape != union.shape:
            raise CaseError(
                f"{path}: found the shape {mask.shape}, expected {union.shape} as in {masks[0].name}; download it again"
            )
        union = union | mask
    return union
