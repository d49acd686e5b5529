"""The trained networks outside of this package: TorchScript, ONNX and torch.export give what the network gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, load, onnx_export
from monai.networks.nets import BasicUNet
from PIL import Image
from torch import nn

from monai_iel.resources import BUNDLES

EVERY_BUNDLE = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
# What the bundles' weights are weights of, written out: a network that stock MONAI makes from these arguments.
NETWORKS: dict[str, dict[str, Any]] = {
    "noisy_annotation_segmentation": {
        **{"spatial_dims": 3, "in_channels": 1, "out_channels": 3},
        "features": (8, 8, 16, 32, 64, 8),
    },
    "convex_organ_segmentation": {
        **{"spatial_dims": 2, "in_channels": 3, "out_channels": 2},
        "features": (16, 16, 32, 64, 128, 16),
    },
}


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "configs" / "inference.yaml").read_text())


@pytest.fixture(scope="module")
def network(root: Path) -> nn.Module:
    eager = BasicUNet(**NETWORKS[root.name]).eval()
    eager.load_state_dict(torch.load(root / "models" / "model.pt", weights_only=True), strict=True)
    return eager


@pytest.fixture(scope="module")
def block(root: Path) -> Callable[[str], str]:
    """The block of the page on export in a language, with the bundle in the place of its example."""

    def text(language: str) -> str:
        page = PAGE.read_text(encoding="utf-8")
        (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
        config = yaml.safe_load((root / "configs" / "inference.yaml").read_text())
        shape = ",".join(map(str, [2, config["in_channels"], *config["patch_size"]]))
        found = found.replace("[2,1,40,56,40]", f"[{shape}]")
        return found.replace("bundles/noisy_annotation_segmentation", str(root))

    return text


@pytest.fixture(scope="module")
def known(root: Path) -> dict[str, str]:
    """What MONAI's two commands are told alike."""
    files = {"ckpt_file": root / "models" / "model.pt", "config_file": root / "configs" / "inference.yaml"}
    return {"net_id": "network_def", "bundle_root": str(root), **{name: str(path) for name, path in files.items()}}


@pytest.fixture(scope="module")
def images(config: dict[str, Any]) -> torch.Tensor:
    shape = (3, config["in_channels"], *config["patch_size"])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def exported(
    root: Path, known: dict[str, str], block: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of model.ts and model.pt2, made as the README says."""
    folder = tmp_path_factory.mktemp("exported")
    ckpt_export(**known, filepath=str(folder / "model.ts"), meta_file=str(root / "configs" / "metadata.json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(block("python"), {})
    return folder


ELSEWHERE = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("monai", "monai_iel"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Refuse())
import torch

def onnx(path):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["pred"], {"image": x.numpy()})[0])

ways = {"ts": torch.jit.load, "onnx": onnx, "pt2": lambda path: torch.export.load(path).module()}
images, found = torch.load("images.pt", weights_only=True), []
with torch.no_grad():  # by one and by two: sliding windows come in batches of any size
    for name in sys.argv[1:]:
        network = ways[name.partition(".")[2]](name)
        found.append(torch.cat([network(images[:1]), network(images[1:])]))
torch.save(found, "found.pt")
"""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def assert_equal_to_the_network(folder: Path, images: torch.Tensor, network: nn.Module, *names: str) -> None:
    """What files of the folder give in a process that can import neither this package nor MONAI."""
    torch.save(images, folder / "images.pt")
    line = [sys.executable, "-c", ELSEWHERE, *names]
    done = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    with torch.no_grad():
        wanted = network(images)
    assert wanted.abs().max() > 1
    for name, found in zip(names, torch.load(folder / "found.pt", weights_only=True), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@EVERY_BUNDLE
def test_torchscript_and_torch_export_give_the_logits_of_the_network_without_monai(
    exported: Path, images: torch.Tensor, network: nn.Module
) -> None:
    assert_equal_to_the_network(exported, images, network, "model.ts", "model.pt2")


@pytest.mark.parametrize(
    "bundle", [pytest.param(BUNDLES[0], marks=pytest.mark.slow), BUNDLES[1]], indirect=True, scope="session"
)
def test_onnx_gives_the_logits_of_the_network_without_monai(
    known: dict[str, str],
    images: torch.Tensor,
    network: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason="needs the extra 'export'")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    keywords = {"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": {"image": {0: "batch"}}}
    shape = {"input_shape": [2, *images.shape[1:]], "use_trace": True}
    path = str(tmp_path / "model.onnx")
    onnx_export(**known, **shape, filepath=path, converter_kwargs={**keywords, "external_data": False})
    assert_equal_to_the_network(tmp_path, images, network, "model.onnx")


@EVERY_BUNDLE
def test_the_weights_load_into_the_network_that_stock_monai_makes(root: Path, network: nn.Module) -> None:
    loaded = load(root.name, model=BasicUNet(**NETWORKS[root.name]), bundle_dir=str(root.parent), device="cpu").eval()
    parser = ConfigParser(ConfigParser.load_config_file(root / "configs" / "inference.yaml"))
    named = parser.get_parsed_content("network_def")
    assert type(named) is BasicUNet
    assert {n: w.shape for n, w in named.state_dict().items()} == {n: w.shape for n, w in network.state_dict().items()}
    for name, weights in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weights), name


@EVERY_BUNDLE
def test_inference_with_the_exported_network_is_that_with_the_weights(
    exported: Path, run: Callable[..., ConfigWorkflow], tmp_path: Path, kind: Any
) -> None:
    volumes = kind.suffix == ".nii.gz"
    settings = {"dataset_dir": str(kind.list_path.parent / ("imagesTs" if volumes else ""))}
    settings |= {} if volumes else {"pattern": "image_[56].png"}
    other = {"network_def": "$torch.jit.load(@checkpoint)", "checkpoint": str(exported / "model.ts")}
    other |= {"handlers#0#_disabled_": True}
    run("inference", **settings, output_dir=str(tmp_path / "weights"))
    run("inference", **settings, **other, output_dir=str(tmp_path / "exported"))
    pairs = [sorted((tmp_path / name).glob("*_seg.*")) for name in ("weights", "exported")]
    assert [len(paths) for paths in pairs] == [2, 2]
    for a, b in zip(*pairs, strict=True):
        assert a.name == b.name
        maps = [np.asarray(nibabel.load(p).dataobj if volumes else Image.open(p)) for p in (a, b)]
        assert np.array_equal(*maps)


@EVERY_BUNDLE
@pytest.mark.parametrize("name", ["inference", "inference_smooth", "inference_largest"])
def test_configs_of_inference_name_nothing_of_this_package(name: str, root: Path) -> None:
    path = root / "configs" / f"{name}.yaml"
    if name == "inference_largest" and not path.exists():
        pytest.skip("of the convex bundle alone")
    lines = [line.partition(" # ")[0] for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if "monai_iel" in line] == []


@EVERY_BUNDLE
@pytest.mark.slow
def test_the_commands_of_the_readme_export_and_check(block: Callable[[str], str], tmp_path: Path) -> None:
    """The block with an ONNX file that onnxruntime compares with the network while exporting."""
    commands = "\n".join(line for line in block("bash").splitlines() if not line.startswith("pip "))
    env = {**environment(), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-ec", commands], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"model.ts", "model.onnx"} <= {path.name for path in tmp_path.iterdir()}
