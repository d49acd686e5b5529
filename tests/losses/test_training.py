"""What training through the layer is for: with each evolution the network's output has less of its defect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from monai_iel import (
    EvolutionTerm,
    Grid,
    HeatDiffusion,
    InverseEvolution,
    InverseEvolutionLoss,
    LaplacianPower,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    SumTerm,
    TotalVariationFlow,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def discs_with_wrong_blocks(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of four discs in noise, and annotations of which 15 % of the 2 x 2 blocks are wrong."""
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(size) - size / 2
    radii = torch.tensor([6.0, 8.0, 10.0, 12.0]).view(4, 1, 1, 1)
    discs = ((x[:, None] ** 2 + x**2).sqrt() < radii).long()
    images = discs + 0.3 * torch.randn(discs.shape, generator=generator)
    wrong = torch.rand(4, 1, size // 2, size // 2, generator=generator) < 0.15
    wrong = wrong.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return images, torch.where(wrong, 1 - discs, discs)


def trained(layer: InverseEvolution | None) -> torch.Tensor:
    """The margin between the two classes after a short training from one seed, ``B 1 H W``."""
    images, labels = discs_with_wrong_blocks()
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 2, 3, padding=1),
    )
    loss: nn.Module = DiceCELoss(to_onehot_y=True, softmax=True)
    loss = loss if layer is None else InverseEvolutionLoss(loss, layer)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss(network(images), labels).backward()
        optimizer.step()
    with torch.no_grad():
        logits = network(images)
    return logits[:, 1:] - logits[:, :1]


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return trained(None)


def decay_rate(term: EvolutionTerm) -> Callable[[torch.Tensor], float]:
    """How fast the evolution takes the margin away: <u, -F u> / <u, u>, for linear evolutions."""
    return lambda u: float(-(u * term(u, Grid())).sum() / u.square().sum())


def total_variation(u: torch.Tensor) -> float:
    p = u.sigmoid()
    return float(p.diff(dim=2).abs().sum() + p.diff(dim=3).abs().sum())


def outline(u: torch.Tensor) -> float:
    """Length of the outlines of the masks, in voxel edges."""
    return total_variation(1e6 * u)


def weak_fluctuations(u: torch.Tensor) -> float:
    """Mean square of the differences between neighbours that are no edges: below the mean margin."""
    steps = torch.cat([u.diff(dim=2).flatten(), u.diff(dim=3).flatten()]) / u.abs().mean()
    return float(steps[steps.abs() < 1].square().mean())


CASES: list[tuple[EvolutionTerm, dict[str, Any], Callable[[torch.Tensor], float]]] = [
    (HeatDiffusion(), {"gain": 38}, decay_rate(HeatDiffusion())),
    (HeatDiffusion(), {"gain": 38, "scheme": "exponential"}, decay_rate(HeatDiffusion())),
    (LaplacianPower(2.0), {"gain": 38}, decay_rate(LaplacianPower(2.0))),
    (LaplacianPower(0.5), {"gain": 38}, decay_rate(LaplacianPower(0.5))),
    (SobolevDiffusion(2.0, exponent=0.5), {"gain": 38}, decay_rate(SobolevDiffusion(2.0, exponent=0.5))),
    (TotalVariationFlow(1.0), {"dt": 0.1, "num_steps": 10}, total_variation),
    (PeronaMalikDiffusion(4.0), {"dt": 0.05, "num_steps": 10}, weak_fluctuations),
    (MeanCurvatureMotion(1.0), {"dt": 0.1, "num_steps": 10}, outline),
    (SumTerm([HeatDiffusion(), MeanCurvatureMotion(1.0)]), {"dt": 0.04, "num_steps": 10}, outline),
]


@pytest.mark.parametrize(("term", "settings", "defect"), CASES, ids=lambda x: repr(x) if not callable(x) else "")
def test_a_network_trained_through_the_layer_has_less_of_the_defect(
    term: EvolutionTerm, settings: dict[str, Any], defect: Callable[[torch.Tensor], float], plain: torch.Tensor
) -> None:
    assert defect(trained(InverseEvolution(term, **settings))) < 0.9 * defect(plain)
