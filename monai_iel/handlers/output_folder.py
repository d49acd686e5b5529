"""The folder that a training writes to: looked at before it begins; files in it are whole or absent."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

__all__ = ["check_output_folder", "save_whole"]

_HOST = socket.gethostname()
_MENDS = {errno.ENOSPC: "Make room", errno.EDQUOT: "Make room"} | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Set the folder's rights"
)


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

    What is written goes to ``.NAME.HOST-PID.tmp`` first, so that two processes do not write to one file. A killed
    process leaves that behind, and the next one on the same machine removes it.

    Args:
        content: what is saved.
        path: the file; its folder is made where it is missing.
        previous: the name that the old file gets, if it is to be kept. A process that is killed between the two
            renamings leaves the old file under this name alone.

    Raises:
        OSError: where the disk is full or the folder read-only; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            with suppress(FileNotFoundError):  # there is none yet, or another process was faster
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
            f"{path} could not be written ({cause.strerror or cause}); what was written before is still there. "
            f"{_MENDS.get(cause.errno or 0, 'Mend this')}, and go on with --resume True",
        ) from error


def _remove(temporary: Path) -> None:
    if temporary.parent.is_dir():
        temporary.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """What processes of this machine that are no more have left of ``path``."""
    head, tail = f".{path.name}.{_HOST}-", ".tmp"
    for name in os.listdir(path.parent):
        pid = name.removeprefix(head).removesuffix(tail)
        if name == f"{head}{pid}{tail}" and pid.isdecimal() and not _is_running(int(pid)):
            _remove(path.with_name(name))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
