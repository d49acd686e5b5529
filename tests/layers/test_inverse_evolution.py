from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel import (
    EvolutionTerm,
    Evolve,
    Grid,
    HeatDiffusion,
    InverseEvolution,
    LaplacianPower,
    LinearTerm,
    MeanCurvatureMotion,
    SumTerm,
)
from monai_iel.layers.spectral_engine import SpectralEngine
from monai_iel.numerics import laplacian

BOUNDARIES = ["neumann", "dirichlet", "periodic"]
GEOMETRIES = [((17, 12), (0.8, 2.0)), ((9, 12, 7), (1.0, 0.7, 2.5))]


def logits(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


def layer(spacing: Any = 1.0, boundary: Any = "neumann", **kwargs: Any) -> InverseEvolution:
    kwargs = {"gain": 38, **kwargs} if "dt" not in kwargs else kwargs
    return InverseEvolution(HeatDiffusion(), grid=Grid(spacing, boundary), **kwargs)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "spacing"), GEOMETRIES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("gain", [38, 237])
def test_the_spectral_engine_is_the_explicit_steps(
    shape: tuple[int, ...], spacing: tuple[float, ...], boundary: str, dtype: torch.dtype, bound: float, gain: float
) -> None:
    u = logits(*shape, dtype=dtype)
    steps = [layer(spacing, boundary, gain=gain, engine=engine)(u) for engine in ("spectral", "explicit")]
    assert float((steps[0] - steps[1]).norm() / steps[1].norm()) < bound


def test_the_explicit_engine_is_the_published_recurrence() -> None:
    u, grid = logits(6, 7), Grid((1.0, 2.0))
    expected = u
    for _ in range(5):
        expected = expected - 0.1 * laplacian(expected, grid)
    out = InverseEvolution(HeatDiffusion(), grid=grid, dt=0.1, num_steps=5, engine="explicit")(u)
    torch.testing.assert_close(out, expected, atol=1e-13, rtol=0)


def test_the_published_wbc_setting_has_gain_38() -> None:
    """Dt 0.1 for (mean of 4 neighbours) - centre is dt 0.1 / 4 here; 20 steps."""
    found = InverseEvolution(HeatDiffusion(), dt=0.1 / 4, num_steps=20).stepping.gain(2)
    assert found == pytest.approx(1.2**20)
    assert round(1.2**20) == 38


