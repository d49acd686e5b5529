"""Expected calibration error of the class that a network decides for."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.utils import MetricReduction

from ._casewise import CasewiseMetric
from ._inputs import check_shapes

__all__ = ["ExpectedCalibrationErrorMetric", "compute_expected_calibration_error"]

# How far channel sums may be from 1: rounding of a softmax in the dtype it was computed in.
_SUM_TOLERANCE = {torch.float16: 1e-2, torch.bfloat16: 5e-2}


def compute_expected_calibration_error(
    probabilities: torch.Tensor, y: torch.Tensor, *, num_bins: int = 15
) -> torch.Tensor:
    """Top-label expected calibration error of each case.

    See :class:`ExpectedCalibrationErrorMetric` for the definition and the arguments.

    Shape: ``probabilities`` and ``y`` (one-hot): ``B C H W [D]``; result: ``B 1``, float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for shapes that differ, logits instead of probabilities, a ``y`` that is not binary, or
            ``num_bins < 1``.

    Example: sure of everything, right three times in four.

        >>> y = torch.zeros(1, 2, 2, 2)
        >>> y[:, 0] = 1
        >>> probabilities = y.clone()
        >>> probabilities[:, :, 0, 0] = torch.tensor([0.0, 1.0])
        >>> compute_expected_calibration_error(probabilities, y)
        tensor([[0.2500]])
    """
    num_bins = _check_bins(num_bins)
    check_shapes(probabilities, y)
    p, ref = (t.as_tensor() if isinstance(t, MetaTensor) else t for t in (probabilities, y))
    _check_probabilities(p)
    is_class = ref > 0.5
    if not bool((is_class == ref).all()):
        raise ValueError("y holds values other than 0 and 1; make it one-hot: AsDiscrete(to_onehot=...).")
    if p.shape[1] == 1:
        decided = p > 0.5
        confidence = torch.where(decided, p, 1 - p)
        correct = decided == is_class
    else:
        confidence, winner = p.max(dim=1, keepdim=True)
        correct = is_class.gather(1, winner)
    errors = [_binned_error(c, r, num_bins) for c, r in zip(confidence.flatten(1), correct.flatten(1), strict=True)]
    return torch.stack(errors)[:, None].to(device=p.device, dtype=torch.float32)


def _check_bins(num_bins: int) -> int:
    if num_bins < 1:
        raise ValueError(f"num_bins is {num_bins!r}; expected 1 or more (15 is usual).")
    return int(num_bins)


def _check_probabilities(p: torch.Tensor) -> None:
    if not p.is_floating_point() or not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(
            f"probabilities hold values from {p.min().item():g} to {p.max().item():g} ({p.dtype}); expected "
            "floating-point values in [0, 1] and no NaN: apply softmax or sigmoid to the logits first (Activations)."
        )
    if p.shape[1] == 1:
        return
    sums = p.sum(dim=1, dtype=torch.float32)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > _SUM_TOLERANCE.get(p.dtype, 1e-3):
        raise ValueError(
            f"the channels of probabilities sum to {worst:g} somewhere, expected 1: give softmax probabilities, "
            "neither logits nor several sigmoids (and invert spatial transforms before the softmax)."
        )


def _binned_error(confidence: torch.Tensor, correct: torch.Tensor, num_bins: int) -> torch.Tensor:
    """sum_m |sum of correctness - sum of confidence| / n over the bins ((m - 1) / M, m / M].

    In float64: a float32 sum of some million voxels rounds every addend to the spacing of floats at the running sum.
    That is why monai.metrics.calibration_binning is not used (for 160^3 voxels of 0.97 it finds a mean of 0.996).
    """
    # On the CPU: MPS has no float64, and CUDA's weighted bincount is not deterministic.
    wide, correct = confidence.cpu().double(), correct.cpu()
    bins = (wide * num_bins).ceil().long().sub(1).clamp(0, num_bins - 1)
    gap = torch.bincount(bins, weights=correct.double() - wide, minlength=num_bins)
    return gap.abs().sum() / wide.numel()


class ExpectedCalibrationErrorMetric(CasewiseMetric):
    r"""How far the confidence of the winning class is from how often that class is right.

    With the voxels of a case sorted into bins :math:`B_m` by confidence :math:`\max_c p_c`,

    .. math:: ECE = \sum_m \frac{|B_m|}{n} \,\big|\, \mathrm{acc}(B_m) - \mathrm{conf}(B_m) \,\big| .

    Top-label, all classes together, one value per case. MONAI's ``CalibrationErrorMetric`` is another quantity: it bins
    each class's probability by itself. A single channel is taken for the probability of the foreground.

    Worth a look after training through an inverse evolution layer: the loss saw amplified logits, the user gets the
    plain ones. Not a measure of calibration at boundaries: the voxels far from any boundary dominate a large image.

    Args:
        num_bins: of equal width over [0, 1]; 15 is usual.
        reduction: MONAI's; ``"mean"`` averages over cases.
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.

    Shape: ``y_pred`` (probabilities) and ``y`` (one-hot), ``B C H W [D]`` or lists of ``C H W [D]``; per call ``B 1``.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: see :func:`compute_expected_calibration_error`.

    References:
        Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3.

    Example (2D, then 3D):

        >>> metric = ExpectedCalibrationErrorMetric()
        >>> y = torch.zeros(1, 2, 4, 4)
        >>> y[:, 0] = 1
        >>> metric(torch.full((1, 2, 4, 4), 0.5), y)  # half sure, always right
        tensor([[0.5000]])
        >>> y3 = y[..., None].expand(1, 2, 4, 4, 4)
        >>> metric(y3.clone(), y3)
        tensor([[0.]])
        >>> metric.aggregate()
        tensor([0.2500])
    """

    def __init__(
        self,
        num_bins: int = 15,
        *,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.num_bins = _check_bins(num_bins)

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise TypeError("y is missing; ExpectedCalibrationErrorMetric compares y_pred with y.")
        return compute_expected_calibration_error(y_pred, y, num_bins=self.num_bins)
