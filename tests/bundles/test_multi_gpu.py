"""Training and evaluation in several processes and on two nodes (gloo on the CPU; GPUs take the same configs)."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import BasicUNet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel.resources import BUNDLES

pytestmark = pytest.mark.slow
EVERY_BUNDLE = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
Command = Callable[..., subprocess.CompletedProcess[str]]


def processes(number: int) -> tuple[str, ...]:
    """``torchrun`` on one machine."""
    return (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={number}")


TWO = processes(2)


def on_nodes(
    nodes: int, command: Command, cwd: Path, configs: Sequence[str], settings: dict[str, Any]
) -> list[subprocess.CompletedProcess[str]]:
    """Two processes on one machine, or one for each of two agents that meet as on two machines."""
    if nodes == 1:
        return [command(cwd, configs, settings, TWO)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    meet = (f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}", "--rdzv-id=job")
    agent = (sys.executable, "-m", "torch.distributed.run", *meet, "--nproc_per_node=1")
    with ThreadPoolExecutor(nodes) as pool:
        return list(pool.map(lambda _: command(cwd, configs, settings, agent), range(nodes)))


@pytest.fixture(scope="module")
def trained_by_two(
    tmp_path_factory: pytest.TempPathFactory,
    command: Command,
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
    assert names == {"checkpoint.pt", "checkpoint_previous.pt", "model.pt", "model_last.pt"}
    network = BasicUNet(**kind.network)
    network.load_state_dict(torch.load(trained_by_two / "model.pt", weights_only=True), strict=True)
    # Three cases are two per process (one twice), in one batch of two: a step an epoch.
    assert scalars(trained_by_two, "train_loss") == [1, 2]
    assert scalars(trained_by_two, "dice") == [1, 2]


@EVERY_BUNDLE
def test_two_processes_resume(
    trained_by_two: Path,
    command: Command,
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


@pytest.mark.parametrize(
    ("bundle", "number", "cases"),
    [*((bundle, 2, 7) for bundle in BUNDLES), (BUNDLES[0], 4, 7), (BUNDLES[0], 4, 2)],
    indirect=["bundle"],
    scope="session",
)
def test_evaluation_by_several_processes_is_that_of_one(
    number: int, cases: int, trained: Path, command: Command, small: dict[str, Any], tmp_path: Path, kind: Any
) -> None:
    """Of seven cases one process has more than another, and of two not every process has one."""
    content = json.loads(kind.list_path.read_text())
    for entry in (everything := [e for name in ("training", "validation", "test") for e in content[name]]):
        entry.update({key: str(kind.list_path.parent / entry[key]) for key in ("image", "label")})
    (tmp_path / "list.json").write_text(json.dumps({**content, "test": everything[:cases]}))
    # The cases stay where they are.
    (tmp_path / "list.json.roots").write_text(f"folder: {tmp_path}\n{kind.list_path.parent}\n")
    settings = {**small, "checkpoint": trained / "model.pt", "dataset_json": tmp_path / "list.json"}
    rows, summaries = [], []
    for name, extra, launcher in (("one", [], TWO[:1]), ("several", ["multi_gpu_evaluate"], processes(number))):
        configs = ["train", *kind.data, "evaluate", *extra]
        done = command(tmp_path, configs, {**settings, "output_dir": tmp_path / name}, launcher)
        assert done.returncode == 0, done.stderr[-3000:]
        table = csv.DictReader((tmp_path / name / "cases.csv").read_text().splitlines())
        rows.append(sorted(tuple(row.items()) for row in table))
        summaries.append(json.loads((tmp_path / name / "summary.json").read_text()))
    assert len(rows[0]) == cases * len(kind.classes)
    for a, b in zip(*rows, strict=True):
        assert a[:2] == b[:2]
        assert [float(v) for _, v in a[2:]] == pytest.approx([float(v) for _, v in b[2:]], abs=1e-6, nan_ok=True)
    one, several = summaries
    assert one["counts"] == several["counts"]
    for name, values in one["metrics"].items():
        assert several["metrics"][name]["mean"] == pytest.approx(values["mean"], abs=1e-6), name


def test_four_processes_train_on_three_cases_and_validate_on_two_as_one_process_does(
    command: Command, small: dict[str, Any], tmp_path: Path, kind: Any
) -> None:
    train = ["train", *kind.data, "iel/heat", "multi_gpu_train"]
    done = command(tmp_path, train, {**small, "output_dir": tmp_path / "four"}, processes(4))
    assert done.returncode == 0, done.stderr[-3000:]
    settings = {"checkpoint": tmp_path / "four" / "model.pt", "validation_section": "validation"}
    configs = ["train", *kind.data, "evaluate"]
    done = command(tmp_path, configs, {**small, **settings, "output_dir": tmp_path / "one"})
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(tmp_path / "four" / "checkpoint.pt", weights_only=True)["best_metric"]
    wanted = json.loads((tmp_path / "one" / "summary.json").read_text())["metrics"]["dice"]["mean"]
    assert found == pytest.approx(wanted, abs=1e-6)


def test_two_nodes_that_meet_train_the_network_of_one_node(
    trained_by_two: Path, command: Command, noisy: tuple[str, ...], small: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**small, "output_dir": tmp_path / "out"}
    for done in on_nodes(2, command, tmp_path, [*noisy, "multi_gpu_train"], settings):
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(path / "model.pt", weights_only=True) for path in (trained_by_two, tmp_path / "out"))
    assert all(torch.equal(two[name], weights) for name, weights in one.items())
    assert scalars(tmp_path / "out", "dice") == [1, 2]


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_process_that_is_killed_ends_the_job_which_can_be_resumed(
    nodes: int, command: Command, noisy: tuple[str, ...], small: dict[str, Any], tmp_path: Path
) -> None:
    """The second process kills itself in the third epoch, or the fourth if the first one still wrote the checkpoint."""
    out = tmp_path / "out"
    twice = f"os.path.isfile({str(out / 'checkpoint_previous.pt')!r})"
    fall = f"$lambda x: os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' and {twice} else x"
    settings = {**small, "output_dir": out, "max_epochs": 4}
    deadly = {**settings, "augmentation": [{"_target_": "Lambdad", "keys": "image", "func": fall}]}
    ended = on_nodes(nodes, command, tmp_path, [*noisy, "multi_gpu_train"], deadly)
    assert all(done.returncode != 0 for done in ended)
    said = "\n".join(done.stderr for done in ended)
    assert "Signal 9 (SIGKILL) received by PID" in said
    assert "rank      : 1" in said
    assert torch.load(out / "checkpoint.pt", weights_only=True)["epoch"] in (2, 3)
    for done in on_nodes(nodes, command, tmp_path, [*noisy, "multi_gpu_train"], {**settings, "resume": True}):
        assert done.returncode == 0, done.stderr[-3000:]
    assert torch.load(out / "checkpoint.pt", weights_only=True)["epoch"] == 4


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
