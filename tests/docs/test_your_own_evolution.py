"""The files of docs/your_own_evolution.md, taken out of the page, saved, imported, checked and trained with."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.losses import DiceCELoss
from torch import nn

from monai_iel import EvolutionTerm, Evolve, Grid, HeatDiffusion, InverseEvolution, InverseEvolutionLoss
from monai_iel.numerics import blocks
from monai_iel.resources import bundle_root, overlay

PAGE = "your_own_evolution.md"
EVOLUTIONS = ["neighbour_vote.py", "fine_detail.py"]
GRID = Grid(spacing=(1.0, 0.5, 2.0))
Fenced = Callable[[str, str], list[str]]
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def files(fenced: Fenced) -> dict[str, str]:
    """The files that a reader of the page saves: blocks that begin with their name."""
    found = ((re.match(r"# (\w+\.py)\n", text), text) for text in fenced(PAGE, "python"))
    return {named[1]: text for named, text in found if named}


@pytest.fixture
def load(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import one of the page's files, which a reader has saved into one folder."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name: importlib.import_module(name.removesuffix(".py"))
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def terms(load: Load) -> list[EvolutionTerm]:
    return [load("neighbour_vote.py").NeighbourVote(), load("fine_detail.py").FineDetailDiffusion(wavelength_mm=8.0)]


def logits(*shape: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def layer_of(term: EvolutionTerm, grid: Grid | None = None) -> InverseEvolution:
    """As the page says."""
    if term.as_linear() is None:
        return InverseEvolution(term, grid=grid, dt=0.2, num_steps=5)
    return InverseEvolution(term, grid=grid, gain=10)


def test_the_page_has_the_files_that_are_tested_here(files: dict[str, str]) -> None:
    assert list(files) == [*EVOLUTIONS, "test_neighbour_vote.py"]


@pytest.mark.parametrize("name", EVOLUTIONS)
def test_an_evolution_is_one_file_of_at_most_thirty_lines(name: str, files: dict[str, str]) -> None:
    assert len(files[name].splitlines()) <= 30


def test_a_constant_is_a_fixed_point_in_2d_and_3d(terms: list[EvolutionTerm]) -> None:
    for term in terms:
        for shape, spacing in (((5, 6), (1.0, 0.5)), ((5, 6, 4), (1.0, 0.5, 2.0))):
            constant = torch.full((1, 3, *shape), 7.0, dtype=torch.float64)
            torch.testing.assert_close(layer_of(term, Grid(spacing))(constant), constant, rtol=0, atol=1e-13)


def test_an_extruded_image_evolves_as_the_image(terms: list[EvolutionTerm]) -> None:
    u = logits(9, 12)
    for term in terms:
        flat = term(u, Grid((1.0, 0.5)))
        assert float(flat.abs().max()) > 0.01
        extruded = term(u[..., None].expand(-1, -1, -1, -1, 4), GRID)
        torch.testing.assert_close(extruded, flat[..., None].expand_as(extruded), rtol=0, atol=1e-12)


def test_gradients_through_the_layer_are_right(terms: list[EvolutionTerm]) -> None:
    for term in terms:
        for u, grid in ((logits(3, 4, batch=1), Grid((1.0, 0.5))), (logits(3, 3, 3, batch=1), GRID)):
            assert torch.autograd.gradcheck(layer_of(term, grid), (u.requires_grad_(),))


def test_forward_alone_makes_the_same_layer(terms: list[EvolutionTerm]) -> None:
    class Bare(EvolutionTerm):
        def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
            return terms[0](u, grid)

    u = logits(5, 6, 4).requires_grad_()
    found = []
    for term in (terms[0], Bare()):
        out = layer_of(term, GRID)(u)
        found.append((out, torch.autograd.grad(out.square().sum(), u)[0]))
    assert Bare().reach is None
    for full, bare in zip(*found, strict=True):
        torch.testing.assert_close(full, bare, rtol=1e-12, atol=1e-12)


def test_its_reach_allows_slabs(terms: list[EvolutionTerm], monkeypatch: pytest.MonkeyPatch) -> None:
    u = logits(9, 4, 4)
    whole = layer_of(terms[0], GRID)(u)
    monkeypatch.setattr(blocks, "_BLOCK", 2 * 3 * 16)  # two planes of three classes
    torch.testing.assert_close(layer_of(terms[0], GRID)(u), whole, rtol=0, atol=0)


def test_its_largest_rate_bounds_the_jacobian_and_is_met(terms: list[EvolutionTerm]) -> None:
    """Two equally probable classes are where the Jacobian of softmax has the eigenvalue 1/2."""
    term, grid = terms[0], Grid((1.0, 0.5), "periodic")
    bound = term.largest_rate(grid, 2)
    assert bound == pytest.approx(2 + 8)
    for u, least in ((logits(4, 4, batch=1), 0.0), (torch.zeros(1, 2, 4, 4, dtype=torch.float64), bound * (1 - 1e-12))):
        jacobian = torch.autograd.functional.jacobian(lambda v: term(v, grid), u).reshape(u.numel(), u.numel())
        fastest = -float(torch.linalg.eigvals(jacobian).real.min())
        assert least <= fastest <= bound * (1 + 1e-12)
    with pytest.raises(ValueError, match=r"dt=0\.6 is above the bound .* set dt=0\.5 or less"):
        Evolve(term, dt=0.6)(torch.rand(2, 8, 8))  # 1 mm


def test_patterns_longer_than_the_wavelength_are_left_alone(terms: list[EvolutionTerm]) -> None:
    layer = layer_of(terms[1], Grid((1.0, 1.0), "periodic"))
    for wavelength, grows in ((16, False), (8, False), (4, True), (2, True)):
        wave = torch.cos(2 * torch.pi * torch.arange(32, dtype=torch.float64) / wavelength)
        wave = wave[None, None, :, None].expand(1, 1, 32, 4)
        factor = float(layer(wave).max())
        assert factor > 1.5 if grows else factor == pytest.approx(1, abs=1e-12)


def test_a_disc_shrinks_less_than_by_heat_as_the_page_says(terms: list[EvolutionTerm]) -> None:
    x = torch.arange(48, dtype=torch.float64) - 23.5
    logit = 13 * (x[:, None] ** 2 + x**2 < 64).double()[None] - 10
    left = [int((Evolve(t, gain=129, num_steps=1)(logit) > 0).sum()) for t in (HeatDiffusion(), terms[1])]
    assert [int((logit > 0).sum()), *left] == [208, 0, 164]


def test_the_files_that_are_to_be_tested_pass_the_tests_of_the_page(load: Load) -> None:
    tests = [value for name, value in vars(load("test_neighbour_vote.py")).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()


@pytest.mark.usefixtures("load")
def test_the_python_of_the_page_runs(files: dict[str, str], fenced: Fenced, capsys: pytest.CaptureFixture[str]) -> None:
    (usage,) = [text for text in fenced(PAGE, "python") if text not in files.values()]
    names: dict[str, Any] = {}
    exec(usage, names)
    assert "gain=10" in capsys.readouterr().out
    assert torch.isfinite(names["loss"](torch.randn(1, 3, 8, 8, 8), torch.randint(0, 3, (1, 1, 8, 8, 8))))
    assert names["smooth"](torch.randn(3, 8, 8)).shape == (3, 8, 8)


@pytest.mark.parametrize("data", ["data/phantom", "data/phantom_2d"])
def test_the_overlay_of_the_page_fits_the_bundle(data: str, load: Load, fenced: Fenced, tmp_path: Path) -> None:
    (text,) = fenced(PAGE, "yaml")
    (tmp_path / "my_iel.yaml").write_text(text)
    train = bundle_root("noisy_annotation_segmentation") / "configs" / "train.yaml"
    configs = (train, overlay(data), tmp_path / "my_iel.yaml")
    made = ConfigParser(ConfigParser.load_config_files([str(config) for config in configs]))
    made.update({"vote_dt": 0.1})
    loss = made.get_parsed_content("loss")
    assert isinstance(loss.layer.term, load("neighbour_vote.py").NeighbourVote)
    assert "num_steps=5, " in repr(loss.layer)
    assert "dt=0.1" in repr(loss.layer)
    shape = [16] * made["spatial_dims"]
    assert torch.isfinite(loss(torch.randn(1, 5, *shape), torch.randint(0, 5, (1, 1, *shape))))


@pytest.mark.usefixtures("load")
def test_a_config_needs_no_more_than_the_name() -> None:
    config = {
        "_target_": "monai_iel.InverseEvolution",
        "term": {"_target_": "fine_detail.FineDetailDiffusion", "wavelength_mm": 8.0},
        "gain": 10,
    }
    layer = ConfigParser({"layer": config}).get_parsed_content("layer")
    assert "wavelength_mm=8.0" in repr(layer)
    assert layer(torch.rand(1, 2, 8, 8)).shape == (1, 2, 8, 8)


def discs(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four noisy images of discs, their labels, and the labels with every seventh pixel or so the other class."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(32) - 15.5
    drawn = torch.rand(3, 4, 1, 1, 1, generator=generator)
    label = ((x[:, None] - 6 * drawn[0] + 3) ** 2 + (x - 6 * drawn[1] + 3) ** 2 < (7 + 5 * drawn[2]) ** 2).float()
    image = label + 1.2 * torch.randn(label.shape, generator=generator)
    wrong = torch.rand(label.shape, generator=generator) < 0.15
    return image, label, torch.where(wrong, 1 - label, label)


def specks(mask: torch.Tensor) -> float:
    """The share of pixels of which at least three of the four neighbours have the other class."""
    padded = nn.functional.pad(mask, (1, 1, 1, 1), mode="replicate")
    windows = (padded[..., :-2, 1:-1], padded[..., 2:, 1:-1], padded[..., 1:-1, :-2], padded[..., 1:-1, 2:])
    return float((sum((w != mask).int() for w in windows) >= 3).float().mean())  # type: ignore[union-attr]


def trained(loss: nn.Module, seed: int) -> tuple[float, float]:
    """Specks in the masks of new images, and Dice, after sixty steps on noisy labels from the seed's weights."""
    torch.manual_seed(seed)
    parts = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)]
    network = nn.Sequential(*parts)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    image, _, noisy = discs(0)
    for _ in range(60):
        optimizer.zero_grad()
        loss(network(image), noisy).backward()
        optimizer.step()
    image, label, _ = discs(1)
    with torch.no_grad():
        mask = network(image).argmax(dim=1, keepdim=True).float()
    return specks(mask), float(2 * (mask * label).sum() / (mask.sum() + label.sum()))


def test_training_through_it_makes_fewer_specks(terms: list[EvolutionTerm]) -> None:
    plain = DiceCELoss(to_onehot_y=True, softmax=True)
    for seed in (0, 1):
        plain_specks, plain_dice = trained(plain, seed)
        assert plain_specks > 0.01  # there is something to lower
        for term in terms:
            found, dice = trained(InverseEvolutionLoss(plain, layer_of(term, Grid((1.0, 1.0)))), seed)
            assert found < 0.75 * plain_specks, term
            assert dice > plain_dice - 0.02, term  # not by predicting nothing
