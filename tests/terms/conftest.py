"""The list of evolutions; a new one is one line here, and every shared test runs through it."""

from __future__ import annotations

import pytest

from monai_iel import (
    EvolutionTerm,
    HeatDiffusion,
    LaplacianPower,
    MeanCurvatureMotion,
    PeronaMalikDiffusion,
    SobolevDiffusion,
    SumTerm,
    TotalVariationFlow,
)

TERMS: list[EvolutionTerm] = [
    HeatDiffusion(),
    HeatDiffusion([1.0, 0.0, 2.5]),
    LaplacianPower(2.0),
    LaplacianPower(0.5, diffusivity=[1.0, 0.0, 2.5]),
    SobolevDiffusion(1.5),
    SobolevDiffusion(1.5, exponent=0.5, diffusivity=[1.0, 0.0, 2.5]),
    TotalVariationFlow(),
    TotalVariationFlow(0.5, diffusivity=[1.0, 0.0, 2.5]),
    PeronaMalikDiffusion(1.5),
    PeronaMalikDiffusion(1.5, diffusivity=[1.0, 0.0, 2.5]),
    MeanCurvatureMotion(),
    MeanCurvatureMotion(0.5, diffusivity=[1.0, 0.0, 2.5]),
    SumTerm([HeatDiffusion(), LaplacianPower(2.0)], weights=[1.0, 0.2]),
    SumTerm([HeatDiffusion(), TotalVariationFlow(0.5, diffusivity=[1.0, 0.0, 2.5])]),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``term``: every evolution; ``linear_term``: those that are linear; ``boundary``: the three of them."""
    for name, terms in (("term", TERMS), ("linear_term", [t for t in TERMS if t.as_linear() is not None])):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, terms, ids=[repr(t).replace("\n", "") for t in terms])
    if "boundary" in metafunc.fixturenames:
        metafunc.parametrize("boundary", ["neumann", "dirichlet", "periodic"])
