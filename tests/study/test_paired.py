"""The paired study: its rows, what it reuses and what not, its files and its page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel import compute_physical_hausdorff_distance
from monai_iel.study import PairedStudy, Row, mean_table
from monai_iel.study.manifest import noise_manifest
from monai_iel.study.page import write_page
from monai_iel.study.runs import BundleRun

pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="the report needs the extra 'report'")

METHODS = ["plain", "heat IEL"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Any]) -> PairedStudy:
    return PairedStudy(
        tmp_path_factory.mktemp("study"),
        data="data/phantom",
        noise="noise/block",
        epochs=("last", "best"),
        settings=tiny,
    )


@pytest.fixture(scope="module")
def rows(study: PairedStudy) -> list[Row]:
    return study.compare()


@pytest.fixture(scope="module")
def segmented(study: PairedStudy, rows: list[Row]) -> dict[str, Path]:
    runs = {method: study.run(method, 0) for method in study.methods()}
    return {method: run.segment([case["image"] for case in run.test_cases()]) for method, run in runs.items()}


def test_rows_stand_in_the_order_of_methods_and_epochs(rows: list[Row]) -> None:
    assert [(row.method, row.epoch, row.seed) for row in rows] == [
        ("plain", "last", 0),
        ("plain + Evolve", "last", 0),
        ("plain", "best", 0),
        ("plain + Evolve", "best", 0),
        ("heat IEL", "last", 0),
        ("heat IEL", "best", 0),
    ]
    assert all(0 <= row.metrics["dice"] <= 1 for row in rows)
    assert all(row.train_seconds > 0 for row in rows)
    plain, evolved = rows[:2]
    assert plain.train_seconds == evolved.train_seconds, "smoothing afterwards trains nothing"
    assert plain.metrics["ece"] != evolved.metrics["ece"]


def test_results_are_written_as_they_are_returned(study: PairedStudy, rows: list[Row]) -> None:
    table = list(csv.DictReader((study.folder / "results.csv").read_text().splitlines()))
    assert [(row["method"], row["epoch"], float(row["dice"])) for row in table] == [
        (row.method, row.epoch, row.metrics["dice"]) for row in rows
    ]
    content = json.loads((study.folder / "results.json").read_text())
    assert [row["hd95_mm"] for row in content["rows"]] == [row.metrics["hd95_mm"] for row in rows]
    assert content["study"]["noise"] == "noise/block"
    assert content["study"]["settings"]["max_epochs"] == 2


def test_everything_is_written_inside_the_folder(study: PairedStudy, rows: list[Row]) -> None:
    assert {path.name for path in study.folder.iterdir()} <= {"seed0", "results.csv", "results.json", "report.html"}
    assert {path.name for path in (study.folder / "seed0").iterdir()} == {"plain", "heat-IEL"}


def test_complete_trainings_are_reused(study: PairedStudy, rows: list[Row], trainings: list[Path]) -> None:
    assert study.compare() == rows
    assert trainings == []


def test_an_interrupted_training_goes_on(tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    study = PairedStudy(tmp_path, data="data/phantom", noise="noise/block", settings=tiny)
    found: list[Any] = []

    def interrupted(run: BundleRun, configs: Any, overlays: Any, settings: dict[str, Any]) -> None:
        found.append(settings.get("resume", False))
        (run.folder / "train" / "checkpoint.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(BundleRun, "_run", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            study.compare()
    assert found == [False, True]


def test_the_page_is_self_contained_and_names_the_methods(
    study: PairedStudy, rows: list[Row], segmented: dict[str, Path]
) -> None:
    path = write_page(study, rows, segmented)
    assert path == study.folder / "report.html"
    page = path.read_text(encoding="utf-8")
    for method in ("plain", "plain + Evolve", "heat IEL"):
        assert method in page
    assert not re.search(r"<(script|link|iframe)\b", page), "something that a browser would load or run"
    sources = re.findall(r"(?:src|href)=[\"']?([^\"' >]{0,20})", page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.search(r"url\([\"']?(?!data:|#)", page)
    for title in ("Result", "Training", "The annotations that were trained on", "Test cases", "Settings"):
        assert f">{title}<" in page
    # Two curves (loss, Dice), three training cases, two test cases.
    assert page.count('src="data:image/') == 2 + 3 + 2
    assert f"{rows[0].metrics['dice']:.4f}"[:5] in page


def test_the_manifest_says_what_the_noise_did_to_every_training_case(study: PairedStudy, rows: list[Row]) -> None:
    write_page(study, rows, {})
    entries = [json.loads(line) for line in (study.folder / "noise.jsonl").read_text().splitlines()]
    cases = study.run("plain", 0).content("@train::cases")[0]
    assert [entry["case_id"] for entry in entries] == [case["case_id"] for case in cases]
    for entry in entries:
        (noise,) = entry["noise"]
        assert noise["model"] == "block"
        # 40 % of the blocks are redrawn from 5 classes, one in five draws being the former; 200 or more blocks
        assert entry["changed"] == pytest.approx(0.4 * 4 / 5, abs=0.1)
        assert 0 < entry["dice"] < 0.6
        assert entry["hd95_mm"] > 1


def test_distances_of_the_manifest_are_in_mm_of_the_image() -> None:
    """A slab that is moved by two slices of 2.5 mm, and a class that the noise deletes."""
    label = torch.zeros(1, 6, 6, 12)
    label[..., 4] = 1
    label[0, 0, 0, 0] = 2
    clean = MetaTensor(label, affine=torch.diag(torch.tensor([1.0, 1.0, 2.5, 1.0])))
    moved = torch.roll(torch.where(label == 1, label, 0.0), 2, dims=-1)
    (entry,) = noise_manifest(
        [{"case_id": "a"}],
        lambda case: {**case, "label": clean},
        [lambda item: {**item, "label": MetaTensor(moved, affine=clean.affine)}],
        num_classes=4,
    )
    diagonal = float(np.linalg.norm(np.array([6, 6, 12]) * [1.0, 1.0, 2.5]))
    one = compute_physical_hausdorff_distance(
        torch.ones(1, 2, 6, 6, 12), torch.zeros(1, 2, 6, 6, 12), spacing=(1, 1, 2.5)
    )
    assert entry["hd95_mm"] == pytest.approx((5.0 + float(one)) / 2)
    assert float(one) == pytest.approx(diagonal, rel=0.1)
    assert entry["dice"] == 0


def test_the_page_needs_no_segmentations(study: PairedStudy, rows: list[Row]) -> None:
    page = write_page(study, rows, {}).read_text(encoding="utf-8")
    assert "Test cases" not in page


def test_more_methods_than_colours_still_make_a_page(
    study: PairedStudy, rows: list[Row], segmented: dict[str, Path]
) -> None:
    many = {**segmented, **{f"copy {i}": segmented["plain"] for i in range(4)}}
    assert write_page(study, rows, many).exists()


def test_label_maps_of_all_test_cases_are_written(study: PairedStudy, segmented: dict[str, Path]) -> None:
    cases = study.run("plain", 0).test_cases()
    assert len(cases) == 2
    for folder in segmented.values():
        assert {path.name for path in folder.glob("[!.]*")} == {
            Path(case["image"]).name.replace(".nii.gz", "_seg.nii.gz") for case in cases
        }
        for case in cases:
            label = nibabel.load(folder / Path(case["image"]).name.replace(".nii.gz", "_seg.nii.gz"))
            assert label.shape == nibabel.load(case["image"]).shape


def test_methods_differ_in_one_overlay() -> None:
    study = PairedStudy(
        Path("x"),
        data="data/wbc",
        noise="noise/iel-wbc",
        iels=("iel/heat", "iel/heat_one_step"),
        loss="loss/ce",
        clean=True,
    )
    base = ("data/wbc", "loss/ce")
    assert study.methods() == {
        "plain": (*base, "noise/iel-wbc"),
        "heat IEL": (*base, "noise/iel-wbc", "iel/heat"),
        "heat_one_step IEL": (*base, "noise/iel-wbc", "iel/heat_one_step"),
        "clean labels": base,
    }
    assert PairedStudy(Path("x"), data="data/wbc").methods()["plain"] == ("data/wbc",)


def test_data_are_looked_for_in_the_folder_of_the_study() -> None:
    """The bundle's default is a folder of the bundle, which may be in a read-only installation."""
    assert PairedStudy(Path("x"), data="data/phantom").run("plain", 0).settings["dataset_dir"] == "x/data"
    named = PairedStudy(Path("x"), data="data/phantom", settings={"dataset_dir": "there"})
    assert named.run("plain", 3).settings == {"dataset_dir": "there", "seed": 3}


