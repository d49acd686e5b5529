"""Perona-Malik diffusion: smoothing that stops at edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.spectral import laplacian_bound
from monai_iel.terms.coefficients import positive
from monai_iel.terms.nonlinear_diffusion import NonlinearDiffusion

__all__ = ["PeronaMalikDiffusion"]


class PeronaMalikDiffusion(NonlinearDiffusion):
    r"""Perona-Malik diffusion, :math:`u_t = c\,\nabla\cdot\frac{\nabla u}{1 + |\nabla u|^2 / K^2}`.

    Fluctuations with gradients below the contrast K are smoothed as by heat, edges above it are kept or sharpened. So
    an IEL with it amplifies what is weak and leaves what is decided: it is for logits that are ragged where the network
    is unsure. Above K it runs backwards itself, and the inverse layer blurs there.

    Args:
        contrast: K, in logits per mm.
        diffusivity: c, without a unit; time is in mm^2. One number for all classes, or one per class, 0 for classes to
            be left alone.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype. Channels are independent.

    Raises:
        ValueError: a contrast or a diffusivity out of range, or another number of classes than ``u`` has.

    References:
        P. Perona, J. Malik, "Scale-space and edge detection using anisotropic diffusion", IEEE Trans. Pattern Anal. 12
        (1990), eq. (3) with the second of the two conductivities of section V. Theirs are evaluated at the faces from
        one axis alone; here from all axes, where voxels meet.

    Example:
        >>> step = torch.tensor([0.0, 0.0, 1.0, 1.0])[None, None]
        >>> PeronaMalikDiffusion(contrast=100.0)(step, Grid())[0, 0].round(decimals=2)  # nearly heat
        tensor([ 0.,  1., -1.,  0.])
        >>> PeronaMalikDiffusion(contrast=0.1)(step, Grid())[0, 0].round(decimals=2)  # an edge
        tensor([ 0.0000,  0.0100, -0.0100,  0.0000])
        >>> PeronaMalikDiffusion(1.0)(torch.rand(1, 2, 4, 4, 4), Grid()).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    def __init__(self, contrast: float, *, diffusivity: float | Sequence[float] = 1.0) -> None:
        super().__init__(diffusivity)
        self.contrast = positive(contrast, "contrast")

    def conductivity(self, squared_gradient: torch.Tensor) -> torch.Tensor:
        """``1 / (1 + s / K^2)``."""
        return 1 / (1 + squared_gradient / self.contrast**2)

    def conductivity_slope(self, squared_gradient: torch.Tensor) -> torch.Tensor:
        """``-1 / (K + s / K)^2``."""
        return self.conductivity(squared_gradient).square().mul_(-1 / self.contrast**2)

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float:
        """``c sum_d 4 / h_d^2``: where u is flat."""
        return self.diffusivity.largest * laplacian_bound(grid, spatial_dims)

    def extra_repr(self) -> str:
        """Contrast and diffusivity."""
        return f"contrast={self.contrast}, diffusivity={self.diffusivity}"