@pytest.mark.parametrize("engine", ["spectral", "explicit"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_backward_pass_is_that_of_autograd_through_the_loop(engine: Any, boundary: str) -> None:
    u = logits(5, 6, 4).requires_grad_()
    weight = logits(5, 6, 4).cos()
    plain = u
    grid = Grid((1.0, 0.5, 2.0), boundary)  # type: ignore[arg-type]
    for _ in range(7):
        plain = plain - 0.05 * laplacian(plain, grid)
    (expected,) = torch.autograd.grad((plain * weight).sum(), u)
    out = InverseEvolution(HeatDiffusion(), grid=grid, dt=0.05, num_steps=7, engine=engine)(u)
    (found,) = torch.autograd.grad((out * weight).sum(), u)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-12)


@pytest.mark.parametrize("engine", ["spectral", "explicit"])
def test_first_and_second_gradients_are_right(engine: Any) -> None:
    u = torch.randn(1, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    function = layer((1.0, 0.5), engine=engine, gain=3)
    assert torch.autograd.gradcheck(function, (u,), raise_exception=True)
    assert torch.autograd.gradgradcheck(lambda v: function(v).sin(), (u,), raise_exception=True)


def test_no_tensor_is_kept_for_the_backward_pass() -> None:
    saved: list[int] = []
    u = logits(16, 16).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        layer()(u)
    assert saved == []


def test_channels_with_diffusivity_zero_are_left_alone() -> None:
    u = logits(8, 8)
    for engine in ("spectral", "explicit"):
        out = InverseEvolution(HeatDiffusion([0.0, 1.0, 0.5]), gain=10, engine=engine)(u)  # type: ignore[arg-type]
        torch.testing.assert_close(out[:, 0], u[:, 0], atol=1e-13, rtol=0)
        assert float((out[:, 1] - u[:, 1]).abs().max()) > 1


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("spacing", [1.0, 0.25, 3.0])
def test_the_gain_is_met_by_the_checkerboard_whatever_the_spacing(spatial_dims: int, spacing: float) -> None:
    """On a periodic grid of even size the alternating pattern is the fastest mode."""
    axes = torch.meshgrid(*[torch.arange(8)] * spatial_dims, indexing="ij")
    board = (1 - 2 * (sum(axes) % 2)).double()[None, None]  # type: ignore[arg-type]
    out = layer(spacing, "periodic", gain=38)(board)
    torch.testing.assert_close(out, 38 * board, atol=1e-10, rtol=0)


def test_a_step_in_mm2_means_the_same_on_a_finer_grid() -> None:
    """A smooth wave is amplified alike at 1 mm and at 0.5 mm, up to the O(h^2) error of the stencil."""
    amplified = []
    for n, h in ((32, 1.0), (64, 0.5)):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) * h
        wave = torch.cos(2 * torch.pi * x / 16)[None, None]
        amplified.append(
            float(InverseEvolution(HeatDiffusion(), grid=Grid(h), dt=0.1, num_steps=20)(wave).max() / wave.max())
        )
    # rate (2 pi / 16)^2 = 0.154 / mm^2, exact to (k h)^2 / 12 = 1.3 %, over a time of 2 mm^2: 0.4 %
    assert amplified[0] == pytest.approx(amplified[1], rel=4e-3)
    assert amplified[0] == pytest.approx((1 + 0.1 * (2 * torch.pi / 16) ** 2) ** 20, rel=4e-3)


def test_strength_scales_the_step_and_zero_returns_the_logits() -> None:
    u = logits(6, 6)
    half = InverseEvolution(HeatDiffusion(), dt=0.1, num_steps=3)
    torch.testing.assert_close(half(u, strength=0.5), InverseEvolution(HeatDiffusion(), dt=0.05, num_steps=3)(u))
    assert torch.equal(half(u, strength=0.0), u)


def test_a_changed_shape_dtype_or_strength_is_not_answered_from_the_cache() -> None:
    cached = layer()
    cases = [
        (logits(6, 6), 1.0),
        (logits(6, 6), 0.3),
        (logits(7, 5), 1.0),
        (logits(6, 6, dtype=torch.float32), 1.0),
        (logits(4, 4, 4), 1.0),
    ]
    for u, strength in [*cases, *reversed(cases)]:
        assert torch.equal(cached(u, strength=strength), layer()(u, strength=strength))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_come_out_in_float32_also_inside_autocast(dtype: torch.dtype) -> None:
    u = logits(12, 12, dtype=torch.float32).mul(20).to(dtype)
    expected = layer(gain=237)(u.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(gain=237)(u)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_the_backward_pass_inside_autocast_is_made_in_float32() -> None:
    grads = []
    for enabled in (False, True):
        u = logits(12, 12, dtype=torch.float32).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            layer(gain=237)(u).square().sum().backward()
        grads.append(u.grad)
    torch.testing.assert_close(grads[1], grads[0], atol=0, rtol=0)


def test_non_contiguous_and_channels_last_logits_give_the_same() -> None:
    u = logits(6, 8)
    expected = layer((1.0, 2.0))(u)
    torch.testing.assert_close(layer((1.0, 2.0))(u.to(memory_format=torch.channels_last)), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        layer((1.0, 2.0))(u.transpose(2, 3).contiguous().transpose(2, 3)), expected, atol=1e-12, rtol=0
    )


def test_the_logits_are_not_modified_and_each_element_is_its_own() -> None:
    u = logits(6, 8)
    before = u.clone()
    out = layer()(u)
    assert torch.equal(u, before)
    torch.testing.assert_close(out[1:2], layer()(u[1:2]), atol=1e-12, rtol=0)


def test_a_metatensor_comes_out_plain_and_one_of_another_spacing_is_refused() -> None:
    u = MetaTensor(logits(6, 8, 5), affine=torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0])))
    assert type(layer((1.0, 2.0, 3.0))(u)) is torch.Tensor
    with pytest.raises(ValueError, match=r"spacing is \(1.0, 2.0, 3.0\) mm"):
        layer((2.0, 1.0, 3.0))(u)


def test_it_copies_pickles_and_has_no_state() -> None:
    original = layer((1.0, 2.0))
    u = logits(6, 8)
    out = original(u)
    for twin in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert torch.equal(twin(u), out)
    assert original.state_dict() == {}
    assert list(original.parameters()) == []


def test_the_repr_shows_gain_and_length_for_the_axes_that_the_grid_admits() -> None:
    assert "num_steps=20, 2D: dt=0.0202, gain=38, length=0.899 mm, engine='spectral'" in repr(layer((0.9, 0.9)))
    both = repr(InverseEvolution(HeatDiffusion(), dt=16.0, num_steps=1))
    assert "2D: dt=16, gain=129, length=5.66 mm; 3D: dt=16, gain=193, length=5.66 mm" in both


class Decay(EvolutionTerm):
    """u_t = -u^3: nonlinear, pointwise; backwards v' = v^3, v(t) = v0 / sqrt(1 - 2 t v0^2)."""

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        return -(u**3)


