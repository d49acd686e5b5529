"""A training is a function of its settings: not of the workers, the cache, or what has run before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_iel.resources import BUNDLES

Run = Callable[..., ConfigWorkflow]
# Transforms of every kind of randomness: MONAI's own state, the global generators, sums over a whole image.
AUGMENTED = [
    {"_target_": "RandFlipd", "keys": "@keys", "prob": 0.5, "spatial_axis": 0},
    {"_target_": "RandAffined", "keys": "@keys", "prob": 0.7, "rotate_range": 0.3, "mode": ["bilinear", "nearest"]},
    {"_target_": "RandGaussianNoised", "keys": "image", "prob": 0.7},
    {"_target_": "RandStdShiftIntensityd", "keys": "image", "factors": 0.1, "prob": 0.7},
    {"_target_": "RandGaussianSmoothd", "keys": "image", "prob": 0.7},
    {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x + 0.1 * torch.rand(1) + 0.1 * numpy.random.rand()"},
]
LOADERS: dict[str, dict[str, Any]] = {
    "again": {},
    "not cached": {"cache_rate": 0.0},
    "two workers": {"num_workers": 2},
    "four workers, half of it cached": {"num_workers": 4, "cache_rate": 0.5},
    "workers that stay": {"num_workers": 2, "train#dataloader#persistent_workers": True, "cache_rate": 0.0},
}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["network"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def augmented(small: dict[str, Any]) -> dict[str, Any]:
    """The tiny training, with all kinds of randomness, dropout, and three steps an epoch."""
    return {**small, "augmentation": AUGMENTED, "network_def#dropout": 0.2, "batch_size": 1, "val_interval": 2}


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Sums of more threads have another order; the loaders' workers have one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def batches(made: ConfigWorkflow, epochs: tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    """What the network would see in these epochs."""
    made.initialize()
    loader = made.parser.get_parsed_content("train::dataloader")
    seen = []
    for epoch in epochs:
        loader.dataset.set_epoch(epoch)
        seen += [{key: torch.as_tensor(batch[key]) for key in ("image", "label")} for batch in loader]
    return seen


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
def test_batches_do_not_depend_on_workers_and_cache(
    workflow: Run, kind: Any, augmented: dict[str, Any], tmp_path: Path
) -> None:
    seen = {}
    for name, loader in {"first": {}, **LOADERS}.items():
        settings = {**augmented, **loader, "output_dir": str(tmp_path / "out"), "check_data": "files"}
        made = workflow("train", *kind.data, "noise/block_shared", **settings)
        seen[name] = batches(made, (1, 2, 1))
    first = seen.pop("first")
    assert {name: all(map(same, found, first)) for name, found in seen.items()} == dict.fromkeys(LOADERS, True)
    assert all(map(same, first[:3], first[6:]))
    assert not any(same(a, b) for a in first[:3] for b in first[3:6]), "an epoch repeats the one before it"
    settings = {**augmented, "output_dir": str(tmp_path / "out"), "check_data": "files", "seed": 1}
    other = batches(workflow("train", *kind.data, "noise/block_shared", **settings), (1,))
    assert not any(same(a, b) for a in first[:3] for b in other), "another seed draws the same"


def test_weights_do_not_depend_on_workers_and_cache(run: Run, augmented: dict[str, Any], tmp_path: Path) -> None:
    """Two epochs: a loader without workers learns later than one with workers that an epoch is over."""
    for name, loader in {"first": {}, "other": {**LOADERS["workers that stay"], "num_workers": 4}}.items():
        configs = ("train", "data/phantom", "noise/block_shared", "iel/heat")
        run(*configs, **{**augmented, **loader}, output_dir=str(tmp_path / name))
    assert same(weights(tmp_path / "other"), weights(tmp_path / "first"))


def test_noise_that_is_redrawn_is_the_same_in_every_validation(
    workflow: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    made = workflow("train", "data/phantom", "noise/block_shared", **tiny, output_dir=str(tmp_path))
    made.initialize()
    data = made.parser.get_parsed_content("validate::dataset")
    first = data[0]["label"]
    made.parser.get_parsed_content("train::dataset")[1]  # the same transforms
    assert torch.equal(data[0]["label"], first)
    assert not torch.equal(data[1]["label"], first)


def test_deterministic_asks_torch_for_deterministic_algorithms(
    workflow: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        workflow("train", "data/phantom", **tiny, output_dir=str(tmp_path)).initialize()
        assert not torch.are_deterministic_algorithms_enabled()
        workflow("train", "data/phantom", **tiny, output_dir=str(tmp_path), deterministic=True).initialize()
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
