"""A loss with a penalty on what is not quasi-concave: the strongest peer of the convex evolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from monai_iel.numerics.grid import Grid
from monai_iel.peers.penalised import PenalisedLoss
from monai_iel.peers.penalties import Form, QuasiConcavityPenalty

__all__ = ["QuasiConcavityLoss"]


class QuasiConcavityLoss(PenalisedLoss):
    r"""Any segmentation loss plus a second-order convexity penalty, after D-Convexity (Chen and Yan, CVPR 2026).

    .. math:: L(u, y) + w\,\mathrm{mean}\big(\lambda(G * p_R(u))\big)_+

    with :math:`p_R` the probability of a region R, G a Gaussian, and :math:`\lambda` the second derivative along the
    level sets; in 2D :math:`\lambda = Q_2 / |\nabla p|^2`, :math:`Q_2 = p_x^2 p_{yy} - 2 p_x p_y p_{xy} + p_y^2
    p_{xx}`. Where :math:`Q_2 < 0`, all superlevel sets of p are convex (p is quasi-concave). Gradients flow through
    everything, the normals too.

    This is a peer to compare :class:`monai_iel.InverseEvolutionLoss` with, re-implemented, not the authors' software.

    **From the published method**: convexity of all superlevel sets of the sigmoid output as the goal, :math:`Q_2`, and
    the loss :math:`\frac{1}{|\Omega|} \sum |\nabla u|\,(Q_2 + \delta)_+` (``form="published", margin=delta,
    blur_mm=0``), by finite differences. They are taken from the authors' project page and a summary of the paper; the
    paper's own text and the authors' code were not read, so that its delta, its kernels and its equation numbers are
    not known here. As published the loss is for one sigmoid channel in 2D, and is used inside the refiner
    (:class:`monai_iel.peers.QuasiConcavityRefine`) as well as beside the cross entropy.

    **Ours**: 3D (the larger of the two tangential eigenvalues), spacing, softmax and regions, the form without the
    factor :math:`|\nabla p|^3` (``form="tangential"``) and the Gaussian. Both are there because they make the peer
    stronger: the published form is of fourth order in the slope and nearly vanishes on soft outlines, and without a
    Gaussian the staircase of the voxels outweighs the concavities, and checkerboards, which central differences do not
    see, grow where it is minimised. The penalty is also 0 for a constant p, and a ``margin`` above 0 penalises every
    slope.

    Not for organs that are concave, for several objects of one class in an image (their union is not convex), or for
    organs at the image's border, where zero flux bends the level sets.

    Args:
        loss: an instance of a segmentation loss of MONAI or torch that takes logits and holds its own activation.
        weight: w; 0 is the plain loss. Lengths are edges of the finest voxel, so it has no unit. Typical 100 to 1000;
            the published form needs about a thousand times as much.
        grid: voxel spacing in mm and boundary condition. Default: 1 mm, zero flux.
        regions: unions of classes, each to be convex, e.g. ``[[1, 2], [2]]`` for a cup (2) in a disc (1 and 2). None
            takes each foreground class by itself.
        sigmoid: the channels are independent (one channel always is); else a softmax.
        form: ``"tangential"`` or ``"published"``.
        margin: delta, added to what is penalised.
        blur_mm: standard deviation of the Gaussian in mm; None: two edges of the finest voxel; 0: none.
        epsilon: slope of p per edge of the finest voxel below which a voxel counts as flat.
        check_finite: refuse a loss that is infinite or NaN. Reads one number from the device per call.

    Shape:
        - ``input``: logits ``B C H W [D]``, floating point, plain or MetaTensor. The penalty and the loss run outside
          autocast, in float32, or float64 for float64 logits.
        - ``target``: what the wrapped loss takes; ``CrossEntropyLoss`` also gets class maps with a channel axis.

    Raises:
        TypeError: ``loss`` is no module; integer logits, or a list of outputs.
        ValueError: arguments out of range; a loss without activation; regions that do not fit the channels; not 2 or 3
            spatial axes; a spacing that is not the grid's; a loss that is not finite.

    References:
        S. Chen, H. Yan, "D-Convexity: a unified differentiable convex shape prior via quasi-concavity for data-driven
        image segmentation", CVPR 2026, arXiv 2605.19210: second-order condition and second-order loss.

    Example:
        >>> import torch
        >>> from monai.losses import DiceCELoss
        >>> loss = QuasiConcavityLoss(DiceCELoss(to_onehot_y=True, softmax=True), weight=100, regions=[[1, 2], [2]])
        >>> logits, label = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (2, 1, 16, 16))
        >>> loss(logits, label).backward()
        >>> grid = Grid((1.0, 1.0, 2.5))
        >>> loss3d = QuasiConcavityLoss(DiceCELoss(sigmoid=True), weight=100, grid=grid)
        >>> bool(loss3d(torch.randn(1, 1, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)).isfinite())
        True
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        weight: float,
        grid: Grid = Grid(),  # noqa: B008 - a frozen value
        regions: Sequence[Sequence[int]] | None = None,
        sigmoid: bool = False,
        form: Form = "tangential",
        margin: float = 0.0,
        blur_mm: float | None = None,
        epsilon: float = 1e-3,
        check_finite: bool = True,
    ) -> None:
        penalty = QuasiConcavityPenalty(
            regions=regions, sigmoid=sigmoid, form=form, margin=margin, blur_mm=blur_mm, epsilon=epsilon
        )
        super().__init__(loss, penalty, weight=weight, grid=grid, check_finite=check_finite)
