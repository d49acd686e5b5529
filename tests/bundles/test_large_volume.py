"""A volume of 160^3, trained on by patches and segmented by sliding window."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_iel.data import make_phantom_dataset

pytestmark = pytest.mark.slow
SHAPE = (160, 160, 160)
PEAK = """
import pathlib, re, runpy, sys
sys.argv[1:3] = []  # "-m", "monai.bundle"
try:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=False)
finally:
    # Not getrusage: its peak is handed down from the process that started this one.
    print("peak MiB:", int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) // 1024)
"""


def peak_mib(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.rsplit("peak MiB:", 1)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux gives it")
def test_a_volume_of_160_cubed_is_trained_on_and_segmented_in_modest_memory(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, noisy: tuple[str, ...]
) -> None:
    data = make_phantom_dataset(
        tmp_path / "data", shape=SHAPE, spacing=(1.0, 1.0, 1.0), num_training=1, num_validation=1, num_test=1
    )
    (tmp_path / "bundle.py").write_text(PEAK)
    settings: dict[str, Any] = {"spacing": [1.0, 1.0, 1.0], "patch_size": [64, 64, 64], "device": "cpu", "amp": False}
    train = {"dataset_dir": data.parent, "max_epochs": 2, "output_dir": tmp_path / "train", "batch_size": 1}
    train.update({f"dataset_json#num_{name}": 1 for name in ("training", "validation", "test")})
    train.update({"dataset_json#shape": list(SHAPE), "dataset_json#spacing": settings["spacing"]})
    launcher = (sys.executable, str(tmp_path / "bundle.py"))
    done = command(tmp_path, noisy, {**settings, **train}, launcher)
    trained = peak_mib(done)
    segment = {"dataset_dir": data.parent / "imagesTs", "output_dir": tmp_path / "out"}
    checkpoint = {"checkpoint": tmp_path / "train" / "model_last.pt"}
    segmented = peak_mib(
        command(tmp_path, ["inference", "data/phantom"], {**settings, **segment, **checkpoint}, launcher)
    )
    (entry,) = json.loads(data.read_text())["test"]
    image = nibabel.load(data.parent / entry["image"])
    label = nibabel.load(tmp_path / "out" / f"{entry['id']}_seg.nii.gz")
    assert label.shape == SHAPE
    assert np.abs(label.affine - image.affine).max() < 1e-4
    # Measured: 1303 and 910 MiB, of which 600 are Python and torch; the logits of the volume alone are 78 MiB.
    print(f"peak memory: {trained} MiB in training, {segmented} MiB in inference")
    assert trained < 2000
    assert segmented < 1500
