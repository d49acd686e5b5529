"""What heat, its powers and Sobolev diffusion share: a function of the Laplacian, factors per class and per axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch

from monai_iel.terms.base import LinearTerm
from monai_iel.terms.coefficients import AxisCoefficients, ClassCoefficients, total

__all__ = ["LaplacianFunction"]


class LaplacianFunction(LinearTerm):
    r"""A linear evolution :math:`u_t = -c\,f(-\Delta_a)\,u` with :math:`\Delta_a = \sum_d a_d \partial_d^2`.

    Args:
        diffusivity: c. One number for all classes, or one per class, 0 for classes to be left alone.
        axis_diffusivity: :math:`a_d`, one number per spatial axis; default 1 for each.
    """

    def __init__(self, diffusivity: float | Sequence[float], axis_diffusivity: Sequence[float] | None) -> None:
        super().__init__()
        self.diffusivity = ClassCoefficients(diffusivity)
        self.axis_diffusivity = AxisCoefficients(axis_diffusivity)
        self.spatial_dims = self.axis_diffusivity.spatial_dims

    @abstractmethod
    def function(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """Rate f of the eigenvalues of minus the weighted Laplacian, in 1/mm^2; does not fall, and is 0 at 0."""

    def symbol(self, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        """``c f(sum_d a_d lambda_d)``."""
        weighted = [a * v for a, v in zip(self.axis_diffusivity.over(len(eigenvalues)), eigenvalues, strict=True)]
        return self.diffusivity.times_symbol(self.function(total(weighted)))

    def extra_repr(self) -> str:
        """The factors; those of the axes only where they were given."""
        along = f", axis_diffusivity={self.axis_diffusivity.values}" if self.axis_diffusivity.values else ""
        return f"diffusivity={self.diffusivity}{along}"
