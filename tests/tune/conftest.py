"""A data set whose test section cannot be read, and a choice that was made on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_iel.data import load_datalist, make_phantom_dataset
from monai_iel.study.compare import Study, load_study
from monai_iel.tune import Candidate, Tuned, Tuning

CANDIDATES = (
    Candidate.of(["iel/heat"], {"iel_gain": 3.0}),
    Candidate.of(after=["evolve"], after_settings={"iel_gain": 3.0, "iel_steps": 20}),
    Candidate.of(),
)


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def read_study(tmp_path: Path, phantom_list: Path) -> Callable[[str], Study]:
    """Reads a study of one data set without noise, of which only methods and seeds are given."""

    def read(text: str) -> Study:
        path = tmp_path / "study.yaml"
        data = f"data: {{phantom: {{overlays: data/phantom, dataset: {phantom_list}}}}}\n"
        path.write_text(f"{data}noises: {{clean: {{}}}}\nsettings: {{patch_size: [32, 32, 32]}}\n{text}")
        return load_study(path)

    return read


@pytest.fixture(scope="package")
def training_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List of 5 training and 2 validation cases; of 2 test cases the files are gone."""
    folder = tmp_path_factory.mktemp("tune") / "data"
    path = make_phantom_dataset(folder, shape=(20, 24, 16), num_training=5, num_validation=2, num_test=2)
    for case in load_datalist(path, "test", spatial_dims=3, check="off"):
        Path(case["image"]).unlink()
        Path(case["label"]).unlink()
    return path


@pytest.fixture(scope="package")
def quick(tiny: dict[str, Any]) -> dict[str, Any]:
    """Settings for trainings of a second."""
    return {**{name: value for name, value in tiny.items() if name != "dataset_json"}, "max_epochs": 1}


@pytest.fixture(scope="package")
def tuning(training_list: Path, quick: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """Three candidates with two trainings."""
    out = tmp_path_factory.mktemp("out")
    return Tuning(training_list, "data/phantom", out, settings=quick, candidates=CANDIDATES)


@pytest.fixture(scope="package")
def tuned(tuning: Tuning) -> Tuned:
    """What came of it."""
    return tuning.run(say=lambda _: None)
