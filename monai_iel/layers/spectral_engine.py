"""All steps of a linear evolution at once, in the eigenbasis of the Laplacian."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from monai_iel.layers.stepping import Stepping
from monai_iel.numerics.grid import Grid
from monai_iel.numerics.spectral import (
    Operator,
    apply_self_adjoint,
    axis_eigenvalues,
    computing_dtype,
    multiplication,
    separable_multiplication,
)
from monai_iel.terms.base import LinearTerm

__all__ = ["SpectralEngine"]

_KEPT_OPERATORS = 4  # deep supervision with so many levels computes nothing twice


class SpectralEngine:
    """N steps of a linear evolution as one multiplication in the eigenbasis.

    Run backwards in time, modes of decay rate s grow by ``(1 + dt s)^N`` (exponential scheme: ``exp(N dt s)``).
    Forwards they are damped by the same factor: that is implicit Euler, stable for any step, and the exact inverse.

    The multipliers of the last few shapes are kept, since training repeats its shapes.

    Args:
        stepping: the evolution and how far it goes.
        forwards: the direction in time.
    """

    def __init__(self, stepping: Stepping, *, forwards: bool) -> None:
        assert stepping.linear is not None
        self.stepping, self.forwards = stepping, forwards
        self.term: LinearTerm = stepping.linear
        self._operators: dict[Hashable, Operator] = {}

    def __call__(self, u: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The evolved ``u``, ``B C H [W [D]]``, in its dtype; differentiable.

        Raises:
            ValueError: per-class settings for another number of channels.
        """
        operator = self._operator(u, grid, dt)
        dtype = computing_dtype(u)
        return apply_self_adjoint(u, lambda v: operator(v.to(dtype)).to(v.dtype))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_operators": {}}  # made anew where it is unpickled or copied to

    def _operator(self, u: torch.Tensor, grid: Grid, dt: float) -> Operator:
        # The number of channels, so that settings for another number of classes are refused; the term's own settings,
        # since a person may change them.
        key = (u.shape[1:], grid, dt, computing_dtype(u), u.device, repr(self.term))
        operator = self._operators.get(key)
        if operator is None:
            operator = self._made(u, grid, dt)
            for oldest in list(self._operators)[: 1 - _KEPT_OPERATORS or None]:
                self._operators.pop(oldest, None)
            self._operators[key] = operator
        return operator

    def _made(self, u: torch.Tensor, grid: Grid, dt: float) -> Operator:
        dims = u.ndim - 2
        # On a GPU there, where the powers take no time; other devices may lack float64.
        device = u.device if u.device.type == "cuda" else torch.device("cpu")
        values = axis_eigenvalues(u.shape[2:], grid, device)
        if self.stepping.scheme == "exponential" and self.term.additive:
            zero = torch.zeros([1] * dims, dtype=torch.float64, device=device)
            alone = [[v if a == axis else zero for a in range(dims)] for axis, v in enumerate(values)]
            return separable_multiplication([self._factors(one, u, dt) for one in alone], grid.boundary)
        return multiplication(self._factors(values, u, dt), grid.boundary, dims)

    def _factors(self, values: Sequence[torch.Tensor], u: torch.Tensor, dt: float) -> torch.Tensor:
        factors = self.stepping.growth(self.term.rates(u, values), dt)
        return (1 / factors if self.forwards else factors).to(computing_dtype(u)).to(u.device)
