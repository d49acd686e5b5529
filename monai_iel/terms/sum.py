"""Several evolutions at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from monai_iel.numerics.grid import Grid
from monai_iel.terms.base import EvolutionTerm, LinearTerm
from monai_iel.terms.coefficients import positive, total

__all__ = ["SumTerm"]


class SumTerm(EvolutionTerm):
    r"""A weighted sum of evolutions, :math:`u_t = \sum_i w_i F_i(u)`.

    A sum of linear evolutions is linear: it goes to the spectral engine and may be given a gain. Mind the units: all
    parts share one ``dt``, so give a part of another unit its scale with its weight.

    Args:
        terms: the evolutions.
        weights: one number above 0 per evolution; default 1 for each.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype.

    Raises:
        TypeError: an entry that is no evolution.
        ValueError: no terms; another number of weights than terms; a weight that is not above 0; terms for different
            numbers of axes.

    Example:
        >>> import torch
        >>> from monai_iel import Grid, HeatDiffusion, InverseEvolution, LaplacianPower, MeanCurvatureMotion
        >>> both = SumTerm([HeatDiffusion(), LaplacianPower(2.0)], weights=[1.0, 0.1])
        >>> InverseEvolution(both, gain=20)(torch.rand(1, 2, 8, 8)).shape
        torch.Size([1, 2, 8, 8])
        >>> nonlinear = SumTerm([HeatDiffusion(), MeanCurvatureMotion()])
        >>> InverseEvolution(nonlinear, dt=0.02, num_steps=5)(torch.rand(1, 2, 6, 6, 6)).shape
        torch.Size([1, 2, 6, 6, 6])
    """

    def __init__(self, terms: Sequence[EvolutionTerm], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        for term in terms:
            if not isinstance(term, EvolutionTerm):
                raise TypeError(f"terms must be evolutions such as HeatDiffusion(); got {term!r}")
        if not terms:
            raise ValueError("terms must name at least one evolution; got none")
        given = [1.0] * len(terms) if weights is None else weights
        if len(given) != len(terms):
            raise ValueError(f"weights has {len(given)} numbers, but there are {len(terms)} terms")
        self.terms = nn.ModuleList(terms)
        self.weights = tuple(positive(w, "weights") for w in given)
        reaches = [term.reach for term in terms]
        self.reach = None if None in reaches else max(reach for reach in reaches if reach is not None)
        dims = sorted({term.spatial_dims for term in terms if term.spatial_dims is not None})
        if len(dims) > 1:
            raise ValueError(f"the terms are for different numbers of axes: {dims}")
        self.spatial_dims = dims[0] if dims else None

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The weighted sum of F_i(u)."""
        return total(w * term(u, grid) for w, term in zip(self.weights, self.terms, strict=True))

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float | None:
        """The weighted sum of the bounds, or None where a part has none."""
        bounds = [term.largest_rate(grid, spatial_dims) for term in self._evolutions()]
        known = [bound for bound in bounds if bound is not None]
        return sum(w * b for w, b in zip(self.weights, known, strict=True)) if len(known) == len(bounds) else None

    def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The weighted sum of the parts' own."""
        parts = zip(self.weights, self._evolutions(), strict=True)
        return total(w * term.vector_jacobian(u, grad, grid) for w, term in parts)

    def step_rate(self, u: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The weighted sum of the parts' own."""
        parts = zip(self.weights, self._evolutions(), strict=True)
        return total(w * term.step_rate(u, grid, w * dt) for w, term in parts)

    def step_vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The weighted sum of the parts' own."""
        parts = zip(self.weights, self._evolutions(), strict=True)
        return total(w * term.step_vector_jacobian(u, grad, grid, w * dt) for w, term in parts)

    def as_linear(self) -> LinearTerm | None:
        """The sum as one linear evolution, if every part is linear."""
        parts = [term.as_linear() for term in self._evolutions()]
        linear = [part for part in parts if part is not None]
        return _LinearSum(linear, self.weights) if len(linear) == len(parts) else None

    def __repr__(self) -> str:
        return f"SumTerm({list(self.terms)}, weights={self.weights})"

    def _evolutions(self) -> list[EvolutionTerm]:
        return [term for term in self.terms if isinstance(term, EvolutionTerm)]


class _LinearSum(LinearTerm):
    def __init__(self, terms: Sequence[LinearTerm], weights: Sequence[float]) -> None:
        super().__init__()
        self.terms, self.weights = tuple(terms), tuple(weights)
        self.additive = all(term.additive for term in terms)

    def symbol(self, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        return total(w * term.symbol(eigenvalues) for w, term in zip(self.weights, self.terms, strict=True))

    def __repr__(self) -> str:
        return f"SumTerm({list(self.terms)}, weights={self.weights})"
