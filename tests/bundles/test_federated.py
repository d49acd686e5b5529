"""Federated averaging: both bundles under MONAI's client, at two sites with phantoms of their own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, ModelType
from monai.networks.nets import BasicUNet

from monai_iel.resources import BUNDLES

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "federated_demo.py"
FEATURES = (4, 4, 4, 4, 8, 4)
SMALL = ["features=[4,4,4,4,8,4]", "device=cpu", "amp=false", "batch_size=2", "val_interval=1"]
SMALL += ["dataset_json#num_validation=1", "dataset_json#num_test=2"]
# Of each bundle: overlays, the size of the phantoms, and the network.
KINDS: dict[str, tuple[list[str], list[str], dict[str, Any]]] = {
    "noisy_annotation_segmentation": (
        ["--data", "data/phantom", "--iel", "iel/heat"],
        ["dataset_json#shape=[24,28,20]", "patch_size=[32,32,32]"],
        {"spatial_dims": 3, "in_channels": 1, "out_channels": 5, "features": FEATURES},
    ),
    "convex_organ_segmentation": (
        ["--data", "data/cup_in_disc", "--iel", "iel/convex_curvature"],
        ["dataset_json#shape=[64,64]", "patch_size=[64,64]"],
        {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "features": FEATURES},
    ),
}


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    pytest.importorskip("typer", reason="the script prints by the extra 'cli'")
    spec = importlib.util.spec_from_file_location("federated_demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line(bundle: str, out: Path, *settings: str) -> list[str]:
    """The command line of a federation of seconds."""
    overlays, size, _ = KINDS[bundle]
    given = [text for setting in (*SMALL, *size, *settings) for text in ("--set", setting)]
    return [str(out), "--bundle", bundle, *overlays, *given]


@pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
def test_two_sites_train_one_network_in_three_rounds(bundle: str, demo: ModuleType, tmp_path: Path) -> None:
    rows = demo.main(line(bundle, tmp_path, "dataset_json#num_training=2"))
    assert [row["round"] for row in rows] == [1, 2, 3]
    dice = torch.tensor([[row[f"Dice at site{index}"] for index in (0, 1)] for row in rows])
    assert ((dice >= 0) & (dice <= 1)).all()
    assert (dice[:, 0] != dice[:, 1]).any()  # two test sets
    network = BasicUNet(**KINDS[bundle][2])
    network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True), strict=True)
    lists = [(tmp_path / f"site{index}" / "data" / "imagesTr").glob("*.nii.gz") for index in (0, 1)]
    first, second = (sorted(path.read_bytes() for path in paths) for paths in lists)
    assert not set(first) & set(second)
    for index in (0, 1):  # three epochs, one after the other
        state = torch.load(tmp_path / f"site{index}" / "train" / "checkpoint.pt", weights_only=True)
        assert state["epoch"] == 3
        assert (tmp_path / f"site{index}" / "evaluation" / "cases.csv").is_file()


def made_site(demo: ModuleType, folder: Path, seed: int, num_training: int) -> MonaiAlgo:
    given = demo.arguments(line(BUNDLES[0], folder, f"dataset_json#num_training={num_training}"))
    return demo.site(folder, seed, given)


def test_a_round_gives_the_mean_of_the_networks_by_their_steps(demo: ModuleType, tmp_path: Path) -> None:
    sites = [made_site(demo, tmp_path / str(seed), seed, cases) for seed, cases in enumerate((2, 6))]
    start = {name: value.clone() for name, value in sites[0].trainer.network.state_dict().items()}
    found = demo.one_round(start, sites)
    one, three = (client.trainer.network.state_dict() for client in sites)
    assert [client.trainer.state.iteration for client in sites] == [1, 3]
    for name, value in found.items():
        torch.testing.assert_close(value, 0.25 * one[name] + 0.75 * three[name])
    assert any(not torch.equal(one[name], three[name]) for name in one)
    best = sites[1].get_weights({ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}).weights
    saved = torch.load(tmp_path / "1" / "train" / "model.pt", weights_only=True)
    assert all(torch.equal(best[name], value) for name, value in saved.items())
    assert set(best) == set(start)


def test_an_average_keeps_what_nobody_changed_and_the_kind_of_numbers(demo: ModuleType) -> None:
    weights = {"w": torch.tensor([1.0, 2.0]), "batches": torch.tensor(4)}
    changes = [{"w": torch.tensor([0.0, 1.0]), "batches": torch.tensor(2)} for _ in range(2)]
    changes[1]["w"] = torch.tensor([0.0, -1.0])
    found = demo.average(weights, changes, [3, 1])
    assert found["w"].tolist() == [1.0, 2.5]
    assert found["batches"].item() == 6
    assert found["batches"].dtype == torch.int64
