"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from monai_iel import (
    ConvexCurveMotion,
    EvolutionTerm,
    HeatDiffusion,
    LaplacianPower,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    SumTerm,
    TotalVariationFlow,
)
from monai_iel.data import make_phantom_dataset, write_datalist

REPO = Path(__file__).resolve().parents[1]

TWO_PROCESSES = """
import os
import torch
import torch.distributed as dist
from program import main

if __name__ == "__main__":
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    main(dist.get_rank())
    dist.barrier()
    # Not destroy_process_group: torch 2.13 may wait for ever when the last reference to a gloo group is the reducer's,
    # which is freed with the GIL held, while the group's own thread waits for the GIL.
    os._exit(0)
"""

# Every evolution; a new one is one line here, and every shared test runs through it.
EVOLUTIONS: list[EvolutionTerm] = [
    HeatDiffusion(),
    HeatDiffusion([1.0, 0.0, 2.5]),
    LaplacianPower(2.0),
    LaplacianPower(0.5, diffusivity=[1.0, 0.0, 2.5]),
    SobolevDiffusion(1.5),
    SobolevDiffusion(1.5, exponent=0.5, diffusivity=[1.0, 0.0, 2.5]),
    TotalVariationFlow(),
    TotalVariationFlow(0.5, diffusivity=[1.0, 0.0, 2.5]),
    PeronaMalikDiffusion(1.5),
    PeronaMalikDiffusion(1.5, diffusivity=[1.0, 0.0, 2.5]),
    MeanCurvatureMotion(),
    MeanCurvatureMotion(0.5, diffusivity=[1.0, 0.0, 2.5]),
    SumTerm([HeatDiffusion(), LaplacianPower(2.0)], weights=[1.0, 0.2]),
    SumTerm([LaplacianPower(2.0), SumTerm([MeanCurvatureMotion(), SobolevDiffusion(1.5)])], weights=[0.02, 1.0]),
    SumTerm([HeatDiffusion(), TotalVariationFlow(0.5, diffusivity=[1.0, 0.0, 2.5])]),
    ConvexCurveMotion(),
    ConvexCurveMotion(regions=[[1, 2], [2]]),
    ConvexCurveMotion("region", radii_mm=[1.0, 2.0]),
    SumTerm([HeatDiffusion(), ConvexCurveMotion(regions=[[0, 2]])], weights=[0.25, 1.0]),
]


def fills_only(term: EvolutionTerm) -> bool:
    """Whether it holds a part that raises and never lowers, and whose gradient takes directions for constants."""
    parts = list(term.terms) if isinstance(term, SumTerm) else [term]
    return any(isinstance(part, ConvexCurveMotion) for part in parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``evolution``, ``linear_evolution``, ``nonlinear_evolution``: each of them; ``boundary``: the three.

    ``smoothing_`` before each: those that are dissipative, and differentiated in full.
    """
    linear = [term for term in EVOLUTIONS if term.as_linear() is not None]
    nonlinear = [term for term in EVOLUTIONS if term.as_linear() is None]
    kinds = {"evolution": EVOLUTIONS, "linear_evolution": linear, "nonlinear_evolution": nonlinear}
    kinds |= {f"smoothing_{name}": [t for t in terms if not fills_only(t)] for name, terms in kinds.items()}
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    given = {name for names in marks for name in ([names] if isinstance(names, str) else names)}
    for name, terms in kinds.items():
        if name in metafunc.fixturenames and name not in given:
            metafunc.parametrize(name, terms, ids=[repr(term) for term in terms])
    if "boundary" in metafunc.fixturenames and "boundary" not in given:
        metafunc.parametrize("boundary", ["neumann", "dirichlet", "periodic"])


@pytest.fixture
def in_two_processes(tmp_path: Path) -> Callable[[str], str]:
    """Runs ``main(rank)`` of a program in two processes of one gloo group; gives what they print."""

    def run(program: str) -> str:
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        (tmp_path / "start.py").write_text(TWO_PROCESSES, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])}
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        command = [*launcher, str(tmp_path / "start.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; skips where a machine has none."""
    folder = Path(os.environ.get("MONAI_IEL_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data at {folder}; set MONAI_IEL_DATA to the folder that holds wbc/, dsb2018/ and hippocampus/"
        )
    return folder


@pytest.fixture(scope="session")
def phantom_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List of a phantom data set so small that one sliding window holds a case: 3 training, 2 validation, 2 test."""
    folder = tmp_path_factory.mktemp("phantom")
    return make_phantom_dataset(folder, shape=(24, 28, 20), num_training=3, num_validation=2, num_test=2)


@pytest.fixture(scope="session")
def tiny(phantom_list: Path) -> dict[str, Any]:
    """Settings of a bundle for trainings of seconds on `phantom_list`."""
    return {
        "dataset_dir": str(phantom_list.parent),
        "dataset_json": str(phantom_list),
        "features": [4, 4, 4, 4, 8, 4],
        "patch_size": [32, 32, 32],  # the least that leaves more than one voxel after the four poolings of BasicUNet
        "batch_size": 2,
        "max_epochs": 2,
        "val_interval": 1,
        "device": "cpu",
        "amp": False,
    }


@pytest.fixture(scope="session")
def picture_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List of a PNG data set of the size that WBC pictures are resized to: 3 training, 2 validation, 2 test."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    axis = np.linspace(-1.0, 1.0, 112)
    entries = []
    for index in range(7):
        radii, middle = rng.uniform(0.4, 0.6, 2), rng.uniform(-0.2, 0.2, 2)
        label = ((axis[:, None] - middle[0]) / radii[0]) ** 2 + ((axis - middle[1]) / radii[1]) ** 2 < 1
        image = np.where(label[..., None], [140, 90, 170], [230, 200, 190]) + rng.normal(0, 20, (112, 112, 3))
        paths = {key: folder / f"{key}_{index}.png" for key in ("image", "label")}
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(paths["image"])
        Image.fromarray(label.astype(np.uint8)).save(paths["label"])
        entries.append({"id": f"cell_{index}", **{key: str(path) for key, path in paths.items()}})
    sections = {"training": entries[:3], "validation": entries[3:5], "test": entries[5:]}
    channels = ["red", "green", "blue"]
    return write_datalist(
        folder / "dataset.json", name="cells", labels=["background", "cell"], channel_names=channels, **sections
    )


@pytest.fixture(scope="session")
def tiny_pictures(picture_list: Path, tiny: dict[str, Any]) -> dict[str, Any]:
    """Settings of the convex bundle for trainings of seconds on `picture_list`."""
    own = {"dataset_dir": str(picture_list.parent), "dataset_json": str(picture_list), "warm_up_epochs": 1}
    return {**tiny, **own, "patch_size": [112, 112]}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread: tiny tensors gain nothing from two, and sums have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
