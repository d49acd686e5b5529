"""The stencil and the eigenbasis against each other and against closed forms, in float64."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from monai_iel import Grid
from monai_iel.numerics import Boundary, laplacian
from monai_iel.numerics.spectral import apply_multiplier, basis, computing_dtype, eigenvalues, largest_eigenvalue

BOUNDARIES = get_args(Boundary)
CPU = torch.device("cpu")
GEOMETRIES = [((7,), (0.5,)), ((6, 9), (1.0, 2.5)), ((5, 4, 7), (0.7, 1.0, 3.0)), ((1, 2, 6), (1.0, 2.0, 0.5))]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
def test_the_basis_is_orthonormal(n: int, boundary: Boundary) -> None:
    rows = basis(n, boundary, torch.float64, CPU)
    torch.testing.assert_close(rows @ rows.T, torch.eye(n, dtype=torch.float64), atol=1e-13, rtol=0)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "spacing"), GEOMETRIES)
def test_every_basis_vector_is_an_eigenmode_of_the_stencil(
    shape: tuple[int, ...], spacing: tuple[float, ...], boundary: Boundary
) -> None:
    grid = Grid(spacing, boundary)
    values = eigenvalues(shape, grid)
    modes = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, 1, *shape)
    fields = apply_multiplier(modes, torch.ones(shape, dtype=torch.float64), boundary)  # identity: to rounding
    torch.testing.assert_close(fields, modes, atol=1e-13, rtol=0)
    # -laplacian == V^T diag(lambda) V on a whole basis of the space means: each column of V^T is an eigenmode
    torch.testing.assert_close(
        apply_multiplier(modes, values, boundary), -laplacian(modes, grid), atol=1e-12 * float(values.max()), rtol=0
    )


@pytest.mark.parametrize(("k", "m"), [(0, 0), (1, 0), (2, 3), (5, 7)])
def test_cosines_decay_at_the_closed_form_rate_under_zero_flux(k: int, m: int) -> None:
    n1, n2, h1, h2 = 6, 8, 0.8, 2.0
    i, j = torch.arange(n1, dtype=torch.float64), torch.arange(n2, dtype=torch.float64)
    mode = torch.cos(math.pi * k * (i + 0.5) / n1)[:, None] * torch.cos(math.pi * m * (j + 0.5) / n2)
    rate = 2 * (1 - math.cos(math.pi * k / n1)) / h1**2 + 2 * (1 - math.cos(math.pi * m / n2)) / h2**2
    torch.testing.assert_close(laplacian(mode[None, None], Grid((h1, h2)))[0, 0], -rate * mode, atol=1e-12, rtol=0)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_largest_eigenvalue_bounds_all_and_is_approached(boundary: Boundary) -> None:
    grid = Grid((1.0, 3.0), boundary)
    found, bound = float(eigenvalues((64, 64), grid).max()), largest_eigenvalue(grid, 2)
    assert 0.99 * bound < found <= bound * (1 + 1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_stencil_is_symmetric_and_negative(boundary: Boundary) -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 1, 1, 5, 6, 4, dtype=torch.float64, generator=generator)
    grid = Grid((1.0, 0.5, 2.0), boundary)
    assert float((u * laplacian(v, grid)).sum()) == pytest.approx(float((laplacian(u, grid) * v).sum()), abs=1e-11)
    assert float((u * laplacian(u, grid)).sum()) < 0


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_nothing_flows_out_and_a_constant_stays(boundary: Boundary) -> None:
    grid = Grid((1.0, 0.5), boundary)
    u = torch.randn(1, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float(laplacian(u, grid).sum()) == pytest.approx(0, abs=1e-12)
    assert float(laplacian(torch.full_like(u, 5.0), grid).abs().max()) == 0


def test_zero_ghosts_pull_a_constant_down_at_the_border_only() -> None:
    out = laplacian(torch.full((1, 1, 4), 5.0, dtype=torch.float64), Grid(2.0, "dirichlet"))
    assert out.flatten().tolist() == [-1.25, 0, 0, -1.25]


def test_products_are_made_in_float64_where_float32_would_be_rounded() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    assert computing_dtype(torch.zeros(1)) == torch.float32
    try:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        assert computing_dtype(torch.zeros(1)) == torch.float64
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    assert computing_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64
