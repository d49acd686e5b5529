"""Convexity in an evaluation: values per case in the engine and in the table, with and without regions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.handlers import from_engine

from monai_iel.handlers import CaseTableHandler, ConvexityHandler

CLASSES = ["background", "rim", "cup"]


def item(case_id, spacing, cup=True):
    """A square disc of 11 voxels whose rim is a ring, and a cup of 5 with a slit of 3 voxels from above."""
    ndim = len(spacing)
    classes = torch.ones((11,) * ndim, dtype=torch.int64)
    if cup:
        classes[(slice(3, 8),) * ndim] = 2
        classes[(slice(3, 6), *[5] * (ndim - 1))] = 1
    pred = torch.nn.functional.one_hot(classes, 3).movedim(-1, 0)
    affine = np.diag([*spacing, *[1.0] * (4 - ndim)])
    return {"case_id": case_id, "pred": MetaTensor(pred, affine=affine), "label": torch.zeros_like(pred)}


def evaluate(folder, ndim, handlers):
    engine = Engine(lambda _, batch: batch)
    for name, handler in handlers.items():
        handler.attach(engine, name)
    CaseTableHandler(folder, class_names=CLASSES).attach(engine)
    spacings = [(1.0, 1.0, 1.0)[:ndim], (2.0, 3.0, 3.0)[:ndim]]
    engine.run([[item("a", spacings[0]), item("b", spacings[1])], [item("c", spacings[0], cup=False)]])
    with open(folder / "cases.csv", encoding="utf-8", newline="") as file:
        rows = {(r["case_id"], r["class"]): r for r in csv.DictReader(file)}
    return engine.state.metrics, rows, json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def pair():
    return from_engine(["pred", "pred"])


@pytest.mark.parametrize("ndim", [2, 3])
def test_regions_of_a_nested_pair_stand_in_the_rows_of_their_classes(tmp_path, ndim):
    nested = {"regions": [[1, 2], [2]], "output_transform": pair()}
    metrics, rows, summary = evaluate(
        tmp_path,
        ndim,
        {
            "solidity": ConvexityHandler("solidity", **nested),
            "concavity_mm": ConvexityHandler("concavity_depth", **nested),
            "components": ConvexityHandler("components", **nested),
        },
    )
    assert list(rows) == [(case, name) for case in "abc" for name in CLASSES[1:]]
    assert [r["solidity"] for r in rows.values()][::2] == ["1", "1", "1"]  # rows of the rim hold the disc
    solidity = 1 - 3 / 5**ndim
    assert float(rows["a", "cup"]["solidity"]) == pytest.approx(solidity, rel=1e-5)
    assert [rows[c, "cup"]["concavity_mm"] for c in "abc"] == ["2", "4", ""]
    assert [rows[c, "cup"]["components"] for c in "abc"] == ["1", "1", ""]
    assert metrics["solidity"] == pytest.approx(((1 + solidity) / 2 * 2 + 1) / 3)
    assert summary["metrics"]["solidity"]["mean"] == pytest.approx(metrics["solidity"], rel=1e-5)
    assert summary["metrics"]["concavity_mm"]["classes"]["cup"]["mean"] == pytest.approx(3.0)


def test_classes_by_themselves_and_a_single_region_share_a_table(tmp_path):
    metrics, rows, _ = evaluate(
        tmp_path,
        2,
        {
            "solidity": ConvexityHandler(output_transform=pair()),
            "disc": ConvexityHandler(regions=[[1, 2]], output_transform=pair()),
        },
    )
    assert float(rows["a", "rim"]["solidity"]) == pytest.approx(99 / 121, rel=1e-5)
    assert [r["disc"] for r in rows.values()] == ["1"] * 6
    assert metrics["disc"] == 1


def test_the_label_gives_nothing_but_its_spacing_and_a_misspelt_measure_is_refused():
    engine = Engine(lambda _, batch: batch)
    ConvexityHandler("concavity_depth", output_transform=from_engine(["pred", "label"])).attach(engine, "depth")
    case = item("a", (2.0, 3.0))
    engine.run([[case]])
    assert engine.state.metrics["depth"] == (10 + 4) / 2  # the hole in the rim and the slit in the cup
    case["label"] = MetaTensor(case["label"])  # says 1 mm
    with pytest.raises(ValueError, match="y has a spacing of 1 x 1 mm and y_pred of 2 x 3 mm"):
        engine.run([[case]])
    with pytest.raises(ValueError, match="did you mean 'components'"):
        ConvexityHandler("component")
