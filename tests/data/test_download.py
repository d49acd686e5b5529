"""Downloads through MONAI's own functions, with only the access to the network replaced."""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
from collections.abc import Callable
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import ContentTooShortError, URLError

import pytest
from monai.apps import DecathlonDataset

from monai_iel.data.download import DOWNLOADS, download

TASK = "Task04_Hippocampus"
PAYLOAD = bytes(100_000)


def archive(folder: str = TASK) -> bytes:
    """A tar file with a list and one image."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in {"dataset.json": b"{}", "imagesTr/a.nii.gz": PAYLOAD}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def with_a_link() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo(f"{TASK}/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(member)
    return stream.getvalue()


Serve = Callable[..., list[str]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Replace urllib's access to the network, and forbid the one of ``requests``, which is no dependency."""

    def start(content: bytes | Exception, *, is_published: bool = True) -> list[str]:
        asked: list[str] = []

        def urlretrieve(url: str, filename: Path, **_: Any) -> None:
            asked.append(url)
            if isinstance(content, Exception):
                raise content
            filename.write_bytes(content)

        monkeypatch.setattr("monai.apps.utils.urlretrieve", urlretrieve)
        monkeypatch.setattr("monai.apps.utils.requests", None)
        monkeypatch.setitem(sys.modules, "requests", None)
        if isinstance(content, bytes) and is_published:
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            known = DOWNLOADS[TASK]._replace(sha256=hashlib.sha256(content).hexdigest(), md5=md5)
            monkeypatch.setitem(DOWNLOADS, TASK, known)
        return asked

    return start


def test_addresses_and_checksums_are_those_of_monai() -> None:
    assert {name: known.url for name, known in DOWNLOADS.items()} == DecathlonDataset.resource
    assert {name: known.md5 for name, known in DOWNLOADS.items()} == DecathlonDataset.md5


def test_everything_comes_by_https_and_with_a_sha256_of_its_own() -> None:
    assert all(known.url.startswith("https://") for known in DOWNLOADS.values())
    assert all(re.fullmatch("[0-9a-f]{64}", known.sha256) for known in DOWNLOADS.values())
    assert len({known.sha256 for known in DOWNLOADS.values()}) == len(DOWNLOADS)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_both_checksums_must_be_right(kind: str, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(archive())
    wrong = DOWNLOADS[TASK]._replace(**{kind: "0" * (64 if kind == "sha256" else 32)})
    monkeypatch.setitem(DOWNLOADS, TASK, wrong)
    with pytest.raises(OSError, match=f"{kind}.*000"):
        download("hippocampus", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("progress", [False, True])
@pytest.mark.parametrize("name", ["hippocampus", "Hippocampus", TASK])
def test_a_task_is_fetched_and_unpacked_and_nothing_else_is_left(
    tmp_path: Path, serve: Serve, name: str, progress: bool
) -> None:
    asked = serve(archive())
    assert download(name, tmp_path / "new", progress=progress) == tmp_path / "new" / TASK
    assert asked == [DecathlonDataset.resource[TASK]]
    assert [item.name for item in (tmp_path / "new").iterdir()] == [TASK]
    files = sorted(item for item in (tmp_path / "new" / TASK).rglob("*") if item.is_file())
    assert [item.name for item in files] == ["dataset.json", "a.nii.gz"]
    assert files[1].read_bytes() == PAYLOAD


def test_a_complete_folder_is_left_alone(tmp_path: Path, serve: Serve) -> None:
    asked = serve(archive())
    for _ in range(2):
        download("hippocampus", tmp_path)
    assert len(asked) == 1


def test_a_folder_without_a_list_is_refused(tmp_path: Path, serve: Serve) -> None:
    asked = serve(archive())
    (tmp_path / TASK).mkdir()
    with pytest.raises(FileExistsError, match=r"holds no dataset.json; remove it"):
        download("hippocampus", tmp_path)
    assert asked == []


@pytest.mark.parametrize(
    ("content", "is_published", "reason"),
    [
        (archive(), False, "HashCheckError: sha256 hash check of downloaded file failed"),
        (archive()[:50_000], True, "ValueError: .*is cut off, or made to grow"),
        (b"no tar file", True, "ReadError: truncated header"),
        (with_a_link(), True, "ValueError: .*is neither a file nor a folder"),
        (URLError("no route"), True, "URLError: .*no route"),
        (ContentTooShortError("got only 5 bytes", ("", None)), True, "ContentTooShortError: .*got only 5 bytes"),
        (TimeoutError("timed out"), True, "TimeoutError: timed out"),
        (IncompleteRead(b""), True, "IncompleteRead: "),
        (PermissionError("not allowed"), True, "FileNotFoundError: "),  # MONAI hides it, and has no file then
    ],
    ids=["checksum", "truncated", "no tar", "link", "offline", "too short", "timeout", "incomplete", "not allowed"],
)
def test_a_failed_download_is_an_oserror_that_says_how_to_go_on(
    tmp_path: Path, serve: Serve, content: bytes | Exception, is_published: bool, reason: str
) -> None:
    serve(content, is_published=is_published)
    with pytest.raises(OSError, match=rf"^{TASK}: could not be downloaded and unpacked from .*\({reason}.*by hand"):
        download("hippocampus", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_without_the_task_is_refused(tmp_path: Path, serve: Serve) -> None:
    serve(archive("Task99_Other"))
    with pytest.raises(OSError, match=r"holds no Task04_Hippocampus/dataset.json"):
        download("hippocampus", tmp_path)


@pytest.mark.parametrize("name", ["wbc", "DSB2018", "drive", "refuge"])
def test_data_without_a_known_checksum_is_named_with_its_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"get it by hand from https://"):
        download(name, tmp_path)


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'hippocampus'.*there are braintumour"):
        download("hipocampus", tmp_path)
