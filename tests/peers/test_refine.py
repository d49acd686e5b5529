from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.spatial import ConvexHull, Delaunay

from monai_iel import Grid
from monai_iel.peers import QuasiConcavityRefine, QuasiConcavityRefined
from monai_iel.peers.penalties import QuasiConcavityPenalty

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 56
AXIS = torch.arange(SIZE) - (SIZE - 1) / 2
RADIUS = (AXIS[:, None].square() + AXIS.square()).sqrt()
DISC = (0.5 * (16 - RADIUS)).clamp(-6, 6)[None]
BITE = (0.5 * (((AXIS[:, None] - 16).square() + AXIS.square()).sqrt() - 8)).clamp(-6, 6)[None]
BITTEN = torch.minimum(DISC, BITE)


def solidity(mask: torch.Tensor) -> float:
    """Voxels of the mask per voxel whose middle lies in the hull of the middles."""
    points = mask.nonzero().numpy()
    hull = Delaunay(points[ConvexHull(points).vertices])
    return len(points) / int((hull.find_simplex(np.argwhere(np.ones(mask.shape))) >= 0).sum())


def as_classes(u: torch.Tensor) -> torch.Tensor:
    return torch.cat([-u / 2, u / 2])


@pytest.mark.parametrize("heads", ["one channel", "softmax", "sigmoid"])
def test_a_bite_is_filled(heads: str) -> None:
    refine = QuasiConcavityRefine(sigmoid=heads == "sigmoid")
    if heads == "softmax":
        out = torch.as_tensor(refine(as_classes(BITTEN)))
        mask = out[1] > out[0]
    else:
        mask = torch.as_tensor(refine(torch.cat([BITTEN, DISC]) if heads == "sigmoid" else BITTEN))[0] > 0
    assert solidity(BITTEN[0] > 0) < 0.93
    assert solidity(mask) > 0.975
    full = int((DISC > 0).sum())
    assert 0.85 * full < int(mask.sum()) <= full


def test_a_disc_is_left_alone() -> None:
    out = torch.as_tensor(QuasiConcavityRefine()(DISC))
    assert torch.equal(out > 0, DISC > 0)
    assert float((out.sigmoid() - DISC.sigmoid()).abs().max()) < 0.05


def test_no_weight_and_no_step_change_nothing() -> None:
    torch.testing.assert_close(QuasiConcavityRefine(num_steps=0)(BITTEN), BITTEN)
    torch.testing.assert_close(QuasiConcavityRefine(weight=0, num_steps=3)(BITTEN), BITTEN)


def test_a_bitten_ball_costs_less_afterwards() -> None:
    x = AXIS[12:44]
    r = (x[:, None, None].square() + x[:, None].square() + x.square()).sqrt()
    hole = ((x[:, None, None] - 8).square() + x[:, None].square() + x.square()).sqrt()
    u = torch.minimum(8 - r, hole - 5).clamp(-6, 6)[None]
    out = torch.as_tensor(QuasiConcavityRefine(num_steps=40)(u))
    penalty = QuasiConcavityPenalty()
    assert float(penalty(out[None], Grid())) < 0.5 * float(penalty(u[None], Grid()))
    assert solidity(out[0] > 0) > solidity(u[0] > 0)


def test_it_runs_where_evaluators_run_and_twice_alike() -> None:
    refine = QuasiConcavityRefine(num_steps=5)
    expected = torch.as_tensor(refine(BITTEN))
    assert not torch.equal(expected, BITTEN)
    with torch.no_grad():
        assert torch.equal(torch.as_tensor(refine(BITTEN)), expected)
    with torch.inference_mode():
        assert torch.equal(torch.as_tensor(refine(BITTEN.clone())), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(torch.as_tensor(refine(BITTEN)), expected)
    assert not expected.requires_grad


def test_type_metadata_and_argument_are_kept() -> None:
    refine = QuasiConcavityRefine(num_steps=3)
    image = MetaTensor(BITTEN.half(), affine=torch.diag(torch.tensor([1.0, 2.0, 1.0])), meta={"name": "case"})
    before = image.clone()
    out = refine(image)
    assert isinstance(out, MetaTensor)
    assert out.dtype == torch.float16
    assert out.meta["name"] == "case"
    assert torch.equal(out.affine, image.affine)
    assert torch.equal(image, before)
    array = refine(BITTEN.numpy().astype(np.float64))
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float64


def test_the_spacing_is_that_of_the_image() -> None:
    image = MetaTensor(BITTEN, affine=torch.diag(torch.tensor([1.0, 2.0, 1.0])))
    out = torch.as_tensor(QuasiConcavityRefine(num_steps=5)(image).as_tensor())  # type: ignore[union-attr]
    torch.testing.assert_close(out, QuasiConcavityRefine(num_steps=5, spacing=(1.0, 2.0))(BITTEN))
    assert not torch.allclose(out, torch.as_tensor(QuasiConcavityRefine(num_steps=5)(BITTEN)), atol=1e-2)


def test_only_the_regions_are_refined() -> None:
    """Classes 1 and 2 together are a disc, class 2 alone is bitten."""
    both, second = DISC.sigmoid(), torch.minimum(BITTEN, DISC - 2).sigmoid()
    u = torch.cat([1 - both, both - second, second]).clamp_min(1e-6).log()
    union = torch.as_tensor(QuasiConcavityRefine(regions=[[1, 2]], num_steps=60)(u)).softmax(dim=0)
    inner = torch.as_tensor(QuasiConcavityRefine(regions=[[2]], num_steps=60)(u)).softmax(dim=0)
    assert torch.equal(union[0] < 0.5, DISC[0] > 0)
    assert solidity(inner[2] > 0.5) > max(solidity(second[0] > 0.5) + 0.01, solidity(union[2] > 0.5))


def test_the_dictionary_form_refines_its_keys_only_and_pickles() -> None:
    refine = pickle.loads(pickle.dumps(QuasiConcavityRefined("pred", num_steps=3)))
    data = {"pred": BITTEN, "image": BITTEN}
    out = refine(data)
    assert torch.equal(out["image"], BITTEN)
    torch.testing.assert_close(out["pred"], QuasiConcavityRefine(num_steps=3)(BITTEN))
    assert data["pred"] is BITTEN
    with pytest.raises(KeyError, match="pred"):
        refine({"image": BITTEN})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weight": float("inf")}, "weight must be finite"),
        ({"step": 0}, "step must be finite and above 0"),
        ({"num_steps": 1.5}, "num_steps must be a whole number"),
        ({"regions": [[-1]]}, "expected a list of lists of class numbers"),
        ({"spacing": 0}, "spacing must be positive"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_when_it_is_made(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuasiConcavityRefined("pred", **settings)


def test_bad_input_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes logits, but got torch\.uint8"):
        QuasiConcavityRefine()((BITTEN > 0).byte())
    with pytest.raises(ValueError, match="got logits that are not finite"):
        QuasiConcavityRefine()(torch.full((1, 8, 8), float("inf")))
    with pytest.raises(ValueError, match=r"not finite in torch\.float16"):
        QuasiConcavityRefine(step=1e6, num_steps=2)(BITTEN.half())
    with pytest.raises(ValueError, match="has 3 numbers, but the tensor has 2 spatial axes"):
        QuasiConcavityRefine(spacing=(1.0, 1.0, 1.0))(BITTEN)
    with pytest.raises(ValueError, match="2 or 3 spatial axes"):
        QuasiConcavityRefine()(torch.zeros(1, 8))
