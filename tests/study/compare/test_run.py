"""Trainings of seconds: the same table from one process, two shards, an interrupted run, and several processes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml

pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="the report needs the extra 'report'")

from monai_iel.data import load_datalist
from monai_iel.handlers import TrainingCheckpointHandler
from monai_iel.locks import locked
from monai_iel.study import BundleRun
from monai_iel.study.compare import (
    CellRun,
    Outcome,
    Study,
    cells_of,
    load_study,
    run_cell,
    run_cells,
    shard_of,
    write_outputs,
)
from monai_iel.study.compare.datasets import DataLists
from monai_iel.study.compare.run_cell import look_again

COMPARED = ("results.csv", "statistics.csv", "noise.csv")  # RESULTS.md has the seconds of the trainings


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, phantom_list: Path, tiny: dict[str, Any]) -> Study:
    """Two trainings of two epochs on bumps at a Dice of 0.8, watched."""
    own = {name: value for name, value in tiny.items() if not name.startswith("dataset_")}
    content = {
        "data": {"phantom": {"overlays": "data/phantom", "dataset": str(phantom_list)}},
        "noises": {"bumps": {"model": "bumps", "parameters": {"radius": [1, 2], "fraction": 0.1}, "target_dice": 0.8}},
        "cases": [2],
        "methods": {
            "plain": None,
            "plain + smoothing": {"of": "plain", "after": "evolve", "settings": {"iel_gain": 10}},
            "IEL": {"overlays": "iel/heat"},
        },
        "settings": own,
        "epochs": ["last", "best"],
        "watch": 1,
    }
    path = tmp_path_factory.mktemp("file") / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_study(path)


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, run in one process."""
    folder = tmp_path_factory.mktemp("one")
    outcomes = run_cells(study, cells_of(study), folder, jobs=1, say=lambda text: None)
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
    write_outputs(study, folder)
    return folder


def run_all(study: Study, folder: Path) -> list[Outcome]:
    return run_cells(study, cells_of(study), folder, jobs=1, say=lambda text: None)


def assert_same(study: Study, folder: Path, finished: Path) -> None:
    write_outputs(study, folder)
    for name in COMPARED:
        assert (folder / name).read_text() == (finished / name).read_text(), name


def test_corrected_test_labels_are_evaluated_again(
    study: Study, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONAI_IEL_DATA_ROOTS", str(tmp_path.parent))  # a noisy list is for the folder it was written in
    folder = tmp_path / "folder"
    shutil.copytree(finished, folder)
    (path,) = (data.dataset for data in study.data.values())
    assert path is not None
    label = Path(load_datalist(path, "test", spatial_dims=3, check="off")[0]["label"])
    before, results = os.stat(label), (folder / "results.csv").read_text()
    content = label.read_bytes()
    try:
        image = nibabel.load(label)
        label.unlink()  # its bytes may be memory-mapped
        nibabel.save(nibabel.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), label)
        look_again()
        assert {CellRun(study, cell, folder).state() for cell in cells_of(study)} == {"changed"}
        assert {outcome.state for outcome in run_all(study, folder)} == {"done"}
        write_outputs(study, folder)
        assert (folder / "results.csv").read_text() != results
    finally:
        label.write_bytes(content)
        os.utime(label, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_cell_leaves_networks_values_and_curves_but_no_checkpoint(study: Study, finished: Path) -> None:
    cell = cells_of(study)[0]
    folder = cell.folder(finished)
    assert {p.name for p in (folder / "train").glob("*.pt")} == {"model.pt", "model_last.pt"}
    assert (folder / "evaluate-last-plain-smoothing" / "cases.csv").is_file()
    assert (folder / "curves.csv").read_text().splitlines()[0] == "curve,epoch,dice"
    curves = [line.split(",")[:2] for line in (folder / "curves.csv").read_text().splitlines()[1:]]
    assert curves == [["validation", "1"], ["validation", "2"], ["test", "1"], ["test", "2"]]


def test_the_watch_sees_the_network_that_is_evaluated(study: Study, finished: Path) -> None:
    folder = cells_of(study)[1].folder(finished)
    last = (folder / "curves.csv").read_text().splitlines()[-1].split(",")
    summary = json.loads((folder / "evaluate-last" / "summary.json").read_text())
    assert float(last[2]) == pytest.approx(summary["metrics"]["dice"]["mean"], rel=1e-4)


def test_the_watch_changes_nothing(study: Study, finished: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.path.read_text())
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**content, "watch": 0}, sort_keys=False))
    cell = cells_of(load_study(path))[0]
    assert run_cells(load_study(path), [cell], tmp_path / "out", jobs=1, say=lambda text: None)[0].state == "done"
    for name in ("evaluate-last", "evaluate-best"):
        found, watched = (cell.folder(folder) / name / "cases.csv" for folder in (tmp_path / "out", finished))
        assert found.read_text() == watched.read_text()


