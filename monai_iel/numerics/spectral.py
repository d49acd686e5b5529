"""The eigenbasis of the discrete Laplacian, and functions of the Laplacian applied through it.

On ``n`` voxels the second difference is diagonal in the cosine basis (zero flux), the sine basis (zero outside) or the
real Fourier basis (periodic); see G. Strang, "The Discrete Cosine Transform", SIAM Review 41 (1999). A function of the
Laplacian is then one product per axis into the basis, one multiplication, and one product per axis back. For axes of up
to a few hundred voxels dense orthonormal matrices and matmul beat fast transforms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from monai_iel.numerics.grid import Boundary, Grid

__all__ = ["apply_multiplier", "basis", "computing_dtype", "eigenvalues", "largest_eigenvalue"]


@lru_cache(maxsize=64)
def _basis_float64(n: int, boundary: Boundary) -> tuple[torch.Tensor, torch.Tensor]:
    i = torch.arange(n, dtype=torch.float64)
    k = i.clone()
    if boundary == "neumann":
        theta = math.pi * k / n
        rows = torch.cos(theta[:, None] * (i + 0.5))
    elif boundary == "dirichlet":
        theta = math.pi * (k + 1) / (n + 1)
        rows = torch.sin(theta[:, None] * (i + 1))
    else:
        # 1, cos, sin, cos, sin, ... and for even n the alternating mode, which is a cosine.
        theta = 2 * math.pi * torch.div(k + 1, 2, rounding_mode="floor") / n
        rows = torch.where((k % 2 == 1)[:, None], torch.cos(theta[:, None] * i), torch.sin(theta[:, None] * i))
        rows[0] = 1.0
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows, 2 * (1 - torch.cos(theta))


@lru_cache(maxsize=64)
def basis(n: int, boundary: Boundary, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Orthonormal eigenvectors of the second difference on ``n`` voxels, one per row: ``n n``."""
    return _basis_float64(n, boundary)[0].to(device=device, dtype=dtype)


def eigenvalues(shape: Sequence[int], grid: Grid) -> torch.Tensor:
    """Eigenvalues of minus the Laplacian, ``sum_d lambda_d[k_d] / h_d^2``, a float64 tensor of ``shape``, in 1/mm^2."""
    dims = len(shape)
    total = torch.zeros((), dtype=torch.float64)
    for axis, (n, h) in enumerate(zip(shape, grid.spacings(dims), strict=True)):
        view = [1] * dims
        view[axis] = n
        total = total + _basis_float64(n, grid.boundary)[1].view(view) / h**2
    return total


def largest_eigenvalue(grid: Grid, spatial_dims: int) -> float:
    """The bound ``sum_d 4 / h_d^2`` on the eigenvalues of minus the Laplacian, approached by large grids, in 1/mm^2."""
    return sum(4 / h**2 for h in grid.spacings(spatial_dims))


def computing_dtype(u: torch.Tensor) -> torch.dtype:
    """At least float32; float64 where the machine would round float32 products to TF32 or bfloat16.

    Rounding of the input is amplified by the layer's gain, so a product with a 10-bit mantissa is useless here.
    """
    if u.dtype == torch.float64:
        return torch.float64
    backend: Any = torch.backends.cuda if u.device.type == "cuda" else torch.backends.mkldnn
    precision = getattr(getattr(backend, "matmul", None), "fp32_precision", None)
    if precision is None:  # before torch 2.9 there is only the older switch
        precision = "ieee" if torch.get_float32_matmul_precision() == "highest" else "reduced"
    return torch.float32 if precision in ("none", "ieee") else torch.float64


def apply_multiplier(u: torch.Tensor, multiplier: torch.Tensor, boundary: Boundary) -> torch.Tensor:
    """``V^T diag(multiplier) V u`` with V the eigenbasis over the spatial axes.

    Args:
        u: ``B C H [W [D]]`` in the computing dtype.
        multiplier: one factor per eigenvalue, of the spatial shape, or ``C`` of them for a factor per channel; same
            dtype and device.
        boundary: which basis.

    Returns:
        A new contiguous tensor of the same shape and dtype.
    """
    shape = u.shape
    with torch.autocast(device_type=u.device.type, enabled=False):
        for dim in range(2, u.ndim):
            u = _along(u, basis(shape[dim], boundary, u.dtype, u.device), dim)
        u = u.mul_(multiplier)  # a fresh tensor: the products above made it
        for dim in reversed(range(2, u.ndim)):
            u = _along(u, basis(shape[dim], boundary, u.dtype, u.device).T, dim)
    return u


def _along(u: torch.Tensor, matrix: torch.Tensor, dim: int) -> torch.Tensor:
    """Product of ``matrix`` with ``u`` along one axis, without moving axes in memory."""
    shape = u.shape
    if dim == u.ndim - 1:
        return torch.matmul(u, matrix.T)
    flat = u.reshape(math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :]))
    return torch.matmul(matrix, flat).view(shape)