def test_a_nonlinear_evolution_runs_backwards_towards_its_closed_form() -> None:
    u = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    exact = 0.5 / (1 - 2 * 1.0 * 0.25) ** 0.5
    errors = [abs(float(InverseEvolution(Decay(), dt=1 / n, num_steps=n)(u).max()) - exact) for n in (200, 400)]
    assert errors[1] < errors[0] / 1.8
    assert errors[1] < 2e-3


def test_a_nonlinear_evolution_has_right_gradients() -> None:
    u = torch.rand(1, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(InverseEvolution(Decay(), dt=0.05, num_steps=6), (u,), raise_exception=True)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "set one of dt .* and gain"),
        ({"dt": 0.1, "gain": 3}, "set one of dt .* and gain"),
        ({"dt": -0.1}, "dt must be positive"),
        ({"gain": 1.0}, "gain must be a finite number above 1"),
        ({"gain": float("inf")}, "gain must be a finite number above 1"),
        ({"dt": 0.1, "num_steps": 0}, "num_steps must be a whole number"),
        ({"dt": 0.1, "num_steps": 2.5}, "num_steps must be a whole number"),
        ({"dt": 0.1, "engine": "fft"}, "engine must be one of auto, spectral, explicit"),
    ],
)
def test_settings_out_of_range_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InverseEvolution(HeatDiffusion(), **kwargs)


def test_what_only_linear_evolutions_can_do_is_refused_for_others() -> None:
    with pytest.raises(ValueError, match="gain is defined for linear evolutions only"):
        InverseEvolution(Decay(), gain=3)
    with pytest.raises(ValueError, match="spectral engine needs a linear evolution"):
        InverseEvolution(Decay(), dt=0.1, engine="spectral")
    with pytest.raises(TypeError, match="term must be an EvolutionTerm"):
        InverseEvolution("heat", dt=0.1)  # type: ignore[arg-type]


