"""What the losses of others share here: heads, targets, the background, precision and reductions, in one place."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypedDict, Unpack

import torch
from monai.networks.utils import one_hot
from monai.utils import LossReduction
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from monai_iel.losses.wrapping import plain_tensor

__all__ = ["Head", "SegmentationLoss", "VoxelwiseLoss", "float_logits"]


class Head(TypedDict, total=False):
    """The keywords that every loss here takes, as in MONAI; their defaults are those of `SegmentationLoss`."""

    include_background: bool
    to_onehot_y: bool
    sigmoid: bool
    softmax: bool
    reduction: LossReduction | str


def float_logits(input: torch.Tensor) -> torch.Tensor:
    """Without metadata, in float32, or float64 where they are so.

    Raises:
        TypeError: no tensor, or not of floating point.
    """
    if not isinstance(input, torch.Tensor) or not input.is_floating_point():
        found = input.dtype if isinstance(input, torch.Tensor) else type(input).__name__
        raise TypeError(
            f"input must be a tensor of floating point logits, got {found}; for deep supervision put "
            f"DeepSupervisionLoss around this loss"
        )
    logits = plain_tensor(input)
    return logits if logits.dtype == torch.float64 else logits.float()


class SegmentationLoss(_Loss):
    """Base of losses of logits and labels, in any number of axes.

    Unlike in MONAI, an activation has to be named, since only from logits the logarithm of a probability of almost 0
    is a finite number.

    Args:
        include_background: whether channel 0 counts. Of losses by voxel with a softmax: voxels labelled 0.
        to_onehot_y: the target is a class map ``B 1 H W [D]``; else it has the logits' shape, one-hot or soft.
        sigmoid: each channel is a decision of its own between 0 and 1.
        softmax: the channels exclude each other.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape:
        - ``input``: logits ``B C H W [D]``, plain or MetaTensor. Computed outside autocast, in float32, or float64 for
          float64 logits.
        - ``target``: ``B 1 H W [D]`` or ``B C H W [D]``, any dtype.

    Raises:
        TypeError: logits that are no floating point tensor.
        ValueError: not exactly one activation; a softmax, or no background, of one channel; shapes that do not fit.
    """

    def __init__(
        self,
        *,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if bool(sigmoid) == bool(softmax):
            raise ValueError(
                f"{type(self).__name__} takes logits and needs one activation: softmax=True (exclusive classes) or "
                f"sigmoid=True (one channel, or overlapping classes); got softmax={softmax}, sigmoid={sigmoid}"
            )
        self.include_background, self.to_onehot_y = bool(include_background), bool(to_onehot_y)
        self.sigmoid, self.softmax = bool(sigmoid), bool(softmax)

    @abstractmethod
    def evaluate(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of logits and one-hot or soft labels, both ``B C H W [D]`` and of one dtype."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss."""
        logits = float_logits(input)
        with torch.autocast(device_type=logits.device.type, enabled=False):
            return self.evaluate(logits, self._one_hot(logits, plain_tensor(target)))

    def _one_hot(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        channels = logits.shape[1]
        if channels == 1 and (self.softmax or self.to_onehot_y or not self.include_background):
            raise ValueError(
                "the logits have one channel, the foreground: set sigmoid=True, to_onehot_y=False and "
                "include_background=True"
            )
        expected = (logits.shape[0], 1 if self.to_onehot_y else channels, *logits.shape[2:])
        if tuple(target.shape) != expected:
            raise ValueError(
                f"target has the shape {tuple(target.shape)}, but for logits of the shape {tuple(logits.shape)} and "
                f"to_onehot_y={self.to_onehot_y} it must be {expected}"
            )
        labels: torch.Tensor = one_hot(target, num_classes=channels) if self.to_onehot_y else target
        return labels.to(logits.dtype)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Of the channels that count, ``B C H W [D]``."""
        return self.counted(logits.softmax(dim=1) if self.softmax else logits.sigmoid())

    def counted(self, channels: torch.Tensor) -> torch.Tensor:
        """Without channel 0 where the background does not count."""
        return channels if self.include_background else channels[:, 1:]

    def reduced(self, values: torch.Tensor) -> torch.Tensor:
        """Mean, sum, or all of them."""
        if self.reduction == LossReduction.NONE.value:
            return values
        return values.sum() if self.reduction == LossReduction.SUM.value else values.mean()


class VoxelwiseLoss(SegmentationLoss):
    """Base of losses that look at one voxel at a time: the mean over the labels of what a label there would cost.

    Inside, a tensor is ``B K G H W [D]``: K exclusive classes in each of G decisions. A softmax of C channels is one
    decision between C classes, C sigmoids are C decisions between two.

    Args:
        classwise: average over the voxels of each class in the batch first, then over the classes that are there, so
            that a small organ weighs as much as the background, and so do the wrong labels of its class. Needs the
            reduction ``"mean"``.
    """

    def __init__(self, *, classwise: bool = False, **head: Unpack[Head]) -> None:
        super().__init__(**head)
        if classwise and self.reduction != LossReduction.MEAN.value:
            raise ValueError(f"classwise=True is a mean of means; got reduction={self.reduction!r}")
        self.classwise = bool(classwise)

    @abstractmethod
    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """For each class, the loss of a voxel that is labelled so; ``log_p`` and the result are ``B K G H W [D]``."""

    def voxel_losses(self, log_p: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """``B G H W [D]``."""
        return (labels * self.class_losses(log_p)).sum(dim=1)

    def softened(self, labels: torch.Tensor) -> torch.Tensor:
        """The labels to train with, ``B C H W [D]``."""
        return labels

    def evaluate(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See the base."""
        soft = self.softened(labels)
        if self.softmax:
            decided = soft.unsqueeze(2)
        else:
            soft = self.counted(soft)
            decided = torch.stack([1 - soft, soft], dim=1)
        return self._mean_of_voxels(self.voxel_losses(self.log_probabilities(logits), decided), decided)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """``B K G H W [D]``, finite for all finite logits."""
        if self.softmax:
            return logits.log_softmax(dim=1).unsqueeze(2)
        logits = self.counted(logits)
        return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=1)

    def _mean_of_voxels(self, values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        without_background = self.softmax and not self.include_background
        if self.classwise:
            over = (0, *range(3, labels.ndim))
            counts = labels.sum(dim=over)
            means = (labels * values.unsqueeze(1)).sum(dim=over) / counts.clamp_min(torch.finfo(counts.dtype).tiny)
            there = counts > 0
            if without_background:
                there[0] = False
            return torch.where(there, means, 0).sum() / there.sum().clamp_min(1)
        if not without_background:
            return self.reduced(values)
        foreground = 1 - labels[:, 0]
        values = values * foreground
        if self.reduction == LossReduction.MEAN.value:
            return values.sum() / foreground.sum().clamp_min(1)
        return self.reduced(values)
