"""Training and evaluation in two processes (gloo on the CPU; the same configs serve several GPUs)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import BasicUNet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel.resources import BUNDLES

pytestmark = pytest.mark.slow
EVERY_BUNDLE = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def trained_by_two(
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[..., subprocess.CompletedProcess[str]],
    noisy: tuple[str, ...],
    small: dict[str, Any],
) -> Path:
    out = tmp_path_factory.mktemp("two") / "train"
    done = command(out.parent, [*noisy, "multi_gpu_train"], {**small, "output_dir": out}, TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def scalars(folder: Path, tag: str) -> list[int]:
    (path,) = folder.glob("events.out.tfevents.*")  # one writer, not one per process
    events = EventAccumulator(str(path), size_guidance={"scalars": 0})
    events.Reload()
    return [point.step for point in events.Scalars(tag)]


@EVERY_BUNDLE
def test_two_processes_write_one_model_and_one_log(trained_by_two: Path, kind: Any) -> None:
    names = {path.name for path in trained_by_two.iterdir() if not path.name.startswith("events")}
    assert names == {"checkpoint.pt", "model.pt", "model_last.pt"}
    network = BasicUNet(**kind.network)
    network.load_state_dict(torch.load(trained_by_two / "model.pt", weights_only=True), strict=True)
    # Three cases are two per process (one twice), in one batch of two: a step an epoch.
    assert scalars(trained_by_two, "train_loss") == [1, 2]
    assert scalars(trained_by_two, "dice") == [1, 2]


@EVERY_BUNDLE
def test_two_processes_resume(
    trained_by_two: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    noisy: tuple[str, ...],
    small: dict[str, Any],
    tmp_path: Path,
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes((trained_by_two / "checkpoint.pt").read_bytes())
    settings = {**small, "output_dir": tmp_path, "resume": True, "max_epochs": 3}
    done = command(tmp_path, [*noisy, "multi_gpu_train"], settings, TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    assert scalars(tmp_path, "dice") == [3]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 3


@EVERY_BUNDLE
def test_evaluation_by_two_processes_is_that_of_one(
    trained: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    small: dict[str, Any],
    tmp_path: Path,
    kind: Any,
) -> None:
    content = json.loads(kind.list_path.read_text())
    for entry in (everything := [e for name in ("training", "validation", "test") for e in content[name]]):
        entry.update({key: str(kind.list_path.parent / entry[key]) for key in ("image", "label")})
    (tmp_path / "list.json").write_text(json.dumps({**content, "test": everything}))  # 7: one process has one more
    settings = {**small, "checkpoint": trained / "model.pt", "dataset_json": tmp_path / "list.json"}
    rows, summaries = [], []
    for name, extra, launcher in (("one", [], TWO[:1]), ("two", ["multi_gpu_evaluate"], TWO)):
        configs = ["train", *kind.data, "evaluate", *extra]
        done = command(tmp_path, configs, {**settings, "output_dir": tmp_path / name}, launcher)
        assert done.returncode == 0, done.stderr[-3000:]
        table = csv.DictReader((tmp_path / name / "cases.csv").read_text().splitlines())
        rows.append(sorted(tuple(row.items()) for row in table))
        summaries.append(json.loads((tmp_path / name / "summary.json").read_text()))
    assert len(rows[0]) == 7 * len(kind.classes)
    for a, b in zip(*rows, strict=True):
        assert a[:2] == b[:2]
        assert [float(v) for _, v in a[2:]] == pytest.approx([float(v) for _, v in b[2:]], abs=1e-6, nan_ok=True)
    one, two = summaries
    assert one["counts"] == two["counts"]
    for name, values in one["metrics"].items():
        assert two["metrics"][name]["mean"] == pytest.approx(values["mean"], abs=1e-6), name


def test_two_processes_that_both_find_no_phantom_make_one(
    command: Callable[..., subprocess.CompletedProcess[str]], tiny: dict[str, Any], tmp_path: Path
) -> None:
    settings = {name: value for name, value in tiny.items() if name not in ("dataset_json", "dataset_dir")}
    sizes = {"training": 4, "validation": 2, "test": 1}
    settings.update({f"dataset_json#num_{name}": count for name, count in sizes.items()})
    settings.update({"dataset_json#shape": "[24,28,20]", "dataset_dir": tmp_path / "phantom", "max_epochs": 1})
    configs = ["train", "data/phantom", "multi_gpu_train"]
    done = command(tmp_path, configs, {**settings, "output_dir": tmp_path / "out"}, TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in tmp_path.iterdir()} == {"phantom", "out"}
