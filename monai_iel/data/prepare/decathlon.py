"""Any task folder of the Medical Segmentation Decathlon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_iel.data.building import building_folder
from monai_iel.data.checks import check_cases
from monai_iel.data.datalist import load_datalist, read_json, write_datalist
from monai_iel.data.prepare.common import PathLike
from monai_iel.data.splits import Amount, split_by_hash

__all__ = ["prepare_decathlon"]

_PASSED_ON = ("description", "licence", "reference", "release", "tensorImageSize")


def prepare_decathlon(
    source: PathLike,
    out: PathLike,
    *,
    training: Amount = None,
    validation: Amount = 0.1,
    test: Amount = 0.2,
    spatial_dims: int = 3,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write a ``dataset.json`` that cuts a task's labelled cases in three; the images stay where they are.

    The case ids are those of the task's own list (an entry's ``id``, else its path relative to the list), so a case is
    the same case in both lists. The task's unlabelled test images are left out.

    Args:
        source: the task folder (with ``dataset.json``).
        out: the folder to make for the new ``dataset.json``; not the task folder.
        training: see `split_by_hash`.
        validation: see `split_by_hash`.
        test: see `split_by_hash`.
        spatial_dims: axes of the images, 3 in all published tasks.
        overwrite: replace a list that was written before.
        progress: show a progress bar.

    Returns:
        The path of the new ``dataset.json``.

    Raises:
        FileNotFoundError: a missing folder or file.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: a list that cannot be understood, or an impossible split; as ``CaseError`` a case that cannot be
            used.
    """
    path = Path(source) / "dataset.json"
    content = read_json(path)
    labels, modality = _named(content, "labels", path), _named(content, "modality", path)
    num_classes = max(int(key) for key in labels) + 1
    entries = load_datalist(path, "training", spatial_dims=spatial_dims, check="files", progress=False)
    by_id = {entry["case_id"]: entry for entry in entries}
    parts = split_by_hash(by_id, training=training, validation=validation, test=test)
    wanted = [by_id[case_id] for members in parts.values() for case_id in members]
    with building_folder(Path(out), overwrite=overwrite, sources=(path.parent,)) as temporary:
        check_cases(
            wanted, spatial_dims=spatial_dims, num_classes=num_classes, in_channels=len(modality), progress=progress
        )
        write_datalist(
            temporary / "dataset.json",
            name=str(content.get("name", path.parent.name)),
            labels=labels,
            channel_names=modality,
            training=[by_id[case_id] for case_id in parts["training"]],
            validation=[by_id[case_id] for case_id in parts["validation"]],
            test=[by_id[case_id] for case_id in parts["test"]],
            **{key: content[key] for key in _PASSED_ON if key in content},
        )
    return Path(out).resolve() / "dataset.json"


def _named(content: dict[str, Any], key: str, path: Path) -> dict[str, str]:
    """A Decathlon table ``{"0": name, ...}``."""
    table = content.get(key)
    if not isinstance(table, dict) or not table or not all(str(number).isdecimal() for number in table):
        raise ValueError(f"{path}: {key!r} is {table!r}, expected names by number, {{'0': ..., '1': ...}}; correct it")
    return {str(number): str(name) for number, name in table.items()}
