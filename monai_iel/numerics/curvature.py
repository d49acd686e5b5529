"""How level sets curve: second derivatives along them, in any number of axes by one formula."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import (
    binomial_filter,
    central_difference,
    central_second_difference,
    transposed_binomial_filter,
    transposed_difference,
    transposed_second_difference,
)

__all__ = [
    "Symmetric",
    "hessian",
    "largest_tangential_derivative",
    "largest_tangential_vector_jacobian",
    "projected",
    "tangential_derivative_of",
    "trace_and_spread",
    "unit_normal",
]

Symmetric = dict[tuple[int, int], torch.Tensor]
"""A symmetric matrix at each voxel: its elements ``(i, j)`` with ``i <= j``."""

_TINY = 1e-30  # the square of a slope that is none


def unit_normal(slopes: list[torch.Tensor]) -> list[torch.Tensor]:
    """Components of ``grad m / |grad m|``: the normal of the level sets; the first axis where there is no slope."""
    squares = slopes[0].square()
    for slope in slopes[1:]:
        squares = torch.addcmul(squares, slope, slope)
    flat = squares < _TINY
    scale = squares.clamp_min_(_TINY).rsqrt_()
    return [torch.where(flat, float(axis == 0), slope * scale) for axis, slope in enumerate(slopes)]


def hessian(m: torch.Tensor, slopes: list[torch.Tensor], grid: Grid, *, open_border: bool = False) -> Symmetric:
    """Second derivatives by central differences; ``slopes`` are the central first differences of ``m``."""
    elements = {}
    for i, j in _pairs(len(slopes)):
        if i == j:
            elements[i, j] = central_second_difference(m, i + 2, grid, open_border=open_border)
        else:
            elements[i, j] = central_difference(slopes[i], j + 2, grid, open_border=open_border)
    return elements


def largest_tangential_derivative(m: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Largest second derivative of ``m`` along its level set, in ``m / mm^2``; see `tangential_derivative_of`.

    The derivatives are those of ``m`` behind a `binomial_filter`: the outline of anything that was once a mask goes up
    and down with the voxels, and would be concave at every step of the staircase. The normals are constants for the
    backward pass. Under ``"neumann"`` level sets go on straight beyond the image: mirrored, one that meets the border
    at a slant would have a kink there.

    Args:
        m: ``B K H [W [D]]``.
        grid: spacing and boundary.
    """
    smooth = binomial_filter(m, grid, open_border=True)
    slopes = [central_difference(smooth, dim, grid, open_border=True) for dim in range(2, m.ndim)]
    with torch.no_grad():
        normal = unit_normal([slope.detach() for slope in slopes])
    return tangential_derivative_of(hessian(smooth, slopes, grid, open_border=True), normal)


