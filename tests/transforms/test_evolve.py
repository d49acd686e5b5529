from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel import Evolve, Evolved, Grid, HeatDiffusion, InverseEvolution
from monai_iel.numerics import laplacian

BOUNDARIES = ["neumann", "dirichlet", "periodic"]
GEOMETRIES = [((17, 12), (0.8, 2.0)), ((9, 12, 7), (1.0, 0.7, 2.5))]


def field(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("shape", "spacing"), GEOMETRIES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_smoothing_undoes_the_layer_and_the_layer_the_smoothing(
    shape: Any, spacing: Any, boundary: Any, dtype: torch.dtype, bound: float
) -> None:
    """To rounding: a float32 error of 1e-7 comes back at most 38 times as large."""
    u = field(*shape, dtype=dtype)
    layer = InverseEvolution(HeatDiffusion(), grid=Grid(spacing, boundary), gain=38)
    smooth = Evolve(HeatDiffusion(), gain=38, spacing=spacing, boundary=boundary)
    for back in (smooth(layer(u[None])[0]), layer(torch.as_tensor(smooth(u))[None])[0]):
        assert float((torch.as_tensor(back) - u).norm() / u.norm()) < bound


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_it_solves_the_implicit_euler_equation(boundary: Any) -> None:
    """(I - dt laplacian)^N v == u, with the stencil, which the transform does not use."""
    u = field(8, 9)
    v = torch.as_tensor(Evolve(HeatDiffusion(), dt=0.7, num_steps=3, spacing=(1.0, 2.0), boundary=boundary)(u))[None]
    for _ in range(3):
        v = v - 0.7 * laplacian(v, Grid((1.0, 2.0), boundary))
    torch.testing.assert_close(v[0], u, atol=1e-12, rtol=0)


def test_any_step_is_stable_and_a_huge_one_leaves_the_mean() -> None:
    out = torch.as_tensor(Evolve(HeatDiffusion(), dt=1e9, num_steps=2)(field(8, 9)))
    torch.testing.assert_close(out, field(8, 9).mean(dim=(1, 2), keepdim=True).expand(3, 8, 9), atol=1e-8, rtol=0)


def test_probabilities_stay_probabilities() -> None:
    p = torch.softmax(8 * field(12, 10, 6), dim=0)
    out = torch.as_tensor(Evolve(HeatDiffusion(), gain=38)(p))
    torch.testing.assert_close(out.sum(dim=0), torch.ones(12, 10, 6, dtype=torch.float64), atol=1e-12, rtol=0)
    assert float(out.min()) > 0
    assert float(out.max()) < 1


def test_the_spacing_is_that_of_the_image() -> None:
    u = field(8, 9, 5)
    image = MetaTensor(u, affine=torch.diag(torch.tensor([1.0, 2.0, 0.5, 1.0])), meta={"name": "case"})
    out = Evolve(HeatDiffusion(), dt=0.5)(image)
    assert isinstance(out, MetaTensor)
    assert torch.equal(out.affine, image.affine)
    assert out.meta["name"] == "case"
    expected = Evolve(HeatDiffusion(), dt=0.5, spacing=(1.0, 2.0, 0.5))(u)
    torch.testing.assert_close(out.as_tensor(), expected, atol=1e-13, rtol=0)
    assert not np.allclose(out, Evolve(HeatDiffusion(), dt=0.5)(u), atol=1e-3)


def test_an_oblique_slice_has_the_length_of_its_voxel_edges() -> None:
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.tensor(
        [[0.0, 0, 1], [1.2, 0, 0], [1.6, 3.0, 0]], dtype=torch.float64
    )  # columns of length 2 and 3
    out = Evolve(HeatDiffusion(), dt=0.5)(MetaTensor(field(8, 9), affine=affine))
    torch.testing.assert_close(
        torch.as_tensor(out.as_tensor()),
        Evolve(HeatDiffusion(), dt=0.5, spacing=(2.0, 3.0))(field(8, 9)),
        atol=1e-12,
        rtol=0,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_in_numpy_out(dtype: Any) -> None:
    out = Evolve(HeatDiffusion(), gain=3)(field(8, 9).numpy().astype(dtype))
    assert isinstance(out, np.ndarray)
    assert out.dtype == dtype


def test_one_hot_maps_of_integers_become_float() -> None:
    one_hot = torch.nn.functional.one_hot(torch.randint(0, 3, (8, 9)), 3).permute(2, 0, 1)
    for kind in (torch.uint8, torch.bool, torch.int64):
        assert Evolve(HeatDiffusion(), gain=3)(one_hot.to(kind)).dtype == torch.float32


def test_a_class_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got a class map .* AsDiscrete\(to_onehot=...\)"):
        Evolve(HeatDiffusion(), gain=3)(torch.full((1, 8, 9), 2))


def test_the_argument_is_not_modified_and_half_precision_comes_back() -> None:
    u = field(8, 9).half()
    before = u.clone()
    assert Evolve(HeatDiffusion(), gain=3)(u).dtype == torch.float16
    assert torch.equal(u, before)


def test_the_dictionary_form_smooths_its_keys_only_and_pickles() -> None:
    smooth = pickle.loads(pickle.dumps(Evolved("pred", HeatDiffusion(), gain=38)))
    data = {"pred": field(8, 9), "image": field(8, 9)}
    out = smooth(data)
    assert torch.equal(out["image"], data["image"])
    torch.testing.assert_close(out["pred"], Evolve(HeatDiffusion(), gain=38)(data["pred"]))
    assert torch.equal(data["pred"], field(8, 9))


def test_bad_settings_are_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="set one of dt"):
        Evolve(HeatDiffusion())
    with pytest.raises(ValueError, match="gain must be a finite number above 1"):
        Evolved("pred", HeatDiffusion(), gain=0.5)
    with pytest.raises(TypeError, match="term must be an EvolutionTerm"):
        Evolve(torch.nn.Identity(), dt=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has 3 numbers, but the tensor has 2 spatial axes"):
        Evolve(HeatDiffusion(), dt=1, spacing=(1.0, 1.0, 1.0))(field(8, 9))
