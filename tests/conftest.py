"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; skips where a machine has none."""
    folder = Path(os.environ.get("MONAI_IEL_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data at {folder}; set MONAI_IEL_DATA to the folder that holds wbc/, dsb2018/ and hippocampus/"
        )
    return folder
