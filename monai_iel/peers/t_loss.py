"""The likelihood of a Student-t: images that are far off pull less, by a tolerance that is learnt."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import nn

from monai_iel.peers.penalties import positive
from monai_iel.peers.segmentation_loss import Head, SegmentationLoss

__all__ = ["TLoss"]


class TLoss(SegmentationLoss):
    r"""T-Loss: negative log-likelihood of the error image under a Student-t whose degrees of freedom are learnt.

    Of each image and class, with the errors :math:`\delta = p - g` of all D voxels as one vector and the identity for
    its scale matrix,

    .. math:: \frac{1}{D}\Big[\log\Gamma\tfrac{\nu}{2} - \log\Gamma\tfrac{\nu + D}{2} + \tfrac{D}{2}\log(\pi\nu)
        + \tfrac{\nu + D}{2}\log\big(1 + |\delta|^2 / \nu\big)\Big]

    It is the squared error, :math:`\tfrac12|\delta|^2` and a constant, for :math:`\nu\to\infty`; its gradient is that
    of the squared error times :math:`w = (\nu + D) / (\nu + |\delta|^2)`, so that the pull of an image first grows with
    its error and falls beyond :math:`|\delta|^2 = \nu`.

    Not for wrong voxels in an image that is right: w is one number for all voxels of an image, so within an image this
    is the squared error. As :math:`|\delta|^2 \le D`, w lies between 1 and 1 + D/ν. And not for an optimizer that has
    the network's parameters alone: :math:`\log\nu` is a parameter of the loss. Give the optimizer ``[*net.parameters(),
    *loss.parameters()]``, save ``loss.state_dict()`` with it, and let no weight decay act on it.
    ``configs/peers/t_loss.yaml`` does that for the bundles. Under several processes its gradient is averaged over them.

    Args:
        nu: degrees of freedom to begin with.
        head: as in :class:`GeneralizedCrossEntropyLoss`.

    Shape:
        - ``input``: logits ``B C H W [D]``.
        - ``target``: class map ``B 1 H W [D]`` with ``to_onehot_y``, else one-hot ``B C H W [D]``.
        - result: a number, which may be negative; ``B C`` (less the background) for the reduction ``"none"``.

    Raises:
        ValueError: a nu that is not positive; the arguments of the base.

    References:
        A. Gonzalez-Jimenez et al., "Robust T-Loss for medical image segmentation", MICCAI 2023, arXiv 2306.00753. Read
        in its abstract and in a survey; the density is the multivariate Student-t of the textbooks (C. Bishop, "Pattern
        recognition and machine learning", eq. B.68, with the identity for its precision), so that the paper's own
        equation numbers are not known here. Ours: a vector for each class and one nu for all of them, the division by
        D, which keeps the loss small enough for half precision, and the logarithm of nu as the parameter.

    Example:
        >>> loss, network = TLoss(softmax=True, to_onehot_y=True), nn.Conv2d(1, 3, 3, padding=1)
        >>> optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()])
        >>> loss(network(torch.randn(2, 1, 16, 16)), torch.randint(0, 3, (2, 1, 16, 16))).backward()
        >>> optimizer.step()
        >>> loss.nu != 1.0
        True
        >>> volume = TLoss(sigmoid=True)(torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8))
        >>> bool(volume.isfinite())
        True
    """

    def __init__(self, nu: float = 1.0, **head: Unpack[Head]) -> None:
        super().__init__(**head)
        self.log_nu = nn.Parameter(torch.tensor(math.log(positive(nu, "nu"))))

    @property
    def nu(self) -> float:
        """The degrees of freedom as they are now."""
        return math.exp(float(self.log_nu.detach()))

    def evaluate(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See the base."""
        delta = self.probabilities(logits) - self.counted(labels)
        squares = delta.square().sum(dim=tuple(range(2, delta.ndim)))
        size = delta.shape[2:].numel()
        # In float64: the logarithms of the gamma function are of the order of D log D, and their difference counts.
        log_nu: torch.Tensor = _OverProcesses.apply(self.log_nu).double().to(logits.device)  # type: ignore[no-untyped-call]
        nu = log_nu.exp()
        normaliser = torch.lgamma(nu / 2) - torch.lgamma((nu + size) / 2) + size / 2 * (math.log(math.pi) + log_nu)
        value = (normaliser + (nu + size) / 2 * torch.log1p(squares.double() / nu)) / size
        return self.reduced(value.to(logits.dtype))

    def extra_repr(self) -> str:
        """The degrees of freedom."""
        return f"nu={self.nu:g}"


class _OverProcesses(torch.autograd.Function):
    """The same number in every process: the gradient is averaged, as DistributedDataParallel does for a network."""

    @staticmethod
    def forward(ctx: Any, parameter: torch.Tensor) -> torch.Tensor:
        return parameter.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        grad = grads[0]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            grad = grad.clone()
            torch.distributed.all_reduce(grad)
            grad /= torch.distributed.get_world_size()
        return grad
