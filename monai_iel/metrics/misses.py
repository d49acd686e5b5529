"""How many structures were missed or invented: the number that belongs beside every distance."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import MetricReduction

from ._casewise import CasewiseMetric
from ._inputs import binary_pair

__all__ = ["MissCountMetric", "compute_misses"]


def compute_misses(y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool = False) -> torch.Tensor:
    """1 where only one of the two masks has a structure, 0 where both have it, NaN where neither has.

    Shape: ``y_pred`` and ``y``: ``B C H W [D]``; result: ``B C`` (``B C-1`` without background), float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for shapes that differ or values other than 0 and 1.

    Example: class 1 is in both, class 2 only in the reference, class 3 in neither.

        >>> ref = torch.zeros(1, 4, 4, 4)
        >>> ref[:, 1, :2], ref[:, 2, 2:] = 1, 1
        >>> pred = ref.clone()
        >>> pred[:, 2] = 0
        >>> compute_misses(pred, ref)
        tensor([[0., 1., nan]])
    """
    pred, ref = binary_pair(y_pred, y, include_background=include_background)
    in_pred, in_ref = pred.flatten(2).any(-1), ref.flatten(2).any(-1)
    missed = (in_pred != in_ref).float()
    return missed.masked_fill(~(in_pred | in_ref), float("nan"))


class MissCountMetric(CasewiseMetric):
    """Number of structures that are in only one of prediction and reference, over all cases.

    Counts both a structure that was not found and one that was invented: what :class:`PhysicalHausdorffDistanceMetric`
    puts the diagonal of the image for. Not a count of lesions: a class counts once per case.

    Args:
        include_background: whether channel 0 is counted too.
        reduction: MONAI's; ``"sum"`` (default) is the count, ``"mean"`` the rate, ``"sum_batch"`` the count per class.
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.

    Shape: ``y_pred`` and ``y`` one-hot, ``B C H W [D]`` or lists of ``C H W [D]``; per call ``B C``, float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for shapes that differ or values other than 0 and 1.

    Example (2D, then 3D):

        >>> metric = MissCountMetric()
        >>> ref = torch.zeros(1, 2, 4, 4)
        >>> ref[:, 1, :2] = 1
        >>> metric(ref, ref), metric(torch.zeros_like(ref), ref)
        (tensor([[0.]]), tensor([[1.]]))
        >>> metric(torch.zeros(1, 2, 4, 4, 4), torch.zeros(1, 2, 4, 4, 4))
        tensor([[nan]])
        >>> metric.aggregate()
        tensor(1.)
    """

    def __init__(
        self,
        include_background: bool = False,
        *,
        reduction: MetricReduction | str = MetricReduction.SUM,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.include_background = include_background

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise TypeError("y is missing; MissCountMetric compares y_pred with y.")
        return compute_misses(y_pred, y, include_background=self.include_background)
