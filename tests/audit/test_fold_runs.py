"""The networks of the folds: what they are trained on, what they predict, and when they are trained again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from monai_iel.audit import Audit, audit
from monai_iel.files import digest
from monai_iel.resources import bundle_root
from monai_iel.study import BundleRun
from monai_iel.study.runs import label_map_of, written_stem

from .conftest import organ, probabilities, save

Rewrite = Callable[[Callable[[dict], None]], None]
BUNDLE = "noisy_annotation_segmentation"


class Pretended:
    """Trainings that write a file, and predictions as of a network that knows the organs."""

    def __init__(self) -> None:
        self.trained: list[dict[str, list[str]]] = []
        self.predicted: list[int] = []
        self.settings: list[dict[str, Any]] = []
        self.seen: list[set[str]] = []
        self.leaks: list[str] = []

    def __call__(self, run: BundleRun, configs: Any, overlays: Any, settings: Any) -> float:
        out = Path(settings["output_dir"])
        if list(configs) == ["train"]:
            lists = json.loads(Path(run.settings["dataset_json"]).read_text())
            self.trained.append({n: [e["id"] for e in lists[n]] for n in ("training", "validation", "test")})
            self.settings.append({**run.settings, "overlays": run.overlays})
            folder = Path(run.settings["dataset_json"]).parent
            self.seen.append({digest(folder / e["image"]) for n in ("training", "validation") for e in lists[n]})
            out.mkdir(parents=True, exist_ok=True)
            (out / "model_last.pt").write_text(str(len(self.trained)))
            return 0.0
        assert (list(configs), list(overlays)) == (["inference"], ["probabilities"])
        weights = int(Path(settings["checkpoint"]).read_text())
        self.predicted.append(len(settings["images"]))
        for image in map(Path, settings["images"]):
            if digest(image) in self.seen[weights - 1]:
                self.leaks.append(image.name)
            seen = probabilities(organ(int(image.name[1])), right=0.9 + 0.001 * weights)
            name = f"{written_stem(str(image))}_seg.nii.gz"
            path = out / image.parent.relative_to(settings["data_root_dir"]) / name
            if not path.exists() or not np.array_equal(nibabel.load(path).get_fdata(dtype=np.float32), seen):
                save(path, seen)
        return 0.0


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    made = Pretended()
    monkeypatch.setattr(BundleRun, "_run", lambda run, *given: made(run, *given))
    return made


def run(organs: Path, **arguments: Any) -> Audit:
    given = {"bundle": BUNDLE, "folds": 3, "progress": False, "pictures": 0, **arguments}
    return audit(organs, organs.parent.parent / "audit", **given)


def folds_of(result: Audit) -> dict[str, int]:
    return {case.scores.case_id: case.fold for case in result.cases}


def about_networks(result: Audit) -> list[str]:
    return [note for note in result.notes if "fold networks were trained before" in note]


def correct(organs: Path, number: int) -> None:
    save(organs.parent / "label" / f"c{number}.nii.gz", organ(number))


def test_no_network_sees_what_it_predicts(organs: Path, pretended: Pretended) -> None:
    folds = folds_of(run(organs))
    assert len(pretended.trained) == 3
    for fold, lists in enumerate(pretended.trained, start=1):
        seen = [*lists["training"], *lists["validation"]]
        assert sorted(seen) == sorted(case_id for case_id, number in folds.items() if number != fold)
        assert len(lists["validation"]) == 1
        assert lists["test"] == []


def test_patients_are_never_divided(organs: Path, pretended: Pretended, rewrite: Rewrite) -> None:
    rewrite(lambda content: [e.update(patient=f"p{i % 3}") for i, e in enumerate(content["training"])])
    folds = folds_of(run(organs))
    assert all(folds[f"c{number}"] == folds[f"c{number + 3}"] for number in range(3))
    for fold, lists in enumerate(pretended.trained, start=1):
        held_out = {int(name[1]) % 3 for name, number in folds.items() if number == fold}
        seen = {int(name[1]) % 3 for name in (*lists["training"], *lists["validation"])}
        assert not held_out & seen


def test_settings_and_overlays_reach_the_training(organs: Path, pretended: Pretended) -> None:
    run(organs, overlays=("data/hippocampus", "iel/heat"), settings={"max_epochs": 7}, seed=3)
    (settings, *_) = pretended.settings
    assert (settings["max_epochs"], settings["seed"]) == (7, 3)
    assert settings["overlays"] == ("data/hippocampus", "iel/heat")
    assert settings["train#cases#roots"] == tuple(sorted(str(organs.parent / n) for n in ("image", "label")))


def test_a_correction_is_scored_by_the_networks_that_are_there_and_a_note_says_so(
    organs: Path, pretended: Pretended
) -> None:
    assert about_networks(run(organs)) == []
    correct(organs, 3)
    second = run(organs)
    assert len(pretended.trained) == 3
    assert second.computed == ("c3",)
    assert about_networks(second) == [
        "2 of 3 fold networks were trained before 1 label changed; --retrain trains them again."
    ]
    third = run(organs, retrain=True)
    assert len(pretended.trained) == 5
    assert sorted(third.computed) == sorted(n for n, fold in folds_of(third).items() if fold != folds_of(third)["c3"])
    assert about_networks(third) == []


def test_cases_that_are_added_are_predicted_by_the_networks_that_are_there(
    organs: Path, pretended: Pretended, rewrite: Rewrite
) -> None:
    taken: list[dict] = []
    rewrite(lambda content: taken.append(content["training"].pop()))
    before = folds_of(run(organs))
    rewrite(lambda content: content["training"].append(taken[0]))
    result = run(organs)
    assert {name: fold for name, fold in folds_of(result).items() if name != "c5"} == before
    assert (result.computed, len(pretended.trained)) == (("c5",), 3)
    assert about_networks(result) == [
        "2 of 3 fold networks were trained before 1 case was added; --retrain trains them again."
    ]
    rewrite(lambda content: content["training"].pop(0))
    (note,) = about_networks(run(organs))
    assert note.startswith(
        "3 of 3 fold networks were trained before 1 case was added and 1 case was removed; --retrain"
    )


def test_a_network_that_saw_the_patient_of_a_case_is_trained_again(
    organs: Path, pretended: Pretended, rewrite: Rewrite
) -> None:
    folds = folds_of(run(organs))
    (one, *_), (other, *_) = ([n for n, fold in folds.items() if fold == number] for number in (1, 2))
    rewrite(lambda content: [e.update(patient="p") for e in content["training"] if e["id"] in (one, other)])
    result = run(organs)
    assert len(pretended.trained) > 3
    now = folds_of(result)
    assert now[one] == now[other]
    assert all(
        not {name for name, number in now.items() if number == fold} & set(lists["training"] + lists["validation"])
        for fold, lists in ((now[one], pretended.trained[-1]),)
    )


@pytest.mark.parametrize("name", ["c{}", "r{}"], ids=["among themselves", "anew"])
def test_no_network_judges_a_case_that_it_saw_under_another_id(
    organs: Path, pretended: Pretended, rewrite: Rewrite, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run(organs)
    assert pretended.leaks == []
    rewrite(lambda c: [e.update(id=name.format((i + 1) % 6)) for i, e in enumerate(c["training"])])
    run(organs, progress=True)
    assert pretended.leaks == []
    assert "training again, as its network saw the image of case '" in capsys.readouterr().out
    trained = len(pretended.trained)
    run(organs)
    assert len(pretended.trained) == trained


def exchange(one: Path, other: Path) -> None:
    """Give two files each other's place; nothing but their content tells that."""
    between = one.with_name("between")
    for source, place in ((one, between), (other, one), (between, other)):
        source.rename(place)
    for path in (one, other):
        os.utime(path, ns=(0, 0))


