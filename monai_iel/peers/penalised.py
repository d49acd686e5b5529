"""What losses that add a penalty on the probabilities to another loss share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.loss import _Loss

from monai_iel.losses.wrapping import Levels, checked_strength, plain_tensor, refuse_without_activation, target_for
from monai_iel.numerics.grid import Grid
from monai_iel.peers.penalties import not_negative
from monai_iel.peers.segmentation_loss import float_logits

__all__ = ["Penalty", "PenalisedLoss"]

Penalty = Callable[[torch.Tensor, Grid], torch.Tensor]
"""A number, of logits ``B C H W [D]`` and the grid that they live on."""


class PenalisedLoss(_Loss):
    """A segmentation loss plus a weight times a penalty.

    With MONAI's ``DeepSupervisionLoss`` around it: an output that is smaller by powers of two has larger voxels.

    Args:
        loss: an instance of a segmentation loss of MONAI or torch that takes logits and holds its own activation.
        penalty: of the logits.
        weight: of the penalty; 0 is the plain loss.
        grid: voxel spacing in mm and boundary condition.
        check_finite: refuse a loss that is infinite or NaN. Reads one number from the device per call.

    Raises:
        TypeError: ``loss`` is no module; integer logits, or a list of outputs.
        ValueError: a weight below 0; a loss without activation; a spacing that is not the grid's; a loss that is not
            finite.
    """

    def __init__(self, loss: nn.Module, penalty: Penalty, *, weight: float, grid: Grid, check_finite: bool) -> None:
        super().__init__()
        if not isinstance(loss, nn.Module):
            raise TypeError(f"loss must be an instance of a loss, e.g. DiceCELoss(softmax=True); got {loss!r}")
        refuse_without_activation(loss)
        self.loss = loss
        self.penalty = penalty
        self.weight = not_negative(weight, "weight")
        self.grid = grid
        self.check_finite = check_finite
        self.strength = 1.0
        self._levels = Levels()

    def set_strength(self, strength: float) -> None:
        """Scale the weight: 0 is the plain loss. For a warm-up, as ``InverseEvolutionLoss.set_strength``.

        Raises:
            ValueError: outside [0, 1].
        """
        self.strength = checked_strength(strength)

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The wrapped loss plus weight times the penalty."""
        logits = float_logits(input)
        affine = getattr(input, "affine", None)  # a MetaTensor's
        if affine is not None:
            self.grid.check_affine(affine, input.ndim - 2)
        weight = self.weight * self.strength
        with torch.autocast(device_type=logits.device.type, enabled=False):
            value: torch.Tensor = self.loss(logits, target_for(self.loss, logits, plain_tensor(target)))
            if weight > 0:
                ratios = self._levels.ratios(logits.shape[2:])
                value = value + weight * self.penalty(logits, self.grid.coarsened(ratios) if ratios else self.grid)
        if self.check_finite and not torch.isfinite(value).all():
            low, high = float(logits.min()), float(logits.max())
            raise ValueError(
                f"the loss is not finite: the logits lie in [{low:.4g}, {high:.4g}]; lower the learning rate or the "
                f"weight ({self.weight:g}), or warm it up (set_strength)"
            )
        return value

    def extra_repr(self) -> str:
        """Weight, strength and the penalty."""
        return f"weight={self.weight:g}, strength={self.strength:g}, {self.grid}, {self.penalty}"
