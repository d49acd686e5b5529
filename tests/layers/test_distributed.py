"""The layer under DistributedDataParallel: two gloo processes give the gradients of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

PROGRAM = """
import os
import torch
import torch.distributed as dist
from monai.losses import DiceCELoss
from torch.nn.parallel import DistributedDataParallel
from monai_iel import HeatDiffusion, InverseEvolution, InverseEvolutionLoss, MeanCurvatureMotion, TotalVariationFlow

CASES = [(HeatDiffusion(), {"gain": 38}), (TotalVariationFlow(), {"dt": 0.02}), (MeanCurvatureMotion(), {"dt": 0.02})]

def gradients(network, loss, images, labels):
    network.zero_grad()
    loss(network(images), labels).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])

def main():
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    rank = dist.get_rank()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 1, 12, 10, generator=generator)
    labels = torch.randint(0, 3, (2, 1, 12, 10), generator=generator)
    for term, settings in CASES:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1))
        loss = InverseEvolutionLoss(DiceCELoss(to_onehot_y=True, softmax=True), InverseEvolution(term, **settings))
        expected = gradients(network, loss, images, labels)
        wrapped = DistributedDataParallel(network)
        for _ in range(2):
            found = gradients(wrapped, loss, images[rank : rank + 1], labels[rank : rank + 1])
        if rank == 0:
            print(type(term).__name__, float((found - expected).norm() / expected.norm()), flush=True)
    dist.barrier()
    # Not destroy_process_group: torch 2.13 may wait for ever when the last reference to a gloo group is the reducer's,
    # which is freed with the GIL held, while the group's own thread waits for the GIL.
    os._exit(0)

if __name__ == "__main__":
    main()
"""


def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert found.keys() == {"HeatDiffusion", "TotalVariationFlow", "MeanCurvatureMotion"}
    assert max(found.values()) < 1e-5
