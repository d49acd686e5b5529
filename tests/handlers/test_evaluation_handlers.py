"""The handlers in real evaluations: a SupervisedEvaluator with decollated MetaTensors, in 2D and 3D."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.transforms import Activationsd, AsDiscreted, Compose, CopyItemsd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel.handlers import (
    CaseTableHandler,
    ExpectedCalibrationErrorHandler,
    MissCountHandler,
    PhysicalHausdorffDistanceHandler,
    PhysicalSurfaceDiceHandler,
    SegmentationOverlayHandler,
)

CLASSES = ["background", "front", "back"]


class Oracle(torch.nn.Module):
    """Logits that follow the classes painted into the image, with the certainty exp(3) : 1 against each other class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        classes = x[:, 0].round().long().as_tensor()
        logits = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float() * 3
        return MetaTensor(logits, meta=x.meta) if isinstance(x, MetaTensor) else logits


def item(case_id, painted, label, spacing, channels=1):
    affine = np.diag([*spacing, *[1.0] * (4 - len(spacing))])
    image = np.repeat(painted[None].astype(np.float32), channels, axis=0)
    return {
        "case_id": case_id,
        "image": MetaTensor(image, affine=affine),
        "label": MetaTensor(label[None].astype(np.float32), affine=affine),
    }


def plates(shape, *rows):
    classes = np.zeros(shape, dtype=int)
    for value, row in enumerate(rows, start=1):
        if row is not None:
            classes[row] = value
    return classes


def cases(ndim, channels=1):
    """Three cases with plates one row thick; image = what the network will say."""
    shape, spacings = (16, 12, 10)[:ndim], [(1.5, 1.0, 1.0)[:ndim], (1.0, 2.0, 1.0)[:ndim], (1.0, 1.0, 1.0)[:ndim]]
    painted = [plates(shape, 3, 8), plates(shape, 6, None), plates(shape, 2, None)]
    labels = [plates(shape, 5, 8), plates(shape, 2, 9), plates(shape, 2, None)]  # moved; moved and missed; absent
    return [
        item(f"case_{i}", p, y, s, channels) for i, (p, y, s) in enumerate(zip(painted, labels, spacings, strict=True))
    ]


def post():
    return Compose(
        [
            Activationsd("pred", softmax=True),
            CopyItemsd("pred", names="probabilities"),
            AsDiscreted("pred", argmax=True, to_onehot=3),
            AsDiscreted("label", to_onehot=3),
        ]
    )


def metrics():
    pair = from_engine(["pred", "label"])
    return {
        "dice": MeanDice(include_background=False, output_transform=pair),
        "hd95_mm": PhysicalHausdorffDistanceHandler(output_transform=pair),
        "hd95_missed": MissCountHandler(output_transform=pair),
        "surface_dice": PhysicalSurfaceDiceHandler(tolerance_mm=3.0, output_transform=pair),
        "ece": ExpectedCalibrationErrorHandler(output_transform=from_engine(["probabilities", "label"])),
    }


def evaluator(data, handlers, **kwargs):
    # Images of one shape but not of one spacing: batches of 2 show that items keep their own affine.
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=Oracle(),
        postprocessing=post(),
        key_val_metric={"dice": metrics()["dice"]},
        additional_metrics={k: v for k, v in metrics().items() if k != "dice"},
        val_handlers=handlers,
        **kwargs,
    )


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {(r["case_id"], r["class"]): r for r in csv.DictReader(file)}


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_table_of_an_evaluation_holds_every_case_and_class_in_mm(tmp_path, ndim):
    engine = evaluator(cases(ndim), [CaseTableHandler(tmp_path / "out", class_names=CLASSES)])
    engine.run()

    table = rows(tmp_path / "out" / "cases.csv")
    assert list(table) == [(f"case_{i}", c) for i in range(3) for c in CLASSES[1:]]
    assert list(table["case_0", "front"]) == [
        "case_id",
        "class",
        "dice",
        "hd95_mm",
        "hd95_missed",
        "surface_dice",
        "ece",
    ]

    shape = (16, 12, 10)[:ndim]
    diagonal = math.sqrt(sum((n * h) ** 2 for n, h in zip(shape, (1.0, 2.0, 1.0), strict=False)))
    distances = {key: r["hd95_mm"] for key, r in table.items()}
    assert float(distances["case_0", "front"]) == 3.0  # two rows of 1.5 mm
    assert float(distances["case_0", "back"]) == 0.0
    assert float(distances["case_1", "front"]) == 4.0
    assert float(distances["case_1", "back"]) == pytest.approx(diagonal, rel=1e-5)
    assert distances["case_2", "back"] == ""
    assert [r["hd95_missed"] for r in table.values()] == ["0", "0", "0", "1", "0", ""]
    assert [r["surface_dice"] for r in table.values()] == ["1", "1", "0", "0", "1", ""]
    # Sure of every voxel to the same degree; case_2 is right everywhere, case_0 in all but 2 of 16 rows.
    confidence = math.exp(3) / (math.exp(3) + 2)
    assert float(table["case_2", "front"]["ece"]) == pytest.approx(1 - confidence, rel=1e-4)
    assert float(table["case_0", "front"]["ece"]) == pytest.approx(abs(14 / 16 - confidence), rel=1e-4)
    assert table["case_0", "front"]["ece"] == table["case_0", "back"]["ece"]


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_summary_agrees_with_the_engine_and_counts_the_misses(tmp_path, ndim):
    engine = evaluator(cases(ndim), [CaseTableHandler(tmp_path, class_names=CLASSES)])
    engine.run()
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["num_cases"] == 3
    assert summary["classes"] == ["front", "back"]
    assert summary["counts"] == {"hd95_missed": {"sum": 1, "classes": {"front": 0, "back": 1}}}
    for name in ("dice", "hd95_mm", "surface_dice", "ece"):
        assert summary["metrics"][name]["mean"] == pytest.approx(engine.state.metrics[name], rel=1e-5)
    assert summary["metrics"]["hd95_mm"]["classes"]["front"]["mean"] == pytest.approx((3 + 4 + 0) / 3)
    assert summary["metrics"]["hd95_mm"]["classes"]["back"]["num_cases"] == 2
    assert summary["metrics"]["ece"]["classes"] == {}


