"""What the IELs for convex organs need of a bundle: warm-up, guard, corrections of masks, measures of regions."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import Compose

import monai_iel.data
from monai_iel import Evolved, InverseEvolutionLoss, compute_convexity
from monai_iel.handlers import CaseTableHandler
from monai_iel.resources import BUNDLES
from monai_iel.study import root_cause

CONVEX = pytest.mark.parametrize("bundle", ["convex_organ_segmentation"], indirect=True, scope="session")
EVERY_BUNDLE = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
IELS = ["iel/convex_curvature", "iel/convex_region", "iel/heat_curvature"]
Workflow = Callable[..., ConfigWorkflow]


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of the guard, which finds nothing here."""
    calls: list[dict[str, Any]] = []

    def guard(cases: Any, load: Any, **settings: Any) -> None:
        calls.append({"cases": cases, "load": load, **settings})

    monkeypatch.setattr(monai_iel.data, "guard_convexity", guard)
    return calls


def strengths(made: ConfigWorkflow) -> list[float]:
    """The strength of the IEL in every step of a training."""
    made.initialize()
    loss, seen = made.parser.get_parsed_content("loss"), []
    trainer = made.parser.get_parsed_content("train::trainer")
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(loss.strength))
    made.run()
    made.finalize()
    return seen


# Three cases in batches of two are two steps an epoch.
RAMP = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


@CONVEX
def test_the_strength_grows_from_the_plain_loss_and_a_resumed_training_goes_on(
    workflow: Workflow, tmp_path: Path, small: dict[str, Any]
) -> None:
    settings = {**small, "warm_up_epochs": 2, "output_dir": str(tmp_path)}
    first = strengths(workflow("train", "iel/heat", **{**settings, "max_epochs": 1}))
    resumed = strengths(workflow("train", "iel/heat", **{**settings, "max_epochs": 3, "resume": True}))
    assert first + resumed == pytest.approx(RAMP)


@CONVEX
def test_without_warm_up_an_iel_has_its_strength_from_the_first_step(
    workflow: Workflow, tmp_path: Path, small: dict[str, Any]
) -> None:
    settings = {**small, "warm_up_epochs": 0, "max_epochs": 1, "output_dir": str(tmp_path)}
    assert strengths(workflow("train", "iel/heat", **settings)) == [1.0, 1.0]


@EVERY_BUNDLE
def test_a_loss_without_strength_has_no_warm_up(
    workflow: Workflow, tmp_path: Path, small: dict[str, Any], kind: Any
) -> None:
    settings = {**small, "warm_up_epochs": 2, "output_dir": str(tmp_path)}
    for iel, count in {"iel/none": 0, "peers/quasi_concavity": 1, "iel/heat": 1}.items():
        made = workflow("train", *kind.data, iel, **settings)
        made.initialize()
        handlers = made.parser.get_parsed_content("train::handlers")
        assert [type(h).__name__ for h in handlers].count("ParamSchedulerHandler") == count, iel


@EVERY_BUNDLE
@pytest.mark.parametrize("iel", IELS)
def test_the_guard_sees_the_annotations_that_are_trained_on(
    iel: str, workflow: Workflow, tmp_path: Path, small: dict[str, Any], kind: Any, guarded: list[dict[str, Any]]
) -> None:
    made = workflow("train", *kind.data, "noise/bites", iel, **small, output_dir=str(tmp_path / "out"))
    made.initialize()
    (call,) = guarded
    assert [case["case_id"] for case in call["cases"]] == [c["case_id"] for c in made.train_dataset_data]
    assert call["class_names"] == made.parser.get_parsed_content("class_names")
    assert call["strict"] is False
    loss = made.parser.get_parsed_content("loss")
    term, stepping = made.parser.get_parsed_content("convex_term"), loss.layer.stepping
    assert call["reach_mm"] == term.reach_mm(stepping.num_steps * stepping.dt(len(loss.layer.grid.spacing)))
    clean = workflow("train", *kind.data, **small, output_dir=str(tmp_path / "out"))
    clean.initialize()
    before = clean.parser.get_parsed_content("deterministic_transforms")
    noise = made.parser.get_parsed_content("label_noise")
    label = call["load"](call["cases"][0])["label"]
    assert (label != Compose(before)(call["cases"][0])["label"]).any(), "the guard looks at labels without the noise"
    assert (label == Compose([*before, *noise])(call["cases"][0])["label"]).all()
    assert not (tmp_path / "out").exists()


@CONVEX
@pytest.mark.parametrize("iel", ["iel/none", "iel/heat", "peers/quasi_concavity"])
def test_other_trainings_have_no_guard(
    iel: str, workflow: Workflow, tmp_path: Path, small: dict[str, Any], guarded: list[dict[str, Any]]
) -> None:
    workflow("train", iel, **small, output_dir=str(tmp_path)).initialize()
    assert guarded == []


@CONVEX
def test_the_guard_can_be_left_out(
    workflow: Workflow, tmp_path: Path, small: dict[str, Any], guarded: list[dict[str, Any]]
) -> None:
    settings = {**small, "output_dir": str(tmp_path), "guard#_disabled_": True}
    workflow("train", "iel/convex_curvature", **settings).initialize()
    assert guarded == []


