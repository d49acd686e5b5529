"""Downloads, with MONAI's function replaced: no test needs network."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from monai.apps import DecathlonDataset

from monai_iel.data.download import download

TARGET = "monai_iel.data.download.download_and_extract"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the calls, and unpack a small task."""
    seen: list[dict[str, Any]] = []

    def fake(**arguments: Any) -> None:
        seen.append(arguments)
        folder = Path(arguments["output_dir"]) / "Task04_Hippocampus"
        folder.mkdir()
        (folder / "dataset.json").write_text("{}")

    monkeypatch.setattr(TARGET, fake)
    return seen


@pytest.mark.parametrize("name", ["hippocampus", "Hippocampus", "Task04_Hippocampus"])
def test_address_and_checksum_are_those_of_monai(tmp_path: Path, calls: list[dict[str, Any]], name: str) -> None:
    assert download(name, tmp_path / "new", progress=False) == tmp_path / "new" / "Task04_Hippocampus"
    (call,) = calls
    assert call["url"] == DecathlonDataset.resource["Task04_Hippocampus"]
    assert (call["hash_val"], call["hash_type"]) == (DecathlonDataset.md5["Task04_Hippocampus"], "md5")
    assert [item.name for item in (tmp_path / "new").iterdir()] == ["Task04_Hippocampus"]


def test_a_complete_folder_is_left_alone(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    for _ in range(2):
        download("hippocampus", tmp_path)
    assert len(calls) == 1


def test_a_folder_without_a_list_is_refused(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    (tmp_path / "Task04_Hippocampus").mkdir()
    with pytest.raises(FileExistsError, match=r"holds no dataset.json; remove it"):
        download("hippocampus", tmp_path)
    assert calls == []


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("no route"), ValueError("no route")])
def test_a_failed_download_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**arguments: Any) -> None:
        (Path(arguments["output_dir"]) / "part").write_text("half")
        raise error

    monkeypatch.setattr(TARGET, fail)
    with pytest.raises(OSError, match=r"Task04_Hippocampus: could not be downloaded .*no route.*by hand"):
        download("hippocampus", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_the_task_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TARGET, lambda **_: None)
    with pytest.raises(OSError, match=r"holds no Task04_Hippocampus/dataset.json"):
        download("hippocampus", tmp_path)


@pytest.mark.parametrize("name", ["wbc", "DSB2018", "drive", "refuge"])
def test_data_without_a_known_checksum_is_named_with_its_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"get it by hand from https://"):
        download(name, tmp_path)


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'hippocampus'.*there are braintumour"):
        download("hipocampus", tmp_path)
