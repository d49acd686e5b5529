"""The layer under DistributedDataParallel: two gloo processes give the gradients of one."""

from __future__ import annotations

from collections.abc import Callable

PROGRAM = """
import torch
from monai.losses import DiceCELoss
from torch.nn.parallel import DistributedDataParallel
from monai_iel import HeatDiffusion, InverseEvolution, InverseEvolutionLoss, MeanCurvatureMotion, TotalVariationFlow

CASES = [(HeatDiffusion(), {"gain": 38}), (TotalVariationFlow(), {"dt": 0.02}), (MeanCurvatureMotion(), {"dt": 0.02})]

def gradients(network, loss, images, labels):
    network.zero_grad()
    loss(network(images), labels).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])

def main(rank):
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
"""


def test_two_processes_give_the_gradients_of_one(in_two_processes: Callable[[str], str]) -> None:
    lines = in_two_processes(PROGRAM).splitlines()
    found = {name: float(value) for name, value in (line.split() for line in lines)}
    assert found.keys() == {"HeatDiffusion", "TotalVariationFlow", "MeanCurvatureMotion"}
    assert max(found.values()) < 1e-5
