"""Differences against calculus on waves that the boundary condition holds exactly, in float64."""

from __future__ import annotations

import math

import pytest
import torch

from monai_iel import Grid
from monai_iel.numerics import (
    Boundary,
    central_difference,
    central_second_difference,
    face_difference,
    laplacian,
    sum_inwards,
    sum_outwards,
)

N, H = 16, 0.5
X = torch.arange(N, dtype=torch.float64)
# Eigenmodes of each boundary condition: the cosine of the voxel centres, the sine of the nodes, a full wave.
WAVES = {
    "neumann": (torch.cos(3 * math.pi * (X + 0.5) / N), 3 * math.pi / N),
    "dirichlet": (torch.sin(3 * math.pi * (X + 1) / (N + 1)), 3 * math.pi / (N + 1)),
    "periodic": (torch.cos(2 * math.pi * 3 * X / N), 2 * math.pi * 3 / N),
}
EVERY = pytest.mark.parametrize("boundary", list(WAVES))


def in_plane(values: torch.Tensor, dim: int) -> torch.Tensor:
    """The wave along one axis of a 3D volume."""
    shape = [1] * 5
    shape[dim] = len(values)
    return values.view(shape).expand(*[len(values) if d == dim else 1 if d < 2 else 2 for d in range(5)])


@EVERY
@pytest.mark.parametrize("dim", [2, 3, 4])
def test_waves_are_differentiated_as_their_closed_form(boundary: Boundary, dim: int) -> None:
    wave, theta = WAVES[boundary]
    u, grid = in_plane(wave, dim), Grid(tuple(H if d == dim else 3.0 for d in (2, 3, 4)), boundary)
    second = -2 * (1 - math.cos(theta)) / H**2 * u
    torch.testing.assert_close(central_second_difference(u, dim, grid), second, atol=1e-12, rtol=0)
    shifted = {"neumann": -torch.sin(theta * (X + 0.5)), "dirichlet": torch.cos(theta * (X + 1))}
    first = shifted.get(boundary, -torch.sin(theta * X)) * math.sin(theta) / H
    torch.testing.assert_close(central_difference(u, dim, grid), in_plane(first, dim), atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.diff(face_difference(u, dim, grid), dim=dim) / H**2, second, atol=1e-12, rtol=0)


@EVERY
def test_the_laplacian_is_the_sum_of_the_weighted_second_differences(boundary: Boundary) -> None:
    u = torch.randn(2, 3, 4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid, weights = Grid((1.0, 0.5, 2.0), boundary), (1.0, 0.0, 2.5)
    seconds = [a * central_second_difference(u, d, grid) for d, a in zip((2, 3, 4), weights, strict=True)]
    torch.testing.assert_close(laplacian(u, grid, weights), sum(seconds[1:], start=seconds[0]), atol=1e-12, rtol=0)


def test_borders_have_the_faces_that_their_condition_says() -> None:
    u = torch.tensor([1.0, 4.0, 9.0])[None, None]
    for boundary, ends in (("neumann", (0, 0)), ("dirichlet", (1, -9)), ("periodic", (-8, -8))):
        faces = face_difference(u, 2, Grid(2.0, boundary)).flatten().tolist()  # type: ignore[arg-type]
        assert faces == [ends[0], 3, 5, ends[1]]


def test_sums_of_neighbours_outwards_and_inwards() -> None:
    values = torch.tensor([1.0, 4.0, 9.0])[None, None]
    assert sum_outwards(values, 2, Grid()).flatten().tolist() == [2, 5, 13, 18]
    assert sum_outwards(values, 2, Grid(boundary="dirichlet")).flatten().tolist() == [1, 5, 13, 9]
    assert sum_outwards(values, 2, Grid(boundary="periodic")).flatten().tolist() == [10, 5, 13, 10]
    assert sum_inwards(values, 2).flatten().tolist() == [5, 13]


def test_an_axis_of_one_voxel_has_no_derivative_under_zero_flux() -> None:
    u = torch.ones(1, 1, 1, 4)
    assert float(central_difference(u, 2, Grid()).abs().max()) == 0
    assert float(face_difference(u, 2, Grid()).abs().max()) == 0