def test_an_unknown_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown epoch 'final'; there are 'last' and 'best'"):
        PairedStudy(Path("x"), data="data/phantom", epochs=("last", "final"))


def test_a_seed_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a seed stands twice in \[0, 1, 0\]"):
        PairedStudy(Path("out"), data="data/phantom", seeds=(0, 1, 0))


def test_two_iels_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"several IEL overlays are called heat: iel/heat, mine/heat.yaml; rename one"):
        PairedStudy(Path("x"), data="data/phantom", iels=("iel/heat", "mine/heat.yaml"))


def test_all_overlays_are_looked_up_before_the_first_training(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    study = PairedStudy(tmp_path, data="data/phantom", iels=("iel/heat", "iel/haet"), settings=tiny)
    with pytest.raises(ValueError, match=r"no overlay 'iel/haet'; did you mean 'iel/heat'"):
        study.compare()
    assert not pretended


def test_a_setting_goes_to_the_methods_whose_overlays_know_it(tmp_path: Path, tiny: dict[str, Any]) -> None:
    """So an IEL's own strength can be set, and changing it leaves the plain training what it was."""
    settings = {**tiny, "tv_dt": 0.1, "tv_steps": 5}
    study = PairedStudy(tmp_path, data="data/phantom", iels=("iel/heat", "iel/total_variation"), settings=settings)
    found = {method: study.run(method, 0).settings for method in study.methods()}
    assert found["total_variation IEL"]["tv_dt"] == 0.1
    assert all("tv_dt" not in found[method] for method in ("plain", "heat IEL"))
    assert all(found[method]["max_epochs"] == tiny["max_epochs"] for method in found)


def test_a_setting_that_no_method_knows_is_refused_before_anything_is_run(tmp_path: Path, tiny: dict[str, Any]) -> None:
    study = PairedStudy(tmp_path, data="data/phantom", iels=("iel/total_variation",), settings={**tiny, "tv_step": 5})
    with pytest.raises(ValueError, match=r"has the id 'tv_step'; did you mean 'tv_steps'\?"):
        study.compare()
    assert not list(tmp_path.iterdir())


def row(method: str, seed: int, dice: float | None, **others: Any) -> Row:
    metrics = {"dice": dice, "hd95_mm": 2.0, "surface_dice": 0.5, "ece": 0.1, **others}
    return Row(method, "last", seed, metrics, {"hd95_missed": 1}, train_seconds=10.0)


def test_the_table_has_means_and_paired_differences() -> None:
    rows = [row("plain", 0, 0.5), row("heat IEL", 0, 0.75), row("plain", 1, 0.7), row("heat IEL", 1, 0.65)]
    plain, heat = mean_table(rows)
    assert (plain["method"], plain["seeds"], plain["dice"], plain["missed"]) == ("plain", 2, pytest.approx(0.6), 2)
    assert plain["Dice against plain"] is None
    assert heat["dice"] == pytest.approx(0.7)
    assert heat["Dice against plain"] == "+0.2500, -0.0500"
    assert heat["training s"] == 10
    named = ["method", "epoch", "seeds", "dice", "hd95_mm", "missed", "surface_dice", "ece"]
    assert list(plain) == [*named, "Dice against plain", "training s"]


def test_every_metric_of_the_bundle_has_a_column() -> None:
    (entry,) = mean_table([row("plain", 0, 0.5, solidity=0.9), row("plain", 1, 0.5, solidity=0.8)][:1])
    assert entry["solidity"] == 0.9
    (entry,) = mean_table([row("plain", 0, 0.5, solidity=0.9), row("plain", 1, 0.5, solidity=0.8)])
    assert entry["solidity"] == pytest.approx(0.85)
    assert list(entry).index("solidity") == list(entry).index("ece") + 1


def test_what_could_not_be_measured_is_left_out_of_the_mean() -> None:
    rows = [row("plain", 0, None, hd95_mm=None), row("plain", 1, 0.5, hd95_mm=None), row("heat IEL", 0, 0.5)]
    plain, heat = mean_table(rows)
    assert plain["dice"] == 0.5
    assert plain["hd95_mm"] is None
    assert heat["Dice against plain"] == ""
