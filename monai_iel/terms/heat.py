"""Heat diffusion: the evolution that smooths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import laplacian
from monai_iel.terms.laplacian_function import LaplacianFunction

__all__ = ["HeatDiffusion"]


class HeatDiffusion(LaplacianFunction):
    r"""Heat diffusion, :math:`u_t = c \sum_d a_d\,\partial_d^2 u`: fluctuations die out, a constant stays.

    Run backwards on logits it amplifies what is rough, so a network trained through it learns smooth logits. It is not
    made for thin structures (vessels): they are rough, and lose detail; set their class's diffusivity to 0. Nor does it
    mend a label whose boundary is smooth but in the wrong place.

    Args:
        diffusivity: c, without a unit (time is in mm^2). One number for all classes, or one per class, 0 for classes
            to be left alone.
        axis_diffusivity: :math:`a_d`, one number per spatial axis, 0 for an axis along which nothing is to be
            smoothed. Default: 1 for each. The voxel size is the grid's business, not this one's.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype.

    Raises:
        ValueError: a negative or infinite diffusivity, none above 0, or another number of classes or axes than ``u``
            has.

    References:
        Liu et al., arXiv 2307.07344, eq. (3) and section 3.2. Their kernel is the mean of the neighbours minus the
        centre, so their step is ``2 * spatial_dims`` times the one here at 1 mm; their border is zero padded.

    Example:
        >>> import torch
        >>> spike = torch.zeros(1, 1, 3, 3)
        >>> spike[0, 0, 1, 1] = 1
        >>> HeatDiffusion()(spike, Grid(spacing=(1.0, 2.0)))[0, 0, 1]
        tensor([ 0.2500, -2.5000,  0.2500])
        >>> HeatDiffusion()(torch.ones(1, 2, 4, 4, 4), Grid()).abs().max()
        tensor(0.)
    """

    additive = True
    reach = 1

    def __init__(
        self, diffusivity: float | Sequence[float] = 1.0, *, axis_diffusivity: Sequence[float] | None = None
    ) -> None:
        super().__init__(diffusivity, axis_diffusivity)

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """C times the Laplacian of ``u``."""
        return self.diffusivity.times_rate(laplacian(u, grid, self.axis_diffusivity.over(u.ndim - 2)))

    def function(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """The eigenvalues themselves."""
        return eigenvalues

    def length(self, time: float) -> float:
        """Standard deviation of the heat kernel along an axis, ``sqrt(2 c a t)``, in mm: the largest of all."""
        return math.sqrt(2 * self.diffusivity.largest * self.axis_diffusivity.largest * time)
