"""The network of a bundle does what its metadata says, and takes the weights. Evaluates configs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.bundle.scripts import _get_fake_spatial_shape  # of verify_net_in_out; reads arithmetic, not Python

from monai_iel.verify.check import EVALUATION_ERRORS, Check, reason
from monai_iel.verify.configs import WORKFLOWS, configs_of
from monai_iel.verify.schema import read_metadata
from monai_iel.verify.weights import load_weights

__all__ = ["check_network", "described_input"]

_MAX_VALUES = 2**28  # 1 GiB of float32
_ANY, _FACTOR = 64, 2  # sizes that the metadata leaves open: "*", and n in "16*n"


def check_network(root: Path) -> list[Check]:
    """For the network of each config: channels, type and shape as in the metadata; weights that fit."""
    return [Check(f"network of {name}", tuple(_problems(root, name))) for name in WORKFLOWS if name != "evaluation"]


def described_input(metadata: dict[str, Any]) -> tuple[int, tuple[int, ...]]:
    """Channels and sizes of the network's input, after its metadata; what is left open is small.

    Raises:
        ValueError: the metadata describes no input ``image`` and output ``pred``, or one that is far too large.
    """
    formats = metadata["network_data_format"]
    for kind, name in (("inputs", "image"), ("outputs", "pred")):
        if not isinstance(formats[kind].get(name), dict):
            raise ValueError(f"network_data_format describes no tensor {name!r} in {kind!r}, which MONAI looks for")
    image = formats["inputs"]["image"]
    shape = tuple(size if isinstance(size, int) else _size(size) for size in image["spatial_shape"])
    if math.prod(shape) * image["num_channels"] > _MAX_VALUES:
        raise ValueError(f"network_data_format describes an input of {shape} voxels, too large to be tried")
    return int(image["num_channels"]), shape


def _size(expression: str) -> int:
    """The least size with n = 2, p = 1; the schema lets through digits, n, p and signs alone."""
    if expression.strip() == "*":
        return _ANY
    return int(_get_fake_spatial_shape([expression], n=_FACTOR)[0])


def _problems(root: Path, workflow: str) -> list[str]:
    metadata = root / "configs" / "metadata.json"
    try:
        channels, shape = described_input(read_metadata(root))
        files = configs_of(root, workflow)
        common = {"device": "cpu", "n": _FACTOR, "any": _ANY, "bundle_root": str(root)}
        verify_net_in_out("network_def", meta_file=str(metadata), config_file=files, **common)
        parser = ConfigParser(ConfigParser.load_config_files(files))
        parser["bundle_root"] = str(root)
        network = parser.get_parsed_content("network_def").to("cpu").eval()
        network.load_state_dict(load_weights(root / "models" / "model.pt"), strict=True)
        with torch.no_grad():
            result = network(torch.zeros(1, channels, *shape))
    except EVALUATION_ERRORS as error:
        return [reason(error)]
    wanted = read_metadata(root)["network_data_format"]["outputs"]["pred"]["spatial_shape"]
    if all(isinstance(size, int) for size in wanted) and tuple(result.shape[2:]) != tuple(wanted):
        return [f"the output for {shape} has the shape {tuple(result.shape[2:])}, but the metadata says {wanted}"]
    return [] if result.isfinite().all() else ["the output for an empty image holds NaN or infinite values"]
