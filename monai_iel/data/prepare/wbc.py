"""White blood cells (Zheng et al. 2018), data set 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_iel.data.prepare.common import (
    Description,
    PathLike,
    PictureCase,
    checked_source,
    class_map,
    files_below,
    grey_map,
    paired_files,
    write_pictures,
)
from monai_iel.data.splits import Amount, split_by_hash

__all__ = ["prepare_wbc"]

_GREYS = {0: 0, 128: 1, 255: 2}
_LABELS = {"classes": ("background", "cytoplasm", "nucleus"), "cell": ("background", "cell")}


def prepare_wbc(
    source: PathLike,
    out: PathLike,
    *,
    training: Amount = None,
    validation: Amount = 0.1,
    test: Amount = 0.2,
    foreground: Literal["classes", "cell"] = "classes",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write the white blood cells as PNG files with a ``dataset.json``.

    Args:
        source: the published folder ("Dataset 1", or the one around it: ``NNN.bmp`` images and ``NNN.png`` masks with
            the greys 0, 128, 255), or one with ``images/X.png`` and ``labels/X.png`` (0, 1, 2).
        out: the folder to make.
        training: see `split_by_hash`.
        validation: see `split_by_hash`.
        test: see `split_by_hash`.
        foreground: ``"classes"``: cytoplasm 1, nucleus 2; ``"cell"``: both 1.
        overwrite: replace a data set that was prepared before.
        progress: show a progress bar.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        FileNotFoundError: a missing folder or file.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: an impossible split or option; as ``CaseError`` a file that cannot be used.
    """
    if foreground not in _LABELS:
        raise ValueError(f"foreground is {foreground!r}; expected 'classes' or 'cell'")
    folder = checked_source(source, ("Dataset 1",))
    labels = _labels(folder)
    cases = [
        PictureCase(image.stem, image, "RGB", partial(_cell, read) if foreground == "cell" else read)
        for image, read in labels.items()
    ]
    parts = split_by_hash([case.case_id for case in cases], training=training, validation=validation, test=test)
    about = Description(
        name="WBC",
        labels=_LABELS[foreground],
        channel_names=("red", "green", "blue"),
        reference="Zheng et al., Micron 107 (2018) 55-71, data set 1",
        options={"foreground": foreground},
    )
    return write_pictures(out, folder, cases, parts, about, overwrite=overwrite, progress=progress)


def _labels(folder: Path) -> dict[Path, Callable[[], np.ndarray[Any, Any]]]:
    """Image -> how to read its classes."""
    if (folder / "images").is_dir():
        images = files_below(folder / "images", "*.png", "images")
        masks = files_below(folder / "labels", "*.png", "labels")
        pairs = paired_files(images, lambda image: folder / "labels" / image.name, masks)
        return {image: partial(class_map, mask, 3) for image, mask in pairs.items()}
    images = files_below(folder, "*.bmp", "images")
    pairs = paired_files(images, lambda image: image.with_suffix(".png"), sorted(folder.glob("*.png")))
    return {image: partial(grey_map, mask, _GREYS) for image, mask in pairs.items()}


def _cell(read: Callable[[], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return (read() > 0).astype(np.uint8)
