"""The loss that sees the logits through an inverse evolution layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.loss import _Loss

from monai_iel.layers.inverse_evolution import InverseEvolution
from monai_iel.losses.wrapping import (
    WITHOUT_CHANNEL,
    Levels,
    checked_strength,
    plain_tensor,
    refuse_without_activation,
    target_for,
)

__all__ = ["InverseEvolutionLoss"]


class InverseEvolutionLoss(_Loss):
    r"""Any segmentation loss, seen through an inverse evolution layer: ``loss(layer(logits), target)``.

    For training only. The network, its checkpoint and its inference stay what they are: validate and infer with the
    network's own output. The layer and the wrapped loss run in at least float32, outside autocast.

    Not for losses that regress intensities, and not for networks that end in a softmax or sigmoid: the layer needs
    logits, and the wrapped loss has to hold the activation (``softmax=True``, ``sigmoid=True``).

    Deep supervision: put MONAI's ``DeepSupervisionLoss`` around this loss. An output whose size is that of the
    full-resolution output divided by a power of two, per axis, is treated as a coarser grid of the same field of view,
    so that the layer reaches equally far in mm on each level. The full-resolution size is ``spatial_size``, or that of
    the last output that is no such fraction of its predecessor.

    Args:
        loss: an instance of any segmentation loss of MONAI or torch that takes logits and holds its own activation.
        layer: the layer, e.g. ``InverseEvolution(HeatDiffusion(), gain=38)``.
        spatial_size: size of the full-resolution output where the layer's grid holds. Needed where
            full-resolution outputs come in sizes that are half or a quarter of each other, or where the levels of deep
            supervision have other ratios than powers of two.
        check_finite: refuse a loss that is infinite or NaN. Reads one number from the device per call.

    Shape:
        - ``input``: logits ``B C H [W [D]]``, floating point, plain or MetaTensor, from any head (softmax, or one
          sigmoid per channel).
        - ``target``: whatever the wrapped loss takes: class map ``B 1 H [W [D]]`` or one-hot ``B C H [W [D]]``,
          integer, boolean or float, plain or MetaTensor. ``torch.nn.CrossEntropyLoss`` and ``NACLLoss`` also
          get class maps with the channel axis that MONAI's pipelines keep.

    Raises:
        TypeError: ``loss`` is a class or no module; integer logits; a list of outputs.
        ValueError: a Dice-like loss without an activation; a loss that takes probabilities; probabilities given as
            logits (channels that sum to 1, looked at on the first call); a target of another size; a spacing that is
            not the grid's; a loss that is not finite.

    References:
        Liu et al., arXiv 2307.07344, section 3.1.

    Example:
        >>> import torch
        >>> from monai.losses import DiceCELoss
        >>> from monai_iel import HeatDiffusion
        >>> dice_ce = DiceCELoss(to_onehot_y=True, softmax=True)
        >>> loss = InverseEvolutionLoss(dice_ce, InverseEvolution(HeatDiffusion(), gain=38))
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> logits3d, label3d = torch.randn(1, 3, 8, 8, 8), torch.randint(0, 3, (1, 1, 8, 8, 8))
        >>> loss.set_strength(0.0)  # the plain loss
        >>> bool(loss(logits3d, label3d) == dice_ce(logits3d, label3d))
        True
    """

    def __init__(
        self,
        loss: nn.Module,
        layer: InverseEvolution,
        *,
        spatial_size: Sequence[int] | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(loss, nn.Module):
            raise TypeError(
                f"loss must be an instance of a loss, e.g. DiceCELoss(to_onehot_y=True, softmax=True); got {loss!r}"
            )
        if not isinstance(layer, InverseEvolution):
            raise TypeError(f"layer must be an InverseEvolution; got {type(layer).__name__}")
        refuse_without_activation(loss)
        self.loss = loss
        self.layer = layer
        self._levels = Levels(spatial_size)
        self.check_finite = check_finite
        self.strength = 1.0
        self._input_seen = False

    def set_strength(self, strength: float) -> None:
        """Scale the layer's ``dt``: 0 is the plain loss, 1 the layer as it was set up.

        For a warm-up, hand this method to MONAI's ``ParamSchedulerHandler`` with ignite's
        ``event=Events.ITERATION_STARTED``, since its default event would run the first iteration at full strength.

        Raises:
            ValueError: outside [0, 1].
        """
        self.strength = checked_strength(strength)

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The wrapped loss of the amplified logits."""
        self._check_shapes(input, target)
        self._check_spacing(input.ndim - 2, input, target)
        # Once here: every small operation on a MetaTensor costs about six times that on a plain tensor.
        logits, labels = plain_tensor(input), plain_tensor(target)
        if not self._input_seen and logits.is_floating_point():  # the layer refuses integers
            self._check_logits(logits)
        with torch.autocast(device_type=logits.device.type, enabled=False):
            amplified = self.layer(logits, strength=self.strength, ratios=self._levels.ratios(logits.shape[2:]))
            value: torch.Tensor = self.loss(amplified, target_for(self.loss, amplified, labels))
        if self.check_finite and not torch.isfinite(value).all():
            low, high = float(logits.min()), float(logits.max())
            raise ValueError(
                f"the loss is not finite: the logits lie in [{low:.4g}, {high:.4g}] and the layer is "
                f"{self.layer.stepping.describe()}; keep the network's last convolution in float32, lower the learning "
                f"rate, or the gain or dt, or warm the strength up (set_strength)"
            )
        return value

    def _check_shapes(self, input: torch.Tensor, target: torch.Tensor) -> None:
        if not isinstance(input, torch.Tensor):
            raise TypeError(
                f"input must be a tensor of logits, got {type(input).__name__}: for deep supervision use "
                f"DeepSupervisionLoss(InverseEvolutionLoss(...)), with DeepSupervisionLoss outermost"
            )
        without_channel = isinstance(self.loss, WITHOUT_CHANNEL) and target.ndim == input.ndim - 1
        found = target.shape[1:] if without_channel else target.shape[2:]
        if input.shape[2:] != found or (target.ndim != input.ndim and not without_channel):
            stacked = input.ndim == target.ndim + 1 and input.shape[3:] == target.shape[2:]
            mend = (
                "these look like stacked deep-supervision outputs: pass torch.unbind(input, dim=1) to "
                "DeepSupervisionLoss"
                if stacked
                else "logits are B C H [W [D]], the target B 1 H [W [D]] or one-hot, of the same spatial size"
            )
            raise ValueError(f"input has the shape {tuple(input.shape)} and target {tuple(target.shape)}: {mend}")

    def _check_spacing(self, spatial_dims: int, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            affine = getattr(tensor, "affine", None)  # a MetaTensor's
            if affine is not None:
                self.layer.grid.check_affine(affine, spatial_dims)

    def _check_logits(self, logits: torch.Tensor) -> None:
        sums = logits.detach().float().sum(dim=1)
        # The channels were rounded to the logits' precision before they were summed here.
        rounding = max(1e-3, logits.shape[1] * torch.finfo(logits.dtype).eps)
        if logits.shape[1] > 1 and bool((logits >= 0).all()) and bool(((sums - 1).abs() < rounding).all()):
            raise ValueError(
                "input holds probabilities (its channels sum to 1), but the layer works on logits: take the softmax "
                "off the network's end and give the wrapped loss softmax=True"
            )
        self._input_seen = True

    def extra_repr(self) -> str:
        """The strength."""
        return f"strength={self.strength}"
