"""Cross entropies that a wrong label cannot pull as hard: between the cross entropy and the absolute error."""

from __future__ import annotations

from typing import Unpack

import torch

from monai_iel.peers.penalties import not_negative
from monai_iel.peers.segmentation_loss import Head, VoxelwiseLoss

__all__ = ["GeneralizedCrossEntropyLoss", "MeanAbsoluteErrorLoss", "SymmetricCrossEntropyLoss"]


class GeneralizedCrossEntropyLoss(VoxelwiseLoss):
    r"""Generalised cross entropy of Zhang and Sabuncu, :math:`L_q(p, k) = (1 - p_k^q) / q`, by voxel.

    Its gradient is that of the cross entropy times :math:`p_k^q`: a voxel whose label the network finds unlikely pulls
    less. For q to 0 it is the cross entropy, for q = 1 half the mean absolute error. The sum over all K classes lies
    in :math:`[(K - K^{1-q})/q,\,(K-1)/q]`; the narrower, the less symmetric noise changes the minimum.

    Not for errors that the image explains, such as outlines that are drawn too wide everywhere: those labels are
    likely to the network. A class in few voxels may never be learnt for q near 1, see ``classwise``.

    Args:
        q: in [0, 1]; 0.7 is the paper's.
        classwise: average over the voxels of each class first, then over the classes (of the batch; ours).
        head: ``include_background``, ``to_onehot_y``, ``sigmoid``, ``softmax``, ``reduction`` as in
            :class:`~monai_iel.peers.segmentation_loss.SegmentationLoss`.

    Shape:
        - ``input``: logits ``B C H W [D]``.
        - ``target``: class map ``B 1 H W [D]`` with ``to_onehot_y``, else one-hot or soft ``B C H W [D]``.
        - result: a number; ``B 1 H W [D]`` (softmax) or ``B C H W [D]`` (sigmoid) for the reduction ``"none"``.

    Raises:
        ValueError: q outside [0, 1]; the arguments of the base.

    References:
        Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
        NeurIPS 2018, arXiv 1805.07836: the loss L_q, its gradient and its bounds. Read in its abstract and in summaries
        that derive these, so that its equation numbers are not known here. The truncated loss is left out.

    Example:
        >>> loss = GeneralizedCrossEntropyLoss(softmax=True, to_onehot_y=True)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = GeneralizedCrossEntropyLoss(0.5, sigmoid=True)
        >>> round(float(volume(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8))), 4)  # (1 - sqrt(1/2)) / (1/2)
        0.5858
    """

    def __init__(self, q: float = 0.7, *, classwise: bool = False, **head: Unpack[Head]) -> None:
        super().__init__(classwise=classwise, **head)
        if not 0 <= q <= 1:
            raise ValueError(f"q must lie in [0, 1]; got {q!r}")
        self.q = float(q)

    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """``(1 - p^q) / q``, and ``-log p`` for q = 0."""
        return -log_p if self.q == 0 else torch.expm1(self.q * log_p) / -self.q

    def extra_repr(self) -> str:
        """The exponent."""
        return f"q={self.q:g}"


class MeanAbsoluteErrorLoss(VoxelwiseLoss):
    r"""Absolute error between label and probabilities, :math:`\sum_j |y_j - p_j| = 2 - 2 p_k`, by voxel.

    It is symmetric, :math:`\sum_k L(p, k) = 2K - 2` for all p. So the risk under labels that are changed to each other
    class with the probability :math:`\eta / (K - 1)` is :math:`(1 - \eta K / (K - 1))` times the clean one plus a
    constant, and has the same minimum while :math:`\eta < (K - 1) / K`.

    Not for fast training, nor for small organs: every voxel pulls alike however wrong it is, and the network may stay
    with the background everywhere. ``classwise`` mends that for clean labels, and gives up the symmetry: with few
    voxels in a class the background's voxels that are labelled so weigh as much as the others. Annotation errors are
    seldom symmetric either: they lie at outlines.

    Args:
        classwise: average over the voxels of each class first, then over the classes (of the batch; ours).
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        As in :class:`GeneralizedCrossEntropyLoss`.

    Raises:
        ValueError: the arguments of the base.

    References:
        A. Ghosh, H. Kumar, P. Sastry, "Robust loss functions under label noise for deep neural networks", AAAI 2017,
        arXiv 1712.09482: the condition on the sum over the classes, and that the absolute error meets it. Read in
        summaries alone, so that its equation numbers are not known here.

    Example:
        >>> loss = MeanAbsoluteErrorLoss(softmax=True, to_onehot_y=True, classwise=True)
        >>> float(loss(torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8)))  # 2 - 2 / 4
        1.5
        >>> float(MeanAbsoluteErrorLoss(sigmoid=True)(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)))
        1.0
    """

    def __init__(self, *, classwise: bool = False, **head: Unpack[Head]) -> None:
        super().__init__(classwise=classwise, **head)

    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """``2 - 2 p``."""
        return -2 * torch.expm1(log_p)


class SymmetricCrossEntropyLoss(VoxelwiseLoss):
    r"""Symmetric cross entropy of Wang et al.: :math:`\alpha\,\mathrm{CE} + \beta\,\mathrm{RCE}`, by voxel.

    The reverse cross entropy :math:`-\sum_j p_j \log y_j` takes :math:`\log 0` for a constant A < 0, so it is
    :math:`-A\,(1 - p_k)`: the absolute error times -A/2, which is symmetric (its sum over the classes is
    :math:`-A\,(K - 1)`), while the cross entropy sees to it that all classes are learnt.

    Not free of the cross entropy's pull, which alpha scales: a wrong label costs without bound.

    Args:
        alpha: weight of the cross entropy; the paper's 0.1 is for ten classes with much noise.
        beta: weight of the reverse cross entropy.
        log_zero: A, what stands for the logarithm of 0; below 0.
        classwise: average over the voxels of each class first, then over the classes (of the batch; ours).
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        As in :class:`GeneralizedCrossEntropyLoss`. Of soft labels the reverse term is the mean over the labels.

    Raises:
        ValueError: a weight below 0; ``log_zero`` not below 0; the arguments of the base.

    References:
        Y. Wang et al., "Symmetric cross entropy for robust learning with noisy labels", ICCV 2019, arXiv 1908.06112:
        both terms, A = -4, alpha = 0.1 and beta = 1. Read in its abstract and in papers that restate the loss, so that
        its equation numbers are not known here.

    Example:
        >>> loss = SymmetricCrossEntropyLoss(softmax=True, to_onehot_y=True)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> reverse = SymmetricCrossEntropyLoss(0, sigmoid=True)
        >>> float(reverse(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)))  # 4 (1 - 1/2)
        2.0
    """

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        *,
        log_zero: float = -4.0,
        classwise: bool = False,
        **head: Unpack[Head],
    ) -> None:
        super().__init__(classwise=classwise, **head)
        self.alpha, self.beta = not_negative(alpha, "alpha"), not_negative(beta, "beta")
        if not -float("inf") < log_zero < 0:
            raise ValueError(f"log_zero must be finite and below 0; got {log_zero!r}")
        self.log_zero = float(log_zero)

    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """``-alpha log p - beta A (1 - p)``."""
        return -self.alpha * log_p + self.beta * self.log_zero * torch.expm1(log_p)

    def extra_repr(self) -> str:
        """The weights and A."""
        return f"alpha={self.alpha:g}, beta={self.beta:g}, log_zero={self.log_zero:g}"
