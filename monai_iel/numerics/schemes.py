"""Time stepping. A scheme knows time; what is stepped, and in which direction, its caller knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch

from monai_iel.numerics.blocks import LocalRate

__all__ = ["Scheme", "dt_for_gain", "euler", "euler_recomputed", "gain_of", "growth"]

Rate = Callable[[torch.Tensor], torch.Tensor]

Scheme = Literal["euler", "exponential"]
"""``"euler"``: steps ``1 + dt * rate``, as published. ``"exponential"``: the continuous flow ``exp(time * rate)``,
which linear evolutions have in closed form."""


def euler(u: torch.Tensor, rate: Rate, dt: float, num_steps: int) -> torch.Tensor:
    """``num_steps`` explicit Euler steps ``u <- u + dt * rate(u)``."""
    for _ in range(num_steps):
        u = torch.add(u, rate(u), alpha=dt)
    return u


def euler_recomputed(u: torch.Tensor, rate: LocalRate, dt: float, num_steps: int) -> torch.Tensor:
    """Like :func:`euler`, differentiable, with a backward pass that recomputes.

    Kept is every n-th state, n the root of the number of steps; the states between two of them are computed again when
    their turn comes. So memory grows with the root of the number of steps, and only one block's graph ever exists.
    """
    result: torch.Tensor = _RecomputedSteps.apply(u, rate, dt, num_steps)  # type: ignore[no-untyped-call]
    return result


class _RecomputedSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, rate: LocalRate, dt: float, num_steps: int) -> torch.Tensor:
        ctx.rate, ctx.dt, ctx.num_steps = rate, dt, num_steps
        ctx.segment = math.isqrt(num_steps - 1) + 1
        kept = []
        for start in range(0, num_steps, ctx.segment):
            kept.append(u)
            u = euler(u, rate, dt, min(ctx.segment, num_steps - start))
        ctx.save_for_backward(*kept)
        return u

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        with torch.autocast(device_type=grads[0].device.type, enabled=False):  # as forwards
            return _RecomputedSteps._gradient(ctx, grads[0]), None, None, None

    @staticmethod
    def _gradient(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted: leave it to autograd, in full
            out = euler(kept[0], ctx.rate.rate, ctx.dt, ctx.num_steps)
            return torch.autograd.grad(out, kept[0], grad, create_graph=True)[0]
        for number in reversed(range(len(kept))):
            states = [kept[number]]
            for _ in range(min(ctx.segment, ctx.num_steps - number * ctx.segment) - 1):
                states.append(euler(states[-1], ctx.rate, ctx.dt, 1))
            while states:
                grad = torch.add(grad, ctx.rate.vector_jacobian(states.pop(), grad), alpha=ctx.dt)
        return grad


def growth(rates: torch.Tensor, dt: float, num_steps: int, scheme: Scheme = "euler") -> torch.Tensor:
    """Amplification over ``num_steps`` steps of modes that decay at ``rates``, run backwards in time."""
    return torch.exp(num_steps * dt * rates) if scheme == "exponential" else (1 + dt * rates) ** num_steps


def gain_of(dt: float, rate: float, num_steps: int, scheme: Scheme = "euler") -> float:
    """`growth` of one mode; infinite where a float cannot hold it."""
    return float(growth(torch.tensor(rate, dtype=torch.float64), dt, num_steps, scheme))


def dt_for_gain(gain: float, rate: float, num_steps: int, scheme: Scheme = "euler") -> float:
    """The step that amplifies a mode of decay rate ``rate`` by ``gain`` over ``num_steps`` steps."""
    per_step = math.log(gain) / num_steps
    return float((per_step if scheme == "exponential" else math.expm1(per_step)) / rate)
