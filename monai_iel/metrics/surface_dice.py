"""Normalised surface Dice with a tolerance in mm."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import compute_surface_dice
from monai.utils import MetricReduction

from ._casewise import CasewiseMetric
from ._inputs import Spacing, per_structure

__all__ = ["PhysicalSurfaceDiceMetric", "compute_physical_surface_dice"]


def _check_tolerance(tolerance_mm: float) -> float:
    if not 0 <= tolerance_mm < float("inf"):
        raise ValueError(f"tolerance_mm is {tolerance_mm!r}; expected a finite distance in mm, 0 or more.")
    return float(tolerance_mm)


def compute_physical_surface_dice(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    tolerance_mm: float = 1.0,
    include_background: bool = False,
    spacing: Spacing = None,
) -> torch.Tensor:
    """Surface Dice at a tolerance in mm for each case and structure.

    See :class:`PhysicalSurfaceDiceMetric` for the definition and the arguments.

    Shape: ``y_pred`` and ``y``: ``B C H W [D]``; result: ``B C`` (``B C-1`` without background), float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for shapes that differ, values other than 0 and 1, a spacing that does not fit, two spacings that
            disagree, or a tolerance that is negative or infinite.

    Example: a plate moved by one voxel of 1.5 mm.

        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2, :] = 1
        >>> pred = torch.roll(ref, 1, dims=2)
        >>> compute_physical_surface_dice(pred, ref, spacing=(1.5, 1.0), tolerance_mm=1.5)
        tensor([[1.]])
        >>> compute_physical_surface_dice(pred, ref, spacing=(1.5, 1.0), tolerance_mm=1.0)
        tensor([[0.]])
    """
    tolerance_mm = _check_tolerance(tolerance_mm)

    def dice(pred: torch.Tensor, ref: torch.Tensor, mm: tuple[float, ...]) -> float:
        found = compute_surface_dice(
            pred, ref, class_thresholds=[tolerance_mm], include_background=True, spacing=[list(mm)]
        )
        return float(found)

    return per_structure(
        y_pred, y, include_background=include_background, spacing=spacing, found=dice, missed=lambda _: 0.0
    )


class PhysicalSurfaceDiceMetric(CasewiseMetric):
    r"""Share of the two boundaries that lie within a tolerance of each other, with the spacing read from each case.

    .. math::
        NSD_\tau = \frac{|\{a \in \partial P : d(a, \partial R) \le \tau\}|
        + |\{b \in \partial R : d(b, \partial P) \le \tau\}|}{|\partial P| + |\partial R|}

    counted in boundary voxels (:func:`monai.metrics.compute_surface_dice` without sub-voxel areas). A structure that
    only one of the masks has scores 0; one that neither has is NaN and is left out of the mean. The tolerance is in mm
    whatever the spacing of a case, which is read from its affine.

    Not meant for tolerances below the voxel size: whole voxels are compared, so the value jumps there. With strongly
    anisotropic voxels a voxel of the boundary counts once, whatever its area.

    Args:
        tolerance_mm: deviation that is still right, in mm; about what two careful raters differ by.
        include_background: whether channel 0 is measured too.
        spacing: mm per voxel, a number or one per axis, instead of what the MetaTensors say. Plain tensors without it
            have 1 mm.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.

    Shape: ``y_pred`` and ``y`` one-hot, ``B C H W [D]`` or lists of ``C H W [D]``; per call ``B C`` in [0, 1], float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: see :func:`compute_physical_surface_dice`.

    References:
        Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
        radiotherapy", arXiv 1809.04430; there with areas of surface elements, here with boundary voxels.

    Example (2D, then 3D with anisotropic voxels):

        >>> metric = PhysicalSurfaceDiceMetric(tolerance_mm=2.0)
        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2, :] = 1
        >>> metric(torch.roll(ref, 2, dims=2), ref)
        tensor([[1.]])
        >>> from monai.data import MetaTensor
        >>> ref = MetaTensor(torch.zeros(2, 8, 8, 4), affine=torch.diag(torch.tensor([1.0, 1.0, 2.5, 1.0])))
        >>> ref[1, :, :, 0] = 1
        >>> metric([torch.roll(ref, 1, dims=3)], [ref])  # one slice of 2.5 mm is too far
        tensor([[0.]])
        >>> metric.aggregate()
        tensor([0.5000])
    """

    def __init__(
        self,
        tolerance_mm: float = 1.0,
        include_background: bool = False,
        *,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.tolerance_mm = _check_tolerance(tolerance_mm)
        self.include_background = include_background
        self.spacing = spacing

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        """``spacing`` in ``kwargs`` (MONAI's convention) wins over the one given at construction."""
        if y is None:
            raise TypeError("y is missing; PhysicalSurfaceDiceMetric compares y_pred with y.")
        return compute_physical_surface_dice(
            y_pred,
            y,
            tolerance_mm=self.tolerance_mm,
            include_background=self.include_background,
            spacing=kwargs.get("spacing", self.spacing),
        )
