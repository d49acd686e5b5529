"""Output files that are whole or absent, digests of files, and names of files as they can be printed."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["digest", "printable", "write_bytes", "write_text", "writing"]


def printable(text: str) -> str:
    r"""Text for a terminal, with nothing that it would obey or hide: names of files can hold anything.

    >>> printable("scan\x1b[2J\n.nii")
    'scan\\x1b[2J\\n.nii'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def digest(path: Path) -> str:
    """SHA-256 of a file, which is read piece by piece, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Write piece by piece, making the folder: a reader sees the old file or, after the block, the new one.

    Raises:
        OSError: where the folder cannot be made or written to; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write at once, see :func:`writing`."""
    with writing(path) as stream:
        stream.write(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text at once, see :func:`write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))
