"""Where the bundles and the overlay configs are: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from monai.utils import look_up_option

__all__ = ["BUNDLES", "bundle_root", "copy_bundle", "overlay"]

BUNDLES = ("noisy_annotation_segmentation",)


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"the folder {name!r} is neither in {package} nor beside it: the installation is incomplete"
    )


def bundle_root(name: str) -> Path:
    """Folder of a bundle.

    Raises:
        ValueError: no such bundle; the message names the nearest.
    """
    return _folder("bundles") / str(look_up_option(name, BUNDLES))


def overlay(name: str) -> Path:
    """File of an overlay config such as ``"iel/heat"`` or ``"data/wbc"``; an existing file is taken as it is.

    Raises:
        ValueError: no such overlay; the message names the nearest.
    """
    if Path(name).is_file():
        return Path(name).resolve()
    folder = _folder("configs")
    known = sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))
    return folder / f"{look_up_option(name.removesuffix('.yaml'), known)}.yaml"


def copy_bundle(name: str, folder: str | os.PathLike[str]) -> Path:
    """Copy a bundle and the overlay configs out, to ``folder/bundles/NAME`` and ``folder/configs``, to be edited.

    Raises:
        ValueError: no such bundle.
        FileExistsError: one of the two folders exists.
    """
    source, target = bundle_root(name), Path(folder).resolve()
    pairs = [(source, target / "bundles" / name), (_folder("configs"), target / "configs")]
    for _, to in pairs:
        if to.exists():
            raise FileExistsError(f"{to} exists; give another folder, or move it away")
    for from_, to in pairs:
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.tmp")
        shutil.copytree(from_, temporary, ignore=shutil.ignore_patterns("runs", "data", "__pycache__"))
        temporary.rename(to)
    return pairs[0][1]
