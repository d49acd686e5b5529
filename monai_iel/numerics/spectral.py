"""The eigenbasis of the discrete Laplacian, and functions of the Laplacian applied through it.

On ``n`` voxels the second difference is diagonal in the cosine basis (zero flux), the sine basis (zero outside) or the
real Fourier basis (periodic); see G. Strang, "The Discrete Cosine Transform", SIAM Review 41 (1999). A function of the
Laplacian is then a transform, one multiplication, and the transform back. There are three ways to do that, and the
cheapest one is taken:

- one product with a dense orthonormal matrix per axis, there and back: any boundary, any device;
- where the function is a product over the axes, one matrix per axis altogether;
- on a CPU, under zero flux, and for lengths with small prime factors, SciPy's real-to-real fast transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import scipy.fft
import torch

from monai_iel.numerics.grid import Boundary, Grid

__all__ = [
    "Operator",
    "apply_self_adjoint",
    "axis_eigenvalues",
    "basis",
    "computing_dtype",
    "laplacian_bound",
    "largest_eigenvalues",
    "multiplication",
    "separable_multiplication",
]

Operator = Callable[[torch.Tensor], torch.Tensor]

# Of the sum of the lengths of the axes: where a fast transform there and back costs as much as the dense products, on
# two cores of an EPYC (at 64^3 the products took two thirds of its time, at 96^3 it took two thirds of theirs).
_FAST_FROM = 256
_LARGE_VOLUME = 2**17  # voxels


def _frequencies(n: int, boundary: Boundary) -> tuple[torch.Tensor, int]:
    """Whole numbers m, and the number p of them in a full turn: the k-th mode turns by ``2 pi m_k / p`` per voxel."""
    k = torch.arange(n)
    if boundary == "neumann":
        return k, 2 * n
    if boundary == "dirichlet":
        return k + 1, 2 * (n + 1)
    return (k + 1) // 2, n  # 1, cos, sin, cos, sin, ...


@lru_cache(maxsize=32)  # the axes of a few shapes; bounded, since patches may come in any size
def basis(n: int, boundary: Boundary, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Orthonormal eigenvectors of the second difference on ``n`` voxels, one per row: ``n n``."""
    i = torch.arange(n)
    m, turn = _frequencies(n, boundary)
    # Twice the position, so that voxel centres are whole numbers too, and angles stay exact however long the axis.
    twice = {"neumann": 2 * i + 1, "dirichlet": 2 * (i + 1), "periodic": 2 * i}[boundary]
    angles = (m[:, None] * twice).remainder(2 * turn).double() * (math.pi / turn)
    if boundary == "neumann":
        rows = torch.cos(angles)
    elif boundary == "dirichlet":
        rows = torch.sin(angles)
    else:
        # For even n the last one, the alternating mode, is a cosine.
        rows = torch.where((i % 2 == 1)[:, None], torch.cos(angles), torch.sin(angles))
        rows[0] = 1.0
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows.to(dtype).to(device)


def axis_eigenvalues(shape: Sequence[int], grid: Grid, device: torch.device | None = None) -> tuple[torch.Tensor, ...]:
    """Eigenvalues of minus the second difference along each axis, ``(2 sin(theta_k / 2) / h_d)^2``, in 1/mm^2.

    Returns:
        One float64 tensor per axis, shaped to broadcast: ``n_1 1 1``, ``1 n_2 1``, ``1 1 n_3``. Their sum is the
        spectrum of minus the Laplacian.
    """
    dims = len(shape)
    values = []
    for axis, (n, h) in enumerate(zip(shape, grid.spacings(dims), strict=True)):
        m, turn = _frequencies(n, grid.boundary)
        along = (2 * torch.sin(m.double() * (math.pi / turn)) / h) ** 2  # without cancellation where it is small
        values.append(along.view([n if a == axis else 1 for a in range(dims)]).to(device))
    return tuple(values)


def largest_eigenvalues(grid: Grid, spatial_dims: int) -> tuple[torch.Tensor, ...]:
    """The bounds ``4 / h_d^2`` of `axis_eigenvalues`, approached by large grids: float64 scalars, in 1/mm^2."""
    return tuple(torch.tensor(4 / h**2, dtype=torch.float64) for h in grid.spacings(spatial_dims))


def laplacian_bound(grid: Grid, spatial_dims: int) -> float:
    """The bound ``sum_d 4 / h_d^2`` on the eigenvalues of minus the Laplacian, in 1/mm^2."""
    return float(sum(largest_eigenvalues(grid, spatial_dims)))


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


