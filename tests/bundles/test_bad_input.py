"""Bad input to training, evaluation and preparation: the error names file and mend, and nothing is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from PIL import Image

from monai_iel.data import prepare_decathlon
from monai_iel.study import root_cause


@dataclass(frozen=True)
class Case:
    """The files of one case, to be spoilt."""

    image: Path
    label: Path

    def rewrite(self, key: str, change: Callable[[np.ndarray], np.ndarray], shift: float = 0.0) -> None:
        path = getattr(self, key)
        file = nibabel.load(path)
        values, affine = np.asarray(file.dataobj), file.affine.copy()
        affine[0, 3] += shift
        nibabel.save(nibabel.Nifti1Image(change(values), affine), path)


def with_fraction(label: np.ndarray) -> np.ndarray:
    values = label.astype(np.float32)
    values[3, 4, 5] = 1.5
    return values


def with_nan(image: np.ndarray) -> np.ndarray:
    values = image.astype(np.float32)
    values[3, 4, 5] = np.nan
    return values


def with_class_9(label: np.ndarray) -> np.ndarray:
    values = label.copy()
    values[3, 4, 5] = 9
    return values


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


BAD: dict[str, tuple[Callable[[Case], Any], str, str]] = {
    # what is done to the case, the file named, what is said of it and of the mend
    "missing image": (lambda case: case.image.unlink(), "image", "no such file; correct the path, or restore the file"),
    "missing label": (lambda case: case.label.unlink(), "label", "no such file; correct the path, or restore the file"),
    "other shape": (
        lambda case: case.rewrite("label", lambda values: values[:-1]),
        "label",
        r"found the shape \(23, 28, 20\), expected \(24, 28, 20\) as in the image .*; resample the label",
    ),
    "other affine": (
        lambda case: case.rewrite("label", lambda values: values, shift=2.0),
        "label",
        "the affine differs by 2 from that of the image .*; resample the label",
    ),
    "class beyond the network's": (
        lambda case: case.rewrite("label", with_class_9),
        "label",
        r"found class 9, expected 0 .. 4 \(5 classes with background\); renumber the classes",
    ),
    "label with fractions": (
        lambda case: case.rewrite("label", with_fraction),
        "label",
        "found the value 1.5, expected whole class numbers; round it",
    ),
    "NaN in the image": (
        lambda case: case.rewrite("image", with_nan),
        "image",
        "found 1 values that are NaN or infinite, expected finite intensities; replace them",
    ),
    "2D file": (
        lambda case: (case.rewrite("image", lambda v: v[..., 0]), case.rewrite("label", lambda v: v[..., 0])),
        "image",
        r"found a 2D image of shape \(24, 28\), expected a volume .*; use a 2D bundle or overlay",
    ),
    "image cut off": (lambda case: cut_off(case.image), "image", "cannot be read .*; the file is damaged"),
    "label cut off": (lambda case: cut_off(case.label), "label", "cannot be read .*; the file is damaged"),
    "no gzip": (lambda case: case.image.write_bytes(b"junk"), "image", "cannot be read .*; the file is damaged"),
}
PLACES = {
    # configs, and the section of the list whose second case is spoilt
    "training": (("train", "data/phantom", "noise/block", "iel/heat"), "training"),
    "validation in training": (("train", "data/phantom", "noise/block", "iel/heat"), "validation"),
    "evaluation": (("train", "data/phantom", "evaluate"), "test"),
}


@pytest.fixture
def data(phantom_list: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that may be spoilt."""
    return Path(shutil.copytree(phantom_list.parent, tmp_path / "data"))


def second(data: Path, section: str) -> Case:
    entry = json.loads((data / "dataset.json").read_text())[section][1]
    return Case(data / entry["image"], data / entry["label"])


