"""Time stepping. A scheme knows time; what is stepped, and in which direction, its caller knows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

__all__ = ["dt_for_gain", "euler", "euler_recomputed", "gain_of"]

Rate = Callable[[torch.Tensor], torch.Tensor]


def euler(u: torch.Tensor, rate: Rate, dt: float, num_steps: int) -> torch.Tensor:
    """``num_steps`` explicit Euler steps ``u <- u + dt * rate(u)``."""
    for _ in range(num_steps):
        u = u + dt * rate(u)
    return u


def euler_recomputed(u: torch.Tensor, rate: Rate, dt: float, num_steps: int) -> torch.Tensor:
    """Like :func:`euler`; the backward pass recomputes, so that memory grows with the root of the number of steps."""
    segment = max(1, math.isqrt(num_steps))
    for start in range(0, num_steps, segment):
        u = checkpoint(euler, u, rate, dt, min(segment, num_steps - start), use_reentrant=False)
    return u


def gain_of(dt: float, symbol: float, num_steps: int) -> float:
    """Amplification ``(1 + dt * symbol)^num_steps`` of a mode whose decay rate is ``symbol``."""
    return float((1 + dt * symbol) ** num_steps)


def dt_for_gain(gain: float, symbol: float, num_steps: int) -> float:
    """The step that amplifies a mode of decay rate ``symbol`` by ``gain`` over ``num_steps`` steps."""
    return float(math.expm1(math.log(gain) / num_steps) / symbol)
