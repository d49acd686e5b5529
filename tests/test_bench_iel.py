"""The benchmark: what it writes, not how long anything takes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the plot needs the extra 'report'")

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_iel.py"
LINEAR = {
    "HeatDiffusion",
    "HeatDiffusion, exponential",
    "LaplacianPower(2)",
    "LaplacianPower(0.5)",
    "SobolevDiffusion",
}
NONLINEAR = {"TotalVariationFlow", "PeronaMalikDiffusion", "MeanCurvatureMotion"}
NONLINEAR |= {"ConvexCurveMotion, curvature", "ConvexCurveMotion, region"}


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, "--device", "cpu", "--threads", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a quick run has left its JSON and its plot."""
    folder = tmp_path_factory.mktemp("bench")
    done = bench("--quick", "--json", folder / "bench.json", "--plot", folder / "bench.png")
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "bench.json").read_text()))


def test_each_size_has_every_evolution_the_loop_and_the_distance_losses(result: dict[str, Any]) -> None:
    by_shape: dict[tuple[int, ...], set[str]] = {}
    for row in result["rows"]:
        by_shape.setdefault(tuple(row["shape"]), set()).add(row["name"])
    assert {len(shape) for shape in by_shape} == {4, 5}  # 2D and 3D
    for names in by_shape.values():
        assert names == LINEAR | NONLINEAR | {"conv loop", "HausdorffDTLoss", "BoundaryLoss"}


def test_evolutions_and_the_loop_are_there_with_each_number_of_steps_and_none_twice(result: dict[str, Any]) -> None:
    plan = result["plan"]
    stepped = [(r["name"], r["steps"]) for r in result["rows"] if r["shape"] == plan["steps_size"] and r["steps"]]
    assert sorted(stepped) == sorted((name, k) for name in LINEAR | NONLINEAR | {"conv loop"} for k in plan["steps"])


def test_forward_and_backward_add_up_and_quartiles_are_in_order(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        for part in ("forward_ms", "backward_ms", "together_ms"):
            assert 0 < row[part][0] <= row[part][1] <= row[part][2]
        assert row["together_ms"][2] >= max(row["forward_ms"][0], row["backward_ms"][0])
        assert row["repeats"] == 3


def test_floors_and_ratios_come_from_the_medians(result: dict[str, Any]) -> None:
    rates = {tuple(r["shape"]): r for r in result["rates"]}
    loops = {(tuple(r["shape"]), r["steps"]): r["together_ms"][1] for r in result["rows"] if r["name"] == "conv loop"}
    for row in result["rows"]:
        shape, median = tuple(row["shape"]), row["together_ms"][1]
        logits = 4 * math.prod(shape)
        floors = {name: 4e3 * logits / rates[shape][name] for name in ("copy_own_size", "copy_large")}
        if row["multiply_adds"]:
            floors["multiply_adds"] = 1e3 * row["multiply_adds"] / rates[shape]["multiply_adds"]
        assert row["floor_ms"] == pytest.approx(floors)
        assert row["times_floor"] == pytest.approx({name: median / floor for name, floor in floors.items()})
        loop = loops.get((shape, row["steps"])) if row["name"] in LINEAR | NONLINEAR else None
        assert row["conv_loop_ratio"] == (None if loop is None else pytest.approx(loop / median))
    assert any(row["conv_loop_ratio"] for row in result["rows"])


def test_multiply_adds_are_those_of_the_matrices(result: dict[str, Any]) -> None:
    # Forwards and backwards one product per axis, and for what is not separable a second one; these sizes are far
    # below those where a fast transform is taken.
    for row in result["rows"]:
        shape = row["shape"]
        per_pass = math.prod(shape) * sum(shape[2:])
        passes = {"HeatDiffusion, exponential": 2}.get(row["name"], 4)
        assert row["multiply_adds"] == (passes * per_pass if row["name"] in LINEAR else None), row["name"]


def test_the_loop_of_convolutions_does_what_the_layer_does(result: dict[str, Any]) -> None:
    loops = [row for row in result["rows"] if row["name"] == "conv loop"]
    assert loops
    for row in loops:
        assert max(row["relative_difference"]) < 2e-6, row  # rounding of float32, at gain 38


def test_a_clone_reads_as_once_its_tensor(result: dict[str, Any]) -> None:
    if result["clone_peak_logits"] is None:
        pytest.skip("peak memory is read from Linux's /proc")
    assert result["clone_peak_logits"] == pytest.approx(1, abs=0.15)  # the system counts pages in batches


def test_shares_are_of_the_step_that_they_were_timed_in(result: dict[str, Any]) -> None:
    assert {row["name"] for row in result["shares"]} == LINEAR | NONLINEAR | {"conv loop"}
    for row in result["shares"]:
        assert row["share"] == pytest.approx(row["added_ms"][1] / row["training_step_ms"][1])
        assert 0 < row["share"] < 1


def test_versions_machine_and_threads_are_written_down(result: dict[str, Any]) -> None:
    assert set(result["versions"]) >= {"python", "torch", "monai", "monai-iel", "scipy"}
    assert "cores" in result["processor"]
    assert (result["machine"]["device"], result["machine"]["threads"]) == ("cpu", 1)


def test_the_table_has_a_line_for_each_row(folder: Path, result: dict[str, Any]) -> None:
    lines = (folder / "printed.txt").read_text().splitlines()
    for name in LINEAR | NONLINEAR | {"conv loop"}:
        rows = sum(row["name"] == name for row in result["rows"]) + 1  # and its share
        assert sum(line.startswith(f"{name}  ") for line in lines) == rows, name


def test_the_plot_is_a_picture(folder: Path) -> None:
    picture = (folder / "bench.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 20_000  # an empty one has less
