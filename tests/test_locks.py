"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monai_iel import locks
from monai_iel.locks import locked

pytest.importorskip("fcntl")

# By its file, as the package takes seconds to import.
HOLDER = """
import runpy, sys, time
from pathlib import Path
with runpy.run_path(sys.argv[1])["locked"](Path(sys.argv[2]), wait=False) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_lock_falls_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, locks.__file__, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with locked(path, wait=False) as mine:
            assert not mine
    finally:
        holder.kill()
        holder.communicate()
    assert path.is_file()
    with locked(path, wait=False) as mine:
        assert mine


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / ".lock", wait=False) as mine:
            assert mine
