"""What an evolution is: the right-hand side of ``u_t = F(u)``, in the direction that improves a segmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from monai_iel.numerics.grid import Grid

__all__ = ["EvolutionTerm", "LinearTerm"]


class EvolutionTerm(nn.Module, ABC):
    """An evolution ``u_t = F(u)`` that makes a segmentation better: ``term(u, grid)`` returns ``F(u)``.

    A term is stateless, knows nothing of time steps, and never of "inverse": :class:`monai_iel.InverseEvolution` runs
    it backwards, :class:`monai_iel.Evolve` forwards.
    """

    @abstractmethod
    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """F(u) for ``u`` of shape ``B C H W [D]``, same shape and dtype; ``u`` is not modified."""


class LinearTerm(EvolutionTerm):
    """A linear evolution ``F(u) = -s(A) u``, where A is minus the Laplacian and ``s >= 0`` is its symbol.

    Such a term is self-adjoint and diagonal in the eigenbasis of the Laplacian, so any number of steps costs as much
    as one, and the backward pass is the forward pass.
    """

    @abstractmethod
    def symbol(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """Decay rate ``s(lambda)`` of each mode.

        Args:
            eigenvalues: of minus the Laplacian, in 1/mm^2, any shape.

        Returns:
            The rates, of the same shape, or ``C`` such tensors stacked in front where classes differ.
        """

    def length(self, time: float) -> float | None:
        """How far the evolution reaches in ``time``, in mm; None where that has no meaning."""
        return None

    def largest_rate(self, largest_eigenvalue: float) -> float:
        """The largest decay rate over all classes for eigenvalues up to ``largest_eigenvalue`` (rates do not fall)."""
        return float(self.symbol(torch.tensor([largest_eigenvalue], dtype=torch.float64)).max())
