"""Margins of unions of classes, and how they are moved, in float64."""

from __future__ import annotations

import pytest
import torch

from monai_iel.terms.regions import Level, Regions


def logits(channels: int) -> torch.Tensor:
    return 3 * torch.randn(2, channels, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def margin(u: torch.Tensor, region: list[int]) -> torch.Tensor:
    p = torch.softmax(u, dim=1)[:, region].sum(dim=1)
    return torch.log(p / (1 - p))


def only(regions: Regions, channels: int) -> Level:
    (level,) = regions.levels(channels)
    return level


def test_a_margin_is_the_log_odds_of_the_region() -> None:
    u = logits(4)
    found = only(Regions.of([[1, 3], [2]]), 4).margins(u)
    torch.testing.assert_close(found[:, 0], margin(u, [1, 3]))
    torch.testing.assert_close(found[:, 1], margin(u, [2]))
    assert torch.equal(only(Regions(), 1).margins(u[:, :1]), u[:, :1])
    assert torch.equal(only(Regions(sigmoid=True), 4).margins(u), u)


def test_the_mask_of_a_region_is_where_its_classes_win() -> None:
    u = torch.tensor([1.0, 0.9, 0.9])[None, :, None]  # together the two have more than half, but neither wins
    level = only(Regions.of([[1, 2]]), 3)
    assert not bool(level.masks(u).any())
    assert bool((level.margins(u) > 0).all())
    assert bool(only(Regions.of([[0, 2]]), 3).masks(u).all())


def test_one_region_moves_by_exactly_what_is_asked() -> None:
    u, change = logits(4), torch.randn(2, 1, 5, 6, dtype=torch.float64)
    level = only(Regions.of([[1, 3]]), 4)
    moved = u + level.moved(u, change)
    torch.testing.assert_close(level.margins(moved) - level.margins(u), change, atol=1e-13, rtol=0)


def test_a_nested_region_moves_against_the_rest_of_the_outer_one_which_stays() -> None:
    u, change = logits(4), 5 * torch.randn(2, 1, 5, 6, dtype=torch.float64)
    outer, inner = Regions.of([[1, 2, 3], [2]]).levels(4)
    moved = u + inner.moved(u, change)
    torch.testing.assert_close(outer.margins(moved), outer.margins(u), atol=1e-13, rtol=0)
    against = (moved[:, 2] - moved[:, 1]) - (u[:, 2] - u[:, 1])
    torch.testing.assert_close(against, change[:, 0], atol=1e-13, rtol=0)
    torch.testing.assert_close(moved[:, 3] - moved[:, 1], u[:, 3] - u[:, 1], atol=1e-13, rtol=0)
    assert torch.equal(moved[:, 0], u[:, 0])


def test_the_rate_is_the_limit_of_small_moves() -> None:
    u, rate = logits(5), torch.randn(2, 2, 5, 6, dtype=torch.float64)
    inner = Regions.of([[1, 2, 3], [2], [3]]).levels(5)[1]
    small = inner.moved(u, 1e-6 * rate) / 1e-6
    torch.testing.assert_close(inner.rates(u, rate), small, atol=1e-5, rtol=0)


def test_three_levels_go_from_the_outermost_to_the_innermost() -> None:
    levels = Regions.of([[3], [1, 2, 3], [4], [2, 3]]).levels(5)
    assert [level.regions for level in levels] == [((1, 2, 3), (4,)), ((2, 3),), ((3,),)]
    assert [level.parents for level in levels] == [(None, None), ((1, 2, 3),), ((2, 3),)]


def test_without_regions_each_foreground_class_is_one() -> None:
    assert only(Regions(), 4).regions == ((1,), (2,), (3,))
    assert only(Regions(), 1).regions == ((0,),)
    assert only(Regions(sigmoid=True), 3).regions == ((0,), (1,), (2,))


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([], r"regions is \[\]; expected a list of lists of class numbers"),
        ([[1], [1]], r"regions name a region twice: \[\[1\], \[1\]\]"),
        ([[]], r"regions is \[\[\]\]; expected"),
        ([[1, -2]], r"regions is \[\[1, -2\]\]; expected"),
        ([[1.5]], r"regions is \[\[1.5\]\]; expected"),
        ([1, 2], r"regions is \[1, 2\]; expected"),
        ([[1, 2], [2, 3]], r"the regions \[1, 2\] and \[2, 3\] overlap, but neither encloses the other"),
    ],
)
def test_regions_that_cannot_be_are_refused(regions: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regions.of(regions)


def test_regions_that_the_network_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match="name the class 3, but the tensor has 3 channels"):
        Regions.of([[3]]).levels(3)
    with pytest.raises(ValueError, match="holds all 3 classes, so it has no outline"):
        Regions.of([[0, 1, 2]]).levels(3)
    with pytest.raises(ValueError, match="with sigmoid each channel is a region of its own"):
        Regions.of([[1, 2]], sigmoid=True)
