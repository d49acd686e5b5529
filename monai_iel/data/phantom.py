"""The embedded default data set: phantom cases written as a small NIfTI data set with a Decathlon ``dataset.json``."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from monai_iel.data.building import building_folder
from monai_iel.data.checks import CaseError
from monai_iel.data.datalist import load_datalist, read_json, write_datalist
from monai_iel.data.phantom_case import KINDS, case_name, check_geometry, make_phantom_case
from monai_iel.data.splits import split_by_hash

__all__ = ["PHANTOM_CLASSES", "make_phantom_case", "make_phantom_dataset"]

PHANTOM_CLASSES = KINDS["organs"].classes

_VERSION = 1  # of the content; part of the parameters that decide whether a data set on disc is reused


def make_phantom_dataset(
    folder: str | os.PathLike[str],
    *,
    kind: str = "organs",
    spatial_dims: int = 3,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    num_training: int = 24,
    num_validation: int = 4,
    num_test: int = 8,
    seed: int = 0,
    oblique: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write a phantom data set (NIfTI files and a Decathlon ``dataset.json``), or reuse the same one.

    The bytes of every file follow from the arguments. The folder appears when it is complete. A folder that already
    holds the data set with the same arguments is left as it is.

    Args:
        folder: the folder to make.
        kind: as for `make_phantom_case`.
        spatial_dims: as for `make_phantom_case`.
        shape: as for `make_phantom_case`.
        spacing: as for `make_phantom_case`.
        num_training: training cases (with ``num_validation`` and ``num_test``: cut by the hash of the case ids).
        num_validation: validation cases.
        num_test: test cases.
        seed: as for `make_phantom_case`.
        oblique: as for `make_phantom_case`.
        overwrite: replace a data set with other arguments; folders that were not written here are never replaced.

    Returns:
        The path of the ``dataset.json``.

    Raises:
        ValueError: arguments that make no data set.
        FileExistsError: ``folder`` holds something else.
    """
    sizes, steps = check_geometry(spatial_dims, shape, spacing, kind=kind)
    if num_training < 1 or num_validation < 0 or num_test < 0:
        raise ValueError(
            f"num_training, num_validation, num_test are {num_training}, {num_validation}, {num_test}; expected at "
            "least one training case and no negative number"
        )
    parameters = {
        "version": _VERSION,
        **({} if kind == "organs" else {"kind": kind}),  # the first kind: written without a name
        "spatial_dims": spatial_dims,
        "shape": list(sizes),
        "spacing": list(steps),
        "num_training": num_training,
        "num_validation": num_validation,
        "num_test": num_test,
        "seed": seed,
        "oblique": oblique,
    }
    folder = Path(folder).resolve()
    if not overwrite and _is_complete(folder, parameters):
        return folder / "dataset.json"
    try:
        _build(folder, parameters, overwrite=overwrite)
    except OSError:
        # The processes of a training on several GPUs all come here at once; the first one to end has won.
        if overwrite or not _is_complete(folder, parameters):
            raise
    return folder / "dataset.json"


def _build(folder: Path, parameters: dict[str, Any], *, overwrite: bool) -> None:
    counts = {section: parameters[f"num_{section}"] for section in ("training", "validation", "test")}
    parts = split_by_hash([case_name(index) for index in range(sum(counts.values()))], **counts)
    names = ("kind", "spatial_dims", "shape", "spacing", "seed", "oblique")
    layout = {name: parameters[name] for name in names if name in parameters}
    with building_folder(folder, overwrite=overwrite) as temporary:
        lists: dict[str, list[dict[str, Any]]] = {}
        for section, members in parts.items():
            ending = "Ts" if section == "test" else "Tr"
            lists[section] = []
            for case_id in members:
                image, label, affine = make_phantom_case(case_id, **layout)
                entry = {"id": case_id}
                for key, values in (("image", image), ("label", label)):
                    path = temporary / f"{key}s{ending}" / f"{case_id}.nii.gz"
                    _write_nifti(path, values, affine)
                    entry[key] = str(path)
                lists[section].append(entry)
        write_datalist(
            temporary / "dataset.json",
            name="phantom",
            labels=KINDS[parameters.get("kind", "organs")].classes,
            channel_names=["MRI"],
            tensorImageSize=f"{parameters['spatial_dims']}D",
            phantom=parameters,
            **lists,
        )


def _is_complete(folder: Path, parameters: dict[str, Any]) -> bool:
    """Whether ``folder`` holds the data set with these parameters; an error that says so where files are missing."""
    path = folder / "dataset.json"
    if not path.is_file():
        return False
    found = read_json(path).get("phantom")
    if found != parameters:
        if not isinstance(found, dict):
            return False
        differing = [key for key in {**parameters, **found} if found.get(key) != parameters.get(key)]
        raise FileExistsError(
            f"{folder}: holds a phantom data set with other parameters ({', '.join(differing)}); give another folder, "
            "or replace it with overwrite=True (--overwrite)"
        )
    for section in ("training", "validation", "test"):
        if parameters[f"num_{section}"] > 0:
            try:
                load_datalist(path, section, spatial_dims=parameters["spatial_dims"], check="files")
            except CaseError as error:
                raise FileExistsError(
                    f"{error}; or make the data set again with overwrite=True (--overwrite)"
                ) from error
    return True


def _write_nifti(path: Path, values: np.ndarray[Any, Any], affine: np.ndarray[Any, Any]) -> None:
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(exist_ok=True)
    # A gzip header holds the time of writing and the name; with neither, equal content means equal bytes.
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
