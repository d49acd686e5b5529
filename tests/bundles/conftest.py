"""The bundles as a user runs them: of each one tiny training from the command line, which all tests share.

A test is run for the first bundle; for every one of them where it is marked by
``pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from monai_iel.resources import BUNDLES, bundle_root, overlay


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The first bundle where a test names none."""
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    given = {name for names in marks for name in ([names] if isinstance(names, str) else names)}
    if "bundle" in metafunc.fixturenames and "bundle" not in given:
        metafunc.parametrize("bundle", BUNDLES[:1], indirect=True, scope="session")


@dataclass(frozen=True)
class Kind:
    """What the tests of a bundle have to know of it.

    Args:
        data: overlays of the tests' data set.
        noisy: configs of the shared training.
        list_path: the data list.
        classes: names of the foreground classes of the tests' data set.
        metrics: columns of an evaluation.
        network: arguments of the network.
        suffix: of images.
    """

    data: tuple[str, ...]
    noisy: tuple[str, ...]
    list_path: Path
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    network: dict[str, Any]
    suffix: str


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def bundle(request: pytest.FixtureRequest) -> str:
    """Name of the bundle."""
    return str(request.param)


@pytest.fixture(scope="session")
def root(bundle: str) -> Path:
    return bundle_root(bundle)


@pytest.fixture(scope="session")
def kind(bundle: str, phantom_list: Path, picture_list: Path) -> Kind:
    shared = ("dice", "hd95_mm", "hd95_missed", "surface_dice", "ece")
    if bundle == BUNDLES[0]:
        return Kind(
            data=("data/phantom",),
            noisy=("train", "data/phantom", "noise/block", "iel/heat"),
            list_path=phantom_list,
            classes=("smooth organ", "rough organ", "low-contrast organ", "small convex organ"),
            metrics=shared,
            network={"spatial_dims": 3, "in_channels": 1, "out_channels": 5, "features": (4, 4, 4, 4, 8, 4)},
            suffix=".nii.gz",
        )
    return Kind(
        data=(),
        noisy=("train", "noise/bites", "iel/convex_curvature"),
        list_path=picture_list,
        classes=("cell",),
        metrics=(*shared, "solidity", "concavity_mm", "nonconvex_fraction", "components"),
        network={"spatial_dims": 2, "in_channels": 3, "out_channels": 2, "features": (4, 4, 4, 4, 8, 4)},
        suffix=".png",
    )


@pytest.fixture(scope="session")
def small(bundle: str, tiny: dict[str, Any], tiny_pictures: dict[str, Any]) -> dict[str, Any]:
    """Settings for trainings of seconds."""
    return tiny if bundle == BUNDLES[0] else tiny_pictures


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


@pytest.fixture(scope="session")
def noisy(kind: Kind) -> tuple[str, ...]:
    """The configs of the shared training."""
    return kind.noisy


@pytest.fixture(scope="session")
def trainings() -> dict[str, Path]:
    """Folders of the shared trainings that were run, by bundle: pytest forgets `trained` where bundles alternate."""
    return {}


@pytest.fixture(scope="session")
def trained(
    bundle: str,
    trainings: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., subprocess.CompletedProcess[str]],
    noisy: tuple[str, ...],
    small: dict[str, Any],
) -> Path:
    """Folder of the shared training of two epochs, with pictures in every epoch."""
    if bundle not in trainings:
        out = tmp_path_factory.mktemp("trained") / "train"
        done = command(out.parent, noisy, {**small, "output_dir": out, "validate#handlers#2#interval": 1})
        assert done.returncode == 0, done.stderr[-3000:]
        trainings[bundle] = out
    return trainings[bundle]
