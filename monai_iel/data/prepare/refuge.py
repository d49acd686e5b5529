"""Optic disc and cup (REFUGE)."""

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

__all__ = ["prepare_refuge"]

_GREYS = {255: 0, 128: 1, 0: 2}
_VALIDATION = "REFUGE-Validation400"
_VALIDATION_MASKS = (f"{_VALIDATION}-GT", f"Annotation-{_VALIDATION}", "Annotation-Validation400")


def prepare_refuge(
    source: PathLike,
    out: PathLike,
    *,
    training: Amount = None,
    validation: Amount = None,
    test: Amount = 0.2,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write the fundus images as PNG files with a ``dataset.json``; labels are 0, 1 (disc rim) and 2 (cup).

    Where ``REFUGE-Validation400`` and its masks are there, it stays the validation section (it comes from another
    camera), and ``Training400`` is cut into training and test.

    Args:
        source: the published folder: ``Training400/{Glaucoma,Non-Glaucoma}/*.jpg`` and
            ``Annotation-Training400/Disc_Cup_Masks/{Glaucoma,Non-Glaucoma}/*.bmp`` (0 cup, 128 rim, 255 background);
            ``REFUGE-Validation400/*.jpg`` with ``REFUGE-Validation400-GT/Disc_Cup_Masks/*.bmp`` where there.
        out: the folder to make.
        training: see `split_by_hash`; ``None`` is the rest.
        validation: see `split_by_hash`. Must be ``None`` where the published validation images are there; ``None``
            means a tenth where they are not.
        test: see `split_by_hash`.
        overwrite: replace a data set that was prepared before.
        progress: show a progress bar.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        FileNotFoundError: a missing folder or file.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: an impossible split; as ``CaseError`` a file that cannot be used.
    """
    folder = checked_source(source, ("REFUGE",))
    published = {"training": _cases(folder / "Training400", folder / "Annotation-Training400", "*/*.jpg")}
    masks = next((folder / name for name in _VALIDATION_MASKS if (folder / name).is_dir()), None)
    if (folder / _VALIDATION).is_dir() and masks is not None:
        published["validation"] = _cases(folder / _VALIDATION, masks, "*.jpg")
    elif validation is None:
        validation = 0.1
    ids = {section: [case.case_id for case in cases] for section, cases in published.items()}
    parts = split_published(ids, training=training, validation=validation, test=test)
    about = Description(
        name="REFUGE",
        labels=("background", "disc rim", "cup"),
        channel_names=("red", "green", "blue"),
        reference="Orlando et al., Med. Image Anal. 59 (2020) 101570",
    )
    cases = [case for section in published.values() for case in section]
    return write_pictures(out, folder, cases, parts, about, overwrite=overwrite, progress=progress)


def _cases(images_folder: Path, annotation: Path, pattern: str) -> list[PictureCase]:
    images = files_below(images_folder, pattern, "images")
    masks_folder = annotation / "Disc_Cup_Masks" if (annotation / "Disc_Cup_Masks").is_dir() else annotation
    masks = files_below(masks_folder, pattern.replace(".jpg", ".bmp"), "masks")

    def mask_of(image: Path) -> Path:
        return (masks_folder / image.relative_to(images_folder)).with_suffix(".bmp")

    pairs = paired_files(images, mask_of, masks)
    return [PictureCase(image.stem, image, "RGB", partial(grey_map, mask, _GREYS)) for image, mask in pairs.items()]
