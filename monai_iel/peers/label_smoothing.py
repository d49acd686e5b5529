"""Labels that are softened where classes meet, and nowhere else."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from monai.networks.layers import separable_filtering

from monai_iel.numerics.grid import Grid
from monai_iel.peers.penalties import positive
from monai_iel.peers.segmentation_loss import Head, VoxelwiseLoss

__all__ = ["SpatiallyVaryingLabelSmoothingLoss"]


class SpatiallyVaryingLabelSmoothingLoss(VoxelwiseLoss):
    r"""Cross entropy with spatially varying label smoothing (SVLS) of Islam and Glocker.

    The soft label of a voxel is the mean of the labels around it, with Gaussian weights for the neighbours and for the
    voxel itself the sum of theirs:

    .. math:: \tilde y_i = \tfrac12 y_i + \tfrac12 \sum_{j \ne i} \frac{G_j}{\sum_{k \ne i} G_k}\,y_j

    So labels away from outlines stay one-hot, no voxel's own class falls below 1/2, and a single wrong voxel is worth
    as much as its surroundings. Beyond the border the image goes on as at the border.

    Not for errors larger than the kernel: their inside stays one-hot. For uniform smoothing take MONAI's
    ``DiceCELoss(label_smoothing=...)``, for neighbours' classes as a constraint on the logits its ``NACLLoss``.

    Args:
        sigma: standard deviation of the Gaussian, in voxels, or in mm with a ``grid``.
        kernel_size: voxels of the kernel along each axis, odd.
        grid: voxel spacing in mm, so that a neighbour across a thick slice weighs less; None: all voxels are cubes.
        classwise: average over the (soft) voxels of each class first, then over the classes (of the batch; ours).
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        As in :class:`GeneralizedCrossEntropyLoss`.

    Raises:
        ValueError: a sigma that is not positive, or so small that no neighbour weighs anything; an even kernel; the
            arguments of the base.

    References:
        M. Islam, B. Glocker, "Spatially varying label smoothing: capturing uncertainty from expert annotations", IPMI
        2021, arXiv 2104.05788. Read in its abstract; that the centre weighs as much as its neighbours together, and the
        kernel of three voxels with sigma 1, are as the method is known, and its equation numbers are not known here.
        One rater; the spacing is ours.

    Example:
        >>> loss = SpatiallyVaryingLabelSmoothingLoss(softmax=True, to_onehot_y=True)
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> volume = SpatiallyVaryingLabelSmoothingLoss(2.0, grid=Grid((1.0, 1.0, 3.0)), sigmoid=True)
        >>> one = torch.zeros(1, 1, 5, 5, 5)
        >>> one[..., 2, 2, 2] = 1
        >>> soft = volume.softened(one)[0, 0, 2, 2]
        >>> [round(float(v), 3) for v in soft[1:4]]  # across slices
        [0.014, 0.5, 0.014]
    """

    def __init__(
        self,
        sigma: float = 1.0,
        *,
        kernel_size: int = 3,
        grid: Grid | None = None,
        classwise: bool = False,
        **head: Unpack[Head],
    ) -> None:
        super().__init__(classwise=classwise, **head)
        if kernel_size < 3 or kernel_size % 2 != 1:
            raise ValueError(f"kernel_size must be odd and at least 3; got {kernel_size!r}")
        self.sigma, self.kernel_size, self.grid = positive(sigma, "sigma"), int(kernel_size), grid

    def class_losses(self, log_p: torch.Tensor) -> torch.Tensor:
        """``-log p``."""
        return -log_p

    def softened(self, labels: torch.Tensor) -> torch.Tensor:
        """The soft labels, ``B C H W [D]``; they sum to what the labels sum to."""
        half = self.kernel_size // 2
        offsets = torch.arange(-half, half + 1, dtype=labels.dtype, device=labels.device)
        sizes = (self.grid or Grid()).spacings(labels.ndim - 2)
        kernels = [torch.exp(-0.5 * (offsets * (h / self.sigma)).square()) for h in sizes]
        neighbours = math.prod(float(kernel.sum()) for kernel in kernels) - 1  # 1 at the centre
        if neighbours <= 0:
            raise ValueError(f"sigma={self.sigma:g} is too small for voxels of {sizes}: no neighbour weighs anything")
        around = separable_filtering(labels, kernels, mode="replicate") - labels
        return 0.5 * labels + 0.5 * around / neighbours

    def extra_repr(self) -> str:
        """The kernel."""
        return f"sigma={self.sigma:g}, kernel_size={self.kernel_size}, {self.grid}"
