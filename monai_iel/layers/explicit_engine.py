"""What the explicit steps of an evolution are made of."""

from __future__ import annotations

import torch

from monai_iel.numerics.blocks import LocalRate
from monai_iel.numerics.grid import Grid
from monai_iel.terms.base import EvolutionTerm

__all__ = ["rate_of"]


def rate_of(term: EvolutionTerm, grid: Grid, dt: float) -> LocalRate:
    """The rate of explicit steps of ``dt`` (below 0 backwards) on a grid, as the time schemes want it."""

    def vector_jacobian(u: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        return term.step_vector_jacobian(u, grad, grid, dt)

    return LocalRate(lambda u: term.step_rate(u, grid, dt), vector_jacobian, term.reach, grid.boundary)
