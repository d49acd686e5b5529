"""Finite-difference operators on ``B C H [W [D]]`` tensors, one code path for any number of axes."""

from __future__ import annotations

import torch

from monai_iel.numerics.grid import Grid

__all__ = ["laplacian"]


def laplacian(u: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Second-order Laplacian ``sum_d (u[i+1] - 2 u[i] + u[i-1]) / h_d^2`` with the grid's spacing and boundary.

    Written as the divergence of the fluxes between neighbours, which makes it symmetric for every boundary condition
    and exactly conservative for ``"neumann"`` and ``"periodic"``.

    Args:
        u: floating point tensor ``B C H [W [D]]``.
        grid: spacing in mm and boundary condition.

    Returns:
        A new tensor of the same shape, in units of ``u / mm^2``.
    """
    sizes = grid.spacings(u.ndim - 2)
    out = torch.zeros_like(u)
    for dim, h in enumerate(sizes, start=2):
        n = u.shape[dim]
        flux = torch.diff(u, dim=dim) / h**2
        out.narrow(dim, 0, n - 1).add_(flux)
        out.narrow(dim, 1, n - 1).sub_(flux)
        first, last = u.narrow(dim, 0, 1), u.narrow(dim, n - 1, 1)
        if grid.boundary == "dirichlet":
            out.narrow(dim, 0, 1).sub_(first / h**2)
            out.narrow(dim, n - 1, 1).sub_(last / h**2)
        elif grid.boundary == "periodic":
            wrapped = (first - last) / h**2
            out.narrow(dim, n - 1, 1).add_(wrapped)
            out.narrow(dim, 0, 1).sub_(wrapped)
    return out
