"""What losses that wrap another one share: which ones they take, what these are given, a strength, coarser levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.losses import AsymmetricUnifiedFocalLoss, NACLLoss
from monai.losses.unified_focal_loss import AsymmetricFocalLoss, AsymmetricFocalTverskyLoss
from torch import nn

__all__ = ["WITHOUT_CHANNEL", "Levels", "checked_strength", "plain_tensor", "refuse_without_activation", "target_for"]

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


class Levels:
    """Which of the outputs that a loss is given have coarser voxels: the levels of deep supervision.

    An output whose size is that of the full-resolution output divided by a power of two, per axis, is a coarser grid of
    the same field of view. The full-resolution size is ``spatial_size``, or that of the last output that is no such
    fraction of its predecessor.

    Args:
        spatial_size: size of the full-resolution output, where it is known.
    """

    def __init__(self, spatial_size: Sequence[int] | None = None) -> None:
        self._given = spatial_size is not None
        self._full = None if spatial_size is None else tuple(int(n) for n in spatial_size)

    def ratios(self, size: torch.Size) -> list[float] | None:
        """Voxels of the full-resolution grid per voxel of an output of this size, or None at full resolution.

        Raises:
            ValueError: ``spatial_size`` has another number of axes, or is smaller.
        """
        full = self._full
        if full is None or (not self._given and not _is_level_of(size, full)):
            self._full = full = tuple(size)
        if len(full) != len(size):
            raise ValueError(f"spatial_size has {len(full)} numbers, but the logits have {len(size)} spatial axes")
        if any(m > n for n, m in zip(full, size, strict=True)):
            raise ValueError(
                f"the logits have the size {tuple(size)}, more than spatial_size={full}, where the grid holds: "
                "set spatial_size to the size of the largest output"
            )
        return None if tuple(size) == full else [n / m for n, m in zip(full, size, strict=True)]


def _is_level_of(size: Sequence[int], full: Sequence[int]) -> bool:
    """Whether strided convolutions turn ``full`` into ``size``: per axis ``full / 2^k``, rounded up or down."""
    if len(size) != len(full) or tuple(size) == tuple(full):
        return tuple(size) == tuple(full)
    for n, m in zip(full, size, strict=True):
        halvings = round(math.log2(n / m)) if m > 0 else -1
        if halvings < 0 or m not in (n // 2**halvings, -(-n // 2**halvings)):
            return False
    return True
