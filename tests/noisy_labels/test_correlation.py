"""The correlation length of the displacement of outlines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_iel.noisy_labels import BoundaryCorrelation, correlation_length


def wavy(run: int, height: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A straight outline, and one that is by turns ``height`` above and below it over ``run`` voxels each."""
    rows, columns = np.indices((60, 400))
    up = np.where(columns // run % 2 == 0, height, -height)
    return (rows < 30 + up).astype(int), (rows < 30).astype(int)


@pytest.mark.parametrize("run", [20, 40])
def test_a_square_wave_decays_in_a_straight_line(run: int) -> None:
    noisy, clean = wavy(run)
    correlation = BoundaryCorrelation(reach_mm=60)
    correlation.add(noisy, clean, (1.0, 1.0))
    # C(r) = 1 - 2 r / run up to r = run; displacements near the steps are smaller, as the nearest outline counts.
    assert correlation.length_mm == pytest.approx(run / 2 * (1 - 1 / math.e), rel=0.15)
    distances, values = correlation.curve()
    assert values[np.argmin(abs(distances - run))] == pytest.approx(-1, abs=0.15)


def test_lengths_are_in_mm() -> None:
    noisy, clean = wavy(20)
    assert correlation_length(noisy, clean, (2.0, 2.0)) == pytest.approx(2 * correlation_length(noisy, clean, (1, 1)))


def test_an_outline_too_far_out_everywhere_is_one_mistake() -> None:
    noisy = np.zeros((50, 50), dtype=int)
    noisy[10:40, 10:40] = 1
    clean = np.zeros_like(noisy)
    clean[12:38, 12:38] = 1
    assert correlation_length(noisy, clean, (1.0, 1.0)) == math.inf


def test_no_displacement_has_no_length() -> None:
    _, clean = wavy(20)
    assert correlation_length(clean, clean, (1.0, 1.0)) is None
    assert correlation_length(0 * clean, clean, (1.0, 1.0)) is None


def test_labels_are_pooled_and_long_outlines_thinned_out_alike_every_time() -> None:
    lengths = []
    for _ in range(2):
        correlation = BoundaryCorrelation(reach_mm=60, max_points=150)
        for run in (20, 40):
            correlation.add(*wavy(run), (1.0, 1.0))
        lengths.append(correlation.length_mm)
    assert lengths[0] == lengths[1]
    assert 5 < lengths[0] < 14


def test_bins_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="bin_mm is 0, reach_mm 5; expected 0 < bin_mm <= reach_mm"):
        BoundaryCorrelation(bin_mm=0, reach_mm=5)
