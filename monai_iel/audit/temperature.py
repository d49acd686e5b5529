"""Temperature scaling: probabilities that mean what they say, fitted on cases that the networks did not learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from monai_iel.audit.case import AuditCase
from monai_iel.audit.checks import check_case
from monai_iel.audit.masks import foreground_box
from monai_iel.audit.quality import self_confidence

__all__ = ["TemperatureFit", "VoxelSample", "apply_temperature", "fit_temperature", "sample_voxels"]

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 10.0
_LEAST = np.float32(1e-7)  # softmax in float32 cannot tell less from 0
_SURE = 0.95


def apply_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities ``p_c^(1/T) / sum_d p_d^(1/T)``: the softmax of the logits divided by T.

    The logarithm of a probability is its logit up to a constant, so no logits are needed. T > 1 makes the
    probabilities less sure; the order of the classes stays. Zeros count as 1e-7, so that a saturated voxel is not sure
    for ever; at T = 1 the array is returned as it is.

    Args:
        probabilities: ``C H W [D]`` or ``C N``, float32.
        temperature: T, from 0.2 to 10.

    Raises:
        ValueError: the temperature is out of range.

    >>> apply_temperature(np.array([[0.8], [0.2]], dtype=np.float32), 2.0).round(3)[:, 0]
    array([0.667, 0.333], dtype=float32)
    """
    if not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        raise ValueError(f"temperature is {temperature}, expected {MIN_TEMPERATURE} to {MAX_TEMPERATURE:g}")
    if temperature == 1:
        return probabilities
    scaled = np.maximum(probabilities, _LEAST, dtype=np.float32)
    np.power(scaled, np.float32(1 / temperature), out=scaled)
    scaled /= scaled.sum(axis=0)
    return scaled


@dataclass(frozen=True)
class VoxelSample:
    """Some voxels of a case that stand for all around its organs.

    Args:
        probabilities: ``C N`` of the N voxels, float32.
        classes: what they are annotated as.
        weights: how much of the case each stands for; their sum is 1.
    """

    probabilities: NDArray[np.float32]
    classes: NDArray[np.int32]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature and what it was found from.

    Args:
        temperature: T, the median over the cases.
        quartiles: of the cases' temperatures; far apart where cases are few or unlike each other.
        cases: number of cases that it is from.
        left_out: number of cases around whose foreground one class is annotated only, from which nothing follows.
    """

    temperature: float
    quartiles: tuple[float, float]
    cases: int
    left_out: int

    def record(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)


def sample_voxels(case: AuditCase, size: int = 2000) -> VoxelSample:
    """Draw up to ``size`` voxels of a case, the same ones whenever the case has this id.

    Half of them where there is something to calibrate: where annotation and prediction differ or the most probable
    class has less than 0.95; half elsewhere in the box of the foreground. Each stands for its share of that box, so a
    weighted mean is an unbiased estimate of the mean over the box. The far background is left out: it is as easy as it
    is large.

    Raises:
        ValueError: the case does not fit together.
    """
    check_case(case)
    prediction = case.prediction
    box = foreground_box(case.label, prediction)
    label = case.label[box].ravel()
    probabilities = case.probabilities[:, *box].reshape(len(case.probabilities), -1)
    hard = (label != prediction[box].ravel()) | (probabilities.max(axis=0) < _SURE)
    seed = int.from_bytes(hashlib.sha256(case.case_id.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    chosen, weights = [], []
    for stratum in (np.flatnonzero(hard), np.flatnonzero(~hard)):
        number = min(len(stratum), max(1, size // 2))
        chosen.append(rng.choice(stratum, number, replace=False))
        weights.append(np.full(number, len(stratum) / max(1, number) / label.size))
    voxels = np.concatenate(chosen)
    return VoxelSample(probabilities[:, voxels].copy(), label[voxels].copy(), np.concatenate(weights))


def fit_temperature(samples: Iterable[VoxelSample]) -> TemperatureFit:
    """The temperature of held-out cases, though some of their annotations are wrong.

    For each case the T from 0.2 to 10 that minimises the cross entropy between annotation and probabilities,

        - sum_i w_i log p_T(y_i),

    and of these the median over the cases. One temperature for all voxels of all cases would pay for the wrong
    annotations: each disputes what the networks are sure of, at a cost of -log p that has no bound, and a T that calls
    every network unsure comes cheaper. The median is moved little as long as far fewer than half of the cases are
    wrong.

    **What it does not see:** annotations that are wrong in the same way everywhere (all outlines too far out) are
    learnt, predicted and calibrated as if they were right.

    Of a case no more is kept than its temperature, so ``fit_temperature(sample_voxels(case) for case in cases)`` takes
    any number of cases.

    Args:
        samples: of `sample_voxels`, one for each case that the networks did not learn from.

    Raises:
        ValueError: no samples, or one class only in each of them.
    """
    found: list[float] = []
    left_out = 0
    for sample in samples:
        if np.ptp(sample.classes) == 0:
            left_out += 1
        else:
            found.append(_temperature_of(sample))
    if not found:
        raise ValueError(
            f"each of the {left_out} samples holds one class only, expected two or more in at least one of them; a "
            "temperature cannot be fitted without: leave it at 1"
        )
    low, middle, high = np.percentile(found, [25, 50, 75])
    return TemperatureFit(float(middle), (float(low), float(high)), len(found), left_out)


def _temperature_of(sample: VoxelSample) -> float:
    def cross_entropy(log_temperature: float) -> float:
        right = self_confidence(apply_temperature(sample.probabilities, float(np.exp(log_temperature))), sample.classes)
        return -float(sample.weights @ np.log(np.maximum(right, _LEAST), dtype=np.float64))

    bounds = np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)
    found = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