def multiplication(multiplier: torch.Tensor, boundary: Boundary, spatial_dims: int) -> Operator:
    """The operator ``V^T diag(multiplier) V``, V the eigenbasis over the spatial axes.

    Args:
        multiplier: one factor per eigenvalue, of the spatial shape, or ``C`` of them for a factor per channel.
        boundary: which basis.
        spatial_dims: number of spatial axes.

    Returns:
        A function of ``B C H [W [D]]`` of the multiplier's dtype and device, to a new tensor of the same shape. It
        records no gradient; see `apply_self_adjoint`.
    """
    shape = multiplier.shape[-spatial_dims:]
    if _fast_transform_pays(shape, boundary, multiplier.device, dense_cost=sum(shape)):
        return lambda u: _multiplied_by_fast_transform(u, multiplier)
    per_class = multiplier.ndim > spatial_dims

    def one(u: torch.Tensor, channels: slice) -> torch.Tensor:
        return _multiplied_by_products(u, multiplier[channels] if per_class else multiplier, boundary)

    return lambda u: _volume_by_volume(u, one)


def separable_multiplication(factors: Sequence[torch.Tensor], boundary: Boundary) -> Operator:
    """`multiplication` by the product over the axes of ``factors``, each broadcastable to the spatial shape.

    Half as many products as for a multiplier that is no product: there and back are one matrix along each axis.
    """
    dims = len(factors)
    lengths = [f.shape[f.ndim - dims + axis] for axis, f in enumerate(factors)]
    if _fast_transform_pays(lengths, boundary, factors[0].device, dense_cost=sum(lengths) / 2):
        return multiplication(math.prod(factors[1:], start=factors[0]), boundary, dims)
    matrices = []
    for n, along in zip(lengths, factors, strict=True):
        rows = basis(n, boundary, torch.float64, along.device)
        diagonal = along.double().reshape(-1, n, 1)  # a leading axis for the classes, or 1
        matrices.append((rows.T @ (diagonal * rows)).to(along.dtype))

    def one(u: torch.Tensor, channels: slice) -> torch.Tensor:
        for dim, matrix in enumerate(matrices, start=2):
            u = _along(u, matrix[0], dim) if len(matrix) == 1 else _along_per_class(u, matrix[channels], dim)
        return u

    return lambda u: _volume_by_volume(u, one)


def apply_self_adjoint(u: torch.Tensor, operator: Operator) -> torch.Tensor:
    """``operator(u)`` of a linear self-adjoint operator, differentiable any number of times.

    Its backward pass is the operator itself, so no tensor is kept for it. Runs outside autocast, in the operator's own
    precision.
    """
    result: torch.Tensor = _SelfAdjoint.apply(u, operator)  # type: ignore[no-untyped-call]
    return result


class _SelfAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, operator: Operator) -> torch.Tensor:
        ctx.operator = operator
        with torch.autocast(device_type=u.device.type, enabled=False):
            return operator(u)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return apply_self_adjoint(grads[0], ctx.operator), None


def _fast_transform_pays(shape: Sequence[int], boundary: Boundary, device: torch.device, *, dense_cost: float) -> bool:
    smooth = all(scipy.fft.next_fast_len(n) == n for n in shape)
    return device.type == "cpu" and boundary == "neumann" and smooth and dense_cost >= _FAST_FROM


def _multiplied_by_fast_transform(u: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(2, u.ndim))
    threads = torch.get_num_threads()
    spectrum = scipy.fft.dctn(u.detach().numpy(), axes=axes, norm="ortho", workers=threads)
    spectrum *= multiplier.numpy()
    return torch.from_numpy(scipy.fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True, workers=threads))


def _volume_by_volume(u: torch.Tensor, one: Callable[[torch.Tensor, slice], torch.Tensor]) -> torch.Tensor:
    """``one`` applied on a CPU to each large volume by itself, so that temporary tensors are of one channel."""
    if u.device.type != "cpu" or u.shape[2:].numel() < _LARGE_VOLUME:
        return one(u, slice(None))
    out = torch.empty(u.shape, dtype=u.dtype)
    for element in range(len(u)):
        for channel in range(u.shape[1]):
            here = (slice(element, element + 1), slice(channel, channel + 1))
            out[here] = one(u[here], here[1])
    return out


def _multiplied_by_products(u: torch.Tensor, multiplier: torch.Tensor, boundary: Boundary) -> torch.Tensor:
    shape = u.shape
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
    # Not matmul, which copies the transposed tensor, and with it as much memory again.
    return torch.bmm(matrix.expand(len(flat), *matrix.shape), flat).view(shape)


def _along_per_class(u: torch.Tensor, matrices: torch.Tensor, dim: int) -> torch.Tensor:
    """`_along` with one matrix per channel."""
    return torch.stack([_along(u[:, c : c + 1], m, dim)[:, 0] for c, m in enumerate(matrices)], dim=1)
