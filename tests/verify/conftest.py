"""Copies of the bundles that a test may break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_iel.resources import BUNDLES, bundle_root

pytest.importorskip("jsonschema", reason="verify needs jsonschema, in the extra 'cli'")


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the bundle of pictures, whose network is the faster one."""
    target = tmp_path / "bundle"
    shutil.copytree(bundle_root(BUNDLES[1]), target, ignore=shutil.ignore_patterns("runs", "data"))
    return target


@pytest.fixture
def change_metadata(copy: Path) -> Callable[[Callable[[dict[str, Any]], Any]], None]:
    """Change the metadata of the copy in place."""

    def change(edit: Callable[[dict[str, Any]], Any]) -> None:
        path = copy / "configs" / "metadata.json"
        metadata = json.loads(path.read_text())
        edit(metadata)
        path.write_text(json.dumps(metadata))

    return change
