"""Locks between processes, which end with the process that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock on a file, which is made; gives whether it is held.

    It is advisory, and falls with the process, also with one that was killed. Where several machines write into a
    folder, its file system has to hand locks on (NFS 4, Lustre with ``flock``). Where the operating system has no such
    locks, there is none, and one process at a time may work in a folder.

    Args:
        path: a file for nothing else.
        wait: whether to wait for it.
    """
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not on POSIX
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)  # and the lock with it
