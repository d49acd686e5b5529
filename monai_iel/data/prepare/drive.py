"""Retinal vessels (DRIVE)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from monai_iel.data.prepare.common import (
    Description,
    PathLike,
    PictureCase,
    checked_source,
    files_below,
    grey_map,
    paired_files,
    split_published,
    write_pictures,
)
from monai_iel.data.splits import Amount

__all__ = ["prepare_drive"]


def prepare_drive(
    source: PathLike,
    out: PathLike,
    *,
    training: Amount = None,
    validation: Amount = 4,
    test: Amount = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write the retinal vessels as PNG files with a ``dataset.json``; labels are 0 (background) and 1 (vessel).

    The published test images stay the test section. Where their manual segmentations are not there (they are not in
    every distribution) the test entries have no ``label``. The masks of the field of view are not used.

    Args:
        source: the published folder: ``training/images/21_training.tif``, ``training/1st_manual/21_manual1.gif``,
            ``test/images/01_test.tif``, ``test/1st_manual/01_manual1.gif``.
        out: the folder to make.
        training: of the published training images; see `split_by_hash`.
        validation: of the published training images; see `split_by_hash`.
        test: must stay ``None``.
        overwrite: replace a data set that was prepared before.
        progress: show a progress bar.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        FileNotFoundError: a missing folder or file.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: an impossible split; as ``CaseError`` a file that cannot be used.
    """
    folder = checked_source(source, ("DRIVE",))
    published = {"training": _cases(folder / "training"), "test": _cases(folder / "test", labels_needed=False)}
    ids = {section: [case.case_id for case in cases] for section, cases in published.items()}
    parts = split_published(ids, training=training, validation=validation, test=test)
    about = Description(
        name="DRIVE",
        labels=("background", "vessel"),
        channel_names=("red", "green", "blue"),
        reference="Staal et al., IEEE Trans. Med. Imaging 23 (2004) 501-509",
    )
    cases = [case for section in published.values() for case in section]
    return write_pictures(out, folder, cases, parts, about, overwrite=overwrite, progress=progress)


def _cases(folder: Path, *, labels_needed: bool = True) -> list[PictureCase]:
    images = files_below(folder / "images", "*.tif", "images")
    manual = folder / "1st_manual"
    if not labels_needed and not manual.is_dir():
        return [PictureCase(image.stem, image, "RGB", None) for image in images]
    labels = files_below(manual, "*.gif", "manual segmentations")
    # 21_training.tif belongs to 21_manual1.gif.
    pairs = paired_files(images, lambda image: manual / f"{image.stem.split('_')[0]}_manual1.gif", labels)
    return [
        PictureCase(image.stem, image, "RGB", partial(grey_map, label, {0: 0, 255: 1}))
        for image, label in pairs.items()
    ]
