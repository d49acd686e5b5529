"""Mean-curvature motion: the evolution that shrinks outlines where they are curved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.spectral import laplacian_bound
from monai_iel.numerics.stencils import central_difference, central_second_difference
from monai_iel.terms.base import EvolutionTerm
from monai_iel.terms.coefficients import ClassCoefficients, positive, total

__all__ = ["MeanCurvatureMotion"]


class MeanCurvatureMotion(EvolutionTerm):
    r"""Mean-curvature motion of all level sets, :math:`u_t = c\,|\nabla u|\,\nabla\cdot\frac{\nabla u}{|\nabla u|}`.

    Computed as :math:`\Delta u - n^T H n` with :math:`n = \nabla u / \sqrt{|\nabla u|^2 + \varepsilon^2}` and H the
    Hessian: heat diffusion without its part across the outline. Every outline moves inwards with the sum of its
    principal curvatures; a circle of radius r in the plane shrinks as :math:`\sqrt{r^2 - 2ct}`, a sphere as
    :math:`\sqrt{r^2 - 4ct}`. It straightens outlines without flattening the logits across them, which heat does. It
    shrinks small structures, and it fills concavities at the price of convex corners; for convex organs there is a flow
    of its own.

    Each channel moves by itself: with two classes or sigmoid channels the outlines of the mask move; between three
    classes or more they follow approximately.

    Args:
        epsilon: gradient below which it acts like heat, in logits per mm.
        diffusivity: c, without a unit; time is in mm^2. One number for all classes, or one per class, 0 for classes to
            be left alone.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype. With one spatial axis
          there are no curves, and nothing moves but where the gradient is below epsilon.

    Raises:
        ValueError: an epsilon or a diffusivity out of range, or another number of classes than ``u`` has.

    References:
        S. Osher, J. Sethian, "Fronts propagating with curvature-dependent speed", J. Comput. Phys. 79 (1988);
        L. Evans, J. Spruck, "Motion of level sets by mean curvature I", J. Differ. Geom. 33 (1991), which also has the
        regularisation by epsilon. Here with central differences at the voxels.

    Example:
        >>> x = torch.arange(-3.0, 4.0)
        >>> cone = (x[:, None] ** 2 + x**2).sqrt()[None, None]  # outlines are circles: F = 1 / r
        >>> MeanCurvatureMotion(epsilon=1e-3)(cone, Grid())[0, 0, 3, 4:6].round(decimals=1)
        tensor([0.8000, 0.5000])
        >>> MeanCurvatureMotion()(torch.rand(1, 2, 4, 4, 4), Grid()).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    reach = 1

    def __init__(self, epsilon: float = 0.1, *, diffusivity: float | Sequence[float] = 1.0) -> None:
        super().__init__()
        self.epsilon = positive(epsilon, "epsilon")
        self.diffusivity = ClassCoefficients(diffusivity)

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """C times (Laplacian - second derivative along the gradient)."""
        axes = range(2, u.ndim)
        slopes = {d: central_difference(u, d, grid) for d in axes}
        seconds = {d: central_second_difference(u, d, grid) for d in axes}
        squares = {d: slopes[d].square() for d in axes}
        along = [seconds[d] * squares[d] for d in axes]
        along += [2 * slopes[d] * slopes[e] * central_difference(slopes[d], e, grid) for d, e in combinations(axes, 2)]
        rate = total(seconds.values()) - total(along) / (total(squares.values()) + self.epsilon**2)
        return self.diffusivity.times_rate(rate)

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float:
        """``c sum_d 4 / h_d^2``: for a given direction of the gradient no pattern decays faster than by heat."""
        return self.diffusivity.largest * laplacian_bound(grid, spatial_dims)

    def extra_repr(self) -> str:
        """Epsilon and diffusivity."""
        return f"epsilon={self.epsilon}, diffusivity={self.diffusivity}"
