"""Penalties on the slopes of the probabilities: what one adds to a loss for smooth outlines, without an evolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import face_difference, sum_inwards, sum_outwards
from monai_iel.peers.penalised import PenalisedLoss
from monai_iel.peers.penalties import positive, probabilities

__all__ = ["SlopePenalty", "SmoothnessPenaltyLoss", "TotalVariationPenaltyLoss"]


@dataclass(frozen=True)
class SlopePenalty:
    """Mean over batch, channels and voxels of a function of the slope of the probabilities.

    Derivatives are taken across the faces between voxels; their squares are averaged to the corners where voxels meet,
    the function is evaluated there and averaged back to the voxels. So the square counts each pair of neighbours once,
    and a sharp step along an axis counts once.

    Args:
        kind: ``"h1"``, the square; ``"tv"``, the slope itself.
        sigmoid: the channels are independent (one channel always is); else a softmax.
        include_background: whether channel 0 counts, where there are several.
        epsilon: slope per mm below which ``"tv"`` is rounded off.
    """

    kind: Literal["h1", "tv"]
    sigmoid: bool = False
    include_background: bool = True
    epsilon: float = 1e-3

    def __call__(self, logits: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The penalty of logits ``B C H [W [D]]``."""
        p = probabilities(logits, sigmoid=self.sigmoid)
        squares = _squared_slopes(p if self.include_background or p.shape[1] == 1 else p[:, 1:], grid)
        values = squares if self.kind == "h1" else (squares + self.epsilon**2).sqrt() - self.epsilon
        for dim in range(2, p.ndim):
            values = sum_inwards(values, dim) / 2
        return values.mean()


def _squared_slopes(p: torch.Tensor, grid: Grid) -> torch.Tensor:
    """At the corners, per mm^2."""
    total: torch.Tensor | None = None
    for own, h in enumerate(grid.spacings(p.ndim - 2), start=2):
        squares = (face_difference(p, own, grid) / h).square()
        for dim in range(2, p.ndim):
            if dim != own:
                squares = sum_outwards(squares, dim, grid) / 2
        total = squares if total is None else total + squares
    assert total is not None
    return total


class SmoothnessPenaltyLoss(PenalisedLoss):
    r"""Any segmentation loss plus the H1 penalty :math:`w\,\mathrm{mean}\,|\nabla p|^2` on its probabilities, in mm.

    Its gradient flow is heat diffusion: what the heat IEL amplifies before the loss is here paid for beside it.

    Not for sharp outlines: it is cheapest to blur them, since a step over twice the width costs half. Not a layer's
    equal either: the penalty keeps acting on outlines that are right.

    Args:
        loss: an instance of a segmentation loss of MONAI or torch that takes logits and holds its own activation.
        weight: w, in mm^2; 0 is the plain loss.
        grid: voxel spacing in mm and boundary condition. Default: 1 mm, zero flux.
        sigmoid: the channels are independent (one channel always is); else a softmax.
        include_background: whether channel 0 counts, where there are several.
        check_finite: refuse a loss that is infinite or NaN. Reads one number from the device per call.

    Shape:
        - ``input``: logits ``B C H [W [D]]``, floating point, plain or MetaTensor.
        - ``target``: what the wrapped loss takes.

    Raises:
        TypeError: ``loss`` is no module; integer logits, or a list of outputs.
        ValueError: a weight below 0; a loss without activation; a spacing that is not the grid's; a loss that is not
            finite.

    References:
        The Dirichlet energy, the penalty beside which the layers of Liu et al., arXiv 2307.07344, are put; its weight
        and discretisation there are not known here.

    Example:
        >>> from monai.losses import DiceCELoss
        >>> loss = SmoothnessPenaltyLoss(DiceCELoss(to_onehot_y=True, softmax=True), weight=1.0)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = SmoothnessPenaltyLoss(DiceCELoss(sigmoid=True), weight=1.0, grid=Grid((1.0, 1.0, 2.5)))
        >>> bool(volume(torch.randn(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)).isfinite())
        True
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        weight: float,
        grid: Grid = Grid(),  # noqa: B008 - a frozen value
        sigmoid: bool = False,
        include_background: bool = True,
        check_finite: bool = True,
    ) -> None:
        penalty = SlopePenalty("h1", sigmoid=sigmoid, include_background=include_background)
        super().__init__(loss, penalty, weight=weight, grid=grid, check_finite=check_finite)


class TotalVariationPenaltyLoss(PenalisedLoss):
    r"""Any segmentation loss plus total variation, :math:`w\,\mathrm{mean}\,|\nabla p|`, of its probabilities, in mm.

    Of one organ it is the length (in 3D the area) of its outline per mm^2 (mm^3) of the image, however blurred. Where
    the probability jumps from voxel to voxel the staircase counts, which is longer: 4/pi times for a disc, 1.5 times
    for a ball. With an edge of four voxels a disc's is right to 1 %.

    Not for thin or small organs: what has much outline for its area is cheapest to leave away.

    Args:
        loss: an instance of a segmentation loss of MONAI or torch that takes logits and holds its own activation.
        weight: w, in mm; 0 is the plain loss.
        grid: voxel spacing in mm and boundary condition. Default: 1 mm, zero flux.
        sigmoid: the channels are independent (one channel always is); else a softmax.
        include_background: whether channel 0 counts, where there are several.
        epsilon: slope per mm below which the penalty is rounded off: flat regions cost nothing and pull smoothly.
        check_finite: refuse a loss that is infinite or NaN. Reads one number from the device per call.

    Shape:
        - ``input``: logits ``B C H [W [D]]``, floating point, plain or MetaTensor.
        - ``target``: what the wrapped loss takes.

    Raises:
        TypeError: ``loss`` is no module; integer logits, or a list of outputs.
        ValueError: a weight below 0, or an epsilon that is not positive; a loss without activation; a spacing that is
            not the grid's; a loss that is not finite.

    References:
        L. Rudin, S. Osher, E. Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 60 (1992):
        the functional, here of probabilities; discretisation and rounding are ours.

    Example:
        >>> from monai.losses import DiceCELoss
        >>> loss = TotalVariationPenaltyLoss(DiceCELoss(to_onehot_y=True, softmax=True), weight=0.5)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = TotalVariationPenaltyLoss(DiceCELoss(sigmoid=True), weight=0.5, grid=Grid((1.0, 1.0, 2.5)))
        >>> bool(volume(torch.randn(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)).isfinite())
        True
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        weight: float,
        grid: Grid = Grid(),  # noqa: B008 - a frozen value
        sigmoid: bool = False,
        include_background: bool = True,
        epsilon: float = 1e-3,
        check_finite: bool = True,
    ) -> None:
        penalty = SlopePenalty("tv", sigmoid, include_background, positive(epsilon, "epsilon"))
        super().__init__(loss, penalty, weight=weight, grid=grid, check_finite=check_finite)
