"""What is found before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_iel import (
    BumpLabelNoise,
    ChoiceLabelNoise,
    ClassLabelNoise,
    ElasticLabelNoise,
    LabelNoise,
    SequentialLabelNoise,
    SliceLabelNoise,
    UnknownLabelNoise,
    VoxelLabelNoise,
)
from monai_iel.data import CaseError
from monai_iel.noisy_labels import LABEL_NOISE_MODELS, LabelFile, label_noise_of_model
from monai_iel.noisy_labels.case_list import NoisyCase
from monai_iel.noisy_labels.checks import check_ignore_index, check_labels
from monai_iel.noisy_labels.named import classes_after

Save = Callable[..., Path]
UNKNOWN = UnknownLabelNoise(fraction=0.5, scale=1)


def case(path: Path) -> NoisyCase:
    """A case whose label is its own image."""
    return NoisyCase(path.name, "training", path, LabelFile(path), f"labels/{path.name}")


def map_like(shape: tuple[int, ...], classes: int = 3) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) % classes).astype(np.uint8)


def test_a_noise_of_volumes_names_the_images_among_them(save_nifti: Save) -> None:
    cases = [
        case(save_nifti(map_like(shape), f"{number}.nii.gz"))
        for number, shape in enumerate([(9, 8, 7), (9, 8), (9, 8, 1)])
    ]
    with pytest.raises(
        ValueError, match=r"case '1.nii.gz', .*: label is an image .* \(and so for 1 more of the 3 cases"
    ):
        check_labels(cases, map, SliceLabelNoise(missing=0.3))


@pytest.mark.parametrize(
    ("noise", "match"),
    [
        (VoxelLabelNoise(rate=0.1, num_classes=2), "label holds classes from 0 to 2"),
        (ClassLabelNoise(confusion=[[1, 0], [0.5, 0.5]]), "label holds classes from 0 to 2"),
        (
            ElasticLabelNoise(displacement=0.1, correlation=0.2),
            "the voxels are 0.9.* mm; expected at least the shortest",
        ),
    ],
    ids=lambda value: value.model if isinstance(value, LabelNoise) else "",
)
def test_a_noise_that_does_not_fit_to_the_classes_or_voxels_is_refused(save_nifti: Save, noise, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_labels([case(save_nifti(map_like((9, 8, 7))))], map, noise)


def test_a_refusal_of_the_sample_alone_does_not_count(save_nifti: Save) -> None:
    class Large(BumpLabelNoise):
        def corrupt(self, label, spacing, rng):
            if min(label.shape) < 7:
                raise ValueError("too small")
            return label

    path = save_nifti(map_like((9, 8, 7)))
    assert check_labels([case(path)], map, Large(radius=1, count=1)) == [[1, 2]]


@pytest.mark.parametrize(("colours", "bits"), [(2, 1), (3, 2), (5, 4), (200, 8)])
def test_a_value_that_a_palette_cannot_hold_is_found(tmp_path: Path, colours: int, bits: int) -> None:
    picture = Image.fromarray(map_like((9, 8), 2))
    picture.putpalette([*range(colours)] * 3)
    picture.save(tmp_path / "a.png")  # with the fewest bits
    match = (
        rf"a.png: class 255 cannot be stored in a palette PNG of {bits} bits? and {colours} colours; save the label as"
    )
    with pytest.raises(CaseError, match=match):
        check_labels([case(tmp_path / "a.png")], map, UNKNOWN, 255)
    label, _ = LabelFile(tmp_path / "a.png").read()
    with pytest.raises(CaseError, match=match):
        LabelFile(tmp_path / "a.png").rewrite(label * 255)


def test_a_value_that_is_in_the_file_already_may_lie_beyond_its_palette(tmp_path: Path) -> None:
    picture = Image.fromarray(map_like((9, 8), 2) * 255)
    picture.putpalette([*range(20)] * 3)
    picture.save(tmp_path / "a.png")
    label, _ = LabelFile(tmp_path / "a.png").read()
    assert label.max() == 255
    (tmp_path / "b.png").write_bytes(LabelFile(tmp_path / "a.png").rewrite(label[::-1]))
    assert np.array_equal(LabelFile(tmp_path / "b.png").read()[0], label[::-1])


@pytest.mark.parametrize("dtype", ["int8", "1"])
def test_a_number_type_that_cannot_hold_a_class_is_found(save_nifti: Save, tmp_path: Path, dtype: str) -> None:
    values = map_like((9, 8), 2)
    if dtype == "1":
        Image.fromarray(values.astype(bool)).save(tmp_path / "a.png")
        path, match = tmp_path / "a.png", "class 255 cannot be stored in a grey PNG of 1 bit;"
    else:
        path, match = save_nifti(values.astype(dtype)), "class 255 cannot be stored as int8"
    with pytest.raises(CaseError, match=f"{match}.*; the noise may draw it"):
        check_labels([case(path)], map, UNKNOWN, 255)
    check_labels([case(path)], map, BumpLabelNoise(radius=2, count=2), 255)


def test_the_classes_that_a_noise_may_draw() -> None:
    confused = ClassLabelNoise(confusion=np.array([[9, 0, 0, 0], [0, 4, 5, 0], [0, 0, 4, 5], [0, 0, 0, 9]]) / 9)
    assert classes_after(confused, "a", [1]) == {1, 2}
    assert classes_after(SequentialLabelNoise(noises=[confused, confused]), "a", [1]) == {1, 2, 3}
    assert classes_after(VoxelLabelNoise(rate=0.1, num_classes=4), "a", [1]) == {1, 2, 3}
    assert classes_after(UNKNOWN, "a", []) == set()
    choice = ChoiceLabelNoise(noises=[UNKNOWN, BumpLabelNoise(radius=1, count=1)], fraction=0.5)
    for name in map(str, range(20)):
        hidden = choice.chosen(name) is not None and choice.chosen(name).model == "unknown"
        assert classes_after(choice, name, [1]) == ({1, 255} if hidden else {1})


@pytest.mark.parametrize(
    ("index", "labels", "seen"),
    [
        (1, {"0": "background", "1": "a"}, []),
        (2, ["background", "a", "b"], []),
        (3, {}, [1, 7]),
        (0, {}, []),
        (-1, {}, []),
    ],
)
def test_a_value_of_unknown_voxels_that_lies_among_the_classes_is_refused(index: int, labels, seen: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"ignore_index is {index}, but the classes .* go up to \d; .*, such as 255"):
        check_ignore_index(index, {"labels": labels}, seen)


def test_a_value_of_unknown_voxels_may_be_declared_as_such() -> None:
    check_ignore_index(255, {"labels": {"0": "background", "1": "a", "255": "Unknown"}}, [1])
    check_ignore_index(2, {"labels": {"0": "background", "1": "a"}}, [1])
    check_ignore_index(None, {"labels": {"0": "background", "1": "a"}}, [1])


PARAMETERS = {
    **{"affine": {"rotation": 5, "shift": 2}, "area_ratio": {"ratio": 0.3}, "block": {"scale": 2, "keep": 0.5}},
    **{"bumps": {"radius": 30, "count": 5}, "classes": {"confusion": np.eye(3)}, "outline": {"tolerance": 1}},
    **{"elastic": {"displacement": 100, "correlation": 100}, "instances": {"fraction": 0.5}},
    **{"markov": {"steps": 180, "expand": 0.8, "flip": 0.1}, "morphology": {"radius": (10, 15)}},
    **{"slices": {"missing": 0.5}, "unknown": {"fraction": 0.5}, "voxel": {"rate": 0.1}},
}


@pytest.mark.parametrize("model", LABEL_NOISE_MODELS)
def test_every_model_takes_the_sample(save_nifti: Save, model: str) -> None:
    noise = label_noise_of_model(model, PARAMETERS[model], num_classes=3)
    shapes = [(40, 30, 9), (1, 30, 9), (40, 30, 1)][: 2 if model == "slices" else 3]
    cases = [case(save_nifti(map_like(shape), f"{number}.nii.gz")) for number, shape in enumerate(shapes)]
    assert check_labels(cases, map, noise) == [[1, 2]] * len(cases)
