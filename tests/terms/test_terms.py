"""What every evolution has to fulfil, in float64; the list is in tests/conftest.py."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
import torch

from monai_iel import (
    EvolutionTerm,
    Grid,
    HeatDiffusion,
    InverseEvolution,
    LaplacianPower,
    LinearTerm,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    SumTerm,
    TotalVariationFlow,
)
from monai_iel.numerics import Boundary
from monai_iel.numerics.schemes import euler
from monai_iel.numerics.spectral import axis_eigenvalues, multiplication

WITH_CLASSES = [HeatDiffusion, LaplacianPower, SobolevDiffusion, TotalVariationFlow, PeronaMalikDiffusion]
WITH_CLASSES += [MeanCurvatureMotion]


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scale(evolution: EvolutionTerm, grid: Grid, spatial_dims: int) -> float:
    """The size of the term's largest values, so that tolerances are relative."""
    return evolution.largest_rate(grid, spatial_dims) or 1.0


@pytest.mark.parametrize("kind", ["neumann", "periodic"])
def test_a_constant_is_a_fixed_point(evolution: EvolutionTerm, kind: Boundary) -> None:
    grid = Grid((1.0, 0.5, 2.0), kind)
    out = evolution(torch.full((1, 3, 5, 6, 4), 7.0, dtype=torch.float64), grid)
    assert float(out.abs().max()) < 1e-14 * 7 * scale(evolution, grid, 3)


def test_the_argument_stays_and_the_batch_is_each_element(evolution: EvolutionTerm) -> None:
    u, grid = random(5, 6), Grid((1.0, 0.5))
    before = u.clone()
    out = evolution(u, grid)
    assert torch.equal(u, before)
    torch.testing.assert_close(out[1:], evolution(u[1:], grid), atol=1e-14 * scale(evolution, grid, 2), rtol=0)


def test_permuted_and_flipped_axes_with_permuted_spacing_give_the_permuted_result(
    evolution: EvolutionTerm, boundary: Boundary
) -> None:
    u, spacing = random(5, 6, 4), (1.0, 0.5, 2.0)
    grid = Grid(spacing, boundary)
    out = evolution(u, grid)
    tolerance = 1e-13 * scale(evolution, grid, 3)
    for order in permutations(range(3)):
        axes = (0, 1, *(2 + a for a in order))
        turned = Grid(tuple(spacing[a] for a in order), boundary)
        torch.testing.assert_close(evolution(u.permute(axes), turned), out.permute(axes), atol=tolerance, rtol=0)
    for axis in (2, 3, 4):
        torch.testing.assert_close(evolution(u.flip(axis), grid), out.flip(axis), atol=tolerance, rtol=0)


def test_an_extruded_image_evolves_as_the_image(evolution: EvolutionTerm) -> None:
    u = random(5, 6)
    flat = evolution(u, Grid((1.0, 0.5)))
    grid = Grid((1.0, 0.5, 2.0))
    extruded = evolution(u[..., None].expand(-1, -1, -1, -1, 4), grid)
    tolerance = 1e-14 * scale(evolution, grid, 3)
    torch.testing.assert_close(extruded, flat[..., None].expand_as(extruded), atol=tolerance, rtol=0)


def test_gradients_are_right(smoothing_evolution: EvolutionTerm, boundary: Boundary) -> None:
    u = random(3, 4).requires_grad_()
    grid = Grid((1.0, 0.5), boundary)
    assert torch.autograd.gradcheck(lambda v: smoothing_evolution(v, grid), (u,), raise_exception=True)


def test_the_transposed_jacobian_is_that_of_autograd(evolution: EvolutionTerm, boundary: Boundary) -> None:
    u, w, grid = random(4, 3, 5).requires_grad_(), random(4, 3, 5, seed=2), Grid((1.0, 0.5, 2.0), boundary)
    (expected,) = torch.autograd.grad(evolution(u, grid), u, w)
    found = evolution.vector_jacobian(u.detach(), w, grid)
    torch.testing.assert_close(found, expected, atol=1e-13 * scale(evolution, grid, 3), rtol=0)


def test_what_is_said_of_the_reach_is_so(evolution: EvolutionTerm) -> None:
    """A change at one voxel changes F up to `reach` voxels away and no farther."""
    if evolution.reach is None:
        pytest.skip("looks at the whole image, or does not say how far")
    middle = evolution.reach + 1
    u, grid = random(2 * middle + 1, 2 * middle + 1), Grid((1.0, 0.5))
    changed = u.clone()
    changed[:, 1:, middle, middle] += torch.tensor([2.0, 1.0])  # an evolution may look at differences of classes alone
    before, after = evolution.step_rate(u, grid, 0.1), evolution.step_rate(changed, grid, 0.1)
    rows = (after != before).any(dim=3).any(dim=1).any(dim=0).nonzero().flatten().tolist()
    assert rows == list(range(1, 2 * middle))


