"""Unpack a tar archive that may have been made to do harm."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from monai.apps import extractall

__all__ = ["check_archive", "unpack"]

_MAX_MEMBERS = 1_000_000


def unpack(archive: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Unpack an archive that `check_archive` has found nothing in, through MONAI.

    Args:
        archive: an uncompressed tar file.
        folder: a folder that is empty, or is not there yet.

    Raises:
        ValueError: as `check_archive`, and nothing was unpacked; or the folder holds something.
        OSError: it cannot be read or written; as ``tarfile.TarError`` it is no uncompressed tar file.
    """
    check_archive(archive)
    if Path(folder).is_dir() and any(Path(folder).iterdir()):
        raise ValueError(f"{folder}: is not empty; give another folder")  # MONAI would do nothing, and say so nowhere
    extractall(filepath=archive, output_dir=folder, file_type="tar", has_base=False)


def check_archive(archive: str | os.PathLike[str]) -> None:
    """Read the list of an uncompressed tar file, and refuse what no data set needs.

    MONAI refuses names that leave the folder, and links. Here also: devices and pipes; members that would be larger
    unpacked than the archive is (sparse files), and compressed archives, so that nothing can grow without bound; a
    million members; one name twice.

    Raises:
        ValueError: the archive holds such a thing; the message names it.
        OSError: it cannot be read; as ``tarfile.TarError`` it is no uncompressed tar file, or cut off.
    """
    path, seen, total = Path(archive), set[PurePosixPath](), 0
    limit = path.stat().st_size
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name.split("/")[0]:
                raise ValueError(f"{path.name}: the name {member.name!r} leads out of the folder to unpack to")
            if not (member.isreg() or member.isdir()):
                raise ValueError(f"{path.name}: {member.name!r} is neither a file nor a folder (a link or a device?)")
            total += member.size
            if member.issparse() or total > limit:
                raise ValueError(
                    f"{path.name}: {member.name!r} is more than the archive holds; it is cut off, or made to grow"
                )
            if name in seen and not member.isdir():
                raise ValueError(f"{path.name}: the name {member.name!r} stands twice")
            seen.add(name)
            if len(seen) > _MAX_MEMBERS:
                raise ValueError(f"{path.name}: holds more than {_MAX_MEMBERS} files")
