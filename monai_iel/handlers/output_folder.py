"""The folder that a training writes to: looked at before it begins; files in it are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

__all__ = ["check_output_folder", "save_whole"]


def check_output_folder(folder: str | Path) -> None:
    """Refuse a folder that cannot be made or written to, before hours of training rather than after; makes nothing.

    Whether there is room on the disk is not looked at.

    Args:
        folder: where a run will write.

    Raises:
        OSError: where the folder, or the nearest one above it that exists, is no folder or may not be written to.

    Example:
        >>> import tempfile
        >>> check_output_folder(Path(tempfile.mkdtemp()) / "runs" / "new")
    """
    path = Path(folder).absolute()
    nearest = next(above for above in (path, *path.parents) if above.exists() or above.is_symlink())
    if not nearest.is_dir():
        raise NotADirectoryError(f"output_dir {folder} cannot be made: {nearest} is no folder; set --output_dir")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"output_dir {folder} cannot be written to: {nearest} is read-only; set --output_dir")


def save_whole(content: Any, path: Path, *, previous: Path | None = None) -> None:
    """``torch.save`` at once: after a kill or a power cut there is the old file or the new one, never a part.

    What is written goes to ``.NAME.tmp`` first. A killed process leaves that behind, and the next one overwrites it.

    Args:
        content: what is saved.
        path: the file; its folder is made where it is missing.
        previous: the name that the old file gets, if it is to be kept. A process that is killed between the two
            renamings leaves the old file under this name alone.

    Raises:
        OSError: where the disk is full or the folder read-only; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch puts a RuntimeError of its archive's in front of what the disk said.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        _remove(temporary)
        raise OSError(
            cause.errno,
            f"{path} could not be written ({cause.strerror or cause}); what was written before is still there. Make "
            f"room or set the folder's rights, and go on with --resume True",
        ) from error


def _remove(temporary: Path) -> None:
    if temporary.parent.is_dir():
        temporary.unlink(missing_ok=True)
