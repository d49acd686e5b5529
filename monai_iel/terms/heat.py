"""Heat diffusion: the evolution that smooths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import laplacian
from monai_iel.terms.base import LinearTerm

__all__ = ["HeatDiffusion"]


class HeatDiffusion(LinearTerm):
    r"""Heat diffusion, :math:`u_t = c\,\Delta u`: fluctuations die out, a constant stays.

    Run backwards on logits it amplifies what is rough, so a network trained through it learns smooth logits. It is not
    made for thin structures (vessels): they are rough, and lose detail; set their class's diffusivity to 0. Nor does it
    mend a label whose boundary is smooth but in the wrong place.

    Args:
        diffusivity: c, without a unit (time is in mm^2). One number for all classes, or one per class, 0 for classes
            to be left alone.

    Shape:
        - ``u``: ``B C H [W [D]]``, floating point; the result has the same shape and dtype.

    Raises:
        ValueError: a negative or infinite diffusivity, none above 0, or another number of classes than ``u`` has.

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

    def __init__(self, diffusivity: float | Sequence[float] = 1.0) -> None:
        super().__init__()
        given: Any = diffusivity
        one = isinstance(given, Real)  # NumPy's scalars too
        values = [float(c) for c in ([given] if one else given)]
        if not values or not all(math.isfinite(c) and c >= 0 for c in values) or max(values) == 0:
            raise ValueError(f"diffusivity must be finite, not negative, and above 0 for a class; got {diffusivity!r}")
        self.diffusivity: float | tuple[float, ...] = values[0] if one else tuple(values)

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """C times the Laplacian of ``u``."""
        if isinstance(self.diffusivity, float):
            return self.diffusivity * laplacian(u, grid)
        if u.shape[1] != len(self.diffusivity):
            raise ValueError(
                f"HeatDiffusion has {len(self.diffusivity)} diffusivities (one per class), but the tensor has "
                f"{u.shape[1]} channels"
            )
        return self._per_class(u, u.ndim - 2) * laplacian(u, grid)

    def symbol(self, eigenvalues: torch.Tensor) -> torch.Tensor:
        """``c * lambda``."""
        if isinstance(self.diffusivity, float):
            return self.diffusivity * eigenvalues
        return self._per_class(eigenvalues, eigenvalues.ndim) * eigenvalues

    def length(self, time: float) -> float:
        """Standard deviation of the heat kernel along an axis, ``sqrt(2 c t)``, in mm (the largest over classes)."""
        largest = self.diffusivity if isinstance(self.diffusivity, float) else max(self.diffusivity)
        return math.sqrt(2 * largest * time)

    def _per_class(self, like: torch.Tensor, spatial_dims: int) -> torch.Tensor:
        return like.new_tensor(self.diffusivity).view(-1, *([1] * spatial_dims))

    def extra_repr(self) -> str:
        """The diffusivity."""
        return f"diffusivity={self.diffusivity}"
