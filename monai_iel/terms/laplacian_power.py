"""Powers of the Laplacian: biharmonic and fractional diffusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_iel.terms.coefficients import positive
from monai_iel.terms.laplacian_function import LaplacianFunction

__all__ = ["LaplacianPower"]


class LaplacianPower(LaplacianFunction):
    r"""Diffusion by a power of the Laplacian, :math:`u_t = -c\,(-\Delta)^s u`.

    ``exponent`` 1 is heat diffusion; 2 is biharmonic diffusion, which spares what is coarse and takes what is fine, so
    an IEL with it acts on single voxels and hardly on an outline; below 1 it is fractional diffusion, which acts on all
    scales more alike. Powers above 1 have no maximum principle: a smoothed probability may leave [0, 1] a little.

    Args:
        exponent: s, above 0.
        diffusivity: c, without a unit (time is in mm^(2s)). One number for all classes, or one per class, 0 for classes
            to be left alone.
        axis_diffusivity: factors :math:`a_d` inside the Laplacian :math:`\sum_d a_d \partial_d^2`, one per spatial
            axis.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype.

    Raises:
        ValueError: an exponent or a diffusivity out of range, or another number of classes or axes than ``u`` has.

    References:
        A. Pazy, "Semigroups of Linear Operators", Springer 1983, section 2.6, for powers of an operator; here the power
        of the *discrete* Laplacian, exactly.

    Example:
        >>> import torch
        >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[None, None]
        >>> from monai_iel import Grid
        >>> LaplacianPower(2.0)(board, Grid(boundary="periodic"))[0, 0, 0].round()  # the fastest mode: (4 + 4)^2
        tensor([-64.,  64.])
        >>> LaplacianPower(0.5)(torch.rand(1, 2, 4, 4, 4), Grid()).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    def __init__(
        self,
        exponent: float = 2.0,
        *,
        diffusivity: float | Sequence[float] = 1.0,
        axis_diffusivity: Sequence[float] | None = None,
    ) -> None:
        super().__init__(diffusivity, axis_diffusivity)
        self.exponent = positive(exponent, "exponent")

    def function(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """The eigenvalues to the power s."""
        return eigenvalues**self.exponent

    def length(self, time: float) -> float:
        """``sqrt(2 a) (c t)^(1 / 2s)`` in mm: heat's standard deviation at s = 1, and the same scale otherwise."""
        scale = (self.diffusivity.largest * time) ** (1 / (2 * self.exponent))
        return float((2 * self.axis_diffusivity.largest) ** 0.5 * scale)

    def extra_repr(self) -> str:
        """Exponent and factors."""
        return f"exponent={self.exponent}, {super().extra_repr()}"
