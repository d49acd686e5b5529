from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel.metrics import ExpectedCalibrationErrorMetric, compute_expected_calibration_error


def case(confidences: list[float], right: list[bool]) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes, one row of voxels: class 1 wins with the given confidence, and is right where said."""
    p = torch.tensor(confidences, dtype=torch.float64)
    probabilities = torch.stack([1 - p, p])[None, :, None]
    truth = torch.tensor(right)
    return probabilities, torch.stack([~truth, truth])[None, :, None].double()


def test_the_error_is_the_weighted_gap_of_the_bins():
    # Bins of width 0.1: (0.5, 0.6] holds 2 voxels, one right; (0.8, 0.9] holds 4, all right.
    probabilities, y = case([0.55, 0.55, 0.85, 0.85, 0.85, 0.85], [True, False, True, True, True, True])
    expected = (2 * abs(0.5 - 0.55) + 4 * abs(1 - 0.85)) / 6
    assert compute_expected_calibration_error(probabilities, y, num_bins=10).item() == pytest.approx(expected, rel=1e-6)


def test_gaps_cancel_within_a_bin_and_add_up_across_bins():
    probabilities, y = case([0.6, 0.9], [True, False])
    assert compute_expected_calibration_error(probabilities, y, num_bins=1).item() == pytest.approx(abs(1 - 1.5) / 2)
    assert compute_expected_calibration_error(probabilities, y, num_bins=10).item() == pytest.approx((0.4 + 0.9) / 2)


def test_bins_are_closed_on_the_right():
    # 0.75 belongs to (0.5, 0.75] together with 0.6, not to (0.75, 1].
    probabilities, y = case([0.75, 0.625], [True, False])
    assert compute_expected_calibration_error(probabilities, y, num_bins=4).item() == pytest.approx(abs(1 - 1.375) / 2)


def test_a_network_that_knows_its_errors_is_calibrated_in_3d():
    rng = np.random.default_rng(1)
    p = torch.from_numpy(rng.uniform(0.5, 1, size=(1, 1, 40, 40, 40)))
    right = torch.from_numpy(rng.random(p.shape)) < p
    y = torch.cat([right, ~right], dim=1).double()
    honest = compute_expected_calibration_error(torch.cat([p, 1 - p], dim=1), y)
    sure = p**0.25
    boastful = compute_expected_calibration_error(torch.cat([sure, 1 - sure], dim=1), y)
    assert honest.item() < 0.01
    assert boastful.item() == pytest.approx((sure - p).mean().item(), abs=0.01)


def test_a_sure_and_calibrated_volume_of_float32_is_not_spoilt_by_rounding():
    # 6.4 million voxels at 0.97, of which 97 % are right: the error is 0 but for float32's 0.97.
    confidence = torch.full((1, 1, 200, 200, 160), 0.97)
    right = (torch.arange(confidence.numel()) % 100 < 97).reshape(confidence.shape)
    value = compute_expected_calibration_error(
        torch.cat([confidence, 1 - confidence], dim=1), torch.cat([right, ~right], dim=1)
    )
    assert value.item() < 1e-6


def test_three_classes_are_judged_by_the_winner():
    probabilities = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1)
    for truth, accuracy in ((0, 0.0), (1, 1.0), (2, 0.0)):
        y = torch.nn.functional.one_hot(torch.tensor([truth]), 3).reshape(1, 3, 1, 1)
        assert compute_expected_calibration_error(probabilities, y).item() == pytest.approx(abs(accuracy - 0.5))


def test_one_sigmoid_channel_equals_its_two_softmax_channels():
    rng = np.random.default_rng(2)
    p = torch.from_numpy(rng.random((2, 1, 16, 16)))
    y = torch.from_numpy(rng.random((2, 1, 16, 16)) > 0.4).double()
    one = compute_expected_calibration_error(p, y)
    two = compute_expected_calibration_error(torch.cat([1 - p, p], 1), torch.cat([1 - y, y], 1))
    assert one.shape == (2, 1)
    assert torch.allclose(one, two)


def test_lists_of_meta_tensors_give_one_value_per_case():
    sure, y = case([1.0, 1.0], [True, True])
    unsure, _ = case([0.6, 0.6], [True, True])
    metric = ExpectedCalibrationErrorMetric()
    values = metric([MetaTensor(sure[0]), MetaTensor(unsure[0])], [MetaTensor(y[0])] * 2)
    assert values.flatten().tolist() == pytest.approx([0.0, 0.4])
    assert metric.aggregate().item() == pytest.approx(0.2)
    assert metric.get_buffer().shape == (2, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_in_half_precision_is_accepted(dtype):
    logits = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 5, 16, 16)) * 4)
    probabilities = logits.to(dtype).softmax(1)
    y = torch.nn.functional.one_hot(logits.argmax(1), 5).movedim(-1, 1)
    half = compute_expected_calibration_error(probabilities, y)
    full = compute_expected_calibration_error(logits.softmax(1), y)
    assert half.item() == pytest.approx(full.item(), abs=0.01)


def test_what_is_no_probability_is_refused():
    probabilities, y = case([0.6, 0.9], [True, False])
    with pytest.raises(ValueError, match=r"probabilities hold values from .*apply softmax or sigmoid"):
        compute_expected_calibration_error(probabilities * 4 - 2, y)
    with pytest.raises(ValueError, match=r"sum to 0\.5 somewhere, expected 1"):
        compute_expected_calibration_error(probabilities * 0.5, y)
    with pytest.raises(ValueError, match="no NaN"):
        compute_expected_calibration_error(probabilities * float("nan"), y)
    with pytest.raises(ValueError, match="expected floating-point"):
        compute_expected_calibration_error(y.long(), y)
    with pytest.raises(ValueError, match="y holds values other than 0 and 1"):
        compute_expected_calibration_error(probabilities, y * 2)
    with pytest.raises(ValueError, match=r"y_pred has shape .* make y one-hot"):
        compute_expected_calibration_error(probabilities, y[:, 1:])
    with pytest.raises(ValueError, match="num_bins is 0"):
        ExpectedCalibrationErrorMetric(num_bins=0)