def largest_tangential_vector_jacobian(m: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The transposed Jacobian of ``relu(largest_tangential_derivative(m))`` times ``grad``; no gradient recorded.

    What autograd gives, written down: its products with slices fill a tensor of zeros for each.
    """
    with torch.no_grad():
        smooth = binomial_filter(m, grid, open_border=True)
        axes = range(2, m.ndim)
        slopes = [central_difference(smooth, dim, grid, open_border=True) for dim in axes]
        normal = unit_normal(slopes)
        matrix = projected(hessian(smooth, slopes, grid, open_border=True), normal)
        trace, spread = trace_and_spread(matrix)
        inner = _eigenvalue_gradient(matrix, trace, spread, grad * (spread > -0.5 * trace))
        outer = projected(inner, normal)
        total = torch.zeros_like(m)
        for i, dim in enumerate(axes):
            total += transposed_second_difference(outer[i, i], dim, grid)
            mixed = [transposed_difference(outer[i, j], j + 2, grid) for j in range(i + 1, len(axes))]
            if mixed:
                total += transposed_difference(sum(mixed[1:], start=mixed[0]).mul_(2), dim, grid)
        return transposed_binomial_filter(total, grid)


def tangential_derivative_of(h: Symmetric, normal: list[torch.Tensor]) -> torch.Tensor:
    r"""Largest eigenvalue of ``M = P H P`` in the tangent space, ``P = I - n n^T``; differentiable in ``h`` alone.

    .. math:: \lambda = \tfrac{1}{2} t + r, \qquad r = \sqrt{\tfrac{1}{2} s - \tfrac{1}{4} t^2},
        \qquad t = \mathrm{tr}\,M, \quad s = \|M\|_F^2

    In 3D the tangent space has two dimensions, and this is the larger root of the characteristic polynomial; in 2D it
    has one, and the formula gives ``max(t, 0)``, the same as for the image extruded along a third axis. For negative
    semidefinite M it is never positive.
    """
    result: torch.Tensor = _LargestEigenvalue.apply(len(normal), *normal, *h.values())  # type: ignore[no-untyped-call]
    return result


class _LargestEigenvalue(torch.autograd.Function):
    """The derivative is written down: autograd's would keep some thirty tensors, and divide by r = 0 on plateaus."""

    @staticmethod
    def forward(ctx: Any, dims: int, *given: torch.Tensor) -> torch.Tensor:
        normal = list(given[:dims])
        matrix = projected(dict(zip(_pairs(dims), given[dims:], strict=True)), normal)
        trace, spread = trace_and_spread(matrix)
        ctx.dims = dims
        ctx.save_for_backward(*given)
        return torch.add(spread, trace, alpha=0.5)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        dims, given = ctx.dims, ctx.saved_tensors
        normal = list(given[:dims])
        matrix = projected(dict(zip(_pairs(dims), given[dims:], strict=True)), normal)
        trace, spread = trace_and_spread(matrix)
        outer = projected(_eigenvalue_gradient(matrix, trace, spread, grads[0]), normal)
        return None, *[None] * dims, *(q if i == j else 2 * q for (i, j), q in outer.items())


def _eigenvalue_gradient(matrix: Symmetric, trace: torch.Tensor, spread: torch.Tensor, grad: torch.Tensor) -> Symmetric:
    """``grad`` times ``d lambda / dM = I / 2 + (M - t I / 2) / 2 r``; the two eigenvalues are equal where ``r = 0``."""
    sharpness = torch.where(spread > 0, 0.5 * grad, 0.0) / torch.where(spread > 0, spread, 1.0)
    diagonal = torch.addcmul(0.5 * grad, sharpness, trace, value=-0.5)
    return {(i, j): torch.addcmul(diagonal, sharpness, m) if i == j else sharpness * m for (i, j), m in matrix.items()}


def _pairs(dims: int) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(range(dims), 2))


def trace_and_spread(matrix: Symmetric, least: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """``t`` and ``r`` of `tangential_derivative_of`; ``r^2`` is at least ``least``, above 0 for a finite derivative."""
    trace = sum(element for (i, j), element in matrix.items() if i == j)
    assert isinstance(trace, torch.Tensor)
    squares = trace.square() * -0.25
    for (i, j), element in matrix.items():
        squares = squares.addcmul_(element, element, value=0.5 if i == j else 1.0)
    return trace, squares.clamp_min(least).sqrt()


def projected(h: Symmetric, normal: list[torch.Tensor]) -> Symmetric:
    """``P H P`` with ``P = I - n n^T``, as ``H - n w^T - w n^T`` with ``w = H n - (n^T H n) n / 2``."""
    axes = range(len(normal))
    image = []
    for i in axes:
        row = h[0, i] * normal[0]
        for j in axes[1:]:
            row = torch.addcmul(row, h[min(i, j), max(i, j)], normal[j])
        image.append(row)
    along = image[0] * normal[0]
    for i in axes[1:]:
        along = torch.addcmul(along, image[i], normal[i])
    w = [torch.addcmul(image[i], along, normal[i], value=-0.5) for i in axes]
    return {
        (i, j): torch.addcmul(torch.addcmul(h[i, j], normal[i], w[j], value=-1), w[i], normal[j], value=-1)
        for i, j in h
    }
