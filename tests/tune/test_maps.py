"""Class maps of two networks, and how much they agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_iel.tune import ClassMapHandler, agreement


def written(folder: Path, **maps: tuple[list[int], list[int]]) -> Path:
    """Write prediction and label of each case as an evaluation does, one voxel after the other."""
    one_hot = torch.nn.functional.one_hot

    def step(engine: Engine, batch: dict[str, list[str]]) -> list[dict[str, torch.Tensor]]:
        pair = maps[batch["case_id"][0]]
        return [
            {key: one_hot(torch.tensor([v]), 4).movedim(-1, 0) for key, v in zip(("pred", "label"), pair, strict=True)}
        ]

    evaluator = Engine(step)
    ClassMapHandler(folder).attach(evaluator)
    evaluator.run([{"case_id": [name]} for name in maps])
    return folder


def test_agreement_is_the_mean_dice_over_the_classes_of_the_label(tmp_path: Path) -> None:
    label = [0, 1, 1, 2, 2]
    first = written(tmp_path / "a", x=([0, 1, 1, 2, 3], label))
    second = written(tmp_path / "b", x=([0, 1, 0, 2, 3], label))
    # class 1: 2 * 1 / (2 + 1); class 2: 1; class 3 is not in the label.
    assert agreement(first, second) == {"x": pytest.approx((2 / 3 + 1) / 2)}


def test_a_class_that_both_miss_is_agreed_on_and_a_case_without_a_class_is_left_out(tmp_path: Path) -> None:
    folders = [written(tmp_path / n, x=([0, 0], [0, 1]), empty=([0, 1], [0, 0])) for n in ("a", "b")]
    assert agreement(*folders) == {"x": 1.0}


def test_maps_of_other_cases_are_refused(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", x=([0], [1])), written(tmp_path / "b", y=([0], [1]))
    with pytest.raises(ValueError, match="hold the maps of different cases"):
        agreement(first, second)
