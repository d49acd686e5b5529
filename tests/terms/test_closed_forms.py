"""Each evolution against solutions that are known exactly."""

from __future__ import annotations

import math

import pytest
import torch

from monai_iel import (
    EvolutionTerm,
    Evolve,
    Grid,
    HeatDiffusion,
    LaplacianPower,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    TotalVariationFlow,
)
from monai_iel.numerics import Boundary, laplacian
from monai_iel.numerics.schemes import euler


def random(*shape: int) -> torch.Tensor:
    return torch.randn(2, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_gaussian_widens_as_the_heat_kernel() -> None:
    """Variance grows by 2 c t along each axis, on a grid of any spacing (second moments of the stencil are exact)."""
    h, c, time, steps = 0.5, 1.5, 2.0, 400
    x = torch.arange(-40, 41, dtype=torch.float64) * h
    u = torch.exp(-(x**2) / 2)[None, None]
    grown = euler(u, lambda v: HeatDiffusion(c)(v, Grid(h)), time / steps, steps)
    variance = lambda v: float((v * x**2).sum() / v.sum())  # noqa: E731
    assert variance(grown) - variance(u) == pytest.approx(2 * c * time, rel=1e-6)
    assert HeatDiffusion(c).length(time) == pytest.approx(math.sqrt(2 * c * time))


def test_heat_spreads_along_each_axis_by_its_own_factor() -> None:
    """Variance 2 c a_d t along axis d, and the length is the largest of them."""
    x = torch.arange(-24, 25, dtype=torch.float64)
    u = torch.exp(-(x[:, None] ** 2 + x**2) / 4)[None, None]
    term = HeatDiffusion(1.5, axis_diffusivity=[2.0, 0.5])
    grown = torch.as_tensor(Evolve(term, dt=2.0, num_steps=1, scheme="exponential")(u[0]))[0]
    for axis, a in ((0, 2.0), (1, 0.5)):
        along = grown.sum(dim=1 - axis)
        assert float((along * x**2).sum() / along.sum()) - 2 == pytest.approx(2 * 1.5 * a * 2.0, rel=1e-6)
    assert term.length(2.0) == pytest.approx(math.sqrt(2 * 1.5 * 2.0 * 2.0))


@pytest.mark.parametrize("shape", [(12,), (6, 9), (5, 4, 7)])
def test_the_square_of_the_laplacian_is_the_laplacian_twice(shape: tuple[int, ...], boundary: Boundary) -> None:
    u, grid = random(*shape), Grid((1.0, 0.5, 2.0)[: len(shape)], boundary)
    torch.testing.assert_close(LaplacianPower(2.0)(u, grid), -laplacian(laplacian(u, grid), grid), atol=1e-10, rtol=0)


def test_half_the_power_twice_is_the_power(boundary: Boundary) -> None:
    u, grid = random(6, 9), Grid((1.0, 0.5), boundary)
    root = LaplacianPower(0.5)
    torch.testing.assert_close(root(root(u, grid), grid), -laplacian(u, grid), atol=1e-12, rtol=0)
    torch.testing.assert_close(LaplacianPower(1.0)(u, grid), laplacian(u, grid), atol=1e-12, rtol=0)


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_powers_of_waves_decay_at_the_closed_form_rate(s: float) -> None:
    n1, n2, k, m, h1, h2 = 12, 10, 3, 2, 0.8, 2.0
    i, j = torch.arange(n1, dtype=torch.float64), torch.arange(n2, dtype=torch.float64)
    wave = torch.cos(math.pi * k * (i + 0.5) / n1)[:, None] * torch.cos(math.pi * m * (j + 0.5) / n2)
    rate = 2 * (1 - math.cos(math.pi * k / n1)) / h1**2 + 2 * (1 - math.cos(math.pi * m / n2)) / h2**2
    wave = wave[None, None]
    torch.testing.assert_close(LaplacianPower(s)(wave, Grid((h1, h2))), -(rate**s) * wave, atol=1e-12, rtol=0)
    sobolev = SobolevDiffusion(1.5, exponent=s)(wave, Grid((h1, h2)))
    torch.testing.assert_close(sobolev, -((1 + 1.5**2 * rate) ** s - 1) * wave, atol=1e-12, rtol=0)


def test_sobolev_of_exponent_two_is_what_its_formula_says(boundary: Boundary) -> None:
    """-(I - l^2 lap)^2 u + u, with the stencil."""
    u, grid = random(6, 9), Grid((1.0, 0.5), boundary)
    smooth = lambda v: v - 1.5**2 * laplacian(v, grid)  # noqa: E731
    torch.testing.assert_close(
        SobolevDiffusion(1.5, exponent=2.0)(u, grid), u - smooth(smooth(u)), atol=1e-10, rtol=1e-12
    )


def test_sobolev_acts_on_large_structures_as_heat() -> None:
    """To first order in l^2 lambda: 1e-6 here."""
    x = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    wave = torch.cos(math.pi * x)[None, None]
    term = SobolevDiffusion(0.05, exponent=0.5, diffusivity=3.0)
    heat = HeatDiffusion(3.0 * 0.5 * 0.05**2)
    torch.testing.assert_close(term(wave, Grid()), heat(wave, Grid()), atol=0, rtol=1e-5)
    assert term.length(7.0) == pytest.approx(heat.length(7.0))


def test_the_lengths_of_the_powers_are_one_scale() -> None:
    """At s = 1 heat's; a unit of length scales it; time enters as t^(1 / 2s)."""
    assert LaplacianPower(1.0, diffusivity=2.0).length(3.0) == pytest.approx(HeatDiffusion(2.0).length(3.0))
    assert LaplacianPower(2.0).length(16.0) == pytest.approx(2 * LaplacianPower(2.0).length(1.0))


class TestTotalVariation:
    @pytest.mark.parametrize("width", [4, 7, 10])
    def test_an_interval_sinks_at_two_over_its_width(self, width: int) -> None:
        """The exact solution of the flow in 1D: the step loses 2 t / width, its surroundings gain, edges stay sharp."""
        n, h, time = 40, 0.5, 0.4
        u = torch.zeros(1, 1, n, dtype=torch.float64)
        u[..., 12 : 12 + width] = 1.0
        term, steps = TotalVariationFlow(epsilon=1e-3), 4_000  # the bound: dt <= epsilon h^2 / 2
        out = euler(u, lambda v: term(v, Grid(h)), time / steps, steps)[0, 0]
        assert float(out[12 + width // 2]) == pytest.approx(1 - 2 * time / (width * h), abs=5e-3)
        assert float(out[12] - out[11]) == pytest.approx(
            1 - 2 * time / (width * h) - time / (12 * h), abs=5e-3
        )  # the left side, 12 voxels to the border, rises at 1 / width

    def test_a_disc_sinks_at_two_over_its_radius(self) -> None:
        """Perimeter over area, for an edge of a few voxels; one of no width has the perimeter of its voxels."""
        x = torch.arange(-24, 25, dtype=torch.float64) * 0.5
        radius = 8.0
        distance = (x[:, None] ** 2 + x**2).sqrt()[None, None]
        soft, sharp = ((radius - distance) / 1.5).clamp(-1, 1), (distance < radius).double()
        sinking = [float(TotalVariationFlow(1e-4)(u, Grid(0.5))[distance < radius].mean()) for u in (soft, sharp)]
        assert sinking[0] == pytest.approx(-2 / radius, rel=0.02)
        assert sinking[1] == pytest.approx(-2 / radius * 4 / math.pi, rel=0.02)

    def test_the_flow_is_the_gradient_of_the_energy(self, boundary: Boundary) -> None:
        """In 1D the energy is the sum over the faces; in 2D F is conservative and symmetric, tested elsewhere."""
        u = random(9).requires_grad_()
        h, eps = 0.5, 0.3
        grid = Grid(h, boundary)
        ends = {"neumann": (u[..., :1], u[..., -1:]), "periodic": (u[..., -1:], None)}.get(
            boundary, (torch.zeros_like(u[..., :1]), torch.zeros_like(u[..., :1]))
        )
        faces = torch.diff(u, dim=-1, prepend=ends[0], append=ends[1]) / h
        energy = (faces.square() + eps**2).sqrt().sum()
        (gradient,) = torch.autograd.grad(energy, u)
        torch.testing.assert_close(TotalVariationFlow(eps)(u, grid), -gradient, atol=1e-12, rtol=0)

    def test_backwards_its_speed_is_bounded_whatever_the_logits(self) -> None:
        for spatial_dims, shape in ((2, (8, 9)), (3, (5, 6, 7))):
            grid = Grid((1.0, 0.5, 2.0)[:spatial_dims])
            bound = 2 ** ((spatial_dims + 1) / 2) * sum(1 / h for h in grid.spacings(spatial_dims))
            for contrast in (1.0, 1e3, 1e6):
                assert float(TotalVariationFlow()(contrast * random(*shape), grid).abs().max()) <= bound


class TestPeronaMalik:
    def test_above_all_gradients_it_is_heat(self) -> None:
        u, grid = random(5, 6, 4), Grid((1.0, 0.5, 2.0))
        torch.testing.assert_close(PeronaMalikDiffusion(1e8)(u, grid), laplacian(u, grid), atol=1e-9, rtol=0)

    def test_a_ramp_stays_and_a_steep_one_is_sharpened(self) -> None:
        """Below K the flux grows with the gradient, above it falls: d(flux)/ds changes its sign at K."""
        x = torch.arange(12, dtype=torch.float64)
        ramp = (0.7 * x)[None, None]
        inner = PeronaMalikDiffusion(1.0)(ramp, Grid())[0, 0, 1:-1]
        assert float(inner.abs().max()) < 1e-14
        for steepness, sign in ((0.2, -1), (5.0, 1)):
            edge = steepness * torch.tanh((x - 5.5) / 2)[None, None]
            change = PeronaMalikDiffusion(1.0)(edge, Grid())[0, 0]
            assert float(change[6] - change[5]) * sign > 0

    def test_the_flow_is_the_gradient_of_the_energy(self) -> None:
        u = random(9).requires_grad_()
        faces = torch.diff(u, dim=-1) / 0.5
        energy = (0.5 * 1.5**2 * torch.log1p(faces.square() / 1.5**2)).sum()
        (gradient,) = torch.autograd.grad(energy, u)
        torch.testing.assert_close(PeronaMalikDiffusion(1.5)(u, Grid(0.5)), -gradient, atol=1e-12, rtol=0)


class TestMeanCurvature:
    @pytest.mark.parametrize(("spatial_dims", "spacing"), [(2, (0.5, 0.5)), (2, (0.5, 0.8)), (3, (0.8, 0.8, 0.8))])
    def test_circles_and_spheres_shrink_as_they_should(self, spatial_dims: int, spacing: tuple[float, ...]) -> None:
        """Radius sqrt(r0^2 - 2 (D - 1) c t), measured by the area or volume of the zero level set, along the way."""
        radius, c, dt = 6.0, 1.5, 0.02
        axes = [torch.arange(-round(9 / h), round(9 / h) + 1, dtype=torch.float64) * h for h in spacing]
        distance = sum(x**2 for x in torch.meshgrid(*axes, indexing="ij")).sqrt()  # type: ignore[union-attr]
        u = (radius - distance)[None, None]
        term, grid = MeanCurvatureMotion(1e-3, diffusivity=c), Grid(spacing)
        ball = math.pi if spatial_dims == 2 else 4 / 3 * math.pi
        for step in range(1, 181):
            u = euler(u, lambda v: term(v, grid), dt, 1)
            if step % 90 == 0:
                # A voxel that the outline cuts counts by its share: u is nearly a distance there.
                inside = (u / max(spacing) + 0.5).clamp(0, 1).sum() * math.prod(spacing)
                found = float(inside / ball) ** (1 / spatial_dims)
                exact = math.sqrt(radius**2 - 2 * (spatial_dims - 1) * c * dt * step)
                assert found == pytest.approx(exact, rel=0.02)

    def test_a_straight_outline_stays_in_any_direction(self) -> None:
        axes = torch.meshgrid(*[torch.arange(12, dtype=torch.float64)] * 3, indexing="ij")
        plane = (0.3 * axes[0] - 0.7 * axes[1] + 0.2 * axes[2])[None, None]
        inner = (slice(None), slice(None), *[slice(2, -2)] * 3)
        assert float(MeanCurvatureMotion(0.01)(plane, Grid((1.0, 0.5, 2.0)))[inner].abs().max()) < 1e-12

    def test_logits_across_a_straight_outline_stay_where_heat_flattens_them(self) -> None:
        x = torch.arange(-8.0, 9.0, dtype=torch.float64)
        u = (4 * torch.tanh(x / 2)).expand(17, 17)[None, None]
        assert float(MeanCurvatureMotion(0.01)(u, Grid()).abs().max()) < 0.01 * float(laplacian(u, Grid()).abs().max())


A = [(1.0, (1, 2, 1)), (0.6, (2, -1, 1)), (0.4, (1, 1, -2))]  # amplitudes and wave vectors


def continuous(name: str, contrast: float, x: torch.Tensor, spatial_dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth field and F of it, by calculus: from its gradient p and Hessian H at the points x (... D)."""
    u, p = torch.zeros_like(x[..., 0]), torch.zeros_like(x)
    hessian = torch.zeros(*x.shape, spatial_dims, dtype=x.dtype)
    for amplitude, wave in A:
        k = torch.tensor(wave[:spatial_dims], dtype=x.dtype)
        phase = x @ k + amplitude
        u += amplitude * phase.sin()
        p += amplitude * phase.cos()[..., None] * k
        hessian -= amplitude * phase.sin()[..., None, None] * (k[:, None] * k)
    trace = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)
    s = p.square().sum(-1)
    curved = (p[..., None, :] @ hessian @ p[..., :, None])[..., 0, 0]  # p^T H p
    if name == "total variation":
        g, slope = (s + contrast**2) ** -0.5, -0.5 * (s + contrast**2) ** -1.5
        return u, g * trace + 2 * slope * curved
    if name == "perona-malik":
        g, slope = 1 / (1 + s / contrast**2), -1 / contrast**2 / (1 + s / contrast**2) ** 2
        return u, g * trace + 2 * slope * curved
    return u, trace - curved / (s + contrast**2)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize(
    ("name", "evolution"),
    [
        ("total variation", TotalVariationFlow(3.0)),
        ("perona-malik", PeronaMalikDiffusion(3.0)),
        ("mean curvature", MeanCurvatureMotion(3.0)),
    ],
)
def test_the_discretisation_is_of_second_order(name: str, evolution: EvolutionTerm, spatial_dims: int) -> None:
    """On a periodic field, against calculus, on an anisotropic grid and one twice as fine."""
    errors = []
    for n in (64, 128) if spatial_dims == 2 else (40, 80):
        sizes = [n, n + n // 2, n][:spatial_dims]
        axes = [torch.arange(m, dtype=torch.float64) * (2 * math.pi / m) for m in sizes]
        x = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        u, exact = continuous(name, 3.0, x, spatial_dims)
        found = evolution(u[None, None], Grid(tuple(2 * math.pi / m for m in sizes), "periodic"))[0, 0]
        errors.append(float((found - exact).square().mean().sqrt()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1), errors
