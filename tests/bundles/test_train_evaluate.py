"""Training and evaluation: the files that must be there afterwards, and what is in them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.networks.nets import BasicUNet
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel import Evolved, InverseEvolutionLoss
from monai_iel.resources import BUNDLES

EVERY_BUNDLE = pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")


def events(folder: Path) -> EventAccumulator:
    (path,) = folder.glob("events.out.tfevents.*")
    found = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "cases.csv").read_text().splitlines()))


def read(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return np.asarray(picture)
    return np.asarray(nibabel.load(path).dataobj)


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, trained: Path, command: Any, small: dict[str, Any], kind: Any
) -> Path:
    """Folder of an evaluation from the command line."""
    out = tmp_path_factory.mktemp("evaluated") / "evaluate"
    settings = {**small, "output_dir": out, "checkpoint": trained / "model_last.pt"}
    done = command(out.parent, ["train", *kind.data, "evaluate"], settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@EVERY_BUNDLE
def test_training_writes_models_checkpoint_and_events_and_nothing_else(trained: Path) -> None:
    names = sorted(path.name for path in trained.iterdir() if not path.name.startswith("events.out.tfevents."))
    assert names == ["checkpoint.pt", "checkpoint_previous.pt", "model.pt", "model_last.pt"]
    assert [path.name for path in trained.parent.iterdir()] == ["train"], "something was written beside output_dir"


@EVERY_BUNDLE
def test_the_bundle_itself_is_not_written_to(trained: Path, root: Path) -> None:
    assert not (root / "runs").exists()
    assert not (root / "data").exists()


@EVERY_BUNDLE
@pytest.mark.parametrize("name", ["model.pt", "model_last.pt"])
def test_stock_monai_loads_the_weights(trained: Path, kind: Any, name: str) -> None:
    network = BasicUNet(**kind.network)
    network.load_state_dict(weights(trained / name), strict=True)
    size = [32] * kind.network["spatial_dims"]
    logits = network(torch.rand(1, kind.network["in_channels"], *size))
    assert logits.shape == (1, kind.network["out_channels"], *size)


@EVERY_BUNDLE
def test_the_checkpoint_holds_what_a_resumed_training_needs(trained: Path) -> None:
    state = weights(trained / "checkpoint.pt")
    assert {"best_epoch", "best_metric", "network", "objects", "optimizer", "scaler"} < set(state)
    assert (state["epoch"], state["iteration"]) == (2, 4)
    assert weights(trained / "checkpoint_previous.pt")["epoch"] == 1
    assert same(state["network"], weights(trained / "model_last.pt"))
    # Three cases in batches of two are two steps an epoch.
    assert {int(moments["step"]) for moments in state["optimizer"]["state"].values()} == {4}


@EVERY_BUNDLE
def test_tensorboard_shows_a_loss_per_step_and_a_dice_per_epoch(trained: Path) -> None:
    found = events(trained)
    assert [point.step for point in found.Scalars("train_loss")] == [1, 2, 3, 4]
    assert all(0 < point.value < 100 for point in found.Scalars("train_loss"))
    assert [point.step for point in found.Scalars("dice")] == [1, 2]


@EVERY_BUNDLE
def test_model_pt_is_the_epoch_with_the_best_validation(trained: Path) -> None:
    state = weights(trained / "checkpoint.pt")
    points = events(trained).Scalars("dice")
    best = max(points, key=lambda point: point.value)
    assert state["best_epoch"] == best.step
    assert state["best_metric"] == pytest.approx(best.value, rel=1e-6)  # TensorBoard keeps float32
    is_last = state["best_epoch"] == 2
    assert same(weights(trained / "model.pt"), weights(trained / "model_last.pt")) == is_last


@EVERY_BUNDLE
def test_tensorboard_shows_pictures_of_every_validation_case(trained: Path) -> None:
    found = events(trained)
    assert sorted(found.Tags()["images"]) == ["overlay/0", "overlay/1"]
    pictures = found.Images("overlay/0")
    assert [picture.step for picture in pictures] == [1, 2]
    assert all(picture.encoded_image_string.startswith(b"\x89PNG") for picture in pictures)
    assert min(pictures[0].width, pictures[0].height) >= 256


@EVERY_BUNDLE
def test_evaluation_writes_a_row_per_case_and_class(evaluated: Path, kind: Any) -> None:
    assert sorted(path.name for path in evaluated.iterdir()) == ["cases.csv", "summary.json"]
    found = rows(evaluated)
    assert list(found[0]) == ["case_id", "class", *kind.metrics]
    ids = [entry["id"] for entry in json.loads(kind.list_path.read_text())["test"]]
    assert [(row["case_id"], row["class"]) for row in found] == [(i, name) for i in ids for name in kind.classes]


@EVERY_BUNDLE
def test_the_summary_is_the_mean_of_the_rows(evaluated: Path, kind: Any) -> None:
    summary = json.loads((evaluated / "summary.json").read_text())
    found = rows(evaluated)
    for name in set(kind.metrics) - {"hd95_mm", "hd95_missed"}:
        # Every case has every class, so the mean over classes and then cases is the mean over rows (of 6 digits).
        assert summary["metrics"][name]["mean"] == pytest.approx(np.mean([float(r[name]) for r in found]), rel=1e-4)
    assert summary["counts"]["hd95_missed"]["sum"] == sum(int(r["hd95_missed"]) for r in found)


@EVERY_BUNDLE
def test_evaluation_agrees_with_the_label_maps_of_inference_and_the_clean_files(
    evaluated: Path, trained: Path, tmp_path: Path, command: Any, small: dict[str, Any], kind: Any
) -> None:
    folder, tests = kind.list_path.parent, json.loads(kind.list_path.read_text())["test"]
    (tmp_path / "in").mkdir()
    for entry in tests:
        (tmp_path / "in" / f"{entry['id']}{kind.suffix}").symlink_to(folder / entry["image"])
    settings = {**small, "dataset_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
    done = command(tmp_path, ["inference", *kind.data], {**settings, "checkpoint": trained / "model_last.pt"})
    assert done.returncode == 0, done.stderr[-3000:]
    written = sorted(path.name for path in (tmp_path / "out").glob("[!.]*"))
    assert written == sorted(f"{entry['id']}_seg{kind.suffix}" for entry in tests)
    found = {(row["case_id"], row["class"]): float(row["dice"]) for row in rows(evaluated)}
    for entry in tests:
        label = read(folder / entry["label"])
        pred = read(tmp_path / "out" / f"{entry['id']}_seg{kind.suffix}")
        for index, name in enumerate(kind.classes, start=1):
            a, b = label == index, pred == index
            dice = 2 * (a & b).sum() / (a.sum() + b.sum())
            # One window holds the case and the bundle's grid is the file's, so both are the same computation, up to
            # ties of rounding: a voxel or two of some 100, and the six digits of the table.
            assert found[entry["id"], name] == pytest.approx(dice, abs=2e-3)


@EVERY_BUNDLE
def test_evolve_after_training_changes_the_evaluation_but_not_the_weights(
    evaluated: Path, trained: Path, tmp_path: Path, run: Callable[..., ConfigWorkflow], small: dict[str, Any], kind: Any
) -> None:
    settings = {**small, "output_dir": str(tmp_path / "out"), "checkpoint": str(trained / "model_last.pt")}
    done = run("train", *kind.data, "evaluate", "evolve", **settings)
    (smoothing,) = done.parser.get_parsed_content("validate::smoothing")
    assert isinstance(smoothing, Evolved)
    assert [row["ece"] for row in rows(tmp_path / "out")] != [row["ece"] for row in rows(evaluated)]
    network = done.parser.get_parsed_content("network")
    assert same(network.state_dict(), weights(trained / "model_last.pt"))


def test_evaluation_without_a_checkpoint_names_the_file(
    run: Callable[..., ConfigWorkflow], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    settings = {**tiny, "output_dir": str(tmp_path / "out"), "checkpoint": str(tmp_path / "absent.pt")}
    with pytest.raises(RuntimeError, match=r"Failed to") as caught:
        run("train", "data/phantom", "evaluate", **settings)
    assert "absent.pt" in str(caught.value.__cause__)
    assert not (tmp_path / "out").exists()


@EVERY_BUNDLE
def test_the_same_seed_gives_the_same_weights_in_another_process(
    trained: Path, noisy: tuple[str, ...], run: Callable[..., ConfigWorkflow], tmp_path: Path, small: dict[str, Any]
) -> None:
    run(*noisy, **small, output_dir=str(tmp_path))
    assert same(weights(tmp_path / "model_last.pt"), weights(trained / "model_last.pt"))


@EVERY_BUNDLE
def test_a_resumed_training_ends_like_an_uninterrupted_one(
    trained: Path, noisy: tuple[str, ...], run: Callable[..., ConfigWorkflow], tmp_path: Path, small: dict[str, Any]
) -> None:
    longer = {**small, "max_epochs": 4}
    run(*noisy, **longer, output_dir=str(tmp_path / "straight"))
    shutil.copytree(trained, tmp_path / "resumed")
    (before,) = (tmp_path / "resumed").glob("events*")
    before.unlink()
    run(*noisy, **longer, output_dir=str(tmp_path / "resumed"), resume=True)
    assert [point.step for point in events(tmp_path / "resumed").Scalars("dice")] == [3, 4], "did not go on at epoch 3"
    assert [point.step for point in events(tmp_path / "resumed").Scalars("train_loss")] == [5, 6, 7, 8]
    for name in ("model.pt", "model_last.pt"):
        assert same(weights(tmp_path / "resumed" / name), weights(tmp_path / "straight" / name)), name


def test_resuming_a_complete_training_changes_nothing(
    trained: Path, noisy: tuple[str, ...], run: Callable[..., ConfigWorkflow], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    run(*noisy, **tiny, output_dir=str(tmp_path / "run"), resume=True)
    for name in ("model.pt", "model_last.pt", "checkpoint.pt"):
        assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_resume_where_there_is_no_checkpoint_starts_at_the_beginning(
    trained: Path, noisy: tuple[str, ...], run: Callable[..., ConfigWorkflow], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    run(*noisy, **{**tiny, "max_epochs": 1}, output_dir=str(tmp_path), resume=True)
    assert [point.step for point in events(tmp_path).Scalars("dice")] == [1]


def first_epoch(made: ConfigWorkflow) -> dict[str, list[Any]]:
    """What a training starts with and sees: its weights, its batches, its losses."""
    made.initialize()
    trainer = made.parser.get_parsed_content("train::trainer")
    seen: dict[str, list[Any]] = {"weights": [], "images": [], "labels": [], "losses": []}

    def started(engine: Any) -> None:
        seen["weights"] += [{name: value.clone() for name, value in engine.network.state_dict().items()}]

    def batch(engine: Any) -> None:
        seen["images"].append(torch.as_tensor(engine.state.batch["image"]))
        seen["labels"].append(torch.as_tensor(engine.state.batch["label"]))

    def loss(engine: Any) -> None:
        seen["losses"].append(float(engine.state.output[0]["loss"]))

    trainer.add_event_handler(Events.STARTED, started)
    trainer.add_event_handler(Events.ITERATION_STARTED, batch)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, loss)
    made.run()
    made.finalize()
    return seen


@EVERY_BUNDLE
@pytest.mark.parametrize("noise", ["noise/block", "noise/block_shared"])
def test_plain_and_iel_trainings_start_alike_and_see_the_same_noisy_labels(
    noise: str, workflow: Callable[..., ConfigWorkflow], tmp_path: Path, small: dict[str, Any], kind: Any
) -> None:
    """Noise that is redrawn too, though the guard of a convex IEL has looked at it before."""
    once = {**small, "max_epochs": 1, "warm_up_epochs": 0}
    plain = first_epoch(workflow("train", *kind.data, noise, **once, output_dir=str(tmp_path / "plain")))
    made = workflow("train", *kind.data, noise, kind.noisy[-1], **once, output_dir=str(tmp_path / "iel"))
    iel = first_epoch(made)
    assert isinstance(made.parser.get_parsed_content("loss"), InverseEvolutionLoss)
    assert same(plain["weights"][0], iel["weights"][0])
    for name in ("images", "labels"):
        assert len(plain[name]) == 2
        assert all(torch.equal(a, b) for a, b in zip(plain[name], iel[name], strict=True)), name
    assert plain["losses"][0] != iel["losses"][0], "the IEL has no effect"
    clean = first_epoch(workflow("train", *kind.data, **once, output_dir=str(tmp_path / "clean")))
    if noise != "noise/block_shared":  # drawn anew, it moves the seeds of the augmentation behind it
        assert all(torch.equal(a, b) for a, b in zip(plain["images"], clean["images"], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain["labels"], clean["labels"], strict=True)), "no noise"


def test_another_seed_starts_from_other_weights(
    workflow: Callable[..., ConfigWorkflow], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    started = []
    for seed in (0, 1):
        made = workflow("train", "data/phantom", **tiny, seed=seed, output_dir=str(tmp_path))
        made.initialize()
        started.append(made.parser.get_parsed_content("network").state_dict())
    assert not same(*started)


def test_noise_reaches_training_and_validation_but_not_the_test_labels(
    workflow: Callable[..., ConfigWorkflow], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    made = workflow("train", "data/phantom", "noise/block", **tiny, output_dir=str(tmp_path))
    judged = workflow("train", "data/phantom", "noise/block", "evaluate", **tiny, output_dir=str(tmp_path))
    clean = workflow("train", "data/phantom", **tiny, output_dir=str(tmp_path), validation_section="test")
    for one in (made, judged, clean):
        one.initialize()
    noisy, tested, kept = (w.parser.get_parsed_content("validate::dataset") for w in (made, judged, clean))
    files = [nibabel.load(case["label"]) for case in made.parser.get_parsed_content("validate::cases")]
    counts = [np.bincount(np.asarray(file.dataobj).ravel(), minlength=5).tolist() for file in files]
    assert [np.bincount(item["label"].numpy().astype(int).ravel(), minlength=5).tolist() for item in noisy] != counts
    assert all(torch.equal(a["label"], b["label"]) for a, b in zip(tested, kept, strict=True))


def test_a_bad_case_ends_the_command_with_the_reason(
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    tiny: dict[str, Any],
    phantom_list: Path,
) -> None:
    content = json.loads(phantom_list.read_text())
    content["training"][1]["image"] = str(tmp_path / "absent.nii.gz")
    for entry in [e for section in ("training", "validation") for e in content[section]]:
        entry.update({key: str(phantom_list.parent / entry[key]) for key in ("image", "label")})
    (tmp_path / "list.json").write_text(json.dumps(content))
    roots = f"folder: {tmp_path}\n{phantom_list.parent}\n"  # the cases lie outside the list's folder
    (tmp_path / "list.json.roots").write_text(roots)
    done = command(
        tmp_path, ["train", "data/phantom"], {**tiny, "dataset_json": tmp_path / "list.json", "output_dir": "out"}
    )
    assert done.returncode == 1
    assert "absent.nii.gz: no such file; correct the path, or restore the file" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.json", "list.json.roots"]