def refused(run: Callable[..., ConfigWorkflow], configs: tuple[str, ...], settings: dict[str, Any]) -> BaseException:
    with pytest.raises(RuntimeError, match="Failed to") as caught:
        run(*configs, **settings)
    return root_cause(caught.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_case_is_named_with_the_mend_and_nothing_is_written(
    name: str, place: str, data: Path, tmp_path: Path, run: Callable[..., ConfigWorkflow], tiny: dict[str, Any]
) -> None:
    spoil, key, message = BAD[name]
    configs, section = PLACES[place]
    case = second(data, section)
    spoil(case)
    settings = {**tiny, "dataset_dir": str(data), "dataset_json": str(data / "dataset.json")}
    settings["output_dir"] = str(tmp_path / "out")
    error = refused(run, configs, settings)
    with pytest.raises(ValueError, match=f"{getattr(case, key).name}: {message}"):
        raise error
    assert f"section '{section}'" in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "something was written"


@pytest.mark.parametrize("name", BAD)
def test_preparation_refuses_the_same_cases(name: str, data: Path, tmp_path: Path) -> None:
    spoil, key, message = BAD[name]
    case = second(data, "training")
    spoil(case)
    with pytest.raises(ValueError, match=f"{getattr(case, key).name}: {message}"):
        prepare_decathlon(data, tmp_path / "out", validation=1, test=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "something was written"


@pytest.mark.parametrize("place", PLACES)
def test_an_empty_list_is_refused(
    place: str, data: Path, tmp_path: Path, run: Callable[..., ConfigWorkflow], tiny: dict[str, Any]
) -> None:
    configs, section = PLACES[place]
    content = json.loads((data / "dataset.json").read_text())
    content[section] = []
    (data / "dataset.json").write_text(json.dumps(content))
    settings = {**tiny, "dataset_json": str(data / "dataset.json"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(ValueError, match=rf"dataset.json, section '{section}': the list is empty; add entries"):
        raise refused(run, configs, settings)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_preparation_refuses_an_empty_list(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**content, "training": []}))
    with pytest.raises(ValueError, match=r"dataset.json, section 'training': the list is empty; add entries"):
        prepare_decathlon(data, tmp_path / "out", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("configs", [PLACES["training"][0], PLACES["evaluation"][0]], ids=["training", "evaluation"])
def test_a_missing_list_is_refused(
    configs: tuple[str, ...], tmp_path: Path, run: Callable[..., ConfigWorkflow], tiny: dict[str, Any]
) -> None:
    settings = {**tiny, "dataset_json": str(tmp_path / "absent.json"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(FileNotFoundError, match=r"absent.json: no such file; give the path of a dataset.json"):
        raise refused(run, configs, settings)
    assert not list(tmp_path.iterdir())


def test_all_bad_cases_are_listed_at_once(
    data: Path, tmp_path: Path, run: Callable[..., ConfigWorkflow], tiny: dict[str, Any]
) -> None:
    case = second(data, "training")
    case.image.unlink()
    other = data / json.loads((data / "dataset.json").read_text())["training"][0]["label"]
    cut_off(other)
    settings = {**tiny, "dataset_json": str(data / "dataset.json"), "output_dir": str(tmp_path / "out")}
    error = refused(run, PLACES["training"][0], settings)
    with pytest.raises(ValueError, match="2 of 3 cases cannot be used"):
        raise error
    assert case.image.name in str(error)
    assert other.name in str(error)


BAD_PICTURES: dict[str, tuple[Callable[[Path, Path], Any], str, str]] = {
    "missing label": (lambda image, label: label.unlink(), "label", "no such file; correct the path"),
    "other shape": (lambda image, label: save(label, np.zeros((112, 100))), "label", r"found the shape \(112, 100\)"),
    "class beyond the network's": (lambda image, label: save(label, np.full((112, 112), 2)), "label", "found class 2"),
    "grey image": (lambda image, label: save(image, np.zeros((112, 112))), "image", "found 1 channel"),
    "image cut off": (lambda image, label: cut_off(image), "image", "cannot be read .*truncated"),
}


def save(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.mark.parametrize("bundle", ["convex_organ_segmentation"], indirect=True, scope="session")
@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_named_with_the_mend_and_nothing_is_written(
    name: str, picture_list: Path, tmp_path: Path, run: Callable[..., ConfigWorkflow], small: dict[str, Any]
) -> None:
    spoil, key, message = BAD_PICTURES[name]
    data = Path(shutil.copytree(picture_list.parent, tmp_path / "data"))
    case = second(data, "training")
    spoil(case.image, case.label)
    settings = {**small, "dataset_dir": str(data), "dataset_json": str(data / "dataset.json")}
    error = refused(run, ("train", "iel/convex_curvature"), {**settings, "output_dir": str(tmp_path / "out")})
    with pytest.raises(ValueError, match=f"{getattr(case, key).name}: {message}"):
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "something was written"
