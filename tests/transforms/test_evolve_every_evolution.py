"""`Evolve` and `InverseEvolve` with every evolution, on every kind of input."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel import (
    EvolutionTerm,
    Evolve,
    Evolved,
    Grid,
    HeatDiffusion,
    InverseEvolution,
    InverseEvolve,
    InverseEvolved,
    LaplacianPower,
    SobolevDiffusion,
    TotalVariationFlow,
)

AFFINE = torch.diag(torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64))


def field(*shape: int) -> torch.Tensor:
    return torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_spacing_is_that_of_the_image_and_its_metadata_stays(evolution: EvolutionTerm) -> None:
    u = field(8, 9, 5)
    image = MetaTensor(u.clone(), affine=AFFINE, meta={"name": "case"})
    for kind in (Evolve, InverseEvolve):
        out = kind(evolution, dt=0.005, num_steps=5)(image)
        assert isinstance(out, MetaTensor)
        assert torch.equal(out.affine, AFFINE)
        assert out.meta["name"] == "case"
        expected = kind(evolution, dt=0.005, num_steps=5, spacing=(1.0, 2.0, 0.5))(u)
        torch.testing.assert_close(out.as_tensor(), torch.as_tensor(expected), atol=1e-12, rtol=0)
        assert float((out.as_tensor() - torch.as_tensor(kind(evolution, dt=0.005, num_steps=5)(u))).abs().max()) > 1e-4
    assert torch.equal(image.as_tensor(), u)


def test_forwards_is_smoother_and_backwards_is_what_the_layer_sees(smoothing_evolution: EvolutionTerm) -> None:
    u = field(12, 10)
    smooth = torch.as_tensor(Evolve(smoothing_evolution, dt=0.01, num_steps=6, spacing=(1.0, 0.8))(u))
    sharp = torch.as_tensor(InverseEvolve(smoothing_evolution, dt=0.01, num_steps=6, spacing=(1.0, 0.8))(u))
    assert float(smooth.var()) < float(u.var()) < float(sharp.var())
    layer = InverseEvolution(smoothing_evolution, grid=Grid((1.0, 0.8)), dt=0.01, num_steps=6)
    torch.testing.assert_close(sharp, layer(u[None])[0], atol=0, rtol=0)


@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_linear_evolutions_take_any_step_and_the_two_directions_undo_each_other(
    linear_evolution: EvolutionTerm, scheme: Any
) -> None:
    u = field(8, 9)
    settings: dict[str, Any] = {"gain": 38, "spacing": (1.0, 0.8), "scheme": scheme}
    back = Evolve(linear_evolution, **settings)(InverseEvolve(linear_evolution, **settings)(u))
    torch.testing.assert_close(torch.as_tensor(back), u, atol=1e-12, rtol=0)
    far = torch.as_tensor(Evolve(linear_evolution, dt=1e6, num_steps=2)(u))
    means = u.mean(dim=(1, 2), keepdim=True).expand_as(u)
    for c in range(3):  # a class of diffusivity 0 stays, the others are flat
        still = torch.allclose(far[c], u[c], atol=1e-12)
        assert still or torch.allclose(far[c], means[c], atol=1e-4)
    assert not torch.allclose(far, u)
    many = torch.as_tensor(Evolve(linear_evolution, dt=0.1, num_steps=2000, scheme=scheme)(u))  # a gain beyond float32
    assert torch.isfinite(many).all()


def test_explicit_steps_are_taken_up_to_the_bound_and_refused_above_it(
    smoothing_nonlinear_evolution: EvolutionTerm,
) -> None:
    """At the bound 200 steps stay in the range of the image; the message says a step that is taken."""
    rate = smoothing_nonlinear_evolution.largest_rate(Grid((1.0, 2.0)), 2)
    assert rate is not None
    image = MetaTensor(field(8, 9), affine=torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64)))
    out = Evolve(smoothing_nonlinear_evolution, dt=2 / rate, num_steps=200)(image)
    assert float(out.min()) >= float(image.min())
    assert float(out.max()) <= float(image.max())
    with pytest.raises(ValueError, match=r"above the bound .* on voxels of \(1.0, 2.0\) mm: .* is 210 steps"):
        Evolve(smoothing_nonlinear_evolution, dt=2.1 / rate, num_steps=200)(image)


@pytest.mark.parametrize("shape", [(8, 9), (6, 5, 4)])
def test_the_step_that_a_refusal_advises_is_taken(nonlinear_evolution: EvolutionTerm, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"above the bound") as refused:
        Evolve(nonlinear_evolution, dt=10.0, num_steps=2)(field(*shape))
    advised = re.search(r"set dt=(\S+) or less; the same time is (\d+) steps", str(refused.value))
    assert advised
    dt, steps = float(advised[1]), int(advised[2])
    Evolve(nonlinear_evolution, dt=dt, num_steps=1)(field(*shape))
    assert 20 * 0.99 <= dt * steps <= 20 + dt


def test_one_hot_maps_probabilities_and_numpy_arrays_are_taken(evolution: EvolutionTerm) -> None:
    one_hot = torch.nn.functional.one_hot(torch.randint(0, 3, (8, 9)), 3).permute(2, 0, 1)
    for kind in (Evolve, InverseEvolve):
        for dtype in (torch.uint8, torch.bool):
            assert kind(evolution, dt=0.005)(one_hot.to(dtype)).dtype == torch.float32
        out = kind(evolution, dt=0.005)(torch.softmax(field(8, 9), dim=0).numpy().astype(np.float32))
        assert isinstance(out, np.ndarray)
        assert out.dtype == np.float32
        assert kind(evolution, dt=0.005)(field(8, 9).half()).dtype == torch.float16
        with pytest.raises(ValueError, match=rf"{kind.__name__} takes .* got a class map"):
            kind(evolution, dt=0.005)(torch.full((1, 8, 9), 2))


@pytest.mark.parametrize(
    "term", [HeatDiffusion(), LaplacianPower(0.5), SobolevDiffusion(1.5)], ids=lambda t: type(t).__name__
)
def test_powers_up_to_one_keep_probabilities_probabilities(term: EvolutionTerm) -> None:
    p = torch.softmax(8 * field(12, 10), dim=0)
    out = torch.as_tensor(Evolve(term, gain=20)(p))
    torch.testing.assert_close(out.sum(dim=0), torch.ones(12, 10, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(out.min()) > 0


@pytest.mark.parametrize("kind", [Evolved, InverseEvolved])
def test_the_dictionary_forms_change_their_keys_only_and_pickle(kind: Any, evolution: EvolutionTerm) -> None:
    transform = pickle.loads(pickle.dumps(kind(["pred"], evolution, dt=0.005, spacing=[1.0, 2.0])))
    data = {"pred": field(8, 9), "image": field(8, 9)}
    out = transform(data)
    assert torch.equal(out["image"], data["image"])
    assert torch.equal(data["pred"], field(8, 9))
    torch.testing.assert_close(out["pred"], kind.array(evolution, dt=0.005, spacing=(1.0, 2.0))(data["pred"]))
    with pytest.raises(KeyError, match="logits"):
        kind("logits", evolution, dt=0.005)(data)
    assert kind("logits", evolution, dt=0.005, allow_missing_keys=True)(data).keys() == data.keys()


class Runaway(EvolutionTerm):
    """An own term without a bound: grows forwards."""

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        return u**3


def test_an_own_term_without_a_bound_is_run_and_a_result_that_is_not_finite_refused() -> None:
    u = field(8, 9)
    torch.testing.assert_close(Evolve(Runaway(), dt=0.01, num_steps=1)(u), u + 0.01 * u**3)
    with pytest.raises(ValueError, match=r"not finite in torch.float64.*lower dt"):
        Evolve(Runaway(), dt=1.0, num_steps=20)(u)


def test_logits_that_outgrow_half_precision_are_refused() -> None:
    large = torch.full((1, 8, 8), 1000.0)
    large[0, ::2, ::2] = -1000
    with pytest.raises(ValueError, match=r"InverseEvolve of HeatDiffusion.* not finite in torch.float16"):
        InverseEvolve(HeatDiffusion(), gain=237)(large.half())


@pytest.mark.parametrize("kind", [InverseEvolve, InverseEvolved, Evolve, Evolved])
def test_bad_settings_are_refused_when_it_is_made(kind: Any) -> None:
    keys = ["pred"] if kind in (Evolved, InverseEvolved) else []
    with pytest.raises(ValueError, match="set one of dt"):
        kind(*keys, HeatDiffusion())
    with pytest.raises(ValueError, match="gain is defined for linear evolutions only"):
        kind(*keys, TotalVariationFlow(), gain=3)
    with pytest.raises(TypeError, match="term must be an EvolutionTerm"):
        kind(*keys, torch.nn.Identity(), dt=1)
    with pytest.raises(ValueError, match="spacing must be positive"):
        kind(*keys, HeatDiffusion(), dt=1, spacing=0)
