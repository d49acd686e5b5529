"""The inverse evolution layer: the one place with the minus sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from monai_iel.layers.explicit_engine import rate_of
from monai_iel.layers.spectral_engine import SpectralEngine
from monai_iel.layers.stepping import Stepping
from monai_iel.numerics.grid import Grid
from monai_iel.numerics.schemes import Scheme, euler, euler_recomputed
from monai_iel.numerics.spectral import apply_self_adjoint
from monai_iel.terms.base import EvolutionTerm

__all__ = ["InverseEvolution"]

Engine = Literal["auto", "spectral", "explicit"]


class InverseEvolution(nn.Module):
    r"""Inverse evolution layer: runs an improving evolution :math:`u_t = F(u)` backwards, for a loss to see.

    .. math:: v_0 = u, \qquad v_{k+1} = v_k - \Delta t\, F(v_k), \quad k = 0 \dots N - 1

    What is left of the defect that F removes is amplified, so a network trained through the layer learns not to make
    it. The layer has no parameters and is used in training only: put it around the loss
    (:class:`monai_iel.InverseEvolutionLoss`), not into the network.

    There is no stable step backwards. What bounds the amplification is the **gain** :math:`(1 + \Delta t\,
    \lambda_{\max})^N` of the finest pattern that the grid can hold; how far a defect may be to be felt is the
    **length** :math:`\sqrt{2 N \Delta t}` in mm. ``repr(layer)`` shows both; of a nonlinear evolution, how much
    faint noise may grow.

    Args:
        term: the evolution, e.g. ``HeatDiffusion()``.
        grid: voxel spacing in mm and boundary condition. Default: 1 mm, zero flux.
        dt: step; mm^2 for heat. At 1 mm the published ``dt`` is ``2 * spatial_dims`` times this one.
        gain: amplification of the finest pattern instead of ``dt``; typical 3 to 40. A gain is met exactly whatever the
            spacing. Exactly one of ``dt`` and ``gain`` is given.
        num_steps: N. Few large steps reach farther at the same gain than many small ones.
        scheme: ``"euler"``, the steps above, or, for linear evolutions, ``"exponential"``: the continuous backward
            flow :math:`\exp(N \Delta t\, A)`, of which the steps are the first-order approximation.
        engine: ``"spectral"`` (linear evolutions; the cost does not depend on ``num_steps``), ``"explicit"`` (the
            recurrence above), or ``"auto"`` (spectral where it can be).

    Shape:
        - ``u``: logits ``B C H [W [D]]``, floating point, plain or MetaTensor.
        - Output: plain tensor of the same shape; float32, or float64 where ``u`` is float64. Always computed outside
          autocast: a rounding error of half precision would be amplified by the gain.

    Raises:
        TypeError: an integer or complex tensor.
        ValueError: arguments out of range; a spacing that is not the image's; fewer than one spatial axis.

    References:
        Liu et al., arXiv 2307.07344, eq. (5) and (6). They keep every step for the backward pass; here a linear
        operator is applied to the gradient again, since it is self-adjoint, and other steps are computed again.

    Example:
        >>> import torch
        >>> from monai_iel import HeatDiffusion
        >>> layer = InverseEvolution(HeatDiffusion(), grid=Grid((0.9, 0.9)), gain=38)
        >>> layer
        InverseEvolution(
          num_steps=20, 2D: dt=0.0202, gain=38, length=0.899 mm, engine='spectral'
          (term): HeatDiffusion(diffusivity=1.0)
        )
        >>> tuple(layer(torch.randn(2, 3, 16, 16)).shape)
        (2, 3, 16, 16)
        >>> layer3d = InverseEvolution(HeatDiffusion(), grid=Grid((1.0, 1.0, 2.5)), dt=0.1, num_steps=5)
        >>> torch.allclose(layer3d(torch.ones(1, 2, 8, 8, 6)), torch.ones(1, 2, 8, 8, 6))
        True
    """

    def __init__(
        self,
        term: EvolutionTerm,
        *,
        grid: Grid | None = None,
        dt: float | None = None,
        gain: float | None = None,
        num_steps: int = 20,
        scheme: Scheme = "euler",
        engine: Engine = "auto",
    ) -> None:
        super().__init__()
        self.grid = Grid() if grid is None else grid
        self.stepping = Stepping(term, self.grid, dt=dt, gain=gain, num_steps=num_steps, scheme=scheme)
        self.stepping.check_gain_backwards()
        if engine not in get_args(Engine):
            raise ValueError(f"engine must be one of {', '.join(get_args(Engine))}; got {engine!r}")
        linear = self.stepping.linear is not None
        if engine == "spectral" and not linear:
            raise ValueError(f"the spectral engine needs a linear evolution; use engine='explicit' for {term}")
        if engine == "explicit" and scheme == "exponential":
            raise ValueError("the exponential scheme has no explicit steps; use engine='auto'")
        self.term = term
        self.engine = engine if engine != "auto" else ("spectral" if linear else "explicit")
        self._spectral = SpectralEngine(self.stepping, forwards=False) if self.engine == "spectral" else None

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # one clean break of a compiled graph
    def forward(self, u: torch.Tensor, *, strength: float = 1.0, ratios: Sequence[float] | None = None) -> torch.Tensor:
        """Amplify what the evolution would remove.

        Args:
            u: logits ``B C H [W [D]]``.
            strength: factor on ``dt``, 0 to 1; 0 returns ``u`` in the computing precision.
            ratios: voxel size of ``u`` in voxels of the grid, per axis, for a coarser level of deep supervision.
        """
        plain = self._checked(u)
        grid = self.grid if ratios is None else self.grid.coarsened(ratios)
        with torch.autocast(device_type=plain.device.type, enabled=False):
            plain = plain.to(torch.float64 if plain.dtype == torch.float64 else torch.float32)
            if not strength >= 0:
                raise ValueError(f"strength must be a number of at least 0; got {strength}")
            dt, steps = self.stepping.dt(plain.ndim - 2) * strength, self.stepping.num_steps
            if dt == 0:
                return plain
            if self._spectral is not None:
                return self._spectral(plain, grid, dt)
            rate = rate_of(self.term, grid, -dt)
            if self.stepping.linear is not None:
                return apply_self_adjoint(plain, lambda v: euler(v, rate, -dt, steps))
            return euler_recomputed(plain, rate, -dt, steps)

    def _checked(self, u: torch.Tensor) -> torch.Tensor:
        if not u.is_floating_point():
            raise TypeError(
                f"InverseEvolution takes floating point logits, got {u.dtype}: call it on the network's output"
            )
        if u.ndim < 3:
            raise ValueError(f"InverseEvolution takes B C H [W [D]], got the shape {tuple(u.shape)}")
        self.grid.spacings(u.ndim - 2)
        affine = getattr(u, "affine", None)  # a MetaTensor's; this package's lower layers do not import MONAI
        if affine is not None:
            self.grid.check_affine(affine, u.ndim - 2)
            plain: torch.Tensor = u.as_tensor()  # type: ignore[attr-defined]
            return plain
        return u

    def extra_repr(self) -> str:
        """Steps, gain and length in mm."""
        return f"{self.stepping.describe()}, engine={self.engine!r}"