def test_the_training_labels_have_the_damage_that_was_asked_for(study: Study, finished: Path) -> None:
    (data,), (noise,) = study.data.values(), study.noises.values()
    records = DataLists(finished).records(data, noise)
    assert {record["section"] for record in records} == {"training", "validation"}
    assert sum(r["dice"] for r in records) / len(records) == pytest.approx(0.8, abs=0.002)
    assert DataLists(finished).label_dice(data, noise, 2)["training"] == pytest.approx(
        sum(r["dice"] for r in records if r["section"] == "training" and r["case"] in _first(finished, 2)) / 2
    )


def _first(finished: Path, number: int) -> set[str]:
    content = json.loads((finished / "noisy" / "phantom" / "bumps" / "dataset.json").read_text())
    return {entry["id"] for entry in content["training"][:number]}


def test_what_is_done_is_not_run_again(study: Study, finished: Path, trainings: list[Path]) -> None:
    assert [outcome.state for outcome in run_all(study, finished)] == ["reused", "reused"]
    assert trainings == []
    assert {CellRun(study, cell, finished).state() for cell in cells_of(study)} == {"done"}


def test_two_shards_that_end_in_either_order_give_the_same_table(study: Study, finished: Path, tmp_path: Path) -> None:
    for index in (2, 1):
        part = shard_of(cells_of(study), index, 2)
        assert len(part) == 1
        run_cells(study, part, tmp_path, jobs=1, say=lambda text: None)
    assert_same(study, tmp_path, finished)


def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_table(
    study: Study, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = TrainingCheckpointHandler._save

    def killed(self: TrainingCheckpointHandler, engine: Any) -> None:
        save(self, engine)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingCheckpointHandler, "_save", killed)
        with pytest.raises(KeyboardInterrupt):
            run_all(study, tmp_path)
    cell = cells_of(study)[0]
    assert CellRun(study, cell, tmp_path).state() == "begun"
    epochs: list[int] = []

    def noted(self: TrainingCheckpointHandler, engine: Any) -> None:
        epochs.append(engine.state.epoch)
        save(self, engine)

    monkeypatch.setattr(TrainingCheckpointHandler, "_save", noted)
    run_all(study, tmp_path)
    assert epochs == [2, 1, 2]  # the first training goes on behind its first epoch
    assert_same(study, tmp_path, finished)


@pytest.mark.slow
def test_processes_give_the_same_table(study: Study, finished: Path, tmp_path: Path) -> None:
    run_cells(study, cells_of(study), tmp_path, jobs=2, say=lambda text: None)
    assert_same(study, tmp_path, finished)