def test_no_network_judges_a_case_that_it_saw_in_another_place(
    organs: Path, pretended: Pretended, rewrite: Rewrite
) -> None:
    folder = organs.parent
    for number in range(6):
        for kind in ("image", "label"):
            path = folder / kind / f"c{number}.nii.gz"
            nibabel.load(path).to_filename(path.with_suffix(""))  # files of one size
            path.unlink()
            os.utime(path.with_suffix(""), ns=(0, 0))
    rewrite(lambda c: [e.update({k: e[k].removesuffix(".gz") for k in ("image", "label")}) for e in c["training"]])
    folds = folds_of(run(organs))
    one, other = (next(n for n, fold in folds.items() if fold == number) for number in (1, 2))
    for kind in ("image", "label"):
        exchange(folder / kind / f"{one}.nii", folder / kind / f"{other}.nii")
    run(organs)
    assert pretended.leaks == []
    assert len(pretended.trained) == 5  # the third network has seen both, and may


@pytest.mark.parametrize("copy", [shutil.copy, os.symlink, os.link])
def test_an_image_under_two_names_is_in_one_fold(
    organs: Path, pretended: Pretended, rewrite: Rewrite, copy: Callable[[Path, Path], Any]
) -> None:
    images = organs.parent / "image"
    before = folds_of(run(organs))
    one, other = (next(n for n, fold in before.items() if fold == number) for number in (1, 2))
    (images / f"{other}.nii.gz").unlink()
    copy(images / f"{one}.nii.gz", images / f"{other}.nii.gz")
    now = folds_of(run(organs))
    assert now[one] == now[other]
    assert pretended.leaks == []


