"""Every overlay fits the bundle, alone and in combination."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.data import MetaTensor
from monai.losses import DiceCELoss
from monai.transforms import Compose

from monai_iel import Grid, InverseEvolution, InverseEvolutionLoss
from monai_iel.resources import BUNDLES, overlay

CONFIGS = overlay("evolve").parent
DATA, IELS, NOISES, LOSSES, PEERS, AFTERWARDS = (
    sorted(f"{folder}/{path.stem}" for path in (CONFIGS / folder).glob("*.yaml"))
    for folder in ("data", "iel", "noise", "loss", "peers", "after")
)
PUBLISHED = {"noise/iel-wbc": "data/wbc", "noise/iel-dsb2018": "data/dsb2018", "noise/iel-drive": "data/dsb2018"}
IMAGES = [data for data in DATA if ConfigParser.load_config_file(CONFIGS / f"{data}.yaml")["spatial_dims"] == 2]
PAIRS = [
    (noise, data)
    for noise in NOISES
    for data in DATA
    if PUBLISHED.get(noise, data) == data and not (noise == "noise/slices" and data in IMAGES)
]
PHANTOMS = ["data/phantom", "data/phantom_2d"]
# Every data set with every loss, and every IEL in 2D and in 3D; what an IEL is does not depend on data set and loss.
COMBINATIONS = [(data, iel, loss) for data in DATA for iel in ("iel/none", "iel/heat") for loss in (None, *LOSSES)]
COMBINATIONS += [(data, iel, None) for data in PHANTOMS for iel in IELS if iel not in ("iel/none", "iel/heat")]
# Of the overlays of IELs: ids that stand in them beside the loss.
STRENGTHS = [
    (iel, name)
    for iel in IELS
    for name in ConfigParser.load_config_file(CONFIGS / f"{iel}.yaml")
    if name not in ("loss", "convex_term")
]
NONLINEAR = ["iel/total_variation", "iel/perona_malik", "iel/mean_curvature"]
Parse = Callable[..., ConfigParser]


@pytest.fixture
def parse(files: Callable[..., list[str]]) -> Parse:
    def parser(*configs: str, **settings: Any) -> ConfigParser:
        made = ConfigParser(ConfigParser.load_config_files(files(*configs)))
        made.update(settings)
        return made

    return parser


@pytest.fixture
def one_step(
    run: Callable[..., ConfigWorkflow], small: dict[str, Any], tmp_path: Path
) -> Callable[..., ConfigWorkflow]:
    """A training of one step on the tests' data set of the bundle, without a validation."""

    def train(*overlays: str, **settings: Any) -> ConfigWorkflow:
        one = {"num_training_cases": 2, "max_epochs": 1, "val_interval": 2, "cache_rate": 0.0, "check_data": "off"}
        return run("train", *overlays, **{**small, **one, "output_dir": str(tmp_path), **settings})

    return train


