"""Gaussian fields: the correlation is exact at any spacing, and the field is one of positions, not of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.transforms.label_noise.fields import GaussianField, draw_field

SPACINGS = [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)]
BOX = (slice(0, 7), slice(3, 9), slice(2, 6))


def sample(field: GaussianField, box, spacing) -> np.ndarray:
    """The fields at all voxels of a box, shape: rows, fields, others."""
    return np.stack(list(field.rows(box, spacing)))


@pytest.mark.parametrize("correlation", [0.7, 2.0, 5.0])
@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_the_covariance_is_a_gaussian_of_the_distance_up_to_the_border_and_below_the_voxel_size(correlation, size):
    # In 1D the field is linear in the white noise, so unit impulses give its covariance without any chance.
    box, spacing = (slice(0, 12),), (size,)
    nodes = draw_field(1, box, 0.0, spacing, correlation, np.random.default_rng(0))
    impulses = GaussianField(np.eye(nodes.noise.shape[1]), nodes.corner, correlation)
    weights = sample(impulses, box, spacing)
    distance = size * np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    assert np.allclose(weights @ weights.T, np.exp(-(distance**2) / (2 * correlation**2)), atol=2e-4)
    assert np.allclose(np.diag(weights @ weights.T), 1, atol=1e-12)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_measured_root_mean_square_and_correlation_are_the_parameters(spacing):
    correlation, rng = 3.0, np.random.default_rng(1)
    fields = [sample(draw_field(3, BOX, 5.0, spacing, correlation, rng), BOX, spacing) for _ in range(400)]
    values = np.moveaxis(np.stack(fields), 2, 0)  # component, case, voxels
    # 1200 independent values at each voxel: the variance has a standard error of sqrt(2 / 1200) = 0.041.
    assert np.mean(values**2, axis=(0, 1)) == pytest.approx(1, abs=0.2)
    assert np.mean(values**2) == pytest.approx(1, abs=0.05)
    for axis, size in enumerate(spacing):
        along = np.moveaxis(values, 2 + axis, 0)
        measured = np.mean(along[0] * along[1])
        assert measured == pytest.approx(np.exp(-(size**2) / (2 * correlation**2)), abs=0.08)
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert np.mean(values[one] * values[other]) == pytest.approx(0, abs=0.08)


def test_a_field_has_the_same_value_at_a_position_whatever_the_voxels_are():
    extent = (slice(0, 10), slice(0, 10), slice(0, 10))
    field = draw_field(2, extent, 2.0, (1.0, 1.0, 1.0), 2.5, np.random.default_rng(2))
    fine = sample(field, extent, (1.0, 1.0, 1.0))
    coarse = sample(field, (slice(0, 19), slice(0, 19), slice(0, 4)), (0.5, 0.5, 3.0))
    assert np.allclose(coarse[::2, :, ::2], fine[..., ::3], atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_row_has_the_fields_first_and_then_the_other_axes(dims):
    box, spacing = BOX[:dims], (1.0, 2.0, 3.0)[:dims]
    values = sample(draw_field(4, box, 1.0, spacing, 2.0, np.random.default_rng(0)), box, spacing)
    assert values.shape == (7, 4, *(6, 4)[: dims - 1])
