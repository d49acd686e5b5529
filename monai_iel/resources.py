"""Where the bundles and the overlay configs are: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

__all__ = ["BUNDLES", "bundle_root", "copy_bundle", "overlay", "study_file"]

BUNDLES = ("noisy_annotation_segmentation", "convex_organ_segmentation")
_STUDIES = "study"  # folder of study files beside the overlays


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
    return _folder("bundles") / _known("bundle", name, BUNDLES)


def overlay(name: str) -> Path:
    """File of an overlay config such as ``"iel/heat"`` or ``"data/wbc"``; an existing file is taken as it is.

    Raises:
        ValueError: no such overlay; the message names the nearest.
    """
    if Path(name).is_file():
        return Path(name).resolve()
    folder = _folder("configs")
    files = (p for p in folder.rglob("*.yaml") if p.parent != folder / _STUDIES)
    known = sorted(p.relative_to(folder).with_suffix("").as_posix() for p in files)
    return folder / f"{_known('overlay', name.removesuffix('.yaml'), known)}.yaml"


def study_file(name: str) -> Path:
    """A study file: an existing file is taken as it is, else one of those in ``configs/study`` by its name.

    Raises:
        ValueError: neither; the message names the nearest.
    """
    if Path(name).is_file():
        return Path(name).resolve()
    folder = _folder("configs") / _STUDIES
    return folder / f"{_known('study file', name, sorted(path.stem for path in folder.glob('*.yaml')))}.yaml"


def _known(kind: str, name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    (near,) = get_close_matches(name, known, n=1, cutoff=0.0)
    raise ValueError(f"no {kind} {name!r}; did you mean {near!r}? There are: {', '.join(known)}")


def copy_bundle(name: str, folder: str | os.PathLike[str]) -> Path:
    """Copy a bundle and the overlay configs out, to ``folder/bundles/NAME`` and ``folder/configs``, to be edited.

    Raises:
        ValueError: no such bundle.
        FileExistsError: one of the two folders exists.
    """
    source, target = bundle_root(name), Path(folder).resolve()
    # What runs have left in a bundle stays behind; the overlays have a folder data of their own.
    copies = [(source, target / "bundles" / name, {"runs", "data"}), (_folder("configs"), target / "configs", set())]
    for _, to, _ in copies:
        if to.exists():
            raise FileExistsError(f"{to} exists; give another folder, or move it away")
    for from_, to, left_out in copies:
        _copy_folder(from_, to, left_out)
    return target / "bundles" / name


def _copy_folder(source: Path, target: Path, left_out: set[str]) -> None:
    """Copy whole or not at all, without the entries ``left_out``."""

    def unwanted(folder: str, names: list[str]) -> set[str]:
        return {"__pycache__", *(left_out if Path(folder) == source else ())} & set(names)

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        shutil.copytree(source, temporary, ignore=unwanted)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