@CONVEX
def test_evaluation_and_inference_have_no_guard(
    workflow: Workflow, tmp_path: Path, small: dict[str, Any], guarded: list[dict[str, Any]]
) -> None:
    workflow("train", "iel/convex_curvature", "evaluate", **small, output_dir=str(tmp_path)).initialize()
    workflow("inference", "iel/convex_curvature", dataset_dir=str(tmp_path)).initialize()
    assert guarded == []


@CONVEX
def test_a_strict_guard_refuses_concave_annotations_and_nothing_is_written(
    run: Workflow, tmp_path: Path, small: dict[str, Any]
) -> None:
    eaten = {"_target_": "monai_iel.BumpLabelNoised", "keys": "label", "radius": [14.0, 16.0], "count": 6}
    settings = {**small, "label_noise": [{**eaten, "mode": "remove"}], "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to") as caught:
        run("train", "iel/convex_curvature", **settings, strict_guard=True)
    with pytest.raises(ValueError, match=r"a convex evolution would harm these regions(.|\n)*cell"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()


@EVERY_BUNDLE
@pytest.mark.parametrize("data", ["data/wbc_cell", "data/convex_phantom", "data/cup_in_disc"])
def test_overlays_of_convex_organs_fit_every_bundle(data: str, files: Callable[..., list[str]]) -> None:
    for iel in (*IELS, "peers/quasi_concavity"):
        made = ConfigParser(ConfigParser.load_config_files(files("train", data, iel)))
        made.update({"device": "cpu", "features": [4, 4, 4, 4, 8, 4]})
        dims, classes = made["spatial_dims"], made["num_classes"]
        assert len(made["spacing"]) == len(made["patch_size"]) == dims
        assert len(made["class_names"]) == classes
        names = [transform["_target_"] for transform in made["deterministic_transforms"]]
        assert ("Spacingd" in names) == (dims == 3)
        torch.manual_seed(0)
        logits = made.get_parsed_content("network")(torch.rand(1, made["in_channels"], *[32] * dims))
        loss = made.get_parsed_content("loss")
        value = loss(logits, torch.randint(0, classes, (1, 1, *[32] * dims)))
        value.backward()
        assert torch.isfinite(value)
        assert isinstance(loss, InverseEvolutionLoss) == (iel in IELS)


# --- Corrections of the output ----------------------------------------------------------------------------------------


@pytest.fixture
def corrected(files: Callable[..., list[str]]) -> Callable[..., dict[str, torch.Tensor]]:
    """What the post-processing of an evaluation makes of logits in 2D."""

    def correct(logits: torch.Tensor, *overlays: str, **settings: Any) -> dict[str, torch.Tensor]:
        made = ConfigParser(ConfigParser.load_config_files(files("train", "evaluate", *overlays)))
        made.update({"spatial_dims": 2, "num_classes": 2, "spacing": [1.0, 1.0], **settings})
        item = {"pred": logits.clone(), "label": (logits[1:] > logits[:1]).roll(3, dims=1).float()}
        return made.get_parsed_content("validate::postprocessing")(item)

    return correct


def bitten() -> torch.Tensor:
    """Logits of a disc with a bite, and of a satellite."""
    axis = torch.arange(48, dtype=torch.float32) - 20
    x, y = axis[:, None], axis[None, :]
    disc = 14 - (x**2 + y**2).sqrt()
    bite = ((x - 14) ** 2 + y**2).sqrt() - 5
    satellite = 3 - ((x - 22) ** 2 + (y - 22) ** 2).sqrt()
    margin = torch.maximum(torch.minimum(disc, bite), satellite)
    return torch.stack([-margin / 2, margin / 2])


def convexity(masks: torch.Tensor, measure: str) -> float:
    return float(compute_convexity(masks[None], measure=measure))


@EVERY_BUNDLE
def test_without_correction_the_masks_are_the_argmax(corrected: Callable[..., Any]) -> None:
    pred = corrected(bitten())["pred"]
    assert torch.equal(pred.argmax(0), bitten().argmax(0))
    assert convexity(pred, "components") == 2


@EVERY_BUNDLE
def test_the_largest_component_stays_and_the_rest_becomes_background(corrected: Callable[..., Any]) -> None:
    pred = corrected(bitten(), "after/largest_component")["pred"]
    assert convexity(pred, "components") == 1
    assert pred[1, 20, 20] == 1
    assert pred[0, 42, 42] == 1
    assert (pred.sum(0) == 1).all()


@EVERY_BUNDLE
def test_the_hull_of_the_largest_component_has_neither_bite_nor_satellite(corrected: Callable[..., Any]) -> None:
    pred = corrected(bitten(), "after/largest_component", "after/convex_hull")["pred"]
    assert convexity(pred, "solidity") == 1
    assert pred[1, 31, 20] == 1
    assert pred[0, 42, 42] == 1
    assert (pred.sum(0) == 1).all()
    both = corrected(bitten(), "after/convex_hull")["pred"]
    assert both[1].sum() > pred[1].sum(), "the hull of both components holds what lies between them"


@EVERY_BUNDLE
@pytest.mark.parametrize(
    ("flow", "steps"), [("after/convex_flow", {"flow_steps": 500}), ("after/region_flow", {"region_flow_steps": 60})]
)
def test_the_flows_fill_the_bite(flow: str, steps: dict[str, Any], corrected: Callable[..., Any]) -> None:
    before = corrected(bitten(), "after/largest_component")["pred"]
    after = corrected(bitten(), flow, "after/largest_component", **steps)["pred"]
    assert convexity(after, "nonconvex_fraction") < 0.5 * convexity(before, "nonconvex_fraction")
    assert (after.sum(0) == 1).all()
    less = corrected(bitten(), flow, "after/largest_component", **dict.fromkeys(steps, 1))["pred"]
    assert convexity(after, "nonconvex_fraction") < convexity(less, "nonconvex_fraction")


@EVERY_BUNDLE
def test_the_refiner_moves_the_probabilities(corrected: Callable[..., Any]) -> None:
    before, after = corrected(bitten()), corrected(bitten(), "after/quasi_concavity_refine", refine_steps=5)
    assert not torch.allclose(before["probabilities"], after["probabilities"], atol=1e-3)


@EVERY_BUNDLE
def test_true_labels_take_the_place_of_the_prediction(corrected: Callable[..., Any]) -> None:
    item = corrected(bitten(), "after/true_labels")
    assert torch.equal(item["pred"], item["label"])
    assert torch.equal(item["probabilities"], item["label"])
    assert not torch.equal(item["pred"], corrected(bitten())["pred"])


@EVERY_BUNDLE
def test_corrections_of_logits_follow_each_other_in_the_order_given(files: Callable[..., list[str]]) -> None:
    configs = files("train", "evaluate", "after/convex_flow", "evolve")
    made = ConfigParser(ConfigParser.load_config_files(configs))
    first, second = made.get_parsed_content("validate::smoothing")
    assert isinstance(first, Evolved)
    assert "ConvexCurveMotion" in repr(first.transform.term)
    assert "HeatDiffusion" in repr(second.transform.term)


# --- Measures of regions ----------------------------------------------------------------------------------------------


@CONVEX
@pytest.mark.parametrize(
    ("regions", "columns"),
    [
        (None, [[1], [2]]),
        ([[1, 2], [2]], [[1, 2], [2]]),  # a cup (2) in a disc: the rim's column is that of the disc
        ([[2, 1], [1]], [[1], [2, 1]]),  # the cup is 1
        ([[1, 2]], [[1, 2], [1, 2]]),
        ([[2]], [[1], [2]]),
    ],
)
def test_every_class_has_the_column_of_the_smallest_region_around_it(
    regions: Any, columns: list[list[int]], files: Callable[..., list[str]]
) -> None:
    made = ConfigParser(ConfigParser.load_config_files(files("train", "evaluate")))
    made.update({"num_classes": 3, "convex_regions": regions})
    assert made.get_parsed_content("measured_regions") == columns


@CONVEX
def test_a_rim_is_not_judged_by_itself(files: Callable[..., list[str]], tmp_path: Path) -> None:
    """A cup (2) in a disc (1 and 2): the rim alone is far from convex, the disc is."""
    made = ConfigParser(ConfigParser.load_config_files(files("train", "evaluate")))
    made.update({"num_classes": 3, "convex_regions": [[1, 2], [2]]})
    metric = made.get_parsed_content("validate::additional_metrics::solidity")
    classes = torch.zeros(24, 24, dtype=torch.long)
    classes[4:20, 4:20], classes[8:16, 8:16] = 1, 2
    masks = torch.nn.functional.one_hot(classes, 3).permute(2, 0, 1).float()
    metric.update(([masks], [masks]))
    assert metric.metric_fn.get_buffer().tolist() == [[1.0, 1.0]]
    assert float(compute_convexity(masks[None])[0, 0]) == pytest.approx(0.75)
    assert isinstance(made.get_parsed_content("validate::handlers::3"), CaseTableHandler)


@CONVEX
def test_the_table_tells_how_convex_the_labels_are(
    trained: Path, run: Workflow, tmp_path: Path, small: dict[str, Any]
) -> None:
    settings = {**small, "output_dir": str(tmp_path / "out"), "checkpoint": str(trained / "model_last.pt")}
    run("train", "evaluate", "after/true_labels", **settings)
    rows = list(csv.DictReader((tmp_path / "out" / "cases.csv").read_text().splitlines()))
    for row in rows:
        assert (float(row["dice"]), float(row["hd95_mm"]), float(row["components"])) == (1.0, 0.0, 1.0)
        assert float(row["solidity"]) == pytest.approx(1.0, abs=0.01), "ellipses"
        assert float(row["ece"]) == 0
    shutil.rmtree(tmp_path / "out")
    assert np.isfinite([float(row["concavity_mm"]) for row in rows]).all()
