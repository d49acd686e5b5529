"""What the report page shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel import ChoiceLabelNoise, MorphologyLabelNoise
from monai_iel.noisy_labels import LabelFile, write_noisy_dataset
from monai_iel.noisy_labels.case_list import NoisyCase
from monai_iel.noisy_labels.page import COLOURS, NOISY, Picture, _histogram, shown_cases


def test_shown_cases_span_the_order_of_dice_with_empty_ones_last() -> None:
    records = [{"dice": dice} for dice in (0.9, 0.5, None, 0.7, 0.6)]
    assert shown_cases(records, 9) == [1, 4, 3, 0, 2]
    assert shown_cases(records, 3) == [1, 3, 2]
    assert shown_cases(records, 1) == [1]
    assert shown_cases(records, 0) == []


@pytest.mark.parametrize("values", [[1.0], [0.0], [0.5, 1.0, 1.0], [0.29, 0.3, 0.31], [0.0, 1.0]])
def test_every_case_is_in_the_histogram_and_none_beyond_1(values: list[float]) -> None:
    edges, counts = _histogram(values)
    assert len(edges) == len(counts)
    assert sum(counts[1:-1:2]) == len(values)
    assert min(edges) >= 0
    assert max(edges) <= 1


def test_the_slice_with_the_most_damage_is_drawn(save_nifti: Callable[..., Path], tmp_path: Path) -> None:
    clean = np.zeros((16, 12, 6), np.uint8)
    clean[4:12, 3:9, 1:5] = 1
    noisy = clean.copy()
    noisy[2:14, 2:10, 3] = 1
    save_nifti(clean)
    save_nifti(clean.astype(np.float32), "image.nii")
    save_nifti(noisy, "noisy.nii.gz")
    case = NoisyCase("a", "training", tmp_path / "image.nii", LabelFile(tmp_path / "label.nii.gz"), "noisy.nii.gz")
    picture = Picture(tmp_path)(case)
    # The file's axes are anterior, right and superior, 2.5 mm apart: in RAS its first axis points up in the picture.
    assert nibabel.aff2axcodes(nibabel.load(case.image).affine) == ("A", "L", "S")
    scale = picture.shape[1] // 12
    assert picture.shape == (16 * scale, 12 * scale, 3)
    drawn = np.argwhere((picture == COLOURS[NOISY]).all(axis=-1)) // scale
    assert drawn.min(axis=0).tolist() == [2, 2]
    assert drawn.max(axis=0).tolist() == [13, 9]


def test_a_large_picture_is_cut_to_the_labels(tmp_path: Path) -> None:
    label = np.zeros((500, 600), np.uint8)
    label[100:200, 300:350] = 1
    for name in ("image", "label", "noisy"):
        Image.fromarray(label).save(tmp_path / f"{name}.png")
    case = NoisyCase("a", "training", tmp_path / "image.png", LabelFile(tmp_path / "label.png"), "noisy.png")
    height, width, _ = Picture(tmp_path)(case).shape
    assert height / width == pytest.approx((100 + 48) / (50 + 48))


def test_a_picture_that_is_still_large_is_shown_with_every_other_pixel(tmp_path: Path) -> None:
    label = np.zeros((600, 900), np.uint8)
    label[10:590, 10:890] = 1
    for name in ("image", "label", "noisy"):
        Image.fromarray(label).save(tmp_path / f"{name}.png")
    case = NoisyCase("a", "training", tmp_path / "image.png", LabelFile(tmp_path / "label.png"), "noisy.png")
    picture = Picture(tmp_path)(case)
    assert picture.shape == (300, 450, 3)
    assert (picture == COLOURS[NOISY]).all(axis=-1).any()


def test_what_was_drawn_for_a_case_is_recorded(picture_folder: Path, tmp_path: Path) -> None:
    noise = ChoiceLabelNoise(noises=[MorphologyLabelNoise(radius=2)], fraction=0.5)
    result = write_noisy_dataset(picture_folder / "dataset.json", noise, tmp_path / "out", progress=False, pictures=0)
    rows = list(csv.DictReader((tmp_path / "out" / "manifest.csv").read_text().splitlines()))
    for row, record in zip(rows, result.records, strict=True):
        drawn = noise.describe(record["case"])["chosen"]
        assert record["chosen"] == json.loads(json.dumps(drawn))
        assert (row["chosen"] == "") is (drawn is None)
        assert (record["dice"] == 1) is (drawn is None)
    assert "image/png" not in result.report.read_text()
