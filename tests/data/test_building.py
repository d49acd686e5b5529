"""Output that is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_iel.data.building import MADE_BY, building_folder, write_bytes, write_json


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def make_ours(folder: Path) -> None:
    folder.mkdir()
    write_json(folder / "dataset.json", {"made_by": MADE_BY})
    (folder / "old.txt").write_text("old")


def test_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with building_folder(out) as temporary:
        (temporary / "a.txt").write_text("a")
        assert not out.exists()
    assert (out / "a.txt").read_text() == "a"
    assert leftovers(out.parent) == []


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def build() -> None:
        with building_folder(out) as temporary:
            (temporary / "a.txt").write_text("a")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        build()
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_data_set_that_was_to_be_replaced(tmp_path: Path) -> None:
    make_ours(tmp_path / "out")
    with pytest.raises(RuntimeError, match="half way"), building_folder(tmp_path / "out", overwrite=True):
        raise RuntimeError("half way")
    assert (tmp_path / "out" / "old.txt").read_text() == "old"
    assert leftovers(tmp_path) == []


def test_overwrite_replaces_what_was_made_here(tmp_path: Path) -> None:
    make_ours(tmp_path / "out")
    with building_folder(tmp_path / "out", overwrite=True) as temporary:
        (temporary / "new.txt").write_text("new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new.txt"]
    assert leftovers(tmp_path) == []


def test_an_empty_folder_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with building_folder(tmp_path / "out") as temporary:
        (temporary / "new.txt").write_text("new")
    assert (tmp_path / "out" / "new.txt").is_file()


def test_an_existing_folder_needs_overwrite(tmp_path: Path) -> None:
    make_ours(tmp_path / "out")
    with pytest.raises(FileExistsError, match="replace it with --overwrite"), building_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("content", [None, "no json", json.dumps({"name": "from elsewhere"}), "[1]"])
def test_overwrite_never_deletes_a_folder_from_elsewhere(tmp_path: Path, content: str | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    if content is not None:
        (out / "dataset.json").write_text(content)
    with pytest.raises(FileExistsError, match="were not made here"), building_folder(out, overwrite=True):
        pass
    assert (out / "thesis.txt").is_file()


def test_the_source_may_not_lie_in_the_output(tmp_path: Path) -> None:
    make_ours(tmp_path / "out")
    source = tmp_path / "out" / "source"
    with (
        pytest.raises(FileExistsError, match="holds the source"),
        building_folder(tmp_path / "out", overwrite=True, sources=(source,)),
    ):
        pass


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FileExistsError, match="is a file"), building_folder(tmp_path / "out", overwrite=True):
        pass


def test_write_bytes_replaces_at_once_and_leaves_no_temporary(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"1")
    write_bytes(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
    assert leftovers(tmp_path) == []
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a", {"x": float("nan")})
    assert (tmp_path / "a").read_bytes() == b"2"
