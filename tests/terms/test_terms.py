"""What every evolution has to fulfil; a new one is one line in TERMS."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from monai_iel import EvolutionTerm, Grid, HeatDiffusion, LinearTerm
from monai_iel.numerics.schemes import euler
from monai_iel.numerics.spectral import apply_multiplier, eigenvalues

TERMS = [HeatDiffusion(), HeatDiffusion([1.0, 0.0, 2.5])]
IDS = [repr(t) for t in TERMS]
every_term = pytest.mark.parametrize("term", TERMS, ids=IDS)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every_term
def test_a_constant_is_a_fixed_point(term: EvolutionTerm) -> None:
    assert float(term(torch.full((1, 3, 5, 6, 4), 7.0), Grid((1.0, 0.5, 2.0))).abs().max()) == 0


@every_term
def test_the_argument_stays_and_the_batch_is_each_element(term: EvolutionTerm) -> None:
    u, grid = random(5, 6), Grid((1.0, 0.5))
    before = u.clone()
    out = term(u, grid)
    assert torch.equal(u, before)
    torch.testing.assert_close(out[1:], term(u[1:], grid), atol=0, rtol=0)


@every_term
@pytest.mark.parametrize("boundary", ["neumann", "dirichlet", "periodic"])
def test_permuted_and_flipped_axes_with_permuted_spacing_give_the_permuted_result(
    term: EvolutionTerm, boundary: str
) -> None:
    u, spacing = random(5, 6, 4), (1.0, 0.5, 2.0)
    out = term(u, Grid(spacing, boundary))  # type: ignore[arg-type]
    for order in permutations(range(3)):
        axes = (0, 1, *(2 + a for a in order))
        grid = Grid(tuple(spacing[a] for a in order), boundary)  # type: ignore[arg-type]
        torch.testing.assert_close(term(u.permute(axes), grid), out.permute(axes), atol=1e-12, rtol=0)
    torch.testing.assert_close(term(u.flip(3), Grid(spacing, boundary)), out.flip(3), atol=1e-12, rtol=0)  # type: ignore[arg-type]


@every_term
def test_an_extruded_image_evolves_as_the_image(term: EvolutionTerm) -> None:
    u = random(5, 6)
    flat = term(u, Grid((1.0, 0.5)))
    extruded = term(u[..., None].expand(-1, -1, -1, -1, 4), Grid((1.0, 0.5, 2.0)))
    torch.testing.assert_close(extruded, flat[..., None].expand_as(extruded), atol=1e-13, rtol=0)


@every_term
def test_gradients_are_right(term: EvolutionTerm) -> None:
    u = random(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: term(v, Grid((1.0, 0.5))), (u,), raise_exception=True)


@every_term
@pytest.mark.parametrize("boundary", ["neumann", "dirichlet", "periodic"])
def test_the_symbol_is_that_of_the_stencil(term: LinearTerm, boundary: str) -> None:
    u, grid = random(5, 4, 3), Grid((1.0, 0.5, 2.0), boundary)  # type: ignore[arg-type]
    spectral = apply_multiplier(u.clone(), term.symbol(eigenvalues(u.shape[2:], grid)), grid.boundary)
    torch.testing.assert_close(-spectral, term(u, grid), atol=1e-11, rtol=0)


def test_a_gaussian_widens_as_the_heat_kernel() -> None:
    """Variance grows by 2 c t along each axis, on a grid of any spacing (second moments of the stencil are exact)."""
    h, c, time, steps = 0.5, 1.5, 2.0, 400
    x = torch.arange(-40, 41, dtype=torch.float64) * h
    u = torch.exp(-(x**2) / 2)[None, None]
    grown = euler(u, lambda v: HeatDiffusion(c)(v, Grid(h)), time / steps, steps)
    variance = lambda v: float((v * x**2).sum() / v.sum())  # noqa: E731
    assert variance(grown) - variance(u) == pytest.approx(2 * c * time, rel=1e-6)
    assert HeatDiffusion(c).length(time) == pytest.approx(math.sqrt(2 * c * time))


@pytest.mark.parametrize("diffusivity", [-1.0, 0.0, float("nan"), [], [0.0, 0.0], [1.0, -1.0]])
def test_a_diffusivity_that_diffuses_nothing_is_refused(diffusivity: object) -> None:
    with pytest.raises(ValueError, match="diffusivity must be finite"):
        HeatDiffusion(diffusivity)  # type: ignore[arg-type]


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 diffusivities .* 3 channels"):
        HeatDiffusion([1.0, 2.0])(random(4, 4), Grid())
