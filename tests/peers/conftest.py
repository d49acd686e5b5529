"""The losses of others, each once; a new one is one line here, and the shared tests run through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from monai_iel import Grid
from monai_iel.peers import (
    EarlyLearningRegularizationLoss,
    GeneralizedCrossEntropyLoss,
    MeanAbsoluteErrorLoss,
    NoiseRobustDiceLoss,
    SmoothnessPenaltyLoss,
    SpatiallyVaryingLabelSmoothingLoss,
    SymmetricCrossEntropyLoss,
    TLoss,
    TotalVariationPenaltyLoss,
)

Make = Callable[..., nn.Module]


def early_learning(**head: Any) -> nn.Module:
    """With a teacher that prefers the last class everywhere."""
    loss = EarlyLearningRegularizationLoss(2.0, **head)

    def teach(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        channels = given[0].shape[1]
        preferred = torch.linspace(-1, 1, channels) if channels > 1 else torch.tensor([2.0])
        loss.set_target(preferred.reshape([1, channels, *[1] * (given[0].ndim - 2)]).expand(given[0].shape))

    loss.register_forward_pre_hook(teach)
    return loss


LOSSES: dict[str, Make] = {
    "generalised CE": GeneralizedCrossEntropyLoss,
    "generalised CE, q=0": lambda **head: GeneralizedCrossEntropyLoss(0.0, **head),
    "generalised CE, by class": lambda **head: GeneralizedCrossEntropyLoss(0.3, classwise=True, **head),
    "absolute error": MeanAbsoluteErrorLoss,
    "symmetric CE": SymmetricCrossEntropyLoss,
    "noise-robust Dice": NoiseRobustDiceLoss,
    "noise-robust Dice, batch": lambda **head: NoiseRobustDiceLoss(1.2, batch=True, **head),
    "T-Loss": TLoss,
    "smoothed labels": SpatiallyVaryingLabelSmoothingLoss,
    "early learning": early_learning,
}

PENALTIES: dict[str, Make] = {
    "H1": lambda loss, **settings: SmoothnessPenaltyLoss(loss, weight=2.0, **settings),
    "TV": lambda loss, **settings: TotalVariationPenaltyLoss(loss, weight=2.0, epsilon=0.1, **settings),
}


def _penalised(name: str) -> Make:
    def make(**head: Any) -> nn.Module:
        return PENALTIES[name](DiceCELoss(**head), sigmoid=head.get("sigmoid", False), grid=Grid())

    return make


@pytest.fixture(params=[*LOSSES, *PENALTIES])
def make(request: pytest.FixtureRequest) -> Make:
    """Every loss, as a function of MONAI's keywords."""
    name = str(request.param)
    return LOSSES[name] if name in LOSSES else _penalised(name)


@pytest.fixture(params=LOSSES)
def make_own(request: pytest.FixtureRequest) -> Make:
    """Those that wrap no other loss."""
    return LOSSES[str(request.param)]
