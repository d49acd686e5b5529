"""Second derivatives along level sets, in float64 against closed forms and against eigenvalues."""

from __future__ import annotations

import pytest
import torch

from monai_iel.numerics import Grid
from monai_iel.numerics.curvature import hessian, largest_tangential_derivative, tangential_derivative_of, unit_normal
from monai_iel.numerics.stencils import central_difference


def positions(n: int, spacing: tuple[float, ...]) -> list[torch.Tensor]:
    axes = [(torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * h for h in spacing]
    return list(torch.meshgrid(*axes, indexing="ij"))


def inner(t: torch.Tensor) -> torch.Tensor:
    return t[0, 0][(slice(4, -4),) * (t.ndim - 2)]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.8), (1.0, 0.5, 0.8)], ids=str)
def test_a_quadratic_has_its_largest_tangential_eigenvalue(spacing: tuple[float, ...]) -> None:
    """For m = a . x + x^T A x / 2 filter and differences are exact but for a constant: eigenvalues of P A P."""
    dims = len(spacing)
    gen = torch.Generator().manual_seed(dims)
    matrix = torch.randn(dims, dims, dtype=torch.float64, generator=gen)
    matrix = matrix + matrix.T
    slope = torch.randn(dims, dtype=torch.float64, generator=gen) * 3
    x = torch.stack(positions(13, spacing), dim=-1)
    m = x @ slope + 0.5 * ((x @ matrix) * x).sum(-1)
    found = inner(largest_tangential_derivative(m[None, None], Grid(spacing)))
    normal = slope + x @ matrix
    normal = normal / normal.norm(dim=-1, keepdim=True)
    projection = torch.eye(dims, dtype=torch.float64) - normal[..., :, None] * normal[..., None, :]
    # The normal is an eigenvector of P A P with eigenvalue 0; pushed far down, the largest that is left is tangential.
    pushed = projection @ matrix @ projection - 1e3 * normal[..., :, None] * normal[..., None, :]
    expected = torch.linalg.eigvalsh(pushed)[..., -1]
    expected = expected.clamp_min(0) if dims == 2 else expected
    torch.testing.assert_close(found, expected[(slice(4, -4),) * dims], atol=1e-11, rtol=0)


def test_the_saddle_xy_rises_along_its_level_set_as_it_does_by_hand() -> None:
    """Of m = x y: the tangent is (x, -y) / r, so m_tt = -2 x y / r^2: positive where x and y have different signs."""
    x, y = positions(16, (0.5, 0.8))
    found = inner(largest_tangential_derivative((x * y)[None, None], Grid((0.5, 0.8))))
    expected = (-2 * x * y / (x**2 + y**2)).clamp_min(0)[4:-4, 4:-4]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert float(expected.max()) > 0.9


def test_a_saddle_surface_bends_upwards_in_one_direction() -> None:
    """Of m = z - (x^2 - y^2) / 2 at the origin: n = e_z, tangential eigenvalues -1 and +1."""
    x, y, z = positions(13, (1.0, 0.5, 2.0))
    m = z - (x**2 - y**2) / 2
    found = largest_tangential_derivative(m[None, None], Grid((1.0, 0.5, 2.0)))[0, 0, 6, 6, 6]
    assert float(found) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_negative_semidefinite_matrix_gives_nothing_positive(dims: int) -> None:
    """So that convex sets stay."""
    gen = torch.Generator().manual_seed(0)
    root = torch.randn(500, dims, dims, dtype=torch.float64, generator=gen)
    matrix = -root @ root.transpose(1, 2)
    normal = torch.randn(500, dims, dtype=torch.float64, generator=gen)
    normal = normal / normal.norm(dim=1, keepdim=True) * torch.rand(500, 1, dtype=torch.float64, generator=gen)
    elements = {(i, j): matrix[:, i, j] for i in range(dims) for j in range(i, dims)}
    assert float(tangential_derivative_of(elements, list(normal.T)).max()) < 1e-12


def test_the_normal_is_of_length_1_and_the_first_axis_where_there_is_no_slope() -> None:
    slopes = [torch.tensor([3.0, 0.0]), torch.tensor([4.0, 0.0])]
    torch.testing.assert_close(torch.stack(unit_normal(slopes)), torch.tensor([[0.6, 1.0], [0.8, 0.0]]))
    assert torch.equal(slopes[0], torch.tensor([3.0, 0.0]))  # the argument stays


def test_the_hessian_of_an_extruded_image_has_no_third_axis() -> None:
    m = torch.randn(1, 1, 6, 7, dtype=torch.float64)
    grid = Grid((1.0, 0.5, 2.0))
    solid = m[..., None].expand(-1, -1, -1, -1, 5)
    h = hessian(solid, [central_difference(solid, dim, grid) for dim in (2, 3, 4)], grid)
    assert all(float(h[i, j].abs().max()) == 0 for i, j in h if j == 2)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_derivative_that_is_written_down_is_right_twice(dims: int) -> None:
    gen = torch.Generator().manual_seed(7)
    normal = torch.randn(dims, 5, dtype=torch.float64, generator=gen)
    normal = list(normal / normal.norm(dim=0))
    pairs = [(i, j) for i in range(dims) for j in range(i, dims)]
    elements = torch.randn(len(pairs), 5, dtype=torch.float64, generator=gen, requires_grad=True)

    def value(*h: torch.Tensor) -> torch.Tensor:
        return tangential_derivative_of(dict(zip(pairs, h, strict=True)), normal)

    assert torch.autograd.gradcheck(value, tuple(elements), raise_exception=True)
    assert torch.autograd.gradgradcheck(lambda *h: value(*h).sin(), tuple(elements), raise_exception=True)


def test_a_plateau_has_no_curvature_and_a_finite_derivative() -> None:
    m = torch.full((1, 1, 6, 6, 6), 3.0, requires_grad=True)
    found = largest_tangential_derivative(m, Grid())
    found.sum().backward()
    assert float(found.detach().abs().max()) == 0
    assert m.grad is not None
    assert bool(torch.isfinite(m.grad).all())
