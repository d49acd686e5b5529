"""Other bundles, corrections of the output, and the page of a bundle that measures convexity."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_iel.study import BundleRun, PairedStudy, Row, mean_table
from monai_iel.study.page import write_page
from monai_iel.study.pictures import LABEL, concavities, concavity_picture

pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="the report needs the extra 'report'")

CONVEX = "convex_organ_segmentation"
COLUMNS = ["dice", "hd95_mm", "hd95_missed", "surface_dice", "ece", "solidity", "concavity_mm", "nonconvex_fraction"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_pictures: dict[str, Any]) -> PairedStudy:
    own = {"patch_size": [112, 112], "flow_steps": 2, "max_epochs": 1}
    return PairedStudy(
        tmp_path_factory.mktemp("study"),
        data="data/wbc_cell",
        noise="noise/bites",
        iels=("iel/convex_curvature",),
        settings={**tiny_pictures, **own},
        bundle=CONVEX,
        afterwards=("after/largest_component+after/convex_hull", "after/convex_flow", "after/true_labels"),
        afterwards_of="all",
    )


@pytest.fixture(scope="module")
def rows(study: PairedStudy) -> list[Row]:
    return study.compare()


def test_every_network_is_corrected_and_the_labels_are_measured_once(rows: list[Row]) -> None:
    assert [row.method for row in rows] == [
        "plain",
        "plain + largest_component + convex_hull",
        "plain + convex_flow",
        "true labels",
        "convex_curvature IEL",
        "convex_curvature IEL + largest_component + convex_hull",
        "convex_curvature IEL + convex_flow",
    ]
    by_name = {row.method: row.metrics for row in rows}
    assert by_name["true labels"]["dice"] == 1
    for method, metrics in by_name.items():
        if method.endswith("convex_hull"):
            assert metrics["solidity"] in (1.0, None)  # None: nothing was segmented


def test_the_files_hold_every_metric_of_the_bundle(study: PairedStudy, rows: list[Row]) -> None:
    table = list(csv.DictReader((study.folder / "results.csv").read_text().splitlines()))
    assert list(table[0]) == ["method", "epoch", "seed", *COLUMNS, "components", "train_seconds"]
    content = json.loads((study.folder / "results.json").read_text())
    assert content["study"]["bundle"] == CONVEX
    assert [row["dice"] for row in content["rows"]] == [row.metrics["dice"] for row in rows]
    assert set(mean_table(rows)[0]) >= {"solidity", "components", "missed"}


def test_a_setting_of_a_correction_reaches_its_evaluation_alone(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def evaluate(self: BundleRun, name: str, **settings: Any) -> dict[str, Any]:
        seen[name] = settings
        return {"metrics": {"dice": {"mean": 0.5}}, "counts": {}}

    monkeypatch.setattr(BundleRun, "evaluate", evaluate)
    afterwards = ("after/convex_flow", "after/convex_hull+evolve")
    study = PairedStudy(tmp_path, "data/phantom", settings={**tiny, "flow_steps": 7}, afterwards=afterwards)
    study.compare()
    assert seen["last-convex_flow"]["flow_steps"] == 7
    assert "flow_steps" not in seen["last-convex_hull-evolve"]
    assert seen["last-convex_hull-evolve"]["overlays"] == ("after/convex_hull", "evolve")
    assert pretended
    assert not any("flow_steps" in training for training in pretended)
    with pytest.raises(ValueError, match=r"has the id 'flow_step'; did you mean 'flow_steps'\?"):
        PairedStudy(tmp_path, "data/phantom", settings={"flow_step": 7}, afterwards=afterwards).compare()


def test_the_page_shows_the_concavities_of_every_method(study: PairedStudy, rows: list[Row]) -> None:
    segmented = study.segment()
    assert list(segmented) == ["plain", "convex_curvature IEL"]
    page = write_page(study, rows, segmented).read_text(encoding="utf-8")
    assert ">Concavities<" in page
    assert "a convex hull makes them perfect" in page
    # Two curves, three training cases, two test cases, and of each of these one for the label and for every method.
    assert page.count('src="data:image/') == 2 + 3 + 2 + 2 * 3


def bitten() -> np.ndarray:
    mask = np.zeros((20, 20), dtype=int)
    mask[4:16, 4:16] = 1
    mask[4:8, 8:12] = 0
    return mask


def test_concavities_are_what_the_hull_has_more() -> None:
    expected = np.zeros((20, 20), dtype=bool)
    expected[4:8, 8:12] = True
    assert np.array_equal(concavities(bitten(), [[1]]), expected)
    assert not concavities(np.zeros((20, 20)), [[1]]).any()
    disc = np.where(expected, 2, bitten())  # the bite is the cup: together they are convex
    assert not concavities(disc, [[1, 2], [2]]).any()
    assert concavities(disc, [[1], [2]]).any()


@pytest.mark.parametrize("dims", [2, 3])
def test_concavities_are_shaded_on_the_slice_of_the_picture(dims: int) -> None:
    mask, label = bitten(), (bitten() > 0).astype(int)
    label[4:8, 8:12] = 1
    image = np.zeros((1, 20, 20))
    if dims == 3:
        mask, label = (np.repeat(m[..., None], 5, axis=-1) for m in (mask, label))
        label[..., [0, 1, 3, 4]] = 0
        image = np.zeros((1, 20, 20, 5))
    colours = {LABEL: (0, 0, 255), "the method": (0, 255, 0), "concavity": (255, 0, 0)}
    masks = {LABEL: label, "plain": mask}
    red = [concavity_picture(image, masks, name, [[1]], colours)[..., 0] > 0 for name in masks]
    assert not red[0].any()
    scale = red[1].shape[0] // 20
    assert red[1].sum() == 16 * scale**2


def test_methods_that_are_no_iels_keep_their_name() -> None:
    study = PairedStudy(Path("x"), data="data/wbc_cell", iels=("iel/heat", "peers/quasi_concavity", "mine/own.yaml"))
    assert list(study.methods()) == ["plain", "heat IEL", "quasi_concavity", "own IEL"]


def test_other_networks_than_plain_or_all_are_refused() -> None:
    with pytest.raises(ValueError, match="afterwards_of must be 'plain' or 'all'; got 'iel'"):
        PairedStudy(Path("x"), data="data/phantom", afterwards_of="iel")


def test_a_correction_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'plain \+ convex_hull' stands twice in the afterwards"):
        PairedStudy(Path("x"), data="data/phantom", afterwards=("after/convex_hull", "mine/convex_hull.yaml"))


def test_a_misspelt_correction_is_refused_before_anything_trains(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    study = PairedStudy(tmp_path, data="data/phantom", settings=tiny, afterwards=("evolve+after/convex_hul",))
    with pytest.raises(ValueError, match=r"no overlay 'after/convex_hul'; did you mean 'after/convex_hull'"):
        study.compare()
    assert not pretended