def test_a_network_of_which_is_not_known_what_it_saw_is_trained_again(organs: Path, pretended: Pretended) -> None:
    run(organs)
    path = organs.parent.parent / "audit" / "fold-2" / "network.json"
    record = json.loads(path.read_text())
    for one in record["trained_on"].values():
        del one["image"]
    path.write_text(json.dumps(record))
    (path.parent / "training.json").unlink()
    run(organs)
    assert len(pretended.trained) == 4


def test_a_training_that_did_not_end_is_run_again(
    organs: Path, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: BundleRun, *given: Any) -> float:
        if len(pretended.trained) == 1:
            raise KeyboardInterrupt
        return pretended(_, *given)

    monkeypatch.setattr(BundleRun, "_run", killed)
    with pytest.raises(KeyboardInterrupt):
        run(organs)
    monkeypatch.setattr(BundleRun, "_run", lambda one, *given: pretended(one, *given))
    run(organs)
    assert len(pretended.trained) == 3
    (organs.parent.parent / "audit" / "fold-2" / "train" / "model_last.pt").unlink()
    assert run(organs).computed != ()
    assert len(pretended.trained) == 4


def test_other_settings_in_the_folder_are_refused(organs: Path, pretended: Pretended) -> None:
    run(organs)
    for arguments, match in (
        ({"seed": 1}, r"holds another run: seed is 0 there, 1 here"),
        ({"folds": 2}, r"holds another run: folds is 3 there, 2 here"),
        ({"overlays": ("iel/heat",)}, r"holds another run: overlays is \[\] there, \[\"iel/heat\"\] here"),
        ({"settings": {"max_epochs": 2}}, r"holds another run: settings.max_epochs is not set there, 2 here"),
        ({"epoch": "best"}, r"weights is \"model_last.pt\" there, \"model.pt\" here"),
    ):
        with pytest.raises(FileExistsError, match=match):
            run(organs, **arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"settings": {"dataset_json": "x"}}, r"--set dataset_json: the audit sets it itself"),
        ({"settings": {"max_epoch": 1}}, r"has the id 'max_epoch'; did you mean 'max_epochs'\?"),
        ({"bundle": "noisy"}, r"no bundle 'noisy'; did you mean 'noisy_annotation_segmentation'"),
        ({"overlays": ("iel/hat",)}, r"no overlay 'iel/hat'; did you mean 'iel/heat'"),
        ({"folds": 7}, r"found 6 cases, expected 7 or more for 7 folds; give --folds 6"),
        ({"epoch": "first"}, r"epoch is 'first', expected 'last' or 'best'"),
        ({"settings": {"num_classes": 4}}, r"declares 3 classes, but num_classes of the bundle is 4"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    organs: Path, pretended: Pretended, arguments: dict, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        run(organs, **arguments)
    assert not (organs.parent.parent / "audit").exists()


def test_one_case_only_is_refused(organs: Path, pretended: Pretended, rewrite: Rewrite) -> None:
    rewrite(lambda content: content.update(training=content["training"][:1]))
    with pytest.raises(ValueError, match=r"there is 1 case, 'c0', and no other to train a network on that judges it"):
        run(organs)
    folder = organs.parent.parent
    assert len(audit(organs, folder / "one", predictions=folder / "predictions", progress=False).cases) == 1


def test_a_bundle_that_there_is_not_is_said_before_the_number_of_cases(
    organs: Path, pretended: Pretended, rewrite: Rewrite
) -> None:
    rewrite(lambda content: content.update(training=content["training"][:2]))
    with pytest.raises(ValueError, match=r"no bundle 'nope'"):
        run(organs, bundle="nope")


def test_images_whose_predictions_would_have_one_name_are_refused(organs: Path, rewrite: Rewrite) -> None:
    image = organs.parent / "image" / "c0.nii"
    nibabel.load(organs.parent / "image" / "c0.nii.gz").to_filename(image)
    rewrite(lambda content: content["training"][1].update(image="image/c0.nii"))
    with pytest.raises(ValueError, match=r"c0.nii and c0.nii.gz would have predictions of the same name; rename one"):
        run(organs)


def predict(folder: Path, image: Path, bundle: str, overlays: tuple[str, ...], **settings: Any) -> tuple:
    """Probabilities and class map of a trained network of a bundle."""
    found = []
    for name, behind in (("probabilities", ["probabilities"]), ("classes", [])):
        one = BundleRun(overlays, {"device": "cpu", **settings}, folder / name, bundle)
        (one.folder / "train").mkdir(parents=True)
        shutil.copy(bundle_root(bundle) / "models" / "model.pt", one.folder / "train" / "model_last.pt")
        out = one.segment([str(image)], overlays=behind, root="/")
        found.append(label_map_of(str(image), [str(image)], out, "/"))
    return tuple(found)


SMALL = {"patch_size": [32, 32, 16]}
CROP = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
    {"_target_": "CropForegroundd", "keys": "image", "source_key": "image"},
    {"_target_": "NormalizeIntensityd", "keys": "image"},
    {"_target_": "EnsureTyped", "keys": "image"},
]


