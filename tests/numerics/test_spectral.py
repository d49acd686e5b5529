"""The stencil and the eigenbasis against each other and against closed forms, in float64."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from monai_iel import Grid
from monai_iel.numerics import Boundary, laplacian, spectral
from monai_iel.numerics.spectral import (
    apply_self_adjoint,
    axis_eigenvalues,
    basis,
    computing_dtype,
    largest_eigenvalues,
    multiplication,
    separable_multiplication,
)

BOUNDARIES = get_args(Boundary)
CPU = torch.device("cpu")
GEOMETRIES = [((7,), (0.5,)), ((6, 9), (1.0, 2.5)), ((5, 4, 7), (0.7, 1.0, 3.0)), ((1, 2, 6), (1.0, 2.0, 0.5))]
# Where the dense products and the fast transform are taken; 11 x 13 x 101 has a prime that no fast transform likes.
LARGE = [(160, 128), (48, 60, 64), (320,), (11, 13, 101)]


def eigenvalues(shape: tuple[int, ...], grid: Grid) -> torch.Tensor:
    values = axis_eigenvalues(shape, grid)
    return sum(values[1:], start=values[0])


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
    identity = multiplication(torch.ones(shape, dtype=torch.float64), boundary, len(shape))
    torch.testing.assert_close(identity(modes), modes, atol=1e-13, rtol=0)
    # -laplacian == V^T diag(lambda) V on a whole basis of the space means: each column of V^T is an eigenmode
    through = multiplication(values, boundary, len(shape))(modes)
    torch.testing.assert_close(through, -laplacian(modes, grid), atol=1e-12 * float(values.max()), rtol=0)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_way_of_multiplying_gives_the_same(
    shape: tuple[int, ...], boundary: Boundary, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast transform, dense products, and one matrix per axis where the multiplier is a product over the axes."""
    u = torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    factors = [torch.exp(0.3 * v).to(dtype) for v in axis_eigenvalues(shape, Grid(1.0, boundary))]
    multiplier = math.prod(factors[1:], start=factors[0])
    found = {}
    for name, fast_from in (("fast", 0), ("dense", 10**9)):
        monkeypatch.setattr(spectral, "_FAST_FROM", fast_from)
        found[name] = multiplication(multiplier, boundary, len(shape))(u)
        found[f"{name} separable"] = separable_multiplication(factors, boundary)(u)
    tolerance = (1e-14 if dtype == torch.float64 else 1e-6) * float(multiplier.max())
    for name, out in found.items():
        assert out.dtype == dtype
        torch.testing.assert_close(out, found["dense"], atol=8 * tolerance, rtol=0, msg=name)


def test_the_fast_transform_is_taken_for_long_smooth_axes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(spectral, "_multiplied_by_fast_transform", lambda u, m: taken.append(tuple(m.shape)) or u)
    for shape in ((512, 512), (96, 96, 96), (509, 509), (40, 56, 40)):
        multiplication(torch.ones(shape), "neumann", len(shape))(torch.zeros(1, 1, *shape))
    multiplication(torch.ones(512, 512), "periodic", 2)(torch.zeros(1, 1, 512, 512))
    assert taken == [(512, 512), (96, 96, 96)]


@pytest.mark.parametrize("shape", [(6, 5), (288, 256), (390, 337)])
def test_factors_per_class_go_to_their_channels(shape: tuple[int, ...]) -> None:
    u = torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64).view(3, 1, 1)
    values = axis_eigenvalues(shape, Grid())
    together = multiplication(torch.exp(scales * eigenvalues(shape, Grid())), "neumann", 2)(u)
    separable = separable_multiplication([torch.exp(scales * v) for v in values], "neumann")(u)
    for c, scale in enumerate((0.0, 0.3, 1.0)):
        alone = multiplication(torch.exp(scale * eigenvalues(shape, Grid())), "neumann", 2)(u[:, c : c + 1])
        tolerance = 1e-14 * math.exp(8 * scale)
        torch.testing.assert_close(together[:, c : c + 1], alone, atol=5 * tolerance, rtol=0)
        torch.testing.assert_close(separable[:, c : c + 1], alone, atol=5 * tolerance, rtol=0)


def test_a_self_adjoint_operator_keeps_nothing_and_differentiates_twice() -> None:
    saved: list[int] = []
    u = torch.randn(1, 1, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    operator = multiplication(torch.exp(0.1 * eigenvalues((6, 5), Grid())), "neumann", 2)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        apply_self_adjoint(u, operator)
    assert saved == []
    assert torch.autograd.gradgradcheck(lambda v: apply_self_adjoint(v, operator).sin(), (u,), raise_exception=True)


def test_the_cached_bases_are_bounded_as_shapes_vary() -> None:
    for n in range(2, 90):
        multiplication(torch.ones(n, 3), "neumann", 2)(torch.zeros(1, 1, n, 3))
    assert basis.cache_info().currsize <= 32


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
    found, bound = float(eigenvalues((64, 64), grid).max()), float(sum(largest_eigenvalues(grid, 2)))
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
