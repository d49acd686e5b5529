"""The base of the metrics here: one value per case and column, reduced as MONAI does but never NaN to zero."""

from __future__ import annotations

import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils import MetricReduction

__all__ = ["CasewiseMetric"]


class CasewiseMetric(CumulativeIterationMetric):
    """Cumulates a ``B C`` tensor per call and reduces it over what is not NaN.

    MONAI's reductions turn "nothing to average" into 0, which for a distance reads as perfect. Means are NaN here in
    that case; sums stay 0.

    Args:
        reduction: ``"mean"`` (over the classes of a case, then over cases), ``"mean_batch"``, ``"sum"``, ...
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.
    """

    def __init__(self, *, reduction: MetricReduction | str = MetricReduction.MEAN, get_not_nans: bool = False) -> None:
        super().__init__()
        self.reduction = MetricReduction(reduction)
        self.get_not_nans = get_not_nans

    def aggregate(
        self, reduction: MetricReduction | str | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Reduce what was cumulated since the last ``reset``.

        Args:
            reduction: another reduction than the one chosen at construction.

        Raises:
            ValueError: when nothing was cumulated.
        """
        data = self.get_buffer()
        if not isinstance(data, torch.Tensor):
            raise ValueError(f"{type(self).__name__} has no values to aggregate; call it on a batch first.")
        mode = MetricReduction(reduction) if reduction is not None else self.reduction
        value, not_nans = do_metric_reduction(data, mode)
        if mode in (MetricReduction.MEAN, MetricReduction.MEAN_BATCH, MetricReduction.MEAN_CHANNEL):
            value = torch.where(not_nans > 0, value, torch.full_like(value, float("nan")))
        return (value, not_nans) if self.get_not_nans else value