@pytest.mark.parametrize("settings", [{}, {"deterministic_transforms": CROP}], ids=["resampled", "cropped"])
def test_probabilities_lie_where_the_image_does_and_add_to_one(tmp_path: Path, settings: dict) -> None:
    values = np.random.default_rng(0).normal(100, 10, (24, 20, 10)).astype(np.float32)
    values[:, :5] = 0  # cropped away
    image = save(tmp_path / "a.nii.gz", values)
    seen, classes = predict(tmp_path, image, BUNDLE, (), **SMALL, **settings)
    found = nibabel.load(seen)
    assert (found.shape, found.get_data_dtype()) == ((24, 20, 10, 3), np.float32)
    np.testing.assert_allclose(found.affine, nibabel.load(image).affine, atol=1e-5)
    values = found.get_fdata()
    np.testing.assert_allclose(values.sum(axis=-1), 1, atol=1e-5)
    assert values.min() >= 0
    if settings:
        np.testing.assert_array_equal(values[:, :5, :, 0], 1)
    np.testing.assert_array_equal(values.argmax(axis=-1), nibabel.load(classes).get_fdata())


def test_probabilities_of_pictures_are_nifti_in_the_axes_of_load_image(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    seen, classes = predict(tmp_path, tmp_path / "a.png", "convex_organ_segmentation", ())
    values = nibabel.load(seen).get_fdata()
    assert values.shape == (40, 30, 1, 2)
    np.testing.assert_allclose(values.sum(axis=-1), 1, atol=1e-5)
    with Image.open(classes) as map_of_classes:
        np.testing.assert_array_equal(values[:, :, 0].argmax(axis=-1).T, np.asarray(map_of_classes))


def test_predictions_that_are_complete_are_left_as_they_are(tmp_path: Path) -> None:
    image = save(tmp_path / "a.nii.gz", np.random.default_rng(0).normal(size=(16, 16, 8)).astype(np.float32))
    run = BundleRun((), {"device": "cpu", **SMALL}, tmp_path / "run", BUNDLE)
    (run.folder / "train").mkdir(parents=True)
    weights = run.folder / "train" / "model_last.pt"
    shutil.copy(bundle_root(BUNDLE) / "models" / "model.pt", weights)
    path = label_map_of(str(image), [], run.segment([str(image)], overlays=["probabilities"], root="/"), "/")
    before = path.stat().st_mtime_ns
    run.segment([str(image)], overlays=["probabilities"], root="/")
    assert path.stat().st_mtime_ns == before
    state = torch.load(weights, weights_only=True)
    torch.save({name: value * 1.01 for name, value in state.items()}, weights)
    run.segment([str(image)], overlays=["probabilities"], root="/")
    assert path.stat().st_mtime_ns > before