def test_no_overlay_is_left_out_here() -> None:
    files = [path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.yaml")]
    found = {path.as_posix() for path in files if path.parts[0] != "study"}  # which are no overlays
    tested_elsewhere = {"evolve", "held_out", "probabilities", "watch"}
    assert found == {*DATA, *IELS, *NOISES, *LOSSES, *PEERS, *AFTERWARDS, *tested_elsewhere}
    assert min(map(len, (DATA, IELS, NOISES, LOSSES, PEERS, AFTERWARDS))) > 0


@pytest.mark.parametrize(("data", "iel", "loss"), COMBINATIONS)
def test_network_and_loss_of_the_combinations_take_a_step(data: str, iel: str, loss: str | None, parse: Parse) -> None:
    made = parse("train", data, *([loss] if loss else []), iel, device="cpu")
    network, criterion = made.get_parsed_content("network"), made.get_parsed_content("loss")
    dims, channels, classes = (made[name] for name in ("spatial_dims", "in_channels", "num_classes"))
    assert len(made["spacing"]) == len(made["patch_size"]) == dims
    assert len(made["class_names"]) == classes
    assert isinstance(criterion, DiceCELoss if iel == "iel/none" else InverseEvolutionLoss)
    if loss == "loss/ce":
        assert getattr(criterion, "loss", criterion).lambda_dice == 0
    torch.manual_seed(0)
    logits = network(torch.rand(1, channels, *[32] * dims))
    assert logits.shape == (1, classes, *[32] * dims)
    target = torch.randint(0, classes, (1, 1, *[32] * dims))
    value = criterion(logits, target)
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("data", DATA)
def test_layer_has_the_spacing_and_the_strength_of_the_data(data: str, parse: Parse) -> None:
    made = parse("train", data, "iel/heat", device="cpu")
    layer = made.get_parsed_content("loss").layer
    assert layer.grid == Grid(spacing=tuple(made["spacing"]))
    assert f"num_steps={made['iel_steps']}, " in repr(layer)
    # The highest cosine of a grid of n voxels is an eigenvector; the gain is that of an endless checkerboard.
    dims = made["spatial_dims"]
    n = 16
    wave = torch.cos(torch.pi * (n - 1) * (torch.arange(n, dtype=torch.float64) + 0.5) / n)
    finest = torch.ones(1, 1, *[1] * dims, dtype=torch.float64)
    for axis in range(dims):
        finest = finest * wave.reshape([-1 if a == axis else 1 for a in range(dims)])
    growth = (layer(finest) / finest).mean().item()
    ratio = (1 - np.cos(np.pi * (n - 1) / n)) / 2  # of the two eigenvalues
    steps, gain = made["iel_steps"], made["iel_gain"]
    assert growth == pytest.approx((1 + (gain ** (1 / steps) - 1) * ratio) ** steps, rel=1e-9)


def layer_of(iel: str, **settings: Any) -> InverseEvolution:
    """The layer of an overlay, with no more of the bundle than it refers to."""
    bundle: dict[str, Any] = {
        "base_loss": DiceCELoss(softmax=True),
        "patch_size": [8, 8, 8],
        "spacing": [1.0, 1.0, 1.5],
    }
    bundle.update({"iel_gain": 3, "iel_steps": 20, "convex_regions": None})
    made = ConfigParser({**bundle, **ConfigParser.load_config_file(overlay(iel))})
    made.update(settings)
    layer: InverseEvolution = made.get_parsed_content("loss").layer
    return layer


@pytest.mark.parametrize(("iel", "name"), STRENGTHS)
def test_every_strength_of_an_iel_can_be_set(iel: str, name: str) -> None:
    two, three = ([2.0], [3.0]) if name.endswith("radii_mm") else (2, 3)
    assert repr(layer_of(iel, **{name: two})) != repr(layer_of(iel, **{name: three}))


@pytest.mark.parametrize("iel", NONLINEAR)
@pytest.mark.parametrize("size", [1.0, 0.25])
def test_nonlinear_iels_are_as_strong_at_any_voxel_size(size: float, iel: str) -> None:
    """Faint noise on flat logits grows by 1 + dt * largest rate per step; the defaults are in voxels."""
    for dims in (2, 3):
        grid = Grid(spacing=(size,) * dims)
        layer = layer_of(iel, spacing=[size] * dims)
        assert layer.grid == grid
        rate = layer.term.largest_rate(grid, dims)
        assert rate is not None
        assert layer.stepping.dt(dims) * rate == pytest.approx(0.05 * 4 * dims)


@pytest.mark.parametrize(("noise", "data"), PAIRS)
def test_every_noise_fits_every_data_set(noise: str, data: str, parse: Parse) -> None:
    made = parse("train", data, noise)
    apply = Compose(made.get_parsed_content("label_noise"))
    dims, classes = made["spatial_dims"], made["num_classes"]
    label = torch.zeros(1, *[48] * dims)
    label[(0, *[slice(10, 40)] * dims)] = 1
    label[(0, *[slice(16, 30)] * dims)] = classes - 1
    clean = MetaTensor(label.clone(), affine=torch.eye(4))
    for case in range(40):  # some noises leave a part of the cases as they are
        noisy = apply({"label": clean, "case_id": case})["label"]
        assert noisy.shape == label.shape
        assert torch.equal(clean.as_tensor(), label), "changed in place"
        assert set(np.unique(noisy)) <= set(range(classes))
        if not torch.equal(noisy.as_tensor(), label):
            return
    pytest.fail("no noise")


def test_an_augmentation_that_scales_does_not_disturb_the_layer(parse: Parse, phantom_list: Path) -> None:
    """It changes the voxel size in the affine, which the layer would refuse."""
    zoom = {"_target_": "RandZoomd", "keys": "@keys", "prob": 1.0, "min_zoom": 1.3, "max_zoom": 1.4}
    made = parse("train", "data/phantom", "iel/heat", device="cpu", augmentation=[zoom], check_data="off")
    made.update({"dataset_json": str(phantom_list), "features": [4, 4, 4, 4, 8, 4]})
    batch = next(iter(made.get_parsed_content("train::dataloader")))
    logits = made.get_parsed_content("network")(batch["image"])
    assert torch.isfinite(made.get_parsed_content("loss")(logits, batch["label"]))


def test_the_baseline_differs_from_the_iel_config_in_the_loss_alone(files: Callable[..., list[str]]) -> None:
    for data in DATA:
        plain = ConfigParser.load_config_files(files("train", data, "noise/block"))
        heat = ConfigParser.load_config_files(files("train", data, "noise/block", "iel/heat"))
        assert {name for name in heat if heat[name] != plain.get(name)} == {"loss"}
        assert heat["loss"]["loss"] == plain["loss"] == "@base_loss"
        spelt_out = ConfigParser.load_config_files(files("train", data, "noise/block", "iel/none"))
        assert spelt_out == plain


@pytest.mark.parametrize("data", DATA)
def test_inference_takes_every_data_overlay(data: str, parse: Parse, tmp_path: Path) -> None:
    made = parse("inference", data, dataset_dir=str(tmp_path), device="cpu")
    transforms = made.get_parsed_content("postprocessing").transforms
    assert [type(t).__name__ for t in transforms] == ["Activationsd", "Invertd", "AsDiscreted", "SaveImaged", "Lambdad"]
    network = made.get_parsed_content("network")
    trained = parse("train", data, device="cpu").get_parsed_content("network")
    network.load_state_dict(trained.state_dict(), strict=True)


def test_evolve_smooths_by_the_strength_of_the_data(parse: Parse) -> None:
    made = parse("train", "data/phantom", "evaluate", "evolve")
    (smoothing,) = made.get_parsed_content("validate::smoothing")
    layer = parse("train", "data/phantom", "iel/heat").get_parsed_content("loss").layer
    torch.manual_seed(0)
    logits = torch.rand(5, 12, 10, 8, dtype=torch.float64)
    smooth = smoothing({"pred": logits.clone()})["pred"]
    assert smooth.std() < logits.std()
    torch.testing.assert_close(layer(smooth[None])[0], logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("data", PHANTOMS)
def test_the_phantom_is_written_on_first_use(data: str, parse: Parse, tmp_path: Path) -> None:
    small = {3: [16, 16, 16], 2: [32, 32]}
    made = parse("train", data, dataset_dir=str(tmp_path / "d"), check_data="full")
    made["dataset_json#shape"] = small[made["spatial_dims"]]
    made.update({"dataset_json#num_training": 2, "dataset_json#num_validation": 1, "dataset_json#num_test": 1})
    cases = made.get_parsed_content("train::cases")
    assert len(cases) == 2
    assert all(Path(case["image"]).is_relative_to(tmp_path / "d") for case in cases)


# --- Peers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_trains_for_a_step(
    peer: str, bundle: str, kind: Any, one_step: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    """In the second bundle behind an IEL, where the peer takes the place of the base loss."""
    behind = "base_loss" in ConfigParser.load_config_file(overlay(peer)) and bundle == BUNDLES[1]
    parser = one_step(*kind.data, peer, *(["iel/heat"] if behind else [])).parser
    loss, base_loss = parser.get_parsed_content("loss"), parser.get_parsed_content("base_loss")
    assert isinstance(loss, InverseEvolutionLoss) == behind
    assert base_loss is (loss if loss is base_loss else loss.loss)
    module = f"{type(base_loss if loss is base_loss or behind else loss).__module__}."
    assert module.startswith("monai.losses." if peer == "peers/label_smoothing" else "monai_iel.peers.")
    assert {path.name for path in tmp_path.iterdir()} >= {"checkpoint.pt", "model.pt"}


def test_the_degrees_of_freedom_are_trained_and_saved_beside_the_network(
    kind: Any, one_step: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    loss = one_step(*kind.data, "peers/t_loss", t_loss_nu=2.0).parser.get_parsed_content("base_loss")
    assert 0 < abs(loss.nu - 2) < 0.01
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert torch.equal(saved["objects"]["t_loss"]["log_nu"], loss.log_nu.detach())
    assert not any("log_nu" in name for name in torch.load(tmp_path / "model.pt", weights_only=True))


def test_the_teacher_is_saved_and_resumed_beside_the_network(
    kind: Any, one_step: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    settings = {"elr_start_epoch": 2, "elr_momentum": 0.5}
    one_step(*kind.data, "peers/elr", **settings)
    first = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    teacher = first["objects"]["mean_teacher"]
    assert teacher["updates"] == 1
    assert all(torch.equal(value, first["network"][name]) for name, value in teacher["teacher"].items())
    made = one_step(*kind.data, "peers/elr", **settings, max_epochs=2, resume=True)
    second = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name, value in second["objects"]["mean_teacher"]["teacher"].items():
        torch.testing.assert_close(value, (first["network"][name] + second["network"][name]) / 2)
    assert made.parser.get_parsed_content("mean_teacher").updates == 2
