"""What the explicit steps of an evolution are made of."""

from __future__ import annotations

import torch

from monai_iel.numerics.blocks import LocalRate
from monai_iel.numerics.grid import Grid
from monai_iel.terms.base import EvolutionTerm

__all__ = ["rate_of"]


def rate_of(term: EvolutionTerm, grid: Grid) -> LocalRate:
    """F(u) on a grid, as the time schemes want it."""

    def vector_jacobian(u: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        return term.vector_jacobian(u, grad, grid)

    return LocalRate(lambda u: term(u, grid), vector_jacobian, term.reach, grid.boundary)
