"""Finite-difference operators on ``B C H [W [D]]`` tensors, one code path for any number of axes.

Two families: differences **across the faces** between neighbouring voxels, for evolutions in divergence form, and
**central** differences at the voxels, for those that need a direction. What lies beyond the border follows from the
grid's boundary condition: the same again, zero, or the other end.
All are differentiable, and none changes its argument.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_iel.numerics.grid import Grid

__all__ = [
    "binomial_filter",
    "central_difference",
    "central_second_difference",
    "face_difference",
    "laplacian",
    "sum_inwards",
    "sum_outwards",
    "transposed_binomial_filter",
    "transposed_difference",
    "transposed_second_difference",
    "upwind_growth",
]


_TINY = 1e-30  # the square of a slope that is none


def laplacian(u: torch.Tensor, grid: Grid, weights: Sequence[float] | None = None) -> torch.Tensor:
    """Second-order Laplacian ``sum_d a_d (u[i+1] - 2 u[i] + u[i-1]) / h_d^2`` with the grid's spacing and boundary.

    Written as the divergence of the fluxes between neighbours, which makes it symmetric for every boundary condition
    and exactly conservative for ``"neumann"`` and ``"periodic"``.

    Args:
        u: floating point tensor ``B C H [W [D]]``.
        grid: spacing in mm and boundary condition.
        weights: ``a_d``, one per axis; default 1.

    Returns:
        A new tensor of the same shape, in units of ``u / mm^2``.
    """
    out = torch.zeros_like(u)
    for dim in range(2, u.ndim):
        n = u.shape[dim]
        scale = (1.0 if weights is None else weights[dim - 2]) / _spacing(u, dim, grid) ** 2
        flux = torch.diff(u, dim=dim) * scale
        out.narrow(dim, 0, n - 1).add_(flux)
        out.narrow(dim, 1, n - 1).sub_(flux)
        first, last = u.narrow(dim, 0, 1), u.narrow(dim, n - 1, 1)
        if grid.boundary == "dirichlet":
            out.narrow(dim, 0, 1).sub_(first * scale)
            out.narrow(dim, n - 1, 1).sub_(last * scale)
        elif grid.boundary == "periodic":
            wrapped = (first - last) * scale
            out.narrow(dim, n - 1, 1).add_(wrapped)
            out.narrow(dim, 0, 1).sub_(wrapped)
    return out


def face_difference(u: torch.Tensor, dim: int, grid: Grid) -> torch.Tensor:
    """Differences ``u[i+1] - u[i]`` across the ``n + 1`` faces of the ``n`` voxels along an axis; not divided by h.

    The outermost faces are the border: no difference there under ``"neumann"``, the difference to zero under
    ``"dirichlet"``; under ``"periodic"`` both are the one face that joins the ends.
    """
    return torch.diff(_padded(u, dim, grid), dim=dim)


def sum_outwards(values: torch.Tensor, dim: int, grid: Grid) -> torch.Tensor:
    """Sums of neighbours along an axis, ``n`` values to the ``n + 1`` places between and beside them."""
    padded, n = _padded(values, dim, grid), values.shape[dim]
    return padded.narrow(dim, 0, n + 1) + padded.narrow(dim, 1, n + 1)


def sum_inwards(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Sums of neighbours along an axis, ``n + 1`` values to the ``n`` places between them."""
    n = values.shape[dim] - 1
    return values.narrow(dim, 0, n) + values.narrow(dim, 1, n)


def central_difference(u: torch.Tensor, dim: int, grid: Grid, *, open_border: bool = False) -> torch.Tensor:
    """First derivative along an axis at the voxels, ``(u[i+1] - u[i-1]) / 2h``, in ``u / mm``.

    ``open_border``: under ``"neumann"`` the image goes on straight beyond its border instead of being mirrored there.
    """
    padded, n = _padded(u, dim, grid, open_border), u.shape[dim]
    return (padded.narrow(dim, 2, n) - padded.narrow(dim, 0, n)).div_(2 * _spacing(u, dim, grid))


def central_second_difference(u: torch.Tensor, dim: int, grid: Grid, *, open_border: bool = False) -> torch.Tensor:
    """Second derivative along an axis at the voxels, ``(u[i+1] - 2 u[i] + u[i-1]) / h^2``, in ``u / mm^2``.

    ``open_border`` as in `central_difference`.
    """
    padded, n = _padded(u, dim, grid, open_border), u.shape[dim]
    neighbours = padded.narrow(dim, 2, n) + padded.narrow(dim, 0, n)
    return neighbours.sub_(u, alpha=2).div_(_spacing(u, dim, grid) ** 2)


def binomial_filter(u: torch.Tensor, grid: Grid, *, open_border: bool = False) -> torch.Tensor:
    """``u`` averaged with the weights ``[1, 4, 6, 4, 1] / 16`` along each axis: a Gaussian of 1 voxel.

    The finest pattern vanishes, straight lines stay straight; ``open_border`` as in `central_difference`.
    """
    for dim in range(2, u.ndim):
        for _ in range(2):
            padded, n = _padded(u, dim, grid, open_border), u.shape[dim]
            u = torch.add(padded.narrow(dim, 0, n), padded.narrow(dim, 2, n)).add_(u, alpha=2).mul_(0.25)
    return u


