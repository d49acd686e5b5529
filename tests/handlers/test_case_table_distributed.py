"""The table of an evaluation on two processes, each with its own share of the cases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
import ignite.distributed as idist
import torch
from ignite.engine import Engine
from monai.handlers import from_engine
from monai_iel.handlers import CaseTableHandler, PhysicalHausdorffDistanceHandler

def evaluate(rank, folder):
    label = torch.zeros(2, 8, 8)
    label[1, 2] = 1
    shifts = [{"a": 0, "b": 1}, {"c": 3}][rank]
    data = [[{"case_id": i, "pred": torch.roll(label, n, dims=1), "label": label}] for i, n in shifts.items()]
    engine = Engine(lambda _, batch: batch)
    metric = PhysicalHausdorffDistanceHandler(output_transform=from_engine(["pred", "label"]))
    metric.attach(engine, "hd95_mm")
    CaseTableHandler(folder).attach(engine)
    engine.run(data)

if __name__ == "__main__":
    with idist.Parallel(backend="gloo", nproc_per_node=2) as parallel:
        parallel.run(evaluate, sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_with_unequal_shares_write_one_table(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    subprocess.run(
        [sys.executable, str(program), str(tmp_path / "out")], cwd=REPO, env=_environment(), check=True, timeout=300
    )
    lines = (tmp_path / "out" / "cases.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["case_id,class,hd95_mm", "a,1,0", "b,1,1", "c,1,3"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])}
