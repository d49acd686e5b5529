"""Output that is either whole or not there: files and folders made under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_iel.data.roots import move_roots
from monai_iel.files import write_bytes

__all__ = ["MADE_BY", "building_folder", "write_json"]

MADE_BY = "monai_iel"
"""Value of the key ``made_by`` in every dataset.json written here; only folders that carry it are ever replaced."""


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as indented UTF-8 JSON, at once (see `monai_iel.files`)."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextmanager
def building_folder(out: Path, *, overwrite: bool = False, sources: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Give a temporary folder beside ``out``; rename it to ``out`` when the block ends well, else remove it.

    An empty ``out`` counts as absent. With ``overwrite`` a data set that this package wrote is replaced, and only
    such a one: a folder without our mark in its dataset.json is refused, so that a slip in the path deletes nothing.

    Args:
        out: the folder to make.
        overwrite: replace an existing data set.
        sources: folders that are read while building; ``out`` may not contain any of them.

    Raises:
        FileExistsError: ``out`` exists and may not be replaced.
    """
    out = out.resolve()
    _check_free(out, overwrite=overwrite, sources=sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    temporary = out.with_name(f".{out.name}.{token}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        _check_free(out, overwrite=overwrite, sources=sources)  # another process may have been faster
        move_roots(temporary / "dataset.json", out)
        _swap(temporary, out, out.with_name(f".{out.name}.{token}.old"))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, out: Path, old: Path) -> None:
    if not out.exists():
        os.replace(temporary, out)
        return
    os.replace(out, old)
    try:
        os.replace(temporary, out)
    except OSError:
        os.replace(old, out)
        raise
    shutil.rmtree(old)


def _check_free(out: Path, *, overwrite: bool, sources: tuple[Path, ...]) -> None:
    for source in sources:
        if source.resolve().is_relative_to(out):
            raise FileExistsError(f"{out}: the output folder holds the source {source}; give another output folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise FileExistsError(f"{out}: is a file; give a folder that does not exist yet")
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(f"{out}: exists already; give another folder, or replace it with --overwrite")
    if not _is_ours(out):
        raise FileExistsError(
            f"{out}: holds files that were not made here (no dataset.json with made_by {MADE_BY!r}) and is not "
            "replaced, not even with --overwrite; give another folder, or delete this one yourself"
        )


def _is_ours(folder: Path) -> bool:
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, unreadable, or no JSON: not ours
        return False
    return isinstance(content, dict) and content.get("made_by") == MADE_BY
