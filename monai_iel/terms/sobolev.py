"""Sobolev diffusion: smoothing with a scale of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from monai_iel.terms.coefficients import positive
from monai_iel.terms.laplacian_function import LaplacianFunction

__all__ = ["SobolevDiffusion"]


class SobolevDiffusion(LaplacianFunction):
    r"""Diffusion by a Bessel potential, :math:`u_t = -c\,[(I - \ell^2 \Delta)^s - I]\,u`.

    Structures larger than the length :math:`\ell` are diffused as by heat (with the diffusivity :math:`c s \ell^2`),
    smaller ones at the rate of the power s of the Laplacian: with s < 1 the finest pattern does not run away from the
    rest as it does with heat, so at equal gain the layer reaches farther. The -I leaves constants alone.

    One implicit step of ``dt = 1`` with c = 1 is the smoothing :math:`(I - \ell^2\Delta)^{-s}` of Sobolev gradients.

    Args:
        length_mm: :math:`\ell` in mm; typical: the size of the errors.
        exponent: s, above 0.
        diffusivity: c; time has no unit. One number for all classes, or one per class, 0 for classes to be left alone.
        axis_diffusivity: factors :math:`a_d` inside the Laplacian :math:`\sum_d a_d \partial_d^2`, one per spatial
            axis.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype.

    Raises:
        ValueError: a length, exponent or diffusivity out of range, or another number of classes or axes than ``u`` has.

    References:
        G. Sundaramoorthi, A. Yezzi, A. C. Mennucci, "Sobolev active contours", Int. J. Comput. Vis. 73 (2007), for the
        inner product; here as an evolution, in the eigenbasis of the discrete Laplacian.

    Example:
        >>> import torch
        >>> from monai_iel import Grid
        >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[None, None]
        >>> SobolevDiffusion(2.0)(board, Grid(boundary="periodic"))[0, 0, 0].round()  # 1 + 4 (4 + 4) - 1
        tensor([-32.,  32.])
        >>> SobolevDiffusion(1.5, exponent=0.5)(torch.rand(1, 2, 4, 4, 4), Grid()).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    def __init__(
        self,
        length_mm: float,
        *,
        exponent: float = 1.0,
        diffusivity: float | Sequence[float] = 1.0,
        axis_diffusivity: Sequence[float] | None = None,
    ) -> None:
        super().__init__(diffusivity, axis_diffusivity)
        self.length_mm = positive(length_mm, "length_mm")
        self.exponent = positive(exponent, "exponent")

    def function(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """``(1 + l^2 lambda)^s - 1``, without cancellation where it is small."""
        return torch.expm1(self.exponent * torch.log1p(self.length_mm**2 * eigenvalues))

    def length(self, time: float) -> float:
        """Standard deviation ``l sqrt(2 c s a t)`` of the heat kernel that it is on large scales, in mm."""
        largest = self.diffusivity.largest * self.axis_diffusivity.largest
        return self.length_mm * math.sqrt(2 * self.exponent * largest * time)

    def extra_repr(self) -> str:
        """Length, exponent and factors."""
        return f"length_mm={self.length_mm}, exponent={self.exponent}, {super().extra_repr()}"
