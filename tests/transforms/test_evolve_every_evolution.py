"""`Evolve` and `InverseEvolve` with every evolution, on every kind of input."""

from __future__ import annotations

import pickle
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
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    SumTerm,
    TotalVariationFlow,
)

LINEAR: list[EvolutionTerm] = [HeatDiffusion(), LaplacianPower(2.0), LaplacianPower(0.5), SobolevDiffusion(1.5)]
EXPLICIT: list[EvolutionTerm] = [
    TotalVariationFlow(0.5),
    PeronaMalikDiffusion(1.5),
    MeanCurvatureMotion(),
    SumTerm([HeatDiffusion(), MeanCurvatureMotion()]),
]
EVERY = pytest.mark.parametrize("term", [*LINEAR, *EXPLICIT], ids=lambda t: type(t).__name__)
AFFINE = torch.diag(torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64))


def field(*shape: int) -> torch.Tensor:
    return torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@EVERY
def test_the_spacing_is_that_of_the_image_and_its_metadata_stays(term: EvolutionTerm) -> None:
    u = field(8, 9, 5)
    image = MetaTensor(u.clone(), affine=AFFINE, meta={"name": "case"})
    for kind in (Evolve, InverseEvolve):
        out = kind(term, dt=0.01, num_steps=5)(image)
        assert isinstance(out, MetaTensor)
        assert torch.equal(out.affine, AFFINE)
        assert out.meta["name"] == "case"
        expected = kind(term, dt=0.01, num_steps=5, spacing=(1.0, 2.0, 0.5))(u)
        torch.testing.assert_close(out.as_tensor(), torch.as_tensor(expected), atol=1e-12, rtol=0)
        assert float((out.as_tensor() - torch.as_tensor(kind(term, dt=0.01, num_steps=5)(u))).abs().max()) > 1e-4
    assert torch.equal(image.as_tensor(), u)


@EVERY
def test_forwards_is_smoother_and_backwards_is_what_the_layer_sees(term: EvolutionTerm) -> None:
    u = field(12, 10)
    smooth = torch.as_tensor(Evolve(term, dt=0.02, num_steps=6, spacing=(1.0, 0.8))(u))
    sharp = torch.as_tensor(InverseEvolve(term, dt=0.02, num_steps=6, spacing=(1.0, 0.8))(u))
    assert float(smooth.var()) < float(u.var()) < float(sharp.var())
    layer = InverseEvolution(term, grid=Grid((1.0, 0.8)), dt=0.02, num_steps=6)
    torch.testing.assert_close(sharp, layer(u[None])[0], atol=0, rtol=0)


@pytest.mark.parametrize("term", LINEAR, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_linear_evolutions_take_any_step_and_the_two_directions_undo_each_other(
    term: EvolutionTerm, scheme: Any
) -> None:
    u = field(8, 9)
    settings: dict[str, Any] = {"gain": 38, "spacing": (1.0, 0.8), "scheme": scheme}
    back = Evolve(term, **settings)(InverseEvolve(term, **settings)(u))
    torch.testing.assert_close(torch.as_tensor(back), u, atol=1e-12, rtol=0)
    flat = torch.as_tensor(Evolve(term, dt=1e6, num_steps=2, scheme="euler")(u))
    torch.testing.assert_close(flat, u.mean(dim=(1, 2), keepdim=True).expand_as(u), atol=1e-4, rtol=0)


@pytest.mark.parametrize("term", EXPLICIT, ids=lambda t: type(t).__name__)
def test_explicit_steps_are_taken_up_to_the_bound_and_refused_above_it(term: EvolutionTerm) -> None:
    """At the bound 200 steps stay in the range of the image; the message says a step that is taken."""
    rate = term.largest_rate(Grid((1.0, 2.0)), 2)
    assert rate is not None
    image = MetaTensor(field(8, 9), affine=torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64)))
    out = Evolve(term, dt=2 / rate, num_steps=200)(image)
    assert float(out.min()) >= float(image.min())
    assert float(out.max()) <= float(image.max())
    too_large = Evolve(term, dt=2.1 / rate, num_steps=200)
    with pytest.raises(ValueError, match=r"above the bound .* on voxels of \(1.0, 2.0\) mm: .* num_steps=210"):
        too_large(image)


@EVERY
def test_one_hot_maps_probabilities_and_numpy_arrays_are_taken(term: EvolutionTerm) -> None:
    one_hot = torch.nn.functional.one_hot(torch.randint(0, 3, (8, 9)), 3).permute(2, 0, 1)
    for kind in (Evolve, InverseEvolve):
        for dtype in (torch.uint8, torch.bool):
            assert kind(term, dt=0.01)(one_hot.to(dtype)).dtype == torch.float32
        out = kind(term, dt=0.01)(torch.softmax(field(8, 9), dim=0).numpy().astype(np.float32))
        assert isinstance(out, np.ndarray)
        assert out.dtype == np.float32
        assert kind(term, dt=0.01)(field(8, 9).half()).dtype == torch.float16
        with pytest.raises(ValueError, match=rf"{kind.__name__} takes .* got a class map"):
            kind(term, dt=0.01)(torch.full((1, 8, 9), 2))


@pytest.mark.parametrize(
    "term", [HeatDiffusion(), LaplacianPower(0.5), SobolevDiffusion(1.5)], ids=lambda t: type(t).__name__
)
def test_powers_up_to_one_keep_probabilities_probabilities(term: EvolutionTerm) -> None:
    p = torch.softmax(8 * field(12, 10), dim=0)
    out = torch.as_tensor(Evolve(term, gain=20)(p))
    torch.testing.assert_close(out.sum(dim=0), torch.ones(12, 10, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(out.min()) > 0


@pytest.mark.parametrize("kind", [Evolved, InverseEvolved])
@EVERY
def test_the_dictionary_forms_change_their_keys_only_and_pickle(kind: Any, term: EvolutionTerm) -> None:
    transform = pickle.loads(pickle.dumps(kind(["pred"], term, dt=0.01, spacing=[1.0, 2.0])))
    data = {"pred": field(8, 9), "image": field(8, 9)}
    out = transform(data)
    assert torch.equal(out["image"], data["image"])
    assert torch.equal(data["pred"], field(8, 9))
    torch.testing.assert_close(out["pred"], kind.array(term, dt=0.01, spacing=(1.0, 2.0))(data["pred"]))
    with pytest.raises(KeyError, match="logits"):
        kind("logits", term, dt=0.01)(data)
    assert kind("logits", term, dt=0.01, allow_missing_keys=True)(data).keys() == data.keys()


class Runaway(EvolutionTerm):
    """An own term without a bound: grows forwards."""

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        return u**3


def test_an_own_term_without_a_bound_is_run_and_a_result_that_is_not_finite_refused() -> None:
    u = field(8, 9)
    torch.testing.assert_close(Evolve(Runaway(), dt=0.01, num_steps=1)(u), u + 0.01 * u**3)
    with pytest.raises(ValueError, match=r"not finite.*lower dt"):
        Evolve(Runaway(), dt=1.0, num_steps=20)(u)


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
