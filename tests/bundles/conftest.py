"""The bundle as a user runs it: one tiny training from the command line, which all tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from monai_iel.resources import bundle_root, overlay

NAME = "noisy_annotation_segmentation"


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def root() -> Path:
    return bundle_root(NAME)


@pytest.fixture(scope="session")
def files(root: Path) -> Callable[..., list[str]]:
    """Paths of configs: ``train`` is the bundle's, ``data/phantom`` an overlay."""

    def paths(*names: str) -> list[str]:
        return [
            str(overlay(name) if "/" in name or name == "evolve" else root / f"configs/{name}.yaml") for name in names
        ]

    return paths


@pytest.fixture(scope="session")
def command(root: Path, files: Callable[..., list[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python -m monai.bundle run`` with the configs and settings, in a process of its own."""

    def run(
        cwd: Path, configs: Sequence[str], settings: dict[str, Any], launcher: Sequence[str] = (sys.executable,)
    ) -> subprocess.CompletedProcess[str]:
        arguments = [str(text) for name, value in settings.items() for text in (f"--{name}", value)]
        line = [*launcher, "-m", "monai.bundle", "run", "--config_file", str(files(*configs))]
        return subprocess.run(
            [*line, "--bundle_root", str(root), *arguments],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.fixture(scope="session")
def workflow(root: Path, files: Callable[..., list[str]]) -> Callable[..., ConfigWorkflow]:
    """The same in this process, not yet initialized."""

    def make(*configs: str, **settings: Any) -> ConfigWorkflow:
        kind = "infer" if configs[0] == "inference" else "train"
        return ConfigWorkflow(
            config_file=files(*configs), workflow_type=kind, logging_file=False, bundle_root=str(root), **settings
        )

    return make


@pytest.fixture(scope="session")
def run(workflow: Callable[..., ConfigWorkflow]) -> Callable[..., ConfigWorkflow]:
    """Initialize, run and finalize, in this process."""

    def all_steps(*configs: str, **settings: Any) -> ConfigWorkflow:
        made = workflow(*configs, **settings)
        made.initialize()
        made.run()
        made.finalize()
        return made

    return all_steps


NOISY = ("train", "data/phantom", "noise/block", "iel/heat")


@pytest.fixture(scope="session")
def noisy() -> tuple[str, ...]:
    """The configs of the shared training."""
    return NOISY


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., subprocess.CompletedProcess[str]],
    tiny: dict[str, Any],
) -> Path:
    """Folder of the shared training of two epochs, with pictures in every epoch."""
    out = tmp_path_factory.mktemp("trained") / "train"
    done = command(out.parent, NOISY, {**tiny, "output_dir": out, "validate#handlers#2#interval": 1})
    assert done.returncode == 0, done.stderr[-3000:]
    return out
