"""Runs of a bundle: which trainings are reused, which settings are known, where label maps lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_iel.study import BundleRun, root_cause
from monai_iel.study.runs import label_map_of


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


def test_label_maps_of_images_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    images = [str(tmp_path / case / "image.nii.gz") for case in ("a", "b [1]")]
    for case in ("a", "b [1]"):
        (tmp_path / "out" / case).mkdir(parents=True)
        (tmp_path / "out" / case / "image_seg.nii.gz").touch()
    found = [label_map_of(image, images, tmp_path / "out") for image in images]
    assert found == [tmp_path / "out" / case / "image_seg.nii.gz" for case in ("a", "b [1]")]


def bundle_run(folder: Path, tiny: dict[str, Any], *overlays: str, **settings: Any) -> BundleRun:
    return BundleRun(("data/phantom", *overlays), {**tiny, **settings}, folder)


def test_other_settings_or_overlays_train_again(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    bundle_run(tmp_path, tiny).train()
    bundle_run(tmp_path, tiny).train()
    assert len(pretended) == 1
    bundle_run(tmp_path, tiny, learning_rate=0.1).train()
    assert len(pretended) == 2
    bundle_run(tmp_path, tiny, "iel/heat", learning_rate=0.1).train()
    assert len(pretended) == 3


def test_an_edited_overlay_trains_again(tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]) -> None:
    mine = tmp_path / "mine.yaml"
    for text in ("learning_rate: 0.1\n", "learning_rate: 0.2\n"):
        mine.write_text(text)
        bundle_run(tmp_path / "run", tiny, str(mine)).train()
    assert len(pretended) == 2


@pytest.fixture
def copied(tmp_path: Path, phantom_list: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the phantom data set that a test may change, and the setting that points there."""
    folder = Path(shutil.copytree(phantom_list.parent, tmp_path / "data"))
    return folder, {"dataset_json": str(folder / "dataset.json")}


def test_another_data_list_trains_again(
    tmp_path: Path, tiny: dict[str, Any], copied: tuple[Path, dict[str, str]], pretended: list[dict[str, Any]]
) -> None:
    """Else the weights of an old split would be judged on cases that they were trained on."""
    folder, settings = copied
    bundle_run(tmp_path / "run", tiny, **settings).train()
    content = json.loads((folder / "dataset.json").read_text())
    content["training"], content["test"] = content["test"], content["training"]
    (folder / "dataset.json").write_text(json.dumps(content))
    bundle_run(tmp_path / "run", tiny, **settings).train()
    assert len(pretended) == 2


def test_a_corrected_label_trains_again(
    tmp_path: Path, tiny: dict[str, Any], copied: tuple[Path, dict[str, str]], pretended: list[dict[str, Any]]
) -> None:
    folder, settings = copied
    bundle_run(tmp_path / "run", tiny, **settings).train()
    first = sorted((folder / "labelsTr").iterdir())[0]
    image = nibabel.load(first)
    nibabel.save(nibabel.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), first)
    bundle_run(tmp_path / "run", tiny, **settings).train()
    assert len(pretended) == 2


def test_an_interrupted_training_is_not_taken_for_a_complete_one(
    tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, pretended: list[dict[str, Any]]
) -> None:
    bundle_run(tmp_path, tiny).train()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt("by hand")

    with monkeypatch.context() as broken:
        broken.setattr(BundleRun, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt, match="by hand"):
            bundle_run(tmp_path, tiny, learning_rate=0.1).train()
    bundle_run(tmp_path, tiny).train()  # its weights may be those of the interrupted one by now
    assert len(pretended) == 2


def test_curves_of_an_abandoned_training_are_removed(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    old = tmp_path / "train" / "events.out.tfevents.1.old"
    old.parent.mkdir()
    old.write_bytes(b"")
    bundle_run(tmp_path, tiny).train()
    assert not old.exists()


def test_checkpoints_of_another_training_are_not_gone_on_from(
    tmp_path: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed: list[bool] = []

    def killed(self: BundleRun, configs: Any, overlays: Any, settings: Any) -> None:
        resumed.append(settings.get("resume", False))
        if self.settings.get("learning_rate") is None:  # the others are killed before their first checkpoint
            (self.folder / "train" / "checkpoint.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(BundleRun, "_run", killed)
    for settings in ({}, {}, {"learning_rate": 0.1}, {"learning_rate": 0.1}):
        with pytest.raises(KeyboardInterrupt):
            bundle_run(tmp_path, tiny, **settings).train(resume=True)
    assert resumed == [False, True, False, False]


def test_a_training_is_the_same_where_its_data_are_moved_and_another_with_other_threads(
    tmp_path: Path, tiny: dict[str, Any], phantom_list: Path, pretended: list[dict[str, Any]]
) -> None:
    moved = shutil.copytree(phantom_list.parent, tmp_path / "moved")  # with their times
    for path in (phantom_list, moved / phantom_list.name):
        bundle_run(tmp_path / "run", {**tiny, "dataset_json": str(path)}).train()
    assert len(pretended) == 1
    replace(bundle_run(tmp_path / "run", tiny), surroundings={"threads": 2}).train()
    assert len(pretended) == 2


def test_a_misspelt_setting_is_refused_with_the_nearest(tmp_path: Path, tiny: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"has the id 'max_epoch'; did you mean 'max_epochs'\?"):
        bundle_run(tmp_path, tiny, max_epoch=3).train()
    with pytest.raises(ValueError, match=r"has the id 'vaildate#handlers'; did you mean 'validate'\?"):
        bundle_run(tmp_path, tiny, **{"vaildate#handlers": []}).train()
    assert not list(tmp_path.iterdir())


def test_ids_of_all_configs_and_overlays_are_known(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    settings = {"surface_tolerance_mm": 2.0, "noise_seed": 3, "train#dataloader#shuffle": False, "smoothing_mm": 2.0}
    bundle_run(tmp_path, tiny, "noise/block", **settings).train()
    assert len(pretended) == 1


def test_content_gives_values_of_the_config_without_training(
    tmp_path: Path, tiny: dict[str, Any], pretended: list[dict[str, Any]]
) -> None:
    run = bundle_run(tmp_path / "run", tiny)
    cases, spacing = run.content("@train::cases", "@spacing")
    assert len(cases) == 3
    assert spacing == [1.0, 1.0, 1.5]
    assert not (tmp_path / "run").exists()
    assert not pretended


def chain(*errors: BaseException) -> BaseException:
    """The first error, raised from the second, raised from the third."""
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def wrap(*texts: str) -> Callable[[BaseException], BaseException]:
    return lambda error: chain(*map(RuntimeError, texts), error)


def test_the_root_cause_is_below_the_wrappers_of_monai_but_not_below_our_own_words() -> None:
    ours = chain(ValueError("a.json: is not valid JSON"), KeyError("position 3"))
    assert root_cause(wrap("Failed to evaluate", "applying transform")(ours)) is ours
    assert root_cause(ours) is ours
    alone = RuntimeError("out of memory")
    assert root_cause(alone) is alone