def test_a_cell_that_fails_is_named_and_the_others_are_run(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = cells_of(study)

    def execute(self: CellRun) -> None:
        if self.cell == one:
            raise RuntimeError("wrapped") from ValueError("the loss is not finite")

    said: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(CellRun, "execute", execute)
        outcomes = run_cells(study, [one, other], tmp_path, jobs=1, say=said.append)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert "failed: ValueError: the loss is not finite" in said[2]
    assert (one.folder(tmp_path) / "failed.txt").read_text() == "ValueError: the loss is not finite\n"
    assert CellRun(study, one, tmp_path).state() == "failed"
    monkeypatch.setattr(CellRun, "execute", lambda self: None)
    assert run_cell(study, one, tmp_path).state == "done"  # the next run tries again
    assert not (one.folder(tmp_path) / "failed.txt").exists()


def test_a_method_more_evaluates_and_does_not_train_again(
    study: Study, finished: Path, tmp_path: Path, trainings: list[Path]
) -> None:
    content = yaml.safe_load(study.path.read_text())
    content["methods"]["largest"] = {"of": "plain", "after": "after/largest_component"}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    more = load_study(path)
    cell = cells_of(more)[0]
    assert CellRun(more, cell, finished).finished() is None
    assert run_cell(more, cell, finished).state == "done"
    assert trainings == []
    assert (cell.folder(finished) / "evaluate-last-largest" / "cases.csv").is_file()
    assert run_cell(study, cell, finished).state == "done"  # as it was
    assert trainings == []


def test_another_setting_trains_again(study: Study, finished: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.path.read_text())
    content["methods"]["IEL"]["settings"] = {"iel_gain": 4}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    changed = load_study(path)
    states = [CellRun(changed, cell, finished).state() for cell in cells_of(changed)]
    assert states == ["done", "changed"]


def test_a_cell_that_another_process_runs_is_left_to_it(study: Study, finished: Path) -> None:
    cell = cells_of(study)[0]
    with locked(cell.folder(finished) / ".lock", wait=True):  # two descriptors of one process exclude each other too
        assert run_cell(study, cell, finished).state == "busy"
    assert run_cell(study, cell, finished).state == "reused"


def test_a_tuned_method_waits_for_its_overlays(
    study: Study, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(study.path.read_text())
    content["methods"]["tuned"] = {"tune": True}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    tuned = load_study(path)
    cell = cells_of(tuned)[-1]
    run = CellRun(tuned, cell, finished)
    assert run.tuned == finished / "tuned" / "phantom" / "bumps" / "2" / "tuned"
    outcome = run_cell(tuned, cell, finished)
    assert (outcome.state, run.state()) == ("waits", "waits")
    assert outcome.reason == "waits for the trainings that it is chosen from"
    run.tuned.mkdir(parents=True)
    (run.tuned / "tuned.yaml").write_text("loss: '@base_loss'\n")
    (run.tuned / "tuned_evaluate.yaml").write_text("surface_tolerance_mm: 2.0\n")
    assert run.bundle_run().overlays[-2:] == (str(run.tuned / "tuned.yaml"), "watch")
    seen: list[Any] = []
    monkeypatch.setattr(BundleRun, "evaluate_once", lambda self, name, **own: seen.append((name, own["overlays"])))
    run.evaluate(run.bundle_run())
    behind = (str(run.tuned / "tuned_evaluate.yaml"),)
    assert seen == [("last", behind), ("best", behind)]
    shutil.rmtree(finished / "tuned")


def test_a_data_set_that_its_overlay_makes_is_made_once_in_the_folder(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {name: value for name, value in tiny.items() if not name.startswith("dataset_")}
    content = {"data": {"own": {"overlays": "data/phantom_2d"}}, "noises": {"clean": None}, "methods": {"plain": None}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**content, "settings": {**settings, "patch_size": [32, 32]}}))
    study = load_study(path)
    (data,) = study.data.values()
    lists = DataLists(tmp_path / "out")
    made = lists.clean(data)
    assert made.is_relative_to((tmp_path / "out" / "data").resolve())
    monkeypatch.setattr(BundleRun, "content", lambda *_: pytest.fail("made again"))
    assert lists.clean(data) == made


def test_too_few_cases_are_named_before_anything_is_trained(study: Study, tmp_path: Path) -> None:
    content = yaml.safe_load(study.path.read_text())
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**content, "cases": [4]}))
    asked = load_study(path)
    with pytest.raises(ValueError, match=r"4 training cases of phantom are asked for, and .*dataset.json has 3"):
        run_all(asked, tmp_path / "out")


def test_another_noise_of_the_same_name_is_refused(study: Study, finished: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(study.path.read_text())
    content["noises"]["bumps"]["target_dice"] = 0.7
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(FileExistsError, match=r"noise 'bumps' of 'phantom' was changed: .*target_dice"):
        run_all(load_study(path), finished)
