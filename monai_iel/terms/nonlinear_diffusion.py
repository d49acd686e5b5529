"""Diffusion whose strength depends on the gradient: what total-variation flow and Perona-Malik diffusion share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import face_difference, sum_inwards, sum_outwards
from monai_iel.terms.base import EvolutionTerm
from monai_iel.terms.coefficients import ClassCoefficients

__all__ = ["NonlinearDiffusion"]


class NonlinearDiffusion(EvolutionTerm):
    r"""Nonlinear diffusion :math:`u_t = c\,\nabla\cdot\left(g(|\nabla u|^2)\,\nabla u\right)`, each channel by itself.

    A subclass says what :math:`g` and its derivative are. Derivatives are taken across the faces between voxels; their
    squares are averaged to the corners where voxels meet, the conductivity is evaluated there and averaged back to the
    faces. That is exactly the negative gradient of the energy :math:`\frac12\sum G(|\nabla u|^2)` over the corners,
    :math:`G' = g`, and a sharp step counts once. So the Jacobian is symmetric, and the layer's backward pass is a
    derivative written down.

    Args:
        diffusivity: c. One number for all classes, or one per class, 0 for classes to be left alone.
    """

    reach = 1

    def __init__(self, diffusivity: float | Sequence[float] = 1.0) -> None:
        super().__init__()
        self.diffusivity = ClassCoefficients(diffusivity)

    @abstractmethod
    def conductivity(self, squared_gradient: torch.Tensor) -> torch.Tensor:
        """``g(s)`` for ``s = |grad u|^2 >= 0``, in (logits per mm)^2."""

    @abstractmethod
    def conductivity_slope(self, squared_gradient: torch.Tensor) -> torch.Tensor:
        """``g'(s)``, its derivative."""

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """C times the divergence of the flux."""
        slopes = _slopes(u, grid)
        g = self.conductivity(_at_corners([s.square() for s in slopes], grid))
        fluxes = [at_faces * s for at_faces, s in zip(_at_faces(g), slopes, strict=True)]
        return self.diffusivity.times_rate(_divergence(fluxes, grid))

    def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
        """``div(g grad w + 2 g' <grad u, grad w> grad u)``, w the gradient times c: the Jacobian is symmetric."""
        slopes, changes = _slopes(u, grid), _slopes(self.diffusivity.times_rate(grad), grid)
        squared = _at_corners([s.square() for s in slopes], grid)
        products = _at_corners([s * c for s, c in zip(slopes, changes, strict=True)], grid)
        g, dg = self.conductivity(squared), products.mul_(2) * self.conductivity_slope(squared)
        parts = zip(_at_faces(g), changes, _at_faces(dg), slopes, strict=True)
        return _divergence([(g_at * c).addcmul_(dg_at, s) for g_at, c, dg_at, s in parts], grid)


def _slopes(u: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """The difference along each axis, at the faces across it."""
    return [face_difference(u, dim, grid) for dim in range(2, u.ndim)]


def _at_corners(at_faces: list[torch.Tensor], grid: Grid) -> torch.Tensor:
    """Sum over the axes, each divided by h^2, of what is given at their faces, averaged to the corners."""
    at_corners: torch.Tensor | None = None
    for own, (values, weight) in enumerate(zip(at_faces, _weights(at_faces[0], grid), strict=True), start=2):
        for dim in range(2, values.ndim):
            if dim != own:
                values = sum_outwards(values, dim, grid)
        at_corners = values * weight if at_corners is None else at_corners.add_(values, alpha=weight)
    assert at_corners is not None
    return at_corners


def _at_faces(at_corners: torch.Tensor) -> list[torch.Tensor]:
    """What is given at the corners, summed to the faces across each axis; `_divergence` makes means of the sums."""
    at_faces = []
    for own in range(2, at_corners.ndim):
        values = at_corners
        for dim in range(2, values.ndim):
            if dim != own:
                values = sum_inwards(values, dim)
        at_faces.append(values)
    return at_faces


def _divergence(fluxes: list[torch.Tensor], grid: Grid) -> torch.Tensor:
    """Sum over the axes of the differences of the fluxes through a voxel's two faces, divided by h^2."""
    out: torch.Tensor | None = None
    for dim, (flux, weight) in enumerate(zip(fluxes, _weights(fluxes[0], grid), strict=True), start=2):
        difference = torch.diff(flux, dim=dim)
        out = difference * weight if out is None else out.add_(difference, alpha=weight)
    assert out is not None
    return out


def _weights(like: torch.Tensor, grid: Grid) -> list[float]:
    """``1 / h_d^2`` for each axis, over the ``2^(D - 1)`` places that sums between faces and corners are taken of."""
    dims = like.ndim - 2
    return [1 / (h**2 * 2 ** (dims - 1)) for h in grid.spacings(dims)]