def transposed_difference(g: torch.Tensor, dim: int, grid: Grid) -> torch.Tensor:
    """The transpose of `central_difference` with an open border."""
    n, half = g.shape[dim], 0.5 / _spacing(g, dim, grid)
    if grid.boundary != "neumann" or n == 1:
        return central_difference(g, dim, grid).neg_()
    out = torch.zeros_like(g)
    inner = g.narrow(dim, 1, n - 2)
    out.narrow(dim, 2, n - 2).add_(inner, alpha=half)
    out.narrow(dim, 0, n - 2).sub_(inner, alpha=half)
    for end, (low, high) in ((0, (0, 1)), (n - 1, (n - 2, n - 1))):  # one-sided there
        out.select(dim, high).add_(g.select(dim, end), alpha=2 * half)
        out.select(dim, low).sub_(g.select(dim, end), alpha=2 * half)
    return out


def transposed_second_difference(g: torch.Tensor, dim: int, grid: Grid) -> torch.Tensor:
    """The transpose of `central_second_difference` with an open border."""
    n, scale = g.shape[dim], 1 / _spacing(g, dim, grid) ** 2
    if grid.boundary != "neumann" or n == 1:
        return central_second_difference(g, dim, grid)
    out = torch.zeros_like(g)
    inner = g.narrow(dim, 1, n - 2)
    out.narrow(dim, 2, n - 2).add_(inner, alpha=scale)
    out.narrow(dim, 0, n - 2).add_(inner, alpha=scale)
    out.narrow(dim, 1, n - 2).sub_(inner, alpha=2 * scale)
    return out


def transposed_binomial_filter(g: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The transpose of `binomial_filter` with an open border."""
    if grid.boundary != "neumann":
        return binomial_filter(g, grid)
    for dim in range(2, g.ndim):
        n = g.shape[dim]
        if n == 1:
            continue
        for _ in range(2):
            out = g * 0.5
            out.select(dim, 0).mul_(2)
            out.select(dim, n - 1).mul_(2)  # what stands at an end stays there
            inner = g.narrow(dim, 1, n - 2)
            out.narrow(dim, 2, n - 2).add_(inner, alpha=0.25)
            out.narrow(dim, 0, n - 2).add_(inner, alpha=0.25)
            g = out
    return g


def upwind_growth(u: torch.Tensor, grid: Grid) -> torch.Tensor:
    """``|grad u|`` towards what is larger, in ``u / mm``: the speed at which level sets grow by 1 mm per unit of time.

    Along each axis the steeper of the slopes up to the two neighbours, 0 at a maximum (Rouy and Tourin): explicit steps
    ``u + dt |grad u|`` never exceed the largest neighbour while ``dt`` is at most ``1 / sqrt(sum_d 1 / h_d^2)``.
    """
    squares = None
    for dim in range(2, u.ndim):
        up = torch.maximum(*_rises(u, dim, grid)).relu() / _spacing(u, dim, grid)
        squares = up.square() if squares is None else torch.addcmul(squares, up, up)
    assert squares is not None
    return squares.clamp_min(_TINY).sqrt()  # the clamp keeps the root's derivative finite


def upwind_growth_vector_jacobian(u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
    """``grad`` times the Jacobian of `upwind_growth` at ``u``, axis by axis, with few tensors at a time."""
    seen = grad / upwind_growth(u, grid)
    out = torch.zeros_like(u)
    for dim in range(2, u.ndim):
        n = u.shape[dim]
        after, before = _rises(u, dim, grid)
        share = torch.maximum(after, before).relu_().mul_(seen).div_(_spacing(u, dim, grid) ** 2)
        out.sub_(share)
        ahead = share * (after >= before)
        behind = share.sub_(ahead)
        out.narrow(dim, 1, n - 1).add_(ahead.narrow(dim, 0, n - 1))
        out.narrow(dim, 0, n - 1).add_(behind.narrow(dim, 1, n - 1))
        if grid.boundary == "periodic":
            out.narrow(dim, 0, 1).add_(ahead.narrow(dim, n - 1, 1))
            out.narrow(dim, n - 1, 1).add_(behind.narrow(dim, 0, 1))
    return out


def _rises(u: torch.Tensor, dim: int, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences up to the neighbour after each voxel and to the one before it; not divided by h."""
    steps, n = face_difference(u, dim, grid), u.shape[dim]
    return steps.narrow(dim, 1, n), -steps.narrow(dim, 0, n)


def _spacing(u: torch.Tensor, dim: int, grid: Grid) -> float:
    return grid.spacings(u.ndim - 2)[dim - 2]


def _padded(u: torch.Tensor, dim: int, grid: Grid, open_border: bool = False) -> torch.Tensor:
    """``u`` with one voxel more at each end of an axis."""
    n = u.shape[dim]
    first, last = u.narrow(dim, 0, 1), u.narrow(dim, n - 1, 1)
    if open_border and grid.boundary == "neumann" and n > 1:
        before, after = 2 * first - u.narrow(dim, 1, 1), 2 * last - u.narrow(dim, n - 2, 1)
    elif grid.boundary == "dirichlet":
        before, after = torch.zeros_like(first), torch.zeros_like(last)
    else:
        before, after = (last, first) if grid.boundary == "periodic" else (first, last)
    return torch.cat([before, u, after], dim=dim)
