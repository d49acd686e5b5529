"""Preparation of public data sets, from synthetic folders in their published layout and from the real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel.data import (
    CaseError,
    load_datalist,
    prepare_decathlon,
    prepare_drive,
    prepare_dsb2018,
    prepare_refuge,
    prepare_wbc,
    sort_by_hash,
)

SIZE = (12, 10)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def colours(seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, channels), dtype=np.uint8)


def greys(seed: int, values: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(values, np.uint8), size=SIZE)


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def make_wbc(folder: Path, count: int = 10) -> Path:
    for index in range(count):
        save(folder / f"{index:03d}.bmp", colours(index))
        save(folder / f"{index:03d}.png", greys(index, (0, 128, 255)))
    return folder


def make_flat(folder: Path, top: int, count: int = 10) -> Path:
    for index in range(count):
        save(folder / "images" / f"{index:03d}.png", colours(index))
        save(folder / "labels" / f"{index:03d}.png", greys(index, tuple(range(top + 1))))
    return folder


def make_dsb(folder: Path, count: int = 5) -> Path:
    for index in range(count):
        name = f"id{index}"
        save(folder / name / "images" / f"{name}.png", colours(index, 4))
        for part in range(3):
            mask = np.zeros(SIZE)
            mask[3 * part : 3 * part + 2, index : index + 3] = 255
            save(folder / name / "masks" / f"{part}.png", mask)
    return folder


def make_drive(folder: Path) -> Path:
    for section, numbers in (("training", range(21, 31)), ("test", range(1, 4))):
        for number in numbers:
            save(folder / section / "images" / f"{number:02d}_{section}.tif", colours(number))
            save(folder / section / "1st_manual" / f"{number:02d}_manual1.gif", greys(number, (0, 255)))
            save(folder / section / "mask" / f"{number:02d}_{section}_mask.gif", np.full(SIZE, 255))
    return folder


def make_refuge(folder: Path, *, validation: bool = False) -> Path:
    for group, letter in (("Glaucoma", "g"), ("Non-Glaucoma", "n")):
        for index in range(5):
            name = f"{letter}{index:04d}"
            save(folder / "Training400" / group / f"{name}.jpg", colours(index))
            masks = folder / "Annotation-Training400" / "Disc_Cup_Masks" / group
            save(masks / f"{name}.bmp", greys(index, (0, 128, 255)))
    for index in range(3 if validation else 0):
        save(folder / "REFUGE-Validation400" / f"V{index:04d}.jpg", colours(index))
        masks = folder / "REFUGE-Validation400-GT" / "Disc_Cup_Masks"
        save(masks / f"V{index:04d}.bmp", greys(index, (0, 128, 255)))
    return folder


def make_decathlon(folder: Path, count: int = 10, channels: int = 1) -> Path:
    rng = np.random.default_rng(0)
    entries = []
    for index in range(count):
        shape = (5, 6, 4) if channels == 1 else (5, 6, 4, channels)
        for kind, values in (("images", rng.normal(size=shape)), ("labels", rng.integers(0, 3, (5, 6, 4)))):
            path = folder / f"{kind}Tr" / f"x_{index:03d}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)), path)
        entries.append({key: f"./{key}sTr/x_{index:03d}.nii.gz" for key in ("image", "label")})
    content = {
        "name": "X",
        "licence": "CC0",
        "tensorImageSize": "3D",
        "modality": {str(channel): f"MR{channel}" for channel in range(channels)},
        "labels": {"0": "background", "1": "front", "2": "back"},
        "training": entries,
        "test": ["./imagesTs/x_100.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def ids(path: Path) -> dict[str, list[str]]:
    content = json.loads(path.read_text())
    return {section: [entry["id"] for entry in content[section]] for section in ("training", "validation", "test")}


def test_wbc_greys_become_classes(tmp_path: Path) -> None:
    source = make_wbc(tmp_path / "WBC" / "Dataset 1")
    path = prepare_wbc(tmp_path / "WBC", tmp_path / "out", training=None, validation=2, test=3, progress=False)
    assert path == tmp_path / "out" / "dataset.json"
    order = sort_by_hash([f"{index:03d}" for index in range(10)])
    assert ids(path) == {"training": order[:5], "validation": order[5:7], "test": order[7:]}
    for entry in load_datalist(path, "test", spatial_dims=2, num_classes=3, in_channels=3, progress=False):
        assert (pixels(entry["image"]) == pixels(str(source / f"{entry['case_id']}.bmp"))).all()
        grey = pixels(str(source / f"{entry['case_id']}.png"))
        assert (pixels(entry["label"]) == np.select([grey == 128, grey == 255], [1, 2], 0)).all()
    content = json.loads(path.read_text())
    assert content["labels"] == {"0": "background", "1": "cytoplasm", "2": "nucleus"}
    assert not any(entry["image"].startswith("/") for entry in content["training"])


def test_wbc_whole_cell_is_binary(tmp_path: Path) -> None:
    source = make_wbc(tmp_path / "in")
    path = prepare_wbc(source, tmp_path / "out", validation=0, test=0, foreground="cell", progress=False)
    for entry in load_datalist(path, "training", spatial_dims=2, num_classes=2, progress=False):
        grey = pixels(str(source / f"{entry['case_id']}.png"))
        assert (pixels(entry["label"]) == (grey > 0)).all()
    with pytest.raises(ValueError, match="foreground is 'nucleus'"):
        prepare_wbc(source, tmp_path / "other", foreground="nucleus")  # type: ignore[arg-type]


def test_wbc_reads_the_flat_layout(tmp_path: Path) -> None:
    source = make_flat(tmp_path / "in", top=2)
    path = prepare_wbc(source, tmp_path / "out", validation=0, test=1, progress=False)
    for entry in load_datalist(path, "training", spatial_dims=2, num_classes=3, progress=False):
        assert (pixels(entry["label"]) == pixels(str(source / "labels" / f"{entry['case_id']}.png"))).all()


@pytest.mark.parametrize("inner", ["", "stage1_train"])
def test_dsb_masks_are_united(tmp_path: Path, inner: str) -> None:
    source = make_dsb(tmp_path / "in" / inner)
    path = prepare_dsb2018(tmp_path / "in", tmp_path / "out", validation=1, test=1, progress=False)
    (entry,) = load_datalist(path, "test", spatial_dims=2, num_classes=2, in_channels=1, progress=False)
    folder = source / entry["case_id"]
    union = sum(pixels(str(mask)) for mask in (folder / "masks").glob("*.png")) > 0
    assert (pixels(entry["label"]) == union).all()
    published = Image.open(folder / "images" / f"{entry['case_id']}.png")
    assert (pixels(entry["image"]) == np.asarray(published.convert("L"))).all()


def test_dsb_keeps_colour_where_asked(tmp_path: Path) -> None:
    source = make_dsb(tmp_path / "in")
    path = prepare_dsb2018(source, tmp_path / "out", validation=0, test=1, grey=False, progress=False)
    (entry,) = load_datalist(path, "test", spatial_dims=2, num_classes=2, in_channels=3, progress=False)
    published = pixels(str(source / entry["case_id"] / "images" / f"{entry['case_id']}.png"))
    assert (pixels(entry["image"]) == published[..., :3]).all()


def test_dsb_instance_maps_become_binary(tmp_path: Path) -> None:
    source = make_flat(tmp_path / "in", top=7, count=3)
    instances = np.arange(120, dtype=np.uint16).reshape(SIZE) * 300  # needs 16 bits
    Image.fromarray(instances).save(source / "labels" / "000.png")
    path = prepare_dsb2018(source, tmp_path / "out", validation=0, test=0, progress=False)
    entries = {e["case_id"]: e for e in load_datalist(path, "training", spatial_dims=2, num_classes=2, progress=False)}
    assert (pixels(entries["000"]["label"]) == (instances > 0)).all()


def test_drive_keeps_the_published_test_section(tmp_path: Path) -> None:
    source = make_drive(tmp_path / "DRIVE")
    path = prepare_drive(source, tmp_path / "out", validation=3, progress=False)
    parts = ids(path)
    assert parts["test"] == ["01_test", "02_test", "03_test"]
    assert parts["training"] + parts["validation"] == sort_by_hash([f"{number}_training" for number in range(21, 31)])
    for entry in load_datalist(path, "training", spatial_dims=2, num_classes=2, in_channels=3, progress=False):
        number = entry["case_id"].split("_")[0]
        manual = np.asarray(Image.open(source / "training" / "1st_manual" / f"{number}_manual1.gif").convert("L"))
        assert (pixels(entry["label"]) == manual // 255).all()
    with pytest.raises(ValueError, match=r"test is 5, but this data set has a published test section of 3 cases"):
        prepare_drive(source, tmp_path / "other", test=5)


def test_drive_test_images_may_have_no_labels(tmp_path: Path) -> None:
    source = make_drive(tmp_path / "DRIVE")
    shutil.rmtree(source / "test" / "1st_manual")
    path = prepare_drive(source, tmp_path / "out", progress=False)
    assert len(load_datalist(path, "test", spatial_dims=2, require_labels=False, progress=False)) == 3
    with pytest.raises(ValueError, match="has no 'label'"):
        load_datalist(path, "test", spatial_dims=2)


def test_refuge_greys_become_rim_and_cup(tmp_path: Path) -> None:
    source = make_refuge(tmp_path / "REFUGE")
    path = prepare_refuge(source, tmp_path / "out", progress=False)
    assert {section: len(members) for section, members in ids(path).items()} == {
        "training": 7,
        "validation": 1,
        "test": 2,
    }
    for entry in load_datalist(path, "test", spatial_dims=2, num_classes=3, in_channels=3, progress=False):
        group = "Glaucoma" if entry["case_id"].startswith("g") else "Non-Glaucoma"
        masks = source / "Annotation-Training400" / "Disc_Cup_Masks" / group
        grey = pixels(str(masks / f"{entry['case_id']}.bmp"))
        assert (pixels(entry["label"]) == np.select([grey == 128, grey == 0], [1, 2], 0)).all()


def test_refuge_keeps_the_published_validation_section(tmp_path: Path) -> None:
    source = make_refuge(tmp_path / "REFUGE", validation=True)
    path = prepare_refuge(source, tmp_path / "out", test=4, progress=False)
    parts = ids(path)
    assert parts["validation"] == ["V0000", "V0001", "V0002"]
    assert (len(parts["training"]), len(parts["test"])) == (6, 4)
    with pytest.raises(ValueError, match="published validation section"):
        prepare_refuge(source, tmp_path / "other", validation=2)


def test_decathlon_writes_a_list_and_copies_nothing(tmp_path: Path) -> None:
    source = make_decathlon(tmp_path / "TaskX")
    path = prepare_decathlon(source, tmp_path / "out", validation=2, test=3, progress=False)
    assert {item.name for item in (tmp_path / "out").iterdir()} == {"dataset.json", "dataset.json.roots"}
    entries = load_datalist(path, "test", spatial_dims=3, num_classes=3, progress=False)
    order = sort_by_hash([f"imagesTr/x_{index:03d}.nii.gz" for index in range(10)])
    assert [entry["case_id"] for entry in entries] == order[-3:]
    assert all(Path(entry["image"]).is_relative_to(source) for entry in entries)
    # The same case has the same id in the task's own list.
    own = {
        entry["image"]: entry["case_id"]
        for entry in load_datalist(source / "dataset.json", "training", spatial_dims=3, check="off")
    }
    assert all(own[entry["image"]] == entry["case_id"] for entry in entries)
    assert json.loads(path.read_text())["licence"] == "CC0"


def test_decathlon_tasks_may_have_channels(tmp_path: Path) -> None:
    source = make_decathlon(tmp_path / "TaskX", count=3, channels=4)
    path = prepare_decathlon(source, tmp_path / "out", validation=1, test=1, progress=False)
    load_datalist(path, "training", spatial_dims=3, num_classes=3, in_channels=4, progress=False)


def test_the_task_folder_itself_is_never_replaced(tmp_path: Path) -> None:
    source = make_decathlon(tmp_path / "TaskX", count=3)
    for out in (source, tmp_path):
        with pytest.raises(FileExistsError, match="holds the source"):
            prepare_decathlon(source, out, validation=1, test=1, overwrite=True, progress=False)
    assert len(list((source / "imagesTr").iterdir())) == 3


Spoil = Callable[[Path], Any]

BAD: list[tuple[str, Callable[[Path], Path], Callable[..., Path], Spoil, str]] = [
    ("wbc grey", make_wbc, prepare_wbc, lambda f: save(f / "003.png", np.full(SIZE, 77)), r"003.png: found the grey"),
    ("wbc shape", make_wbc, prepare_wbc, lambda f: save(f / "003.png", np.zeros((5, 5))), r"003.bmp: the image is"),
    ("wbc mask", make_wbc, prepare_wbc, lambda f: (f / "003.png").unlink(), r"003.png: no such file"),
    ("wbc image", make_wbc, prepare_wbc, lambda f: (f / "003.bmp").unlink(), r"003.png: is a label without image"),
    ("wbc cut", make_wbc, prepare_wbc, lambda f: (f / "003.bmp").write_bytes(b"BM12"), r"003.bmp: cannot be read"),
    ("wbc empty", make_wbc, prepare_wbc, lambda f: (f / "003.png").write_bytes(b""), r"003.png: cannot be read"),
    (
        "wbc class",
        lambda f: make_flat(f, top=2),
        prepare_wbc,
        lambda f: save(f / "labels" / "003.png", np.full(SIZE, 9)),
        r"003.png: found class 9, expected 0 .. 2",
    ),
    (
        "wbc colour label",
        lambda f: make_flat(f, top=2),
        prepare_wbc,
        lambda f: save(f / "labels" / "003.png", colours(0)),
        r"003.png: found 3 channels",
    ),
    ("dsb masks", make_dsb, prepare_dsb2018, lambda f: shutil.rmtree(f / "id2" / "masks"), r"masks: found no masks"),
    (
        "dsb image",
        make_dsb,
        prepare_dsb2018,
        lambda f: (f / "id2" / "images" / "id2.png").unlink(),
        r"id2.png: no such file",
    ),
    (
        "dsb mask shape",
        make_dsb,
        prepare_dsb2018,
        lambda f: save(f / "id2" / "masks" / "1.png", np.zeros((5, 5))),
        r"1.png: found the shape \(5, 5\)",
    ),
    (
        "dsb junk",
        make_dsb,
        prepare_dsb2018,
        lambda f: (f / "id2" / "masks" / "1.png").write_bytes(b"junk"),
        r"1.png: cannot be read",
    ),
    (
        "drive manual",
        make_drive,
        prepare_drive,
        lambda f: (f / "training" / "1st_manual" / "23_manual1.gif").unlink(),
        r"23_manual1.gif: no such file",
    ),
    (
        "drive test manual",
        make_drive,
        prepare_drive,
        lambda f: (f / "test" / "1st_manual" / "02_manual1.gif").unlink(),
        r"02_manual1.gif: no such file",
    ),
    (
        "refuge grey",
        make_refuge,
        prepare_refuge,
        lambda f: save(f / "Annotation-Training400" / "Disc_Cup_Masks" / "Glaucoma" / "g0002.bmp", np.full(SIZE, 60)),
        r"g0002.bmp: found the grey values 60, expected 255, 128, 0",
    ),
    (
        "decathlon class",
        make_decathlon,
        prepare_decathlon,
        lambda f: nibabel.save(
            nibabel.Nifti1Image(np.full((5, 6, 4), 3, np.uint8), np.eye(4)), f / "labelsTr" / "x_004.nii.gz"
        ),
        r"x_004.nii.gz: found class 3, expected 0 .. 2",
    ),
    (
        "decathlon gzip",
        make_decathlon,
        prepare_decathlon,
        lambda f: (f / "imagesTr" / "x_004.nii.gz").write_bytes(b"junk"),
        r"x_004.nii.gz: cannot be read",
    ),
    (
        "decathlon missing",
        make_decathlon,
        prepare_decathlon,
        lambda f: (f / "imagesTr" / "x_004.nii.gz").unlink(),
        r"dataset.json, section 'training': .*x_004.nii.gz: no such file",
    ),
]


@pytest.mark.parametrize(("make", "prepare", "spoil", "message"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_input_is_named_and_leaves_nothing_behind(
    tmp_path: Path, make: Callable[[Path], Path], prepare: Callable[..., Path], spoil: Spoil, message: str
) -> None:
    source = make(tmp_path / "in")
    spoil(source)
    with pytest.raises(CaseError, match=message):
        prepare(source, tmp_path / "out", progress=False)
    assert [item.name for item in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("prepare", [prepare_wbc, prepare_dsb2018, prepare_drive, prepare_refuge, prepare_decathlon])
def test_an_absent_or_empty_source_is_named(tmp_path: Path, prepare: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"absent.*: no such"):
        prepare(tmp_path / "absent", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"empty.*: (found no|no such)"):
        prepare(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_output_needs_overwrite(tmp_path: Path) -> None:
    source = make_wbc(tmp_path / "in")
    prepare_wbc(source, tmp_path / "out", validation=0, test=1, progress=False)
    with pytest.raises(FileExistsError, match="--overwrite"):
        prepare_wbc(source, tmp_path / "out", validation=0, test=2, progress=False)
    path = prepare_wbc(source, tmp_path / "out", validation=0, test=2, overwrite=True, progress=False)
    assert len(ids(path)["test"]) == 2


def test_a_split_of_too_many_cases_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make 12 cases, but there are 10"):
        prepare_wbc(make_wbc(tmp_path / "in"), tmp_path / "out", training=10, validation=1, test=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["labels", "modality"])
def test_a_decathlon_list_without_names_is_refused(tmp_path: Path, key: str) -> None:
    source = make_decathlon(tmp_path / "in", count=3)
    content = json.loads((source / "dataset.json").read_text())
    content[key] = {"background": 0}
    (source / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"dataset.json: '{key}' is"):
        prepare_decathlon(source, tmp_path / "out")


def subset(source: Path, target: Path, count: int) -> Path:
    for path in sorted((source / "images").iterdir())[:count]:
        for kind in ("images", "labels"):
            (target / kind).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / kind / path.name, target / kind / path.name)
    return target


def test_real_wbc_cases_are_prepared(shared_data: Path, tmp_path: Path) -> None:
    source = subset(shared_data / "wbc", tmp_path / "in", 30)
    path = prepare_wbc(source, tmp_path / "out", validation=0, test=6, progress=False)
    found = load_datalist(path, "training", spatial_dims=2, num_classes=3, in_channels=3, progress=False)
    assert len(found) == 24
    assert {int(value) for entry in found for value in np.unique(pixels(entry["label"]))} == {0, 1, 2}


def test_real_dsb_cases_are_prepared(shared_data: Path, tmp_path: Path) -> None:
    source = subset(shared_data / "dsb2018", tmp_path / "in", 20)
    path = prepare_dsb2018(source, tmp_path / "out", validation=2, test=4, progress=False)
    (first, *_) = load_datalist(path, "test", spatial_dims=2, num_classes=2, in_channels=1, progress=False)
    instances = pixels(str(source / "labels" / f"{first['case_id']}.png"))
    assert (pixels(first["label"]) == (instances > 0)).all()


def test_real_hippocampus_is_cut_by_hash(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "hippocampus"
    path = prepare_decathlon(source, tmp_path / "out", training=20, validation=5, test=20, progress=False)
    every = [
        entry["case_id"] for entry in load_datalist(source / "dataset.json", "training", spatial_dims=3, check="off")
    ]
    order = sort_by_hash(every)
    assert ids(path) == {"training": order[:20], "validation": order[20:25], "test": order[-20:]}
