"""What an evolution is: the right-hand side of ``u_t = F(u)``, in the direction that improves a segmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.spectral import (
    apply_self_adjoint,
    axis_eigenvalues,
    computing_dtype,
    largest_eigenvalues,
    multiplication,
)

__all__ = ["EvolutionTerm", "LinearTerm"]


class EvolutionTerm(nn.Module, ABC):
    """An evolution ``u_t = F(u)`` that makes a segmentation better: ``term(u, grid)`` returns ``F(u)``.

    A term is stateless, knows nothing of time steps, and never of "inverse": :class:`monai_iel.InverseEvolution` runs
    it backwards, :class:`monai_iel.Evolve` forwards. One's own term needs :meth:`forward` only; see
    ``docs/your_own_evolution.md``.

    Attributes:
        reach: how many voxels away F(u) at a voxel looks along an axis; None where that is unknown, or all of them.
            With a reach, volumes are worked on in slabs that fit the processor's cache, which is faster and leaner.
        spatial_dims: number of spatial axes that the settings are for; None where any will do.
    """

    reach: int | None = None
    spatial_dims: int | None = None

    @abstractmethod
    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """F(u) for ``u`` of shape ``B C H W [D]``, same shape and dtype; ``u`` is not modified."""

    def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The transposed Jacobian of F at ``u`` times ``grad``, for the layer's backward pass; no gradient recorded.

        Left to autograd here. A term that has a cheaper form may write it down.
        """
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            rate = self(leaf, grid)
        if not rate.requires_grad:  # F does not depend on u
            return torch.zeros_like(u)
        return torch.autograd.grad(rate, leaf, grad)[0]

    def step_rate(self, u: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The mean rate over an explicit step of ``dt`` (below 0 backwards): F(u).

        An evolution that has to keep something exactly over a whole step, and not only at its start, may differ.
        """
        rate: torch.Tensor = self(u, grid)
        return rate

    def step_vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The transposed Jacobian of `step_rate` times ``grad``; no gradient recorded."""
        return self.vector_jacobian(u, grad, grid)

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float | None:
        """A bound on the rate at which any pattern decays, in 1 / the unit of ``dt``; None where none is known.

        Explicit steps forwards are stable up to ``dt = 2 / rate``.
        """
        return None

    def as_linear(self) -> LinearTerm | None:
        """The same evolution as a :class:`LinearTerm`, or None where it is not linear."""
        return None


class LinearTerm(EvolutionTerm):
    """A linear evolution ``F(u) = -s(A) u``, where A is minus the Laplacian and ``s >= 0`` is its symbol.

    Such a term is self-adjoint and diagonal in the eigenbasis of the Laplacian, so any number of steps costs as much
    as one, and the backward pass is the forward pass. One's own linear term needs :meth:`symbol` only.

    Attributes:
        additive: whether the symbol is a sum of functions of one axis each. The continuous flow is then separable, and
            costs half as much.
    """

    additive: bool = False

    @abstractmethod
    def symbol(self, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decay rate of each mode.

        Args:
            eigenvalues: of minus the second difference along each axis, in 1/mm^2, one float64 tensor per axis that
                broadcasts with the others. ``sum(eigenvalues)`` is the spectrum of minus the Laplacian.

        Returns:
            The rates, of the broadcast shape, or ``C`` such tensors stacked in front where classes differ. They must
            not fall when an eigenvalue grows.
        """

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """F(u) through the eigenbasis; a term that has a stencil may use that instead."""
        dtype = computing_dtype(u)
        rates = self.rates(u, axis_eigenvalues(u.shape[2:], grid)).to(dtype).to(u.device)
        operator = multiplication(rates, grid.boundary, u.ndim - 2)
        return -apply_self_adjoint(u, lambda v: operator(v.to(dtype)).to(v.dtype))

    def rates(self, u: torch.Tensor, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        """`symbol`, checked for an image, and of the full shape.

        Raises:
            ValueError: settings for another number of classes than ``u`` has channels; a rate below 0.
        """
        shape = sum(eigenvalues[1:], start=eigenvalues[0]).shape
        rates = self.symbol(eigenvalues)
        if rates.ndim == u.ndim - 1 and rates.shape[0] != u.shape[1]:
            raise ValueError(
                f"{self} has settings for {rates.shape[0]} classes, but the tensor has {u.shape[1]} channels"
            )
        if float(rates.min()) < 0:
            raise ValueError(f"the symbol of {self} has to be a decay, 0 or more, but is {float(rates.min()):.4g}")
        return rates.expand(*rates.shape[: max(0, rates.ndim - len(shape))], *shape)

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float:
        """The largest decay rate over all classes and all patterns that the grid can hold."""
        return float(self.symbol(largest_eigenvalues(grid, spatial_dims)).max())

    def length(self, time: float) -> float | None:
        """How far the evolution reaches in ``time``, in mm; None where that has no meaning."""
        return None

    def as_linear(self) -> LinearTerm:
        """Itself."""
        return self
