"""What losses that wrap another one share: which ones they take, what these are given, and a strength."""

from __future__ import annotations

import torch
from monai.losses import AsymmetricUnifiedFocalLoss, NACLLoss
from monai.losses.unified_focal_loss import AsymmetricFocalLoss, AsymmetricFocalTverskyLoss
from torch import nn

__all__ = ["WITHOUT_CHANNEL", "checked_strength", "plain_tensor", "refuse_without_activation", "target_for"]

# Losses that take probabilities and have no switch for an activation, and what takes logits instead.
_TAKES_PROBABILITIES: dict[type[nn.Module], str] = {
    nn.BCELoss: "BCEWithLogitsLoss",
    nn.NLLLoss: "CrossEntropyLoss",
    nn.KLDivLoss: "CrossEntropyLoss",
    AsymmetricFocalLoss: "FocalLoss",
    AsymmetricFocalTverskyLoss: "TverskyLoss(softmax=True)",
    AsymmetricUnifiedFocalLoss: "DiceFocalLoss(softmax=True)",
}

_ROUNDING = 1e-6  # of a schedule that ends at 1

# Losses whose class maps have no channel axis.
WITHOUT_CHANNEL = (nn.CrossEntropyLoss, NACLLoss)


def checked_strength(strength: float) -> float:
    """The strength of a penalty or a layer, without the rounding of a schedule.

    Raises:
        ValueError: outside [0, 1].
    """
    if not -_ROUNDING <= float(strength) <= 1 + _ROUNDING:
        raise ValueError(f"strength must lie in [0, 1]; got {strength}")
    return min(max(float(strength), 0.0), 1.0)


def plain_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A MetaTensor without its metadata; any other tensor as it is."""
    as_tensor = getattr(tensor, "as_tensor", None)
    plain: torch.Tensor = as_tensor() if as_tensor is not None else tensor
    return plain


def target_for(loss: nn.Module, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """What torch's own losses need and MONAI's already do: no channel axis and int64, or the logits' dtype."""
    if isinstance(loss, WITHOUT_CHANNEL):
        if target.ndim == logits.ndim and target.shape[1] == 1 and logits.shape[1] > 1:
            return target.squeeze(1).long()
        return target.long() if target.ndim < logits.ndim else target.to(logits.dtype)
    return target.to(logits.dtype) if isinstance(loss, nn.BCEWithLogitsLoss) or target.dtype == torch.bool else target


def refuse_without_activation(loss: nn.Module) -> None:
    """Refuse a loss that would take logits for probabilities, or a loss with such a part.

    Raises:
        ValueError: with the activation to set, or the loss to take instead.
    """
    for part in loss.modules():
        for kind, instead in _TAKES_PROBABILITIES.items():
            if isinstance(part, kind):
                raise ValueError(f"{kind.__name__} takes probabilities, but the layer works on logits: use {instead}")
        names = ("sigmoid", "softmax", "other_act")
        # MaskedDiceLoss applies the activation itself and keeps it under other names.
        switches = [getattr(part, f"pre_{name}", getattr(part, name, ...)) for name in names]
        if ... not in switches and not any(switches):
            raise ValueError(
                f"{type(part).__name__} has no activation, so it would take the amplified logits for probabilities: "
                f"give it softmax=True (exclusive classes) or sigmoid=True (one channel, or overlapping classes)"
            )
