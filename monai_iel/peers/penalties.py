"""How far a probability is from being quasi-concave: the penalties of the peers, differentiable throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.layers import gaussian_1d, separable_filtering

from monai_iel.numerics.curvature import Symmetric, hessian, projected, trace_and_spread
from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import central_difference
from monai_iel.regions import check_regions

__all__ = ["Form", "QuasiConcavityPenalty", "not_negative", "positive", "probabilities"]

Form = Literal["published", "tangential"]

_TINY = 1e-30  # keeps the derivative of a root finite
_ROUNDING = 1e-6  # slope of a float32 probability that is flat but for rounding


class QuasiConcavityPenalty:
    r"""Mean violation of the second-order condition of quasi-concavity by the probabilities of regions.

    With :math:`\lambda` the (largest) second derivative of a region's probability p along its level sets, in 2D
    :math:`|\nabla p|^2 \lambda = p_x^2 p_{yy} - 2 p_x p_y p_{xy} + p_y^2 p_{xx}`, all level sets are convex where
    :math:`\lambda < 0`. A value object; the loss and the refiner share it.

    Args:
        regions: unions of classes, each of them to be convex; None takes each foreground class by itself.
        sigmoid: the channels are independent; else, with more than one, a softmax.
        form: ``"tangential"``, :math:`(\lambda + \delta)_+`, or ``"published"``,
            :math:`|\nabla p|\,(|\nabla p|^2 \lambda + \delta)_+`.
        margin: delta.
        blur_mm: standard deviation of a Gaussian that smooths the probabilities first, in mm; None for two edges of the
            finest voxel, 0 for none.
        epsilon: slope of p per finest voxel edge below which a voxel counts as flat.

    Raises:
        ValueError: arguments out of range; regions that name no class; an unknown form.
    """

    def __init__(
        self,
        *,
        regions: Sequence[Sequence[int]] | None = None,
        sigmoid: bool = False,
        form: Form = "tangential",
        margin: float = 0.0,
        blur_mm: float | None = None,
        epsilon: float = 1e-3,
    ) -> None:
        if form not in get_args(Form):
            raise ValueError(f"form must be one of {', '.join(get_args(Form))}; got {form!r}")
        self.sigmoid, self.form = bool(sigmoid), form
        self.regions = _checked_regions(regions, self.sigmoid)
        self.margin = not_negative(margin, "margin")
        self.blur_mm = None if blur_mm is None else not_negative(blur_mm, "blur_mm")
        self.epsilon = positive(epsilon, "epsilon")

    def __call__(self, logits: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Mean of the `violations` over batch, regions and voxels."""
        return self.violations(logits, grid).mean()

    def violations(self, logits: torch.Tensor, grid: Grid) -> torch.Tensor:
        """What is penalised at each voxel, ``B K H W [D]`` for K regions.

        Derivatives are taken per edge of the finest voxel, so that the penalty has no unit and a weight holds for
        any voxel size.

        Args:
            logits: ``B C H W [D]``, float32 or float64.
            grid: voxel spacing in mm, and boundary.

        Raises:
            ValueError: not two or three spatial axes; regions that do not fit the channels.
        """
        if logits.ndim not in (4, 5):
            raise ValueError(f"convexity needs 2 or 3 spatial axes (B C H W [D]); got the shape {tuple(logits.shape)}")
        sizes = grid.spacings(logits.ndim - 2)
        finest = min(sizes)
        p = self._blurred(self.region_probabilities(logits), sizes, finest)
        per_voxel = Grid([h / finest for h in sizes], grid.boundary)
        slopes = [central_difference(p, dim, per_voxel) for dim in range(2, p.ndim)]
        squares = torch.stack([slope.square() for slope in slopes]).sum(dim=0)
        scale = (squares + _ROUNDING**2).rsqrt()
        along = _along_level_sets(hessian(p, slopes, per_voxel), [slope * scale for slope in slopes])
        softened = squares + self.epsilon**2
        if self.form == "tangential":
            return (squares * along / softened + self.margin).relu()
        return softened.sqrt() * (squares * along + self.margin).relu()

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Of the channels: a sigmoid each, or their softmax."""
        return probabilities(logits, sigmoid=self.sigmoid)

    def region_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """``B K H [W [D]]``: one channel per region.

        Raises:
            ValueError: a region with a class that the logits lack, or with all of them.
        """
        p, channels = self.probabilities(logits), logits.shape[1]
        if self.regions is None:
            return p if self.sigmoid or channels == 1 else p[:, 1:]
        if channels == 1 and not self.sigmoid:
            if self.regions != ((1,),):
                raise ValueError(f"a single channel is class 1; got regions {[list(r) for r in self.regions]}")
            return p
        for region in self.regions:
            if max(region) >= channels or (len(region) == channels > 1):
                raise ValueError(
                    f"regions has {list(region)}, but the logits have {channels} channel{'s' * (channels > 1)}: name "
                    f"classes from 0 to {channels - 1}, and not all of them in one region"
                )
        return torch.stack([p[:, list(region)].sum(dim=1) for region in self.regions], dim=1)

    def _blurred(self, p: torch.Tensor, sizes: Sequence[float], finest: float) -> torch.Tensor:
        sigma = 2 * finest if self.blur_mm is None else self.blur_mm
        if sigma == 0:
            return p
        kernels = [gaussian_1d(p.new_tensor(sigma / h), normalize=True) for h in sizes]
        return separable_filtering(p, kernels, mode="replicate")

    def __repr__(self) -> str:
        regions = None if self.regions is None else [list(region) for region in self.regions]
        return (
            f"regions={regions}, sigmoid={self.sigmoid}, form={self.form!r}, margin={self.margin}, "
            f"blur_mm={self.blur_mm}, epsilon={self.epsilon}"
        )


def _along_level_sets(matrix: Symmetric, normal: list[torch.Tensor]) -> torch.Tensor:
    """Second derivative along the level set: of either sign in 2D, the larger of two in 3D."""
    trace, spread = trace_and_spread(projected(matrix, normal), least=_TINY)
    return trace if len(normal) == 2 else 0.5 * trace + spread


def probabilities(logits: torch.Tensor, *, sigmoid: bool) -> torch.Tensor:
    """A sigmoid of each channel, or of one; else the softmax of all."""
    return logits.sigmoid() if sigmoid or logits.shape[1] == 1 else logits.softmax(dim=1)


def not_negative(value: float, name: str) -> float:
    """The number.

    Raises:
        ValueError: negative or not finite.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative; got {value!r}")
    return float(value)


def positive(value: float, name: str) -> float:
    """The number.

    Raises:
        ValueError: not finite, or not above 0.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and above 0; got {value!r}")
    return float(value)


def _checked_regions(regions: Sequence[Sequence[int]] | None, sigmoid: bool) -> tuple[tuple[int, ...], ...] | None:
    checked = check_regions(regions)
    if sigmoid and any(len(region) > 1 for region in checked or ()):
        raise ValueError(
            f"regions must have one channel each where sigmoid=True, because a union of channels that may overlap has "
            f"no sum of probabilities; got {regions!r}"
        )
    return checked
