"""The cells of a study, and how they are shared out."""

from __future__ import annotations

import pytest

from monai_iel.study.compare import Study, cells_of, selected, shard_of
from monai_iel.study.compare.cells import evaluations_of


def test_a_cell_is_a_training_of_a_place_and_the_first_seed_comes_first(grid: Study) -> None:
    names = [cell.name for cell in cells_of(grid)]
    places = [("clean", "all"), ("block", "2"), ("block", "all")]
    assert names == [
        f"phantom/{noise}/{cases}/{method}/seed{seed}"
        for seed in (0, 1)
        for noise, cases in places
        for method in ("plain", "IEL")
    ]


def test_an_output_is_evaluated_once_whoever_asks_for_it(grid: Study) -> None:
    plain, iel = cells_of(grid)[:2]
    assert [e.name for e in evaluations_of(grid, plain)] == [
        "evaluate-last",
        "evaluate-best",  # of "early" too
        "evaluate-last-plain-smoothing",
        "evaluate-best-plain-smoothing",
    ]
    assert [e.name for e in evaluations_of(grid, iel)] == ["evaluate-last", "evaluate-best"]


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_shards_are_a_partition_of_equal_parts(count: int, grid: Study) -> None:
    cells = cells_of(grid)
    parts = [[cell.name for cell in shard_of(cells, index, count)] for index in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(cell.name for cell in cells)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_does_not_depend_on_the_order_of_the_file(grid: Study) -> None:
    cells = cells_of(grid)
    one, other = shard_of(cells, 1, 3), shard_of(cells[::-1], 1, 3)
    assert {cell.name for cell in one} == {cell.name for cell in other}


@pytest.mark.parametrize(("index", "count"), [(0, 2), (3, 2)])
def test_a_shard_outside_the_parts_is_refused(index: int, count: int, grid: Study) -> None:
    with pytest.raises(ValueError, match=f"--shard is {index}/{count}, expected I/N with I from 1 to N"):
        shard_of(cells_of(grid), index, count)


def test_a_method_that_takes_a_network_stands_for_its_training(grid: Study) -> None:
    chosen = selected(grid, {"method": ["plain + smoothing"], "noise": ["clean"], "seed": ["1"], "cases": ["all"]})
    assert [cell.name for cell in chosen] == ["phantom/clean/all/plain/seed1"]
    with pytest.raises(ValueError, match="--only noise: unknown noise 'blok'; did you mean 'block'"):
        selected(grid, {"noise": ["blok"]})
