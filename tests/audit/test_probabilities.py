"""Probabilities of any system: forms that are understood, and what is said of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel.audit.probabilities import count_classes, is_one_hot, read_probabilities
from monai_iel.data.files import CaseError, open_image
from monai_iel.noisy_labels import LabelFile

from .conftest import AFFINE, organ, probabilities, save


@pytest.fixture
def label(tmp_path: Path) -> LabelFile:
    return LabelFile(save(tmp_path / "label.nii.gz", organ(0)))


def read(path: Path, label: LabelFile, num_classes: int = 3) -> np.ndarray:
    return read_probabilities(path, label.open(), label.read()[0].shape, num_classes)


@pytest.mark.parametrize(
    "form",
    [
        lambda p: p,
        lambda p: np.moveaxis(p, -1, 0),
        lambda p: p[:, :, :, None],
        lambda p: p.astype(np.float64),
    ],
    ids=["classes last", "classes first", "vectors of NIfTI", "float64"],
)
def test_classes_may_be_last_or_first(tmp_path: Path, label: LabelFile, form: Callable) -> None:
    seen = probabilities(organ(1))
    found = read(save(tmp_path / "p.nii.gz", form(seen)), label)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, np.moveaxis(seen, -1, 0), atol=1e-6)


@pytest.mark.parametrize(("dtype", "slope"), [(np.uint8, 1 / 255), (np.uint16, 1 / 65535), (np.int16, 1e-4)])
def test_whole_numbers_with_a_scale_are_probabilities(tmp_path: Path, label: LabelFile, dtype: type, slope) -> None:
    seen = probabilities(organ(1), right=0.83)
    image = nibabel.Nifti1Image(np.rint(seen / slope).astype(dtype), AFFINE)
    image.header.set_slope_inter(slope, 0)
    image.to_filename(tmp_path / "p.nii.gz")
    found = read(tmp_path / "p.nii.gz", label)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(found, np.moveaxis(seen, -1, 0), atol=slope)


def test_values_of_the_one_foreground_class_are_enough(tmp_path: Path, label: LabelFile) -> None:
    seen = np.linspace(0, 1, organ(0).size, dtype=np.float32).reshape(organ(0).shape)
    found = read(save(tmp_path / "p.nii", seen), label, num_classes=2)
    np.testing.assert_allclose(found, [1 - seen, seen], atol=1e-6)


def test_sums_that_are_nearly_one_are_made_one(tmp_path: Path, label: LabelFile) -> None:
    found = read(save(tmp_path / "p.nii", probabilities(organ(0)) * 1.008), label)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_pictures_have_x_before_y_and_no_place(tmp_path: Path) -> None:
    values = organ(0)[..., 5]
    Image.fromarray(values.T).save(tmp_path / "label.png")
    label, seen = LabelFile(tmp_path / "label.png"), probabilities(values)
    for number, form in enumerate((seen, seen[:, :, None], np.moveaxis(seen, -1, 0))):
        found = read(save(tmp_path / f"{number}.nii", form, np.diag([3.0, 2.0, 1.0, 1.0])), label)
        np.testing.assert_allclose(found, np.moveaxis(seen, -1, 0), atol=1e-6)
    with pytest.raises(CaseError, match=r"the axes are in reverse order: save x first"):
        read(save(tmp_path / "turned.nii", seen.swapaxes(0, 1)), label)


def with_nan(seen: np.ndarray) -> np.ndarray:
    seen[3, 2, 1, 0] = np.nan
    return seen


@pytest.mark.parametrize(
    ("form", "match"),
    [
        (lambda p: p[:-1], r"has shape \(23, 20, 10, 3\), expected that of the label, \(24, 20, 10\), .*; resample"),
        (lambda p: p[..., :2], r"holds probabilities of 2 classes, expected probabilities of 3 classes"),
        (lambda p: p[..., 1], r"holds one value per voxel, expected probabilities of 3 classes"),
        (
            lambda p: np.log(p),
            r"holds values from -\d.* to -0.1\d+, expected probabilities from 0 to 1; apply the soft",
        ),
        (lambda p: np.rint(p * 255), r"holds values from 13 to 230, .*; where these are .* whole numbers, set scl_sl"),
        (with_nan, r"holds NaN or infinite values"),
        (
            lambda p: p * [[[[0.5, 1, 1]]]],
            r"the 3 probabilities at voxel \(0, 0, 0\) add to 0.55, expected 1 \(and so at 100.00% of the",
        ),
    ],
    ids=["shape", "too few", "one", "logits", "255", "NaN", "sum"],
)
def test_what_is_no_probability_is_named(tmp_path: Path, label: LabelFile, form: Callable, match: str) -> None:
    path = save(tmp_path / "p.nii.gz", np.asarray(form(probabilities(organ(0))), dtype=np.float32))
    with pytest.raises(CaseError, match=match) as caught:
        read(path, label)
    assert str(caught.value).startswith(f"{path}: ")


def test_another_place_is_named_to_a_thousandth_of_a_mm(tmp_path: Path, label: LabelFile) -> None:
    moved = AFFINE.copy()
    moved[1, 3] += 5e-4
    read(save(tmp_path / "near.nii", probabilities(organ(0)), moved), label)
    moved[1, 3] += 1
    path = save(tmp_path / "far.nii", probabilities(organ(0)), moved)
    with pytest.raises(
        CaseError, match=r"far.nii: lies elsewhere than its label label.nii.gz: entry \(1, 3\) of .* -7"
    ):
        read(path, label)


def test_a_cube_whose_axes_are_all_alike_has_its_classes_last(tmp_path: Path) -> None:
    seen = np.zeros((3, 3, 3, 3), np.float32)
    seen[..., 1] = 1
    label = LabelFile(save(tmp_path / "label.nii", np.ones((3, 3, 3), np.uint8)))
    assert read(save(tmp_path / "p.nii", seen), label)[1].min() == 1


def test_a_picture_holds_no_probabilities(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "p.png")
    with pytest.raises(CaseError, match=r"p.png: is a picture, expected probabilities as NIfTI"):
        read(tmp_path / "p.png", LabelFile(tmp_path / "p.png"))


def test_classes_are_counted_by_the_header(tmp_path: Path) -> None:
    file = open_image(save(tmp_path / "p.nii", probabilities(organ(0))))
    assert count_classes(file, organ(0).shape) == 3


def test_the_label_itself_is_no_prediction(tmp_path: Path, label: LabelFile) -> None:
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(label.path.read_bytes())
    for path in (label.path, copy):
        with pytest.raises(
            CaseError, match=rf"{path.name}: is the label .*label.nii.gz itself, expected probabilities"
        ):
            read(path, label)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_class_map_is_no_prediction(tmp_path: Path, label: LabelFile, dtype: type, num_classes: int) -> None:
    path = save(tmp_path / "a.nii.gz", (organ(1) % num_classes).astype(dtype))
    with pytest.raises(CaseError, match=r"a.nii.gz: is a class map, .* expected probabilities; save probabilities \("):
        read(path, label, num_classes)


def test_the_probabilities_beside_a_class_map_are_named_and_can_be_converted_so(
    tmp_path: Path, label: LabelFile
) -> None:
    seen = probabilities(organ(1))
    np.savez(tmp_path / "a.npz", probabilities=np.moveaxis(seen, -1, 0).transpose(0, 3, 2, 1))  # C Z Y X
    path = save(tmp_path / "a.nii.gz", organ(1))
    with pytest.raises(CaseError, match=r"in a.npz beside it: .* np.load\('a.npz'\)\['probabilities'\].T as NIfTI"):
        read(path, label)
    found = read(save(tmp_path / "new" / "a.nii.gz", np.load(tmp_path / "a.npz")["probabilities"].T), label)
    np.testing.assert_allclose(found, np.moveaxis(seen, -1, 0), atol=1e-6)


def test_a_network_may_be_sure_that_nothing_is_there(tmp_path: Path, label: LabelFile) -> None:
    found = read(save(tmp_path / "p.nii", np.zeros(organ(0).shape, np.float32)), label, num_classes=2)
    assert found[0].min() == 1
    assert not is_one_hot(found)


def test_one_hot_is_told_from_probabilities(tmp_path: Path, label: LabelFile) -> None:
    assert is_one_hot(read(save(tmp_path / "hard.nii", probabilities(organ(1), right=1.0)), label))
    assert not is_one_hot(read(save(tmp_path / "soft.nii", probabilities(organ(1), right=0.999)), label))
