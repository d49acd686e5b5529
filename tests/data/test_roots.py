"""Files outside the folder of a data list are refused unless somebody on this machine has allowed their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monai_iel.data import load_datalist, write_datalist
from monai_iel.data.roots import ROOTS_VARIABLE, OutsideError


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for a list, ``mine``, and one beside it with files, ``theirs``."""
    for folder in ("mine", "theirs", "theirs_too"):
        (tmp_path / folder).mkdir()
        for name in ("image.png", "label.png"):
            (tmp_path / folder / name).write_bytes(b"x")
    return tmp_path


def listed(place: Path, image: str, label: str = "label.png") -> Path:
    path = place / "mine" / "dataset.json"
    path.write_text(json.dumps({"training": [{"image": image, "label": label, "id": "c"}]}))
    return path


def load(path: Path, **options: object) -> list[dict[str, str]]:
    return load_datalist(path, "training", spatial_dims=2, check="off", **options)  # type: ignore[arg-type]


def test_files_below_the_folder_of_the_list_are_taken(place: Path) -> None:
    for image in ("image.png", "./sub/../image.png", str(place / "mine" / "image.png"), "../mine/image.png"):
        assert load(listed(place, image))[0]["image"] == str(place / "mine" / "image.png")


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("kind", ["absolute", "upwards", "link to a file", "link to a folder"])
def test_files_elsewhere_are_refused(place: Path, kind: str, key: str) -> None:
    mine, theirs = place / "mine", place / "theirs"
    (mine / "link.png").symlink_to(theirs / "image.png")
    (mine / "folder").symlink_to(theirs)
    path = {
        "absolute": str(theirs / "image.png"),
        "upwards": "../theirs/image.png",
        "link to a file": "link.png",
        "link to a folder": "folder/image.png",
    }[kind]
    names = {"image": "image.png", "label": "label.png", key: path}
    with pytest.raises(OutsideError, match=rf"lies in {theirs}, which is not below .*\(case 'c'\)") as caught:
        load(listed(place, **names))
    assert f"write it as a line into {mine / 'dataset.json'}.roots, or set {ROOTS_VARIABLE}" in str(caught.value)


def test_a_folder_whose_name_begins_alike_is_another_one(place: Path) -> None:
    path = listed(place, "../theirs_too/image.png")
    with pytest.raises(OutsideError, match=r"theirs_too, .* allowed by the arguments .* add it to the arguments"):
        load(path, roots=[place / "theirs"])
    assert load(path, roots=[place / "theirs_too"])


def test_a_list_cannot_allow_itself_anything(place: Path) -> None:
    path = listed(place, "../theirs/image.png")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "roots": ["/"], "made_by": "monai_iel"}))
    with pytest.raises(OutsideError, match="lies in"):
        load(path)


def test_the_file_beside_the_list_allows_folders(place: Path) -> None:
    path = listed(place, "../theirs/image.png")
    beside = place / "mine" / "dataset.json.roots"
    beside.write_text(f"# a comment\n\nfolder: {place / 'mine'}\n../theirs\n")
    assert load(path)
    beside.write_text(f"folder: {place / 'mine'}\n../theirs_too\n")
    with pytest.raises(OutsideError, match=r"nor a folder allowed by dataset.json.roots; where"):
        load(path)


@pytest.mark.parametrize("first", ["", "folder: /somewhere/else\n", "folder:\n", "folder: \0\n", "../theirs_too\n"])
def test_the_file_beside_the_list_is_not_used_in_another_place(place: Path, first: str) -> None:
    path = listed(place, "../theirs/image.png")
    (place / "mine" / "dataset.json.roots").write_text(f"{first}../theirs\n")
    with pytest.raises(OutsideError, match=rf"is not used, since it .* first line 'folder: {place / 'mine'}'\); where"):
        load(path)


def test_a_folder_that_was_moved_with_its_list_names_its_new_place(place: Path) -> None:
    write(place, place / "theirs" / "image.png")
    (place / "mine").rename(place / "moved")
    with pytest.raises(OutsideError, match=rf"it is for {place / 'mine'}; where .* 'folder: {place / 'moved'}'"):
        load(place / "moved" / "dataset.json")


def test_the_file_beside_the_list_cannot_allow_what_is_too_wide(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place / "theirs"))
    path = listed(place, "../theirs/image.png")
    for wide in ("/", "/" + place.parts[1], str(place / "theirs"), "../theirs", str(place), "..", "../theirs_too"):
        (place / "mine" / "dataset.json.roots").write_text(f"folder: {place / 'mine'}\n{wide}\n")
        with pytest.raises(OutsideError, match=rf"dataset.json.roots cannot allow {wide}, which is too wide"):
            load(path)
    (place / "theirs" / "set").mkdir()
    (place / "theirs" / "image.png").rename(place / "theirs" / "set" / "image.png")
    (place / "mine" / "dataset.json.roots").write_text(f"folder: {place / 'mine'}\n../theirs/set\n")
    assert load(listed(place, "../theirs/set/image.png"))


def test_a_file_beside_the_list_that_cannot_be_read_allows_nothing(place: Path) -> None:
    (place / "mine" / "dataset.json.roots").write_bytes(b"\xff\xfe/")
    with pytest.raises(OutsideError, match=r"dataset.json.roots is not used, since it cannot be read"):
        load(listed(place, "../theirs/image.png"))


def test_the_variable_alone_decides_where_it_is_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = listed(place, "../theirs/image.png")
    (place / "mine" / "dataset.json.roots").write_text(f"folder: {place / 'mine'}\n../theirs\n")
    monkeypatch.setenv(ROOTS_VARIABLE, "")
    with pytest.raises(OutsideError, match=f"allowed by {ROOTS_VARIABLE}; .* add it to {ROOTS_VARIABLE}"):
        load(path)
    monkeypatch.setenv(ROOTS_VARIABLE, os.pathsep.join([str(place / "theirs_too"), str(place / "theirs")]))
    assert load(path)
    assert load(listed(place, "image.png"))


def test_a_list_in_a_linked_folder_has_its_own_files(place: Path) -> None:
    listed(place, "image.png")
    (place / "link").symlink_to(place / "mine")
    assert load(place / "link" / "dataset.json")


def write(place: Path, image: Path) -> Path:
    return write_datalist(
        place / "mine" / "dataset.json",
        name="x",
        labels=["background"],
        channel_names=["CT"],
        training=[{"id": "c", "image": str(image), "label": str(place / "mine" / "label.png")}],
        validation=[],
        test=[],
    )


def test_what_is_written_here_is_read_here(place: Path) -> None:
    path = write(place, place / "theirs" / "image.png")
    assert load(path)[0]["image"] == str(place / "theirs" / "image.png")
    lines = (place / "mine" / "dataset.json.roots").read_text().splitlines()
    assert lines[1:] == [f"folder: {place / 'mine'}", str(place / "theirs")]
    write(place, place / "mine" / "image.png")
    assert not (place / "mine" / "dataset.json.roots").exists()


def test_a_link_that_is_written_here_is_read_here(place: Path) -> None:
    (place / "mine" / "link.png").symlink_to(place / "theirs" / "image.png")
    assert load(write(place, place / "mine" / "link.png"))
