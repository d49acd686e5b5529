"""The metrics of this package as ignite metrics, in the form of MONAI's metric handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.handlers import IgniteMetricHandler
from monai.utils import MetricReduction

from monai_iel.metrics import (
    ExpectedCalibrationErrorMetric,
    MissCountMetric,
    PhysicalHausdorffDistanceMetric,
    PhysicalSurfaceDiceMetric,
)
from monai_iel.metrics._inputs import Spacing

__all__ = [
    "ExpectedCalibrationErrorHandler",
    "MissCountHandler",
    "PhysicalHausdorffDistanceHandler",
    "PhysicalSurfaceDiceHandler",
]


def _identity(output: Any) -> Any:
    return output


class PhysicalHausdorffDistanceHandler(IgniteMetricHandler):
    """Hausdorff distance in mm over an evaluation, the spacing read from every case, a miss counting as the diagonal.

    See :class:`~monai_iel.metrics.PhysicalHausdorffDistanceMetric`. Attach :class:`MissCountHandler` beside it: a mean
    that holds diagonals is not understood without their number.

    Args:
        percentile: of the distances, in (0, 100].
        include_background: whether channel 0 is measured too.
        spacing: mm per voxel instead of what the MetaTensors say.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        output_transform: gets ``(y_pred, y)``, both one-hot, from ``engine.state.output``: usually
            ``from_engine(["pred", "label"])``.
        save_details: whether the values of every case go to ``engine.state.metric_details[name]``.

    Raises:
        ValueError: for a percentile outside (0, 100].

    Example (2D and 3D):

        >>> import torch
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> PhysicalHausdorffDistanceHandler().attach(evaluator, "hd95_mm")
        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2] = 1
        >>> evaluator.run([(torch.roll(ref, 2, dims=2), ref)]).metrics["hd95_mm"]
        2.0
        >>> ref = ref[..., None].expand(1, 2, 8, 8, 4)
        >>> evaluator.run([(torch.roll(ref, 3, dims=2), ref)]).metrics["hd95_mm"]
        3.0
    """

    def __init__(
        self,
        percentile: float = 95,
        include_background: bool = False,
        *,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable[[Any], Any] = _identity,
        save_details: bool = True,
    ) -> None:
        metric = PhysicalHausdorffDistanceMetric(percentile, include_background, spacing=spacing, reduction=reduction)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=save_details)


class PhysicalSurfaceDiceHandler(IgniteMetricHandler):
    """Surface Dice at a tolerance in mm over an evaluation, the spacing read from every case.

    See :class:`~monai_iel.metrics.PhysicalSurfaceDiceMetric`.

    Args:
        tolerance_mm: deviation that is still right, in mm.
        include_background: whether channel 0 is measured too.
        spacing: mm per voxel instead of what the MetaTensors say.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        output_transform: gets ``(y_pred, y)``, both one-hot, from ``engine.state.output``.
        save_details: whether the values of every case go to ``engine.state.metric_details[name]``.

    Raises:
        ValueError: for a tolerance that is negative or infinite.

    Example (2D and 3D):

        >>> import torch
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> PhysicalSurfaceDiceHandler(tolerance_mm=2.0).attach(evaluator, "surface_dice")
        >>> ref = torch.zeros(1, 2, 8, 8)
        >>> ref[:, 1, 2] = 1
        >>> evaluator.run([(torch.roll(ref, 2, dims=2), ref)]).metrics["surface_dice"]
        1.0
        >>> ref = ref[..., None].expand(1, 2, 8, 8, 4)
        >>> evaluator.run([(torch.roll(ref, 3, dims=2), ref)]).metrics["surface_dice"]
        0.0
    """

    def __init__(
        self,
        tolerance_mm: float = 1.0,
        include_background: bool = False,
        *,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable[[Any], Any] = _identity,
        save_details: bool = True,
    ) -> None:
        metric = PhysicalSurfaceDiceMetric(tolerance_mm, include_background, spacing=spacing, reduction=reduction)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=save_details)


class MissCountHandler(IgniteMetricHandler):
    """Number of structures over an evaluation that only one of prediction and label has.

    See :class:`~monai_iel.metrics.MissCountMetric`. Attached as ``"hd95_missed"`` it is the column beside ``"hd95_mm"``
    that :class:`~monai_iel.handlers.CaseTableHandler` counts.

    Args:
        include_background: whether channel 0 is counted too.
        reduction: MONAI's; ``"sum"`` is the count, ``"mean"`` the rate.
        output_transform: gets ``(y_pred, y)``, both one-hot, from ``engine.state.output``.
        save_details: whether the values of every case go to ``engine.state.metric_details[name]``.

    Example (2D and 3D):

        >>> import torch
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> MissCountHandler().attach(evaluator, "hd95_missed")
        >>> ref = torch.zeros(2, 2, 8, 8)
        >>> ref[:, 1, 2] = 1
        >>> evaluator.run([(torch.zeros_like(ref), ref)]).metrics["hd95_missed"]
        2.0
        >>> ref = ref[..., None].expand(2, 2, 8, 8, 4)
        >>> evaluator.run([(ref, ref)]).metrics["hd95_missed"]
        0.0
    """

    def __init__(
        self,
        include_background: bool = False,
        *,
        reduction: MetricReduction | str = MetricReduction.SUM,
        output_transform: Callable[[Any], Any] = _identity,
        save_details: bool = True,
    ) -> None:
        metric = MissCountMetric(include_background, reduction=reduction)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=save_details)


class ExpectedCalibrationErrorHandler(IgniteMetricHandler):
    """Top-label expected calibration error over an evaluation, one value per case.

    See :class:`~monai_iel.metrics.ExpectedCalibrationErrorMetric`. It needs probabilities, the other metrics need
    binary masks: keep both in the post-processing, e.g. ``Activationsd("pred", softmax=True)``, then
    ``CopyItemsd("pred", names="probabilities")``, then ``AsDiscreted("pred", argmax=True, to_onehot=...)``.

    Args:
        num_bins: of equal width over [0, 1].
        reduction: MONAI's; ``"mean"`` averages over cases.
        output_transform: gets ``(probabilities, one-hot label)`` from ``engine.state.output``: usually
            ``from_engine(["probabilities", "label"])``.
        save_details: whether the values of every case go to ``engine.state.metric_details[name]``.

    Raises:
        ValueError: for ``num_bins`` below 1.

    Example (2D and 3D):

        >>> import torch
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> ExpectedCalibrationErrorHandler().attach(evaluator, "ece")
        >>> y = torch.zeros(1, 2, 4, 4)
        >>> y[:, 0] = 1
        >>> evaluator.run([(torch.full_like(y, 0.5), y)]).metrics["ece"]
        0.5
        >>> y = y[..., None].expand(1, 2, 4, 4, 4)
        >>> evaluator.run([(y, y)]).metrics["ece"]
        0.0
    """

    def __init__(
        self,
        num_bins: int = 15,
        *,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable[[Any], Any] = _identity,
        save_details: bool = True,
    ) -> None:
        metric = ExpectedCalibrationErrorMetric(num_bins, reduction=reduction)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=save_details)
