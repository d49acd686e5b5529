"""Slabs give what the whole image gives."""

from __future__ import annotations

import pytest
import torch

from monai_iel import (
    ConvexCurveMotion,
    EvolutionTerm,
    Grid,
    HeatDiffusion,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SumTerm,
    TotalVariationFlow,
)
from monai_iel.layers.explicit_engine import rate_of
from monai_iel.numerics import Boundary, blocks

TERMS = [TotalVariationFlow(), PeronaMalikDiffusion(1.0), MeanCurvatureMotion()]


NESTED = [[1, 2, 3], [2, 3], [3]]
CONVEX = [
    ConvexCurveMotion(),
    ConvexCurveMotion(regions=NESTED),
    SumTerm([HeatDiffusion(), ConvexCurveMotion(regions=NESTED)]),
]


def field(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("term", TERMS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("boundary", ["neumann", "dirichlet", "periodic"])
@pytest.mark.parametrize("shape", [(2, 2, 13, 6), (1, 3, 7, 5, 4), (3, 1, 1, 9)])
@pytest.mark.parametrize("elements", [1, 40, 100])
def test_slabs_of_any_thickness_give_the_value_and_the_gradient_of_the_whole(
    term: EvolutionTerm, boundary: Boundary, shape: tuple[int, ...], elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    u, w = field(*shape), field(*shape).cos()
    rate = rate_of(term, Grid((1.0, 0.5, 2.0)[: len(shape) - 2], boundary), 0.1)
    whole = rate.rate(u), rate.vector_jacobian_of(u, w)
    monkeypatch.setattr(blocks, "_BLOCK", elements)
    torch.testing.assert_close(rate(u), whole[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(rate.vector_jacobian(u, w), whole[1], atol=1e-10, rtol=0)


@pytest.mark.parametrize("term", CONVEX, ids=["each class", "nested", "nested in a sum"])
@pytest.mark.parametrize("elements", [1, 400])
def test_slabs_of_convex_regions_see_what_each_level_has_moved(
    term: EvolutionTerm, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    u, w = field(1, 4, 24, 5, 4), field(1, 4, 24, 5, 4).cos()
    rate = rate_of(term, Grid((1.0, 0.5, 2.0)), -0.3)
    whole = rate.rate(u), rate.vector_jacobian_of(u, w)
    monkeypatch.setattr(blocks, "_BLOCK", elements)
    torch.testing.assert_close(rate(u), whole[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(rate.vector_jacobian(u, w), whole[1], atol=1e-10, rtol=0)


@pytest.mark.parametrize("reach", [1, None])
def test_slabs_are_as_thin_as_asked_and_there_are_none_without_a_reach(
    reach: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK", 60)
    seen: list[tuple[int, int]] = []

    def rate(u: torch.Tensor) -> torch.Tensor:
        seen.append((len(u), u.shape[2]))
        return u

    evaluate = blocks.LocalRate(rate, lambda u, grad: grad, reach, "neumann")
    evaluate(torch.zeros(2, 1, 10, 20))
    # 60 elements are 3 planes of 20; one plane more on each side, where there is one
    assert seen == ([(1, 4), (1, 5), (1, 5), (1, 2)] * 2 if reach else [(1, 10), (1, 10)])
    seen.clear()
    evaluate(torch.zeros(5, 1, 5, 5))  # two of these make a block
    assert seen == [(2, 5), (2, 5), (1, 5)]
