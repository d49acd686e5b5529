"""Study files of a tiny phantom data set, and cells that are pretended to be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from monai_iel.study.compare import Cell, CellRun, Study, cells_of, load_study

Write = Callable[..., Path]
CLASSES = ("one", "two")


@pytest.fixture
def write_study(tmp_path: Path, phantom_list: Path, tiny: dict[str, Any]) -> Write:
    """Writes a study of one data set, one noise and two trainings; keyword arguments replace its keys."""

    def write(**changes: Any) -> Path:
        content = {**tiny_study(phantom_list, tiny), **changes}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}, sort_keys=False))
        return path

    return write


def tiny_study(phantom_list: Path, tiny: dict[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in tiny.items() if not name.startswith("dataset_")}
    return {
        "data": {"phantom": {"overlays": "data/phantom", "dataset": str(phantom_list)}},
        "noises": {"bumps": {"model": "bumps", "parameters": {"radius": [1, 2], "fraction": 0.1}}},
        "methods": {
            "plain": None,
            "early": {"of": "plain", "epoch": "best"},
            "plain + smoothing": {"of": "plain", "after": "evolve"},
            "IEL": {"overlays": "iel/heat"},
        },
        "settings": own,
    }


@pytest.fixture(scope="session")
def pretend() -> Callable[..., None]:
    """Writes cells of a study that are not run."""
    return pretend_cells


def pretend_cells(
    study: Study, folder: Path, value: Callable[[Cell, str, int], float], cells: list[Cell] | None = None
) -> None:
    """Write what cells would: per case and class ``value(cell, evaluation, case)`` as Dice, a tenth of it as ECE."""
    for cell in cells_of(study) if cells is None else cells:
        run = CellRun(study, cell, folder)
        for evaluation in run.evaluations:
            rows = ["case_id,class,dice,hd95_mm,hd95_missed,ece"]
            for case in range(12):
                dice = value(cell, evaluation.name, case)
                rows += [f"case{case},{name},{dice:.6g},{10 * (1 - dice):.6g},1,{dice / 10:.6g}" for name in CLASSES]
            out = run.folder / evaluation.name
            out.mkdir(parents=True, exist_ok=True)
            (out / "cases.csv").write_text("\n".join(rows) + "\n")
            (out / "evaluated.json").write_text(json.dumps({"key": ""}))
        curves = "".join(f"{c},{e},{0.5 + e / 10}\n" for c in ("validation", "test") for e in (1, 2, 3))
        (run.folder / "curves.csv").write_text("curve,epoch,dice\n" + curves)
        (run.folder / "cell.json").write_text(json.dumps({"key": run.key(), "train_seconds": 1.5}))


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory, phantom_list: Path, tiny: dict[str, Any]) -> Study:
    """Two noises without files, two numbers of cases, two seeds."""
    noises = {"clean": None, "block": {"overlays": "noise/block", "cases": [2, "all"]}}
    content = {**tiny_study(phantom_list, tiny), "noises": noises, "seeds": [0, 1], "epochs": ["last", "best"]}
    path = tmp_path_factory.mktemp("grid") / "grid.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_study(path)


@pytest.fixture(scope="session")
def dice() -> Callable[[Cell, str, int], float]:
    """The IEL gains 5 points and smoothing one over plain training, alike on every case but for a little."""
    gains = {"plain": 0.0, "IEL": 0.05}

    def value(cell: Cell, evaluation: str, case: int) -> float:
        rng = np.random.default_rng([case, cell.seed, len(evaluation), len(cell.method.name)])
        after = 0.01 if "smoothing" in evaluation else 0.0
        return 0.7 + 0.01 * case + gains[cell.method.name] + after + float(rng.uniform(0, 0.004))

    return value