def test_no_pattern_decays_faster_than_the_largest_rate(smoothing_evolution: EvolutionTerm, boundary: Boundary) -> None:
    """Eigenvalues of the Jacobian at images of many contrasts; the bound is no empty one."""
    grid, worst = Grid((1.0, 0.5), boundary), 0.0
    bound = smoothing_evolution.largest_rate(grid, 2)
    assert bound is not None
    for contrast in (1e-3, 1.0, 10.0):
        u = contrast * random(5, 6)[:1]
        jacobian = torch.autograd.functional.jacobian(lambda v: smoothing_evolution(v, grid), u)
        jacobian = jacobian.reshape(u.numel(), u.numel())
        worst = max(worst, float(torch.linalg.eigvals(jacobian).abs().max()))
    assert 0.5 * bound < worst <= bound * (1 + 1e-9)


def test_the_evolution_is_dissipative(smoothing_evolution: EvolutionTerm) -> None:
    """It makes images smoother: over a short time the spread falls, backwards it grows."""
    u, grid = random(6, 7, 5), Grid((1.0, 0.5, 2.0))
    dt = 0.1 / scale(smoothing_evolution, grid, 3)
    assert float(euler(u, lambda v: smoothing_evolution(v, grid), dt, 5).var()) < float(u.var())
    assert float(InverseEvolution(smoothing_evolution, grid=grid, dt=dt, num_steps=5)(u).var()) > float(u.var())


def test_euler_steps_backwards_are_of_first_order(evolution: EvolutionTerm) -> None:
    """Against a twentieth of the smallest step (linear evolutions: against the exact flow); the order is fitted."""
    u, grid = random(6, 5), Grid((1.0, 0.5))
    time = 0.25 / scale(evolution, grid, 2)

    def backwards(num_steps: int) -> torch.Tensor:
        return InverseEvolution(evolution, grid=grid, dt=time / num_steps, num_steps=num_steps)(u)

    if evolution.as_linear() is not None:
        exact = InverseEvolution(evolution, grid=grid, dt=time, num_steps=1, scheme="exponential")(u)
    else:
        exact = 2 * backwards(2560) - backwards(1280)  # Richardson
    errors = [float((backwards(n) - exact).norm()) for n in (32, 64, 128)]
    for coarse, fine in pairwise(errors):
        assert torch.log2(torch.tensor(coarse / fine)).item() == pytest.approx(1, abs=0.1)


def test_the_exponential_scheme_is_the_matrix_exponential(linear_evolution: EvolutionTerm, boundary: Boundary) -> None:
    """``exp(N dt A)`` with A the dense matrix of the term itself."""
    shape, grid = (3, 4, 2), Grid((1.0, 0.5, 2.0), boundary)
    u = random(*shape)[:1]
    minus_f = torch.autograd.functional.jacobian(lambda v: -linear_evolution(v, grid), u).reshape(u.numel(), u.numel())
    time = 1.5 / scale(linear_evolution, grid, 3)
    expected = (torch.matrix_exp(time * minus_f) @ u.flatten()).view_as(u)
    layer = InverseEvolution(linear_evolution, grid=grid, dt=time / 5, num_steps=5, scheme="exponential")
    torch.testing.assert_close(layer(u), expected, atol=1e-12, rtol=0)


def test_the_symbol_is_that_of_the_term(linear_evolution: EvolutionTerm, boundary: Boundary) -> None:
    u, grid = random(5, 4, 3), Grid((1.0, 0.5, 2.0), boundary)
    linear = linear_evolution.as_linear()
    assert linear is not None
    rates = linear.symbol(axis_eigenvalues(u.shape[2:], grid))
    spectral = multiplication(rates, boundary, 3)(u)
    torch.testing.assert_close(-spectral, linear_evolution(u, grid), atol=1e-13 * scale(linear, grid, 3), rtol=0)


def test_an_additive_symbol_is_the_sum_of_its_axes(linear_evolution: EvolutionTerm) -> None:
    linear = linear_evolution.as_linear()
    assert linear is not None
    values = axis_eigenvalues((3, 4, 5), Grid((1.0, 0.5, 2.0)))
    alone = [linear.symbol([v if a == b else torch.zeros_like(v) for b, v in enumerate(values)]) for a in range(3)]
    is_sum = torch.allclose(sum(alone[1:], start=alone[0]), linear.symbol(values), rtol=1e-12)
    assert is_sum or not linear.additive
    assert HeatDiffusion().additive  # else the continuous flow would be computed the slow way


