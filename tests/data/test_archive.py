"""Archives that were made to do harm are refused before a byte of them is written."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_iel.data.archive import unpack

Add = Callable[[tarfile.TarFile], None]


def add(tar: tarfile.TarFile, name: str, content: bytes = b"x", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content) if member.isreg() else None)


def write(path: Path, fill: Add, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        add(tar, "set/first.txt")
        fill(tar)
    return path


def sparse(tar: tarfile.TarFile) -> None:
    """A byte that declares to be a terabyte, as GNU tar writes sparse files (version 1.0, in the PAX headers)."""
    member = tarfile.TarInfo("set/huge.nii")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    content = b"1\n0\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda tar: add(tar, "../evil.txt"), r"'\.\./evil.txt' leads out of the folder"),
        (lambda tar: add(tar, "set/../../evil.txt"), "leads out of the folder"),
        (lambda tar: add(tar, "/tmp/evil.txt"), "leads out of the folder"),
        (lambda tar: add(tar, "C:evil.txt"), "leads out of the folder"),
        (lambda tar: add(tar, "..\\evil.txt"), "leads out of the folder"),
        (lambda tar: add(tar, "set/a", b"", type=tarfile.SYMTYPE, linkname="/etc"), "'set/a' is neither a file nor"),
        (lambda tar: add(tar, "set/a", b"", type=tarfile.LNKTYPE, linkname="set/first.txt"), "neither a file nor"),
        (lambda tar: add(tar, "set/a", b"", type=tarfile.CHRTYPE), "neither a file nor"),
        (lambda tar: add(tar, "set/a", b"", type=tarfile.FIFOTYPE), "neither a file nor"),
        (lambda tar: add(tar, "set/first.txt"), "'set/first.txt' stands twice"),
        (sparse, "'set/huge.nii' is more than the archive holds"),
    ],
)
def test_what_no_data_set_needs_is_refused(fill: Add, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", fill)
    with pytest.raises(ValueError, match=message):
        unpack(path, tmp_path / "in" / "out")
    assert [item.name for item in tmp_path.iterdir()] == ["a.tar"]


def test_a_member_that_is_larger_than_the_archive_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", lambda tar: add(tar, "set/b", bytes(20_000)))
    path.write_bytes(path.read_bytes()[:15_000])
    with pytest.raises(ValueError, match=r"'set/b' is more than the archive holds; it is cut off, or made to grow"):
        unpack(path, tmp_path / "out")


def test_a_compressed_archive_is_refused_whatever_its_name(tmp_path: Path) -> None:
    """A few kilobytes of it can be gigabytes."""
    path = write(tmp_path / "a.tar", lambda tar: add(tar, "set/b", bytes(10**7)), "w:gz")
    assert path.stat().st_size < 20_000
    with pytest.raises(tarfile.ReadError):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sound_archive_is_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", lambda tar: add(tar, "set/deep/b.txt", b"content"))
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "set" / "deep" / "b.txt").read_bytes() == b"content"
    with pytest.raises(ValueError, match="is not empty; give another folder"):
        unpack(path, tmp_path / "out")
