"""Hausdorff distance in mm that does not forget the structures that were missed."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import compute_hausdorff_distance
from monai.utils import MetricReduction

from ._casewise import CasewiseMetric
from ._inputs import Spacing, per_structure

__all__ = ["PhysicalHausdorffDistanceMetric", "compute_physical_hausdorff_distance"]


def _check_percentile(percentile: float) -> float:
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile is {percentile!r}; expected a number above 0 and up to 100 (100 is the maximum).")
    return float(percentile)


def compute_physical_hausdorff_distance(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    percentile: float = 95,
    include_background: bool = False,
    spacing: Spacing = None,
) -> torch.Tensor:
    """Hausdorff distance in mm for each case and structure, counting a miss as the diagonal of the image.

    See :class:`PhysicalHausdorffDistanceMetric` for the definition and the arguments.

    Shape: ``y_pred`` and ``y``: ``B C H W [D]``; result: ``B C`` (``B C-1`` without background), float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for shapes that differ, values other than 0 and 1, a spacing that does not fit, two spacings that
            disagree, or a percentile outside (0, 100].

    Example: a plate moved by two voxels of 1.5 mm, then a plate that was not found in an 8 x 8 mm image.

        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2, :] = 1
        >>> pred = torch.roll(ref, 2, dims=2)
        >>> compute_physical_hausdorff_distance(pred, ref, spacing=(1.5, 1.0))
        tensor([[3.]])
        >>> compute_physical_hausdorff_distance(torch.zeros_like(ref), ref)
        tensor([[11.3137]])
    """
    percentile = _check_percentile(percentile)

    def distance(pred: torch.Tensor, ref: torch.Tensor, mm: tuple[float, ...]) -> float:
        found = compute_hausdorff_distance(
            pred, ref, include_background=True, percentile=percentile, spacing=[list(mm)]
        )
        return float(found)

    return per_structure(
        y_pred,
        y,
        include_background=include_background,
        spacing=spacing,
        found=distance,
        missed=lambda diagonal: diagonal,
    )


class PhysicalHausdorffDistanceMetric(CasewiseMetric):
    r"""Hausdorff distance between segmentation and reference in mm, with the spacing read from each case.

    With the boundaries :math:`\partial P, \partial R` of the prediction and the reference (the voxels of a mask that
    touch its outside, MONAI's definition) and :math:`Q_p` the percentile over a set,

    .. math::
        HD_p = \max\big(Q_p\{d(a, \partial R) : a \in \partial P\},\; Q_p\{d(b, \partial P) : b \in \partial R\}\big).

    The distances are MONAI's (:func:`monai.metrics.compute_hausdorff_distance`). Added here:

    - the spacing comes from the affine of every MetaTensor, so that metric handlers, which cannot pass it with each
      call, measure in mm; one data set may mix spacings;
    - a structure that only one of the two masks has counts as the diagonal of the image (physical extent); as a NaN
      it would leave the mean, and a network would look better for finding nothing (:class:`MissCountMetric` counts);
    - a structure that neither mask has is NaN, and is left out of the mean.

    Do not compare its mean with published means of HD95 that leave misses out, nor, when there are misses, across
    fields of view of different size.

    Args:
        percentile: of the distances, in (0, 100]; 95 is usual, 100 gives the maximum.
        include_background: whether channel 0 is measured too.
        spacing: mm per voxel, a number or one per axis, instead of what the MetaTensors say. Plain tensors without it
            have 1 mm.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.

    Shape: ``y_pred`` and ``y`` one-hot, ``B C H W [D]`` or lists of ``C H W [D]``; per call ``B C`` in mm, float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: see :func:`compute_physical_hausdorff_distance`.

    References:
        Huttenlocher, Klanderman, Rucklidge, "Comparing images using the Hausdorff distance", IEEE TPAMI 15 (1993).
        Maier-Hein et al., "Metrics reloaded", Nature Methods 21 (2024), on missing structures.

    Example (2D, then 3D with anisotropic voxels):

        >>> metric = PhysicalHausdorffDistanceMetric()
        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2, :] = 1
        >>> _ = metric(torch.roll(ref, 3, dims=2), ref)
        >>> metric.aggregate()
        tensor([3.])
        >>> from monai.data import MetaTensor
        >>> ref = MetaTensor(torch.zeros(2, 8, 8, 4), affine=torch.diag(torch.tensor([1.0, 1.0, 2.5, 1.0])))
        >>> ref[1, :, :, 0] = 1
        >>> metric([torch.roll(ref, 2, dims=3)], [ref])  # two slices of 2.5 mm
        tensor([[5.]])
    """

    def __init__(
        self,
        percentile: float = 95,
        include_background: bool = False,
        *,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.percentile = _check_percentile(percentile)
        self.include_background = include_background
        self.spacing = spacing

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        """``spacing`` in ``kwargs`` (MONAI's convention) wins over the one given at construction."""
        if y is None:
            raise TypeError("y is missing; PhysicalHausdorffDistanceMetric compares y_pred with y.")
        return compute_physical_hausdorff_distance(
            y_pred,
            y,
            percentile=self.percentile,
            include_background=self.include_background,
            spacing=kwargs.get("spacing", self.spacing),
        )
