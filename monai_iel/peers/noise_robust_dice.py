"""A Dice loss whose numerator a wrong voxel cannot pull as hard."""

from __future__ import annotations

from typing import Unpack

import torch

from monai_iel.peers.penalties import positive
from monai_iel.peers.segmentation_loss import Head, SegmentationLoss

__all__ = ["NoiseRobustDiceLoss"]


class NoiseRobustDiceLoss(SegmentationLoss):
    r"""Noise-robust Dice loss of COPLE-Net, of each image and class:

    .. math:: \frac{\sum_i |p_i - g_i|^\gamma}{\sum_i p_i^2 + \sum_i g_i^2 + \varepsilon}

    For gamma = 2 it is the Dice loss with squares in its denominator (MONAI's ``DiceLoss(squared_pred=True)``), for
    gamma = 1 an absolute error over the size of the class.

    Not for patches without a class: for gamma < 2 such a class costs up to :math:`p^{\gamma-2}` at the probability p,
    e.g. 10 at 0.01, and its gradient outweighs those of the classes that are there until p is nearly 0 everywhere. Draw
    patches around the organs, leave the background in, or set ``batch``.

    Args:
        gamma: in [1, 2]; 1.5 is the paper's.
        epsilon: added to the denominator; MONAI's ``smooth_dr``.
        batch: sum over the images of a batch first, as in MONAI.
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        - ``input``: logits ``B C H W [D]``.
        - ``target``: class map ``B 1 H W [D]`` with ``to_onehot_y``, else one-hot ``B C H W [D]``.
        - result: a number; ``B C`` (``C`` with ``batch``), less the background, for the reduction ``"none"``.

    Raises:
        ValueError: gamma outside [1, 2]; an epsilon that is not positive; the arguments of the base.

    References:
        G. Wang et al., "A noise-robust framework for automatic segmentation of COVID-19 pneumonia lesions from CT
        images" (COPLE-Net), IEEE Trans. Med. Imaging 39 (2020), 2653-2663, doi 10.1109/TMI.2020.3000314. Read in its
        abstract; the formula is as others restate it, so that its equation number is not known here. Of the paper the
        loss alone: no COPLE-Net, no self-ensembling.

    Example:
        >>> loss = NoiseRobustDiceLoss(softmax=True, to_onehot_y=True)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = NoiseRobustDiceLoss(1.0, sigmoid=True)(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8))
        >>> round(float(volume), 4)  # (1/2) / (1/4 + 1)
        0.4
    """

    def __init__(self, gamma: float = 1.5, *, epsilon: float = 1e-5, batch: bool = False, **head: Unpack[Head]) -> None:
        super().__init__(**head)
        if not 1 <= gamma <= 2:
            raise ValueError(f"gamma must lie in [1, 2]; got {gamma!r}")
        self.gamma, self.epsilon, self.batch = float(gamma), positive(epsilon, "epsilon"), bool(batch)

    def evaluate(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See the base."""
        p, g = self.probabilities(logits), self.counted(labels)
        over = (*([0] if self.batch else []), *range(2, p.ndim))
        sizes = p.square().sum(dim=over) + g.square().sum(dim=over)
        return self.reduced((p - g).abs().pow(self.gamma).sum(dim=over) / (sizes + self.epsilon))

    def extra_repr(self) -> str:
        """The exponent."""
        return f"gamma={self.gamma:g}, batch={self.batch}"
