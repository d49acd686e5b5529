"""Cross entropy that holds on to what the network had learnt before it began to learn wrong labels by heart."""

from __future__ import annotations

from typing import Unpack

import torch

from monai_iel.losses.wrapping import plain_tensor
from monai_iel.peers.penalties import not_negative
from monai_iel.peers.segmentation_loss import Head, VoxelwiseLoss

__all__ = ["EarlyLearningRegularizationLoss"]


class EarlyLearningRegularizationLoss(VoxelwiseLoss):
    r"""Early-learning regularisation (ELR) of Liu et al., by voxel, with the targets of a mean teacher.

    .. math:: -\sum_k y_k \log p_k + \lambda \log\big(1 - (1 - \varepsilon)\langle p, t\rangle\big)

    With t the probabilities of a teacher whose weights are a running average of the network's, the gradient by the
    logits is :math:`p - y + \lambda g`, and g is negative for the class that the teacher prefers: where the label is
    wrong it works against the cross entropy, where it is right it keeps the voxel's weight when p - y has vanished.

    The targets come from :class:`~monai_iel.peers.MeanTeacherHandler`, which sets them in every step; without them the
    loss refuses to work.

    Not from the first step on: while the network sees background alone, the teacher's targets keep it there
    (``start_epoch`` of the handler). Not for errors that the network learns early, such as outlines that are too wide
    everywhere. The loss may be negative.

    Args:
        strength: lambda; the paper's for images of ten classes is 3 where errors are random, 1 where classes are
            mistaken for similar ones. What is undecided goes to the larger class, the more so the larger lambda.
        epsilon: keeps the logarithm finite; the paper has none.
        classwise: average over the voxels of each class first, then over the classes (of the batch; ours).
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        As in :class:`GeneralizedCrossEntropyLoss`. ``set_target`` takes the teacher's logits, as large as ``input``.

    Raises:
        ValueError: a strength below 0; an epsilon outside (0, 1); the arguments of the base; while running, no target,
            or one of another shape.

    References:
        S. Liu, J. Niles-Weed, N. Razavian, C. Fernandez-Granda, "Early-learning regularization prevents memorization of
        noisy labels", NeurIPS 2020, arXiv 2007.00151: eq. (7), its gradient in Lemma 2, and the weight averaging of
        section 4.3. The running average of the outputs, eq. (10), needs a target for each voxel of the data set, and
        crops that come back; it is left out, as are the two networks and the mixing of images of ELR+.
        S. Liu et al., "Adaptive early-learning correction for segmentation from noisy annotations" (ADELE), CVPR 2022,
        arXiv 2110.03740 (read in its abstract), for early learning in segmentation; its correction of the labels is not
        here.

    Example:
        >>> loss = EarlyLearningRegularizationLoss(softmax=True, to_onehot_y=True)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss.set_target(torch.randn(2, 3, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = EarlyLearningRegularizationLoss(sigmoid=True)
        >>> volume.set_target(None)  # this step without: the cross entropy
        >>> round(float(volume(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8))), 4)
        0.6931
    """

    def __init__(
        self, strength: float = 1.0, *, epsilon: float = 1e-4, classwise: bool = False, **head: Unpack[Head]
    ) -> None:
        super().__init__(classwise=classwise, **head)
        self.strength = not_negative(strength, "strength")
        if not 0 < epsilon < 1:
            raise ValueError(f"epsilon must lie between 0 and 1; got {epsilon!r}")
        self.epsilon = float(epsilon)
        self._target: torch.Tensor | None = None
        self._is_set = False

    def set_target(self, logits: torch.Tensor | None) -> None:
        """Take the teacher's logits of the images of this step; None: this step is without."""
        self._target = None if logits is None else plain_tensor(logits).detach()
        self._is_set = True

    def clear_target(self) -> None:
        """Forget them, so that they cannot meet the images of another step."""
        self._target, self._is_set = None, False

    def evaluate(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See the base."""
        if not self._is_set:
            raise ValueError(
                "there is no target for this step: attach monai_iel.peers.MeanTeacherHandler(network, loss) to the "
                "trainer, or call set_target"
            )
        if self._target is not None and self._target.shape != logits.shape:
            raise ValueError(
                f"the teacher's logits have the shape {tuple(self._target.shape)}, the network's "
                f"{tuple(logits.shape)}; deep supervision is not for this loss"
            )
        return super().evaluate(logits, labels)

    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """``-log p``: the cross entropy."""
        return -log_p

    def voxel_losses(self, log_p: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross entropy and regularisation, ``B G H W [D]``."""
        values = super().voxel_losses(log_p, labels)
        if self._target is None:
            return values
        others = -torch.expm1(self.log_probabilities(self._target.to(log_p)))  # 1 - t, to the last digit
        disagreement = (log_p.exp() * others).sum(dim=1)  # 1 - <p, t>
        return values + self.strength * torch.log(self.epsilon + (1 - self.epsilon) * disagreement)

    def extra_repr(self) -> str:
        """Strength and epsilon."""
        return f"strength={self.strength:g}, epsilon={self.epsilon:g}"