@pytest.mark.parametrize("kind", WITH_CLASSES)
def test_a_class_of_diffusivity_zero_is_left_alone_and_others_are_scaled(kind: type[EvolutionTerm]) -> None:
    u, grid = random(5, 4, 3), Grid((1.0, 0.5, 2.0))
    setting = [1.5] if kind in (SobolevDiffusion, PeronaMalikDiffusion) else []
    every = kind(*setting)(u, grid)
    one_each = (kind(*setting, diffusivity=[0.0, 1.0, 2.5]) if setting else kind(diffusivity=[0.0, 1.0, 2.5]))(u, grid)
    factors = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(one_each, factors * every, atol=1e-11, rtol=0)
    with pytest.raises(ValueError, match=r"diffusivity has 2 numbers \(one per class\)|settings for 2 classes"):
        InverseEvolution(kind(*setting, diffusivity=[1.0, 2.0]) if setting else kind(diffusivity=[1.0, 2.0]), dt=0.01)(
            u
        )


@pytest.mark.parametrize("kind", WITH_CLASSES)
@pytest.mark.parametrize("diffusivity", [-1.0, 0.0, float("nan"), [], [0.0, 0.0], [1.0, -1.0]])
def test_a_diffusivity_that_diffuses_nothing_is_refused(kind: type[EvolutionTerm], diffusivity: object) -> None:
    setting = [1.5] if kind in (SobolevDiffusion, PeronaMalikDiffusion) else []
    with pytest.raises(ValueError, match="diffusivity must be finite"):
        kind(*setting, diffusivity=diffusivity)


@pytest.mark.parametrize("kind", [HeatDiffusion, LaplacianPower, lambda **k: SobolevDiffusion(1.5, **k)])
def test_an_axis_of_diffusivity_zero_is_left_alone(kind: type[LinearTerm], boundary: Boundary) -> None:
    """Then each plane evolves as an image of its own."""
    u = random(5, 6, 4)
    solid, flat = kind(axis_diffusivity=[1.0, 0.5, 0.0]), kind(axis_diffusivity=[1.0, 0.5])
    out = solid(u, Grid((1.0, 0.5, 2.0), boundary))
    for plane in range(4):
        expected = flat(u[..., plane], Grid((1.0, 0.5), boundary))
        torch.testing.assert_close(out[..., plane], expected, atol=1e-11, rtol=0)
    assert (solid.spatial_dims, kind().spatial_dims) == (3, None)


@pytest.mark.parametrize("kind", [HeatDiffusion, LaplacianPower, lambda **k: SobolevDiffusion(1.5, **k)])
def test_axis_factors_out_of_range_are_refused(kind: type[LinearTerm]) -> None:
    for bad in ([], [0.0, 0.0], [1.0, -1.0], [1.0, float("inf")]):
        with pytest.raises(ValueError, match="axis_diffusivity must be finite"):
            kind(axis_diffusivity=bad)
    with pytest.raises(ValueError, match="axis_diffusivity has 2 numbers"):
        kind(axis_diffusivity=[1.0, 2.0])(random(4, 4, 4), Grid())
    with pytest.raises(ValueError, match="axis_diffusivity has 2 numbers"):
        InverseEvolution(kind(axis_diffusivity=[1.0, 2.0]), gain=3)(random(4, 4, 4))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (LaplacianPower, "exponent"),
        (SobolevDiffusion, "length_mm"),
        (lambda x: SobolevDiffusion(1.0, exponent=x), "exponent"),
        (TotalVariationFlow, "epsilon"),
        (PeronaMalikDiffusion, "contrast"),
        (MeanCurvatureMotion, "epsilon"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_settings_out_of_range_are_refused_by_name(make: type[EvolutionTerm], name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number above 0"):
        make(value)  # type: ignore[call-arg]


def test_a_sum_refuses_what_it_cannot_add() -> None:
    with pytest.raises(ValueError, match="at least one evolution"):
        SumTerm([])
    with pytest.raises(TypeError, match="must be evolutions such as"):
        SumTerm([torch.nn.Identity()])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="weights has 1 numbers, but there are 2 terms"):
        SumTerm([HeatDiffusion(), HeatDiffusion()], weights=[1.0])
    with pytest.raises(ValueError, match="weights must be a finite number above 0"):
        SumTerm([HeatDiffusion()], weights=[0.0])


def test_a_sum_is_the_weighted_sum_and_linear_only_where_all_parts_are() -> None:
    u, grid = random(5, 6), Grid((1.0, 0.5))
    heat, flow = HeatDiffusion(2.0), TotalVariationFlow()
    mixed = SumTerm([heat, flow], weights=[0.5, 3.0])
    torch.testing.assert_close(mixed(u, grid), 0.5 * heat(u, grid) + 3 * flow(u, grid), atol=1e-12, rtol=0)
    assert mixed.as_linear() is None
    linear = SumTerm([heat, LaplacianPower(2.0)], weights=[0.5, 3.0])
    layers = [InverseEvolution(linear, gain=20, engine=engine)(u) for engine in ("spectral", "explicit")]  # type: ignore[arg-type]
    torch.testing.assert_close(layers[0], layers[1], atol=1e-11, rtol=0)
    assert SumTerm([HeatDiffusion(axis_diffusivity=[1.0, 2.0]), flow]).spatial_dims == 2