def test_a_second_run_replaces_the_table_and_leaves_no_other_files(tmp_path):
    engine = evaluator(cases(2), [CaseTableHandler(tmp_path, class_names=CLASSES)])
    engine.run()
    first = (tmp_path / "cases.csv").read_text()
    engine.run(2)
    assert (tmp_path / "cases.csv").read_text() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.csv", "summary.json"]


def test_case_ids_come_from_undecollated_batches_and_from_a_transform(tmp_path):
    label = torch.zeros(2, 2, 6, 6)
    label[:, 1, 2] = 1
    batch = {"case_id": ["a", "b"], "name": [["x", 1], ["x", 2]], "pred": label, "label": label}
    handlers = (
        CaseTableHandler(tmp_path / "key"),
        CaseTableHandler(tmp_path / "own", batch_transform=lambda b: ["-".join(map(str, n)) for n in b["name"]]),
    )
    engine = Engine(lambda _, data: data)
    MissCountHandler(output_transform=from_engine(["pred", "label"])).attach(engine, "hd95_missed")
    for handler in handlers:
        handler.attach(engine)
    engine.run([batch])
    assert list(rows(tmp_path / "key" / "cases.csv")) == [("a", "1"), ("b", "1")]
    assert list(rows(tmp_path / "own" / "cases.csv")) == [("x-1", "1"), ("x-2", "1")]


def run_with(details, handler, ids=("a", "b")):
    """An engine whose metrics are given: what matters is how the handler reads them."""
    engine = Engine(lambda _, data: data)
    engine.state.metric_details = details
    handler.attach(engine)
    engine.run([[{"case_id": i} for i in ids]])


def test_metrics_with_and_without_background_share_the_table(tmp_path):
    details = {
        "dice": torch.tensor([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]]),
        "hd95_mm": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    }
    run_with(details, CaseTableHandler(tmp_path / "named", class_names=CLASSES))
    run_with(details, CaseTableHandler(tmp_path / "numbered"))
    named, numbered = rows(tmp_path / "named" / "cases.csv"), rows(tmp_path / "numbered" / "cases.csv")
    assert [(k[1], r["dice"], r["hd95_mm"]) for k, r in named.items()][:3] == [
        ("background", "0.9", ""),
        ("front", "0.8", "1"),
        ("back", "0.7", "2"),
    ]
    assert [k[1] for k in numbered] == ["0", "1", "2"] * 2


def test_infinite_values_reach_the_table_and_null_the_summary(tmp_path):
    run_with({"hd": torch.tensor([[1.0], [math.inf]])}, CaseTableHandler(tmp_path))
    assert [r["hd"] for r in rows(tmp_path / "cases.csv").values()] == ["1", "inf"]
    assert json.loads((tmp_path / "summary.json").read_text())["metrics"]["hd"]["mean"] is None


def test_tables_that_would_mislead_are_refused(tmp_path):
    two = {"dice": torch.zeros(2, 2)}
    for details, handler, ids, message in (
        ({}, {}, "ab", "no values per case for any metric.*save_details=True"),
        (two, {"metrics": ["dice", "hd"]}, "ab", r"no values per case for \['hd'\]"),
        (two, {}, "abc", r"values of shape \(2, 2\) for 3 case ids"),
        (
            two,
            {"class_names": ["a", "b", "c", "d"]},
            "ab",
            r"columns per metric .* do not fit the 4 classes",
        ),
        ({"cm": torch.zeros(2, 3, 4)}, {}, "ab", "metric 'cm' has values of shape"),
        ({"cm": [torch.zeros(2)]}, {}, "ab", "metric 'cm' left a list"),
        (two, {"case_key": "id"}, "ab", "a batch item has no key 'id'"),
        (two, {"save_rank": 1}, "ab", "save_rank is 1, but there are only 1 processes"),
    ):
        with pytest.raises(ValueError, match=message):
            run_with(details, CaseTableHandler(tmp_path, **handler), ids)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="expected two file names"):
        CaseTableHandler(tmp_path, filename="summary.json")


