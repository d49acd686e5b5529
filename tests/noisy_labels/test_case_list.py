"""What a data list says of its classes."""

from __future__ import annotations

from typing import Any

import pytest

from monai_iel.noisy_labels import class_names_of, num_classes_of


@pytest.mark.parametrize(
    ("labels", "names", "number"),
    [
        ({"0": "background", "2": "organ"}, {0: "background", 2: "organ"}, 3),
        (["background", "organ"], {0: "background", 1: "organ"}, 2),
        ({"background": 0, "organ": 1}, {0: "background", 1: "organ"}, 2),
        ({"background": 0, "organ": 1, "ignore": 2}, {0: "background", 1: "organ"}, 2),
        ({"background": 0, "whole": [1, 2], "core": [2]}, {}, None),
        ({"background": False, "organ": True}, {}, None),
        ({}, {}, None),
        (None, {}, None),
    ],
)
def test_classes_are_named_by_number_or_numbered_by_name(labels: Any, names: dict, number: int | None) -> None:
    assert class_names_of({"labels": labels}) == names
    assert num_classes_of({"labels": labels}) == number
