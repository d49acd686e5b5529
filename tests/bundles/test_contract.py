"""What MONAI expects of a bundle: properties, metadata, a network that fits its description."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

import monai_iel
from monai_iel.resources import BUNDLES, bundle_root

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")


@pytest.fixture(scope="module")
def metadata(root: Path) -> dict[str, Any]:
    return json.loads((root / "configs" / "metadata.json").read_text())


@pytest.mark.parametrize("configs", [("train",), ("train", "evaluate"), ("train", "evaluate", "evolve")])
def test_training_and_evaluation_have_every_property(
    configs: tuple[str, ...], workflow: Callable[..., ConfigWorkflow], tmp_path: Path, small: dict[str, Any], kind: Any
) -> None:
    made = workflow(*configs, **small, num_classes=kind.network["out_channels"], output_dir=str(tmp_path))
    made.initialize()
    assert made.check_properties() == []
    assert made.max_epochs == 2
    assert len(made.train_dataset_data) == 3


@pytest.mark.parametrize("configs", [("inference",), ("inference", "inference_smooth")])
def test_inference_has_every_property(
    configs: tuple[str, ...], workflow: Callable[..., ConfigWorkflow], tmp_path: Path, kind: Any
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}{kind.suffix}").touch()
    made = workflow(*configs, dataset_dir=str(tmp_path))
    made.initialize()
    assert made.check_properties() == []
    assert len(made.dataset_data) == 2


def test_inference_can_be_initialized_before_there_is_data(
    workflow: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    """Servers load a bundle first and set ``dataset#data`` for each request."""
    made = workflow("inference", dataset_dir=str(tmp_path))
    made.initialize()
    assert made.check_properties() == []


@pytest.mark.parametrize("config", ["train", "inference"])
def test_the_network_does_what_the_metadata_says(config: str, root: Path, files: Callable[..., list[str]]) -> None:
    verify_net_in_out(
        "network_def", meta_file=str(root / "configs" / "metadata.json"), config_file=files(config), device="cpu"
    )


def test_metadata_fits_the_published_schema(root: Path, shared_data: Path) -> None:
    schema = shared_data / "monai" / "meta_schema_20240725.json"
    if not schema.is_file():
        pytest.skip(f"no schema at {schema}")
    pytest.importorskip("jsonschema", reason="verify_metadata needs jsonschema, in the extra 'dev'")
    verify_metadata(meta_file=str(root / "configs" / "metadata.json"), filepath=str(schema))


def test_metadata_has_the_keys_that_the_schema_requires(metadata: dict[str, Any]) -> None:
    """As above, for machines without the schema."""
    required = (
        *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
        *("required_packages_version", "task", "description", "authors", "copyright", "network_data_format"),
    )
    assert [key for key in required if not metadata.get(key)] == []
    assert metadata["version"] in metadata["changelog"]
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert metadata["required_packages_version"]["monai-iel"] == monai_iel.__version__


def test_metadata_describes_the_default_configs(metadata: dict[str, Any], root: Path) -> None:
    image = metadata["network_data_format"]["inputs"]["image"]
    pred = metadata["network_data_format"]["outputs"]["pred"]
    for name in ("train", "inference"):
        config = yaml.safe_load((root / "configs" / f"{name}.yaml").read_text())
        assert image["num_channels"] == config["in_channels"]
        assert image["spatial_shape"] == pred["spatial_shape"] == config["patch_size"]
        assert pred["num_channels"] == len(pred["channel_def"]) == config["num_classes"]
    train = yaml.safe_load((root / "configs" / "train.yaml").read_text())
    assert list(pred["channel_def"].values()) == train["class_names"]


def test_versions_in_the_metadata_are_the_pinned_ones(metadata: dict[str, Any]) -> None:
    constraints = Path(__file__).parents[2] / "scripts" / "constraints.txt"
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", constraints.read_text().lower(), flags=re.MULTILINE))
    stated = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
    assert {name: metadata[key] for name, key in stated.items()} == {name: pinned[name] for name in stated}
    packages = {n: v for n, v in metadata["required_packages_version"].items() if n != "monai-iel"}
    assert packages == {name: pinned[name] for name in packages}


@pytest.mark.parametrize(
    "name",
    ["spatial_dims", "in_channels", "num_classes", "spacing", "patch_size", "features", "network_def", "network"],
)
def test_training_and_inference_agree(name: str, root: Path) -> None:
    train, inference = (yaml.safe_load((root / "configs" / f"{n}.yaml").read_text()) for n in ("train", "inference"))
    assert train[name] == inference[name]
    assert train["deterministic_transforms"] == inference["deterministic_transforms"]


def test_the_bundle_is_configs_alone(root: Path) -> None:
    assert not list(root.rglob("*.py"))
    assert (root / "LICENSE").read_text().strip()
    wanted = {"metadata.json", "logging.conf", "train.yaml", "evaluate.yaml", "inference.yaml"}
    wanted |= {"multi_gpu_train.yaml", "multi_gpu_evaluate.yaml"}
    assert wanted <= {path.name for path in (root / "configs").iterdir()}


# What the bundles are not alike in; a repair of one of them belongs into the other.
DIFFERENT = {
    "train": {
        *("spatial_dims", "in_channels", "num_classes", "class_names", "spacing", "patch_size", "features"),
        *("deterministic_transforms", "in_pixels", "batch_size", "iel_gain", "warm_up_epochs", "augmentation"),
    },
    "inference": {
        *("spatial_dims", "in_channels", "num_classes", "spacing", "patch_size", "features"),
        *("deterministic_transforms", "pattern", "output_ext"),
    },
    "evaluate": {"measured_regions", "validate#additional_metrics"},
}


@pytest.mark.parametrize("config", DIFFERENT)
def test_the_bundles_differ_in_what_is_named_here_alone(config: str, root: Path) -> None:
    first, this = (
        yaml.safe_load((folder / "configs" / f"{config}.yaml").read_text())
        for folder in (bundle_root(BUNDLES[0]), root)
    )
    found = {name for name in {**first, **this} if name not in first or name not in this or first[name] != this[name]}
    assert found == (DIFFERENT[config] if root.name != BUNDLES[0] else set())
    shared = "validate#additional_metrics"
    assert config != "evaluate" or first[shared].items() <= this[shared].items()


@pytest.mark.parametrize(
    "name", ["multi_gpu_train.yaml", "multi_gpu_evaluate.yaml", "inference_smooth.yaml", "logging.conf", "../LICENSE"]
)
def test_files_that_are_the_same_in_every_bundle(name: str, root: Path) -> None:
    assert (root / "configs" / name).read_bytes() == (bundle_root(BUNDLES[0]) / "configs" / name).read_bytes()