def test_wrong_tensors_are_refused() -> None:
    with pytest.raises(TypeError, match=r"floating point logits, got torch.int64"):
        layer()(torch.zeros(1, 2, 4, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"takes B C H \[W \[D\]\]"):
        layer()(torch.zeros(4, 4))
    with pytest.raises(ValueError, match="has 2 numbers, but the tensor has 3 spatial axes"):
        layer((1.0, 1.0))(torch.zeros(1, 2, 4, 4, 4))
    with pytest.raises(ValueError, match="settings for 2 classes, but the tensor has 3 channels"):
        InverseEvolution(HeatDiffusion([1.0, 2.0]), gain=3)(logits(4, 4))


def test_a_coarser_level_reaches_equally_far_in_mm() -> None:
    """With ratios the step in mm^2 is the same, on larger voxels."""
    u = logits(5, 6)
    for ratios in itertools.product((1.0, 2.0), repeat=2):
        expected = InverseEvolution(HeatDiffusion(), grid=Grid((ratios[0], 3 * ratios[1])), dt=0.2)(u)
        torch.testing.assert_close(
            InverseEvolution(HeatDiffusion(), grid=Grid((1.0, 3.0)), dt=0.2)(u, ratios=ratios), expected
        )


def test_numbers_of_numpy_are_numbers() -> None:
    layer = InverseEvolution(HeatDiffusion(np.float32(1)), grid=Grid(np.float32(2)), gain=4, num_steps=np.int64(3))
    assert str(layer) == str(InverseEvolution(HeatDiffusion(1.0), grid=Grid(2.0), gain=4, num_steps=3))
    with pytest.raises(TypeError, match="gain must be a number; got '38'"):
        InverseEvolution(HeatDiffusion(), gain="38")  # type: ignore[arg-type]


def test_the_operators_of_a_few_shapes_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []
    original = SpectralEngine._made

    def counted(self: SpectralEngine, u: torch.Tensor, grid: Grid, dt: float) -> Any:
        made.append(tuple(u.shape[2:]))
        return original(self, u, grid, dt)

    monkeypatch.setattr(SpectralEngine, "_made", counted)
    layer = InverseEvolution(HeatDiffusion(), gain=4)
    for size in (4, 5, 6, 7, 8, 8, 7, 5, 4):  # four are kept: at the end 4 has gone, 5 has not
        layer(torch.zeros(1, 1, size, size))
    assert made == [(n, n) for n in (4, 5, 6, 7, 8, 4)]


def test_a_gain_that_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dt=10 amplifies the finest pattern by .* in 2D, and float32 holds"):
        InverseEvolution(LaplacianPower(2.0), dt=10.0, num_steps=20)
    with pytest.raises(ValueError, match="float32 holds 1e"):
        InverseEvolution(HeatDiffusion(), gain=1e31)
    assert Evolve(HeatDiffusion(), gain=1e31)(torch.rand(1, 8, 8)).isfinite().all()  # a damping may be as strong


def test_a_scheme_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme must be one of euler, exponential; got 'rk4'"):
        InverseEvolution(HeatDiffusion(), gain=3, scheme="rk4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exponential scheme needs a linear evolution"):
        InverseEvolution(MeanCurvatureMotion(), dt=0.1, scheme="exponential")
    with pytest.raises(ValueError, match="exponential scheme has no explicit steps"):
        InverseEvolution(HeatDiffusion(), gain=3, scheme="exponential", engine="explicit")


def test_settings_for_one_number_of_axes_are_described_for_that_number() -> None:
    shown = repr(InverseEvolution(HeatDiffusion(axis_diffusivity=[1.0, 1.0, 0.0]), gain=4))
    assert "3D: " in shown
    assert "2D" not in shown
    assert "axis_diffusivity=(1.0, 1.0, 0.0)" in shown


def test_a_nonlinear_evolution_says_how_much_faint_noise_may_grow() -> None:
    """(1 + dt * largest rate)^N: 1 + 0.05 * 8 in 2D, 1 + 0.05 * 12 in 3D."""
    shown = repr(InverseEvolution(MeanCurvatureMotion(), dt=0.05, num_steps=10))
    assert f"faint noise grows up to {1.4**10:.3g} times" in shown
    assert f"faint noise grows up to {1.6**10:.3g} times" in shown


class AlongLast(LinearTerm):
    """Heat along the last axis alone, with a symbol that does not have the full shape."""

    additive = True

    def symbol(self, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        return eigenvalues[-1]


class Growth(LinearTerm):
    def symbol(self, eigenvalues: Sequence[torch.Tensor]) -> torch.Tensor:
        return sum(eigenvalues[1:], start=eigenvalues[0]) - 1


@pytest.mark.parametrize("scheme", ["euler", "exponential"])
@pytest.mark.parametrize("shape", [(7, 6), (160, 144)])
def test_a_symbol_of_one_axis_is_taken(shape: tuple[int, ...], scheme: Any) -> None:
    u, axis = logits(*shape), HeatDiffusion(axis_diffusivity=[0.0, 1.0])
    settings: dict[str, Any] = {"dt": 0.05, "num_steps": 4, "scheme": scheme}
    expected = InverseEvolution(axis, **settings)(u)
    torch.testing.assert_close(InverseEvolution(AlongLast(), **settings)(u), expected, atol=1e-11, rtol=0)


def test_a_symbol_that_is_no_decay_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the symbol of Growth\(\) has to be a decay, 0 or more, but is -1"):
        InverseEvolution(Growth(), dt=0.1)(logits(6, 6))
    with pytest.raises(ValueError, match=r"Growth\(\) has no pattern that decays on voxels of \(5.0, 5.0\) mm"):
        InverseEvolution(Growth(), grid=Grid((5.0, 5.0)), gain=3)


class Smoothed(EvolutionTerm):
    """An own term of convolutions, which autocast would run in half precision."""

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        kernel = u.new_tensor([0.25, 0.5, 0.25]).view(1, 1, 3, 1).expand(u.shape[1], 1, 3, 1).contiguous()
        return torch.nn.functional.conv2d(u, kernel, padding=(1, 0), groups=u.shape[1]) - u.tanh()


def test_own_terms_are_differentiated_outside_autocast_too() -> None:
    results = []
    for enabled in (False, True):
        u = logits(12, 10, dtype=torch.float32).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            InverseEvolution(Smoothed(), dt=0.1, num_steps=6)(u).square().sum().backward()
        results.append(u.grad)
    torch.testing.assert_close(results[1], results[0], atol=0, rtol=0)


@pytest.mark.parametrize("term", [HeatDiffusion(), MeanCurvatureMotion()], ids=repr)
def test_an_empty_batch_comes_out_empty(term: EvolutionTerm) -> None:
    u = torch.zeros(0, 3, 8, 7, requires_grad=True)
    out = InverseEvolution(term, dt=0.01)(u)
    out.sum().backward()
    assert out.shape == (0, 3, 8, 7)
    assert u.grad is not None


@pytest.mark.parametrize("strength", [-0.1, float("nan")])
def test_a_strength_below_zero_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be a number of at least 0"):
        layer()(logits(4, 4), strength=strength)


def test_a_sum_uses_the_backward_pass_of_its_parts() -> None:
    class Own(MeanCurvatureMotion):
        def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
            return 0 * grad

    u = logits(5, 6).requires_grad_()
    out = InverseEvolution(SumTerm([Own(), Own()]), dt=0.01, num_steps=3)(u)
    (grad,) = torch.autograd.grad(out.sum(), u)
    torch.testing.assert_close(grad, torch.ones_like(u), atol=0, rtol=0)