def test_case_ids_that_repeat_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="1 case ids appear more than once"):
        run_with({"dice": torch.zeros(2, 1)}, CaseTableHandler(tmp_path), ids="aa")


def pictures(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return {tag: events.Images(tag) for tag in events.Tags()["images"]}


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (2, 3), (3, 1)])
def test_pictures_of_a_validation_reach_tensorboard_at_the_trainers_epoch(tmp_path, ndim, channels):
    handler = SegmentationOverlayHandler(log_dir=tmp_path, max_cases=3, interval=2)
    engine = evaluator(cases(ndim, channels), [handler])
    for epoch in (1, 2, 3, 4):  # as ValidationHandler does
        engine.run(epoch)
    handler.close()
    found = pictures(tmp_path)
    assert sorted(found) == ["overlay/0", "overlay/1", "overlay/2"]
    assert [event.step for event in found["overlay/0"]] == [2, 4]
    assert (found["overlay/0"][0].width, found["overlay/0"][0].height) == (16 * 22, 12 * 22)


class Memory:
    def __init__(self):
        self.seen = {}

    def add_image(self, tag, picture, step, dataformats):
        assert dataformats == "HWC"
        self.seen[tag, step] = picture


def test_the_overlay_shows_label_and_prediction_where_they_are():
    writer = Memory()
    engine = evaluator(cases(3), [SegmentationOverlayHandler(writer, max_cases=1, tag="val")], decollate=True)
    engine.run(7)
    assert list(writer.seen) == [("val/0", 7)]
    picture = writer.seen["val/0", 7]
    columns = {
        name: set((np.flatnonzero((picture == colour).all(axis=-1).any(axis=0)) // 22).tolist())
        for name, colour in (("label", (86, 180, 233)), ("pred", (230, 159, 0)))
    }
    # x runs to the right: the prediction has plates at 3 and 8, the label at 5 and (covered by the prediction) 8.
    assert columns == {"label": {5}, "pred": {3, 8}}


def show(image, label, pred):
    writer = Memory()
    engine = Engine(lambda _, batch: batch)
    SegmentationOverlayHandler(writer).attach(engine)
    engine.run([[{"image": image, "label": label, "pred": pred}]])
    return writer.seen["overlay/0", 1]


def test_three_channels_are_a_photograph_in_2d_and_modalities_in_3d():
    image = torch.zeros(3, 8, 8)
    image[0, :4], image[2, 4:] = 1, 1
    empty = torch.zeros(1, 8, 8)
    picture = show(image, empty, empty)
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[0, -1].tolist() == [0, 0, 255]
    deep = show(image[..., None].expand(3, 8, 8, 4), empty[..., None].expand(1, 8, 8, 4), torch.zeros(1, 8, 8, 4))
    assert deep[0, 0].tolist() == [255, 255, 255]
    assert deep[0, -1].tolist() == [0, 0, 0]


def test_the_slice_shown_is_the_one_with_most_label_or_else_with_most_prediction():
    image = torch.arange(5.0).expand(1, 8, 8, 5)  # each slice is a grey of its own
    label, pred = torch.zeros(1, 8, 8, 5), torch.zeros(1, 8, 8, 5)
    label[0, 2:4, 2:4, 1], pred[0, 2:6, 2:6, 4] = 1, 1
    orange, blue = (230, 159, 0), (86, 180, 233)
    for truth, present, absent in ((label, blue, orange), (torch.zeros_like(label), orange, blue)):
        picture = show(image, truth, pred)
        assert (picture == present).all(axis=-1).any()
        assert not (picture == absent).all(axis=-1).any()


def test_class_maps_and_undecollated_batches_can_be_shown():
    writer = Memory()
    engine = Engine(lambda _, batch: {"pred": batch["label"]})
    handler = SegmentationOverlayHandler(writer, max_cases=3, global_epoch_transform=lambda epoch: epoch + 10)
    handler.attach(engine)
    engine.run([{"image": torch.rand(2, 1, 8, 8), "label": torch.ones(2, 1, 8, 8)}] * 2)
    assert list(writer.seen) == [("overlay/0", 11), ("overlay/1", 11), ("overlay/2", 11)]


def test_overlays_of_different_grids_or_of_fractions_are_refused():
    def run(image, label, pred):
        engine = Engine(lambda _, batch: batch)
        SegmentationOverlayHandler(Memory()).attach(engine)
        engine.run([[{"image": image, "label": label, "pred": pred}]])

    image, label = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    with pytest.raises(ValueError, match="image, label and pred are on different grids"):
        run(image, label, torch.zeros(1, 8, 9))
    with pytest.raises(ValueError, match="pred has one channel and holds fractions"):
        run(image, label, label + 0.4)
    with pytest.raises(ValueError, match=r"label has shape \(8, 8\); expected C H W"):
        run(image, label[0], label)
    with pytest.raises(ValueError, match="interval is 0"):
        SegmentationOverlayHandler(Memory(), interval=0)
