"""What is timed: the layers, the loop of convolutions, and MONAI's distance losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from monai.losses import BoundaryLoss, HausdorffDTLoss

from monai_iel import (
    ConvexCurveMotion,
    Grid,
    HeatDiffusion,
    InverseEvolution,
    LaplacianPower,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    TotalVariationFlow,
)

__all__ = ["CLONE", "CONV", "GAIN", "LINEAR", "MONAI", "NONLINEAR", "Case", "ConvLoop", "Way", "layer_of", "way_of"]

GAIN = 38.0  # of linear evolutions, whatever the number of steps
TIME = 0.2  # of nonlinear ones: a step is TIME / number of steps

CONV, CLONE = "conv loop", "clone"
LINEAR: dict[str, dict[str, Any]] = {
    "HeatDiffusion": {"term": HeatDiffusion()},
    "HeatDiffusion, exponential": {"term": HeatDiffusion(), "scheme": "exponential"},
    "LaplacianPower(2)": {"term": LaplacianPower(2.0)},
    "LaplacianPower(0.5)": {"term": LaplacianPower(0.5)},
    "SobolevDiffusion": {"term": SobolevDiffusion(2.0)},
}
NONLINEAR = {
    "TotalVariationFlow": TotalVariationFlow(),
    "PeronaMalikDiffusion": PeronaMalikDiffusion(1.0),
    "MeanCurvatureMotion": MeanCurvatureMotion(),
    "ConvexCurveMotion, curvature": ConvexCurveMotion(),
    "ConvexCurveMotion, region": ConvexCurveMotion("region"),
}
MONAI = {"HausdorffDTLoss": HausdorffDTLoss, "BoundaryLoss": BoundaryLoss}

Way = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One row: what, on which shape, with how many steps (0 where there are none)."""

    name: str
    shape: tuple[int, ...]
    steps: int


class ConvLoop(InverseEvolution):
    """Inverse heat steps in the published form: one zero-padded convolution per channel and step, left to autograd.

    The same as the engine's with ``boundary="dirichlet"``.
    """

    def forward(self, u: torch.Tensor, *, strength: float = 1.0, ratios: Sequence[float] | None = None) -> torch.Tensor:
        """The steps, one after the other."""
        channels, dims = u.shape[1], u.ndim - 2
        kernel = u.new_zeros([3] * dims)
        for axis in range(dims):
            for place, weight in enumerate([1.0, -2.0, 1.0]):
                kernel[tuple(place if a == axis else 1 for a in range(dims))] += weight
        weights = kernel.expand(channels, 1, *kernel.shape).contiguous()
        convolution = getattr(F, f"conv{dims}d")
        for _ in range(self.stepping.num_steps):
            u = u - self.stepping.dt(dims) * convolution(u, weights, padding=1, groups=channels)
        return u


def layer_of(name: str, steps: int) -> InverseEvolution:
    """The layer with an evolution, or the loop that does the same as the one with heat."""
    if name in NONLINEAR:
        return InverseEvolution(NONLINEAR[name], dt=TIME / steps, num_steps=steps)
    if name == CONV:
        return ConvLoop(HeatDiffusion(), grid=Grid(boundary="dirichlet"), gain=GAIN, num_steps=steps)
    return InverseEvolution(**LINEAR[name], gain=GAIN, num_steps=steps)


def way_of(case: Case) -> Way:
    """What a row times, as a function of logits and label."""
    if case.name in MONAI:
        return MONAI[case.name](include_background=False, to_onehot_y=True, softmax=True)
    layer = torch.clone if case.name == CLONE else layer_of(case.name, case.steps)
    return lambda u, label: layer(u)
