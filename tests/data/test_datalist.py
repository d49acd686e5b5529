"""The Decathlon data list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_iel.data import CaseError, MissingCaseFileError, load_datalist, write_datalist


def write_case(folder: Path, name: str, highest: int = 1) -> dict[str, str]:
    for kind, values in (("image", np.ones((4, 5, 6), np.float32)), ("label", np.full((4, 5, 6), highest, np.uint8))):
        (folder / kind).mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / kind / f"{name}.nii.gz")
    return {"image": f"./image/{name}.nii.gz", "label": f"label/{name}.nii.gz"}


def write_list(folder: Path, **sections: Any) -> Path:
    path = folder / "dataset.json"
    path.write_text(json.dumps({"name": "x", "labels": {"0": "background"}, **sections}))
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    cases = [write_case(tmp_path, name) for name in "abc"]
    cases[1]["id"] = "patient 7"
    return write_list(tmp_path, training=cases, test=["image/a.nii.gz"], validation=[])


def test_entries_have_absolute_paths_and_a_case_id(listed: Path) -> None:
    entries = load_datalist(listed, "training", spatial_dims=3, num_classes=2, progress=False)
    assert [entry["case_id"] for entry in entries] == ["image/a.nii.gz", "patient 7", "image/c.nii.gz"]
    assert entries[0] == {
        "image": str(listed.parent / "image" / "a.nii.gz"),
        "label": str(listed.parent / "label" / "a.nii.gz"),
        "case_id": "image/a.nii.gz",
    }


def test_a_relative_path_to_the_list_works(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(listed.parent)
    entries = load_datalist("dataset.json", "training", spatial_dims=3, check="files")
    assert Path(entries[0]["image"]).is_absolute()


def test_bare_paths_are_entries_where_labels_are_not_required(listed: Path) -> None:
    (entry,) = load_datalist(listed, "test", spatial_dims=3, require_labels=False, progress=False)
    assert set(entry) == {"image", "case_id"}
    with pytest.raises(ValueError, match=r"section 'test', entry 0 .*has no 'label'.*require_labels=False"):
        load_datalist(listed, "test", spatial_dims=3)


def test_limit_takes_the_first_cases_and_looks_at_no_others(listed: Path) -> None:
    (listed.parent / "image" / "c.nii.gz").unlink()
    assert len(load_datalist(listed, "training", spatial_dims=3, limit=2, progress=False)) == 2
    with pytest.raises(ValueError, match="limit is 0"):
        load_datalist(listed, "training", spatial_dims=3, limit=0)


def test_the_three_checks_differ_in_depth(listed: Path) -> None:
    label = listed.parent / "label" / "b.nii.gz"
    label.write_bytes(b"junk")
    with pytest.raises(CaseError, match=r"dataset.json, section 'training': .*b.nii.gz: cannot be read.*'patient 7'"):
        load_datalist(listed, "training", spatial_dims=3, progress=False)
    load_datalist(listed, "training", spatial_dims=3, check="files")
    label.unlink()
    with pytest.raises(MissingCaseFileError, match=r"dataset.json, section 'training': .*b.nii.gz: no such file"):
        load_datalist(listed, "training", spatial_dims=3, check="files")
    load_datalist(listed, "training", spatial_dims=3, check="off")


def test_a_class_beyond_the_network_is_named(listed: Path) -> None:
    with pytest.raises(CaseError, match=r"found class 1, expected 0 .. 0"):
        load_datalist(listed, "training", spatial_dims=3, num_classes=1, limit=1, progress=False)


def test_an_empty_section_names_file_section_and_mend(listed: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset.json, section 'validation': the list is empty; add entries"):
        load_datalist(listed, "validation", spatial_dims=3)


@pytest.mark.parametrize(
    ("section", "message"),
    [("trainning", "did you mean 'training'"), ("folds", "there are 'training', 'test', 'validation'")],
)
def test_a_missing_section_suggests_those_that_are_there(listed: Path, section: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"dataset.json: has no section '{section}'; {message}"):
        load_datalist(listed, section, spatial_dims=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"training": [', "is not valid JSON"), (b"\xff\xfe", "is not valid JSON"), (b"[1, 2]", "holds a list")],
)
def test_a_bad_json_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"dataset.json: {message}"):
        load_datalist(path, "training", spatial_dims=3)


def test_a_list_that_the_system_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_list(tmp_path, training=[{"image": "x" * 300, "label": "y"}])
    with pytest.raises(CaseError, match=r"section 'training': .*xxx: cannot be read \(OSError: File name too long\)"):
        load_datalist(path, "training", spatial_dims=3, check="files")
    with pytest.raises(ValueError, match=r"cannot be read \(OSError: File name too long\); give the path of"):
        load_datalist(tmp_path / ("x" * 300), "training", spatial_dims=3)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ValueError, match=r"dataset.json: cannot be read \(Permission denied\); allow this user"):
        load_datalist(path, "training", spatial_dims=3)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent.json: no such file"):
        load_datalist(tmp_path / "absent.json", "training", spatial_dims=3)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, "is a int, expected an object"),
        ({"label": "a"}, "'image' is None, expected the path of one file"),
        ({"image": ["a", "b"], "label": "c"}, r"'image' is \['a', 'b'\]"),
        ({"image": "a", "label": 3}, "'label' is 3"),
        ({"image": "a\0b", "label": "c"}, r"'image' is 'a\\x00b'"),
        ({"image": "a", "label": "\ud800"}, r"'label' is '\\ud800'"),
        ({"image": "a", "label": "b", "id": "\udfff"}, r"'id' is '\\udfff'"),
        ({"image": "a", "label": "b", "id": ""}, "'id' is ''"),
        ({"image": "a", "label": "b", "id": None}, "'id' is None"),
    ],
)
def test_a_bad_entry_is_named_by_its_place(tmp_path: Path, entry: Any, message: str) -> None:
    path = write_list(tmp_path, training=[{"image": "x", "label": "y"}, entry])
    with pytest.raises(ValueError, match=rf"dataset.json, section 'training', entry 1.*{message}"):
        load_datalist(path, "training", spatial_dims=3, check="off")


def test_a_section_that_is_no_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section 'training': is a dict, expected a list"):
        load_datalist(write_list(tmp_path, training={}), "training", spatial_dims=3)


def test_equal_case_ids_are_refused(tmp_path: Path) -> None:
    path = write_list(tmp_path, training=[{"image": "a", "label": "l"}, {"image": "./a", "label": "m"}])
    with pytest.raises(ValueError, match="case id 'a' stands twice"):
        load_datalist(path, "training", spatial_dims=3, check="off")


def test_an_unknown_check_is_refused(listed: Path) -> None:
    with pytest.raises(ValueError, match="check is 'all'; expected 'full', 'files' or 'off'"):
        load_datalist(listed, "training", spatial_dims=3, check="all")  # type: ignore[arg-type]


def test_expressions_in_a_list_stay_text(tmp_path: Path) -> None:
    path = write_list(tmp_path, training=[{"image": "$1/0", "label": "@training", "id": "$import os"}])
    (entry,) = load_datalist(path, "training", spatial_dims=3, check="off")
    assert entry["case_id"] == "$import os"
    assert entry["image"] == str(tmp_path / "$1" / "0")


def test_a_written_list_reads_back(tmp_path: Path) -> None:
    inside, outside = tmp_path / "set", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    near, far = write_case(inside, "near"), write_case(outside, "far")
    path = write_datalist(
        inside / "dataset.json",
        name="mine",
        labels=["background", "organ"],
        channel_names={"0": "CT"},
        training=[{"id": "near", "image": str(inside / near["image"]), "label": str(inside / near["label"])}],
        validation=[],
        test=[{"case_id": "far", "image": str(outside / far["image"])}],
        licence="CC0",
    )
    content = json.loads(path.read_text())
    assert content["training"] == [{"id": "near", "image": "image/near.nii.gz", "label": "label/near.nii.gz"}]
    assert content["test"] == [{"id": "far", "image": str(outside / "image" / "far.nii.gz")}]
    assert content["labels"] == {"0": "background", "1": "organ"}
    assert (content["modality"], content["licence"], content["numTraining"]) == ({"0": "CT"}, "CC0", 1)
    assert load_datalist(path, "training", spatial_dims=3, num_classes=2, progress=False)[0]["case_id"] == "near"
    assert [item.name for item in inside.iterdir() if item.name.startswith(".")] == []


def test_monai_reads_a_written_list(tmp_path: Path) -> None:
    from monai.data import load_decathlon_datalist

    case = write_case(tmp_path, "a")
    path = write_datalist(
        tmp_path / "dataset.json",
        name="x",
        labels=["background"],
        channel_names=["MRI"],
        training=[{"id": "a", **case}],
        validation=[],
        test=[],
    )
    (entry,) = load_decathlon_datalist(str(path), is_segmentation=True, data_list_key="training")
    assert Path(entry["image"]) == tmp_path / "image" / "a.nii.gz"


@pytest.mark.parametrize(
    ("training", "extra", "message"),
    [
        ([{"image": "a"}], {}, "training, entry 0: 'id' is None"),
        ([{"id": "a"}], {}, r"training, entry 0 \(a\): has no 'image'"),
        ([{"id": "a", "image": "a"}, {"id": "a", "image": "b"}], {}, "case id 'a' stands twice"),
        ([{"id": "a", "image": "a"}], {"numTest": 3}, "extra keys numTest"),
    ],
)
def test_a_bad_list_is_not_written(tmp_path: Path, training: list, extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_datalist(
            tmp_path / "dataset.json",
            name="x",
            labels=["background"],
            channel_names=["CT"],
            training=training,
            validation=[],
            test=[],
            **extra,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_real_hippocampus_list_loads(shared_data: Path) -> None:
    path = shared_data / "hippocampus" / "dataset.json"
    entries = load_datalist(path, "training", spatial_dims=3, num_classes=3, limit=40, progress=False)
    assert len(entries) == 40
    assert entries[0]["case_id"].startswith("imagesTr/hippocampus_")
    with pytest.raises(ValueError, match="section 'test': the list is empty"):
        load_datalist(path, "test", spatial_dims=3)
    with pytest.raises(CaseError, match=r"found class 2, expected 0 .. 1"):
        load_datalist(path, "training", spatial_dims=3, num_classes=2, limit=2, progress=False)
