"""A training that prints into a file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch

__all__ = ["LOG", "quietly"]

LOG = "log.txt"


class _Log(io.TextIOBase):
    """Keeps lines, and not the bars that are drawn over and over."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            self._file.write(text)
            self._file.flush()
        return len(text)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def quietly(path: Path, threads: int) -> Iterator[None]:
    """Write into a file what is printed, and use so many threads of torch, as digits depend on their number.

    What the file holds already is kept; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with contextlib.closing(_Log(path)) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        torch.set_num_threads(before)
