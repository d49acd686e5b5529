"""Convexity of the predictions as an ignite metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.handlers import IgniteMetricHandler
from monai.utils import MetricReduction

from monai_iel.metrics import ConvexityMetric
from monai_iel.metrics._inputs import Spacing

from .metric_handlers import _identity

__all__ = ["ConvexityHandler"]


class ConvexityHandler(IgniteMetricHandler):
    """One measure of the convexity of the predictions over an evaluation, the spacing read from every case.

    See :class:`~monai_iel.metrics.ConvexityMetric`, also for how regions stand in the table of
    :class:`~monai_iel.handlers.CaseTableHandler`. Attach one handler for each measure.

    Args:
        measure: ``"solidity"``, ``"concavity_depth"`` (mm), ``"nonconvex_fraction"`` or ``"components"``.
        include_background: whether channel 0 is measured too.
        regions: lists of classes that are measured as one structure each; None measures every class by itself.
        spacing: mm per voxel instead of what the MetaTensors say.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        output_transform: gets ``(y_pred, y)`` from ``engine.state.output``, ``y_pred`` one-hot: usually
            ``from_engine(["pred", "label"])``; ``from_engine(["label", "label"])`` measures the labels.
        save_details: whether the values of every case go to ``engine.state.metric_details[name]``.

    Raises:
        ValueError: for an unknown measure, or regions that are no lists of classes.

    Example (2D and 3D):

        >>> import torch
        >>> from ignite.engine import Engine
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> ConvexityHandler("solidity").attach(evaluator, "solidity")
        >>> ConvexityHandler("concavity_depth").attach(evaluator, "concavity_mm")
        >>> pred = torch.ones(1, 2, 8, 8)
        >>> pred[:, 1, 4, :4] = 0
        >>> metrics = evaluator.run([(pred, pred)]).metrics
        >>> metrics["solidity"], metrics["concavity_mm"]
        (0.9375, 3.0)
        >>> pred = pred[..., None].expand(1, 2, 8, 8, 5)
        >>> evaluator.run([(pred, pred)]).metrics["solidity"]
        0.9375
    """

    def __init__(
        self,
        measure: str = "solidity",
        include_background: bool = False,
        *,
        regions: Sequence[Sequence[int]] | None = None,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        output_transform: Callable[[Any], Any] = _identity,
        save_details: bool = True,
    ) -> None:
        metric = ConvexityMetric(measure, include_background, regions=regions, spacing=spacing, reduction=reduction)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=save_details)
