"""Which folders the files of a data list may lie in: its own, and those that somebody on this machine has allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_iel.data.files import CaseError
from monai_iel.files import write_text

__all__ = ["ROOTS_VARIABLE", "OutsideError", "Roots", "move_roots", "write_roots"]

ROOTS_VARIABLE = "MONAI_IEL_DATA_ROOTS"
"""Environment variable: folders, separated as in ``PATH``. Where it is set, even empty, no ``.roots`` file is read."""

_FOLDER = "folder: "


class OutsideError(CaseError):
    """A data list names a file that does not lie where files of this list may lie."""


class Roots:
    """The folders in which the files of a data list may lie.

    That is the folder of the list, and besides it one of these, the first that is given:

    1. ``folders``, from the caller;
    2. those in the environment variable ``MONAI_IEL_DATA_ROOTS``, set for a whole machine or site;
    3. the lines of the file ``dataset.json.roots`` beside ``dataset.json``, which `write_datalist` writes where it is
       given files of other folders, and which anyone can write with an editor: ``folder: `` and the absolute path of
       the folder that the file lies in, then a folder per line.

    None of them is in the list itself, but the third lies beside it, and is as trustworthy as the place that the whole
    folder came from. So it is not used where its first line names another folder, as after an archive was unpacked, and
    it cannot allow the root of the file system, a folder in it, or a home folder. Both guard against mistakes and files
    that were made for many; who knows the path on this machine can write it. Set the variable, to ``""`` if to nothing,
    where a folder comes from somebody else: then the file is not read.

    What counts is where a file really lies, behind ``..`` and symbolic links.

    Args:
        path: the data list.
        folders: further folders; relative ones are relative to the working directory.

    Attributes:
        source: what allows further folders.
        by_file: whether that is the file beside the list.
        unused: why that file, or a line of it, is not used; a sentence each.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> roots = Roots(folder / "dataset.json", folders=[])
    >>> roots.check(folder / "images" / "a.nii.gz")
    >>> roots.check(folder / ".." / "a.nii.gz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    monai_iel.data.roots.OutsideError: ...a.nii.gz: lies in ..., which is not below the folder of ...
    """

    def __init__(self, path: Path, folders: Sequence[str | os.PathLike[str]] | None = None) -> None:
        self.path = path
        given = _from_variable() if folders is None else [Path(folder) for folder in folders]
        self.source = "the arguments (roots, --root)" if folders is not None else ROOTS_VARIABLE
        self.by_file, self.unused = given is None, list[str]()
        if given is None:
            (given, self.unused), self.source = _from_file(path), _beside(path).name
        self._own = Path(os.path.realpath(path.parent))
        self._others = [Path(os.path.realpath(folder)) for folder in given]

    def is_own(self, file: str | Path) -> bool:
        """Whether a file lies below the folder of the list."""
        return Path(os.path.realpath(file)).is_relative_to(self._own)

    def check(self, file: str | Path) -> None:
        """Refuse a file outside all of the folders.

        Raises:
            OutsideError: it lies elsewhere; the message says how to allow it.
        """
        real = Path(os.path.realpath(file))
        if any(real.is_relative_to(folder) for folder in (self._own, *self._others)):
            return
        mend = f"add it to {self.source}"
        if self.by_file:
            mend = f"write it as a line into {self.path}.roots, or set {ROOTS_VARIABLE} to it"
        why = f" ({'; '.join(self.unused)})" if self.unused else ""
        raise OutsideError(
            f"{file}: lies in {real.parent}, which is not below the folder of {self.path.name} nor a folder allowed by "
            f"{self.source}{why}; where this folder is meant, {mend}; else correct the path"
        )


def write_roots(path: Path, entries: Iterable[Mapping[str, str]]) -> None:
    """Allow the folders of ``entries`` that are not below the one of the list; removes what a former list allowed.

    Args:
        path: the data list.
        entries: ``image`` and ``label``: paths, relative to the list where they are not absolute.
    """
    roots = Roots(path, folders=[])
    files = [path.parent / entry[key] for entry in entries for key in ("image", "label") if entry.get(key)]
    folders = sorted({os.path.dirname(os.path.realpath(file)) for file in files if not roots.is_own(file)})
    beside = _beside(path)
    if folders:
        told = f"# Folders outside this one that {path.name} may name files in."
        lines = [f"# {folder}  (too wide for this file)" if _is_wide(Path(folder)) else folder for folder in folders]
        write_text(beside, "\n".join([told, f"{_FOLDER}{os.path.realpath(path.parent)}", *lines]) + "\n")
    else:
        beside.unlink(missing_ok=True)


def move_roots(path: Path, folder: Path) -> None:
    """Name the folder that a list is about to be moved to, in the file beside it, where there is one.

    Args:
        path: the data list, where it still is.
        folder: where it will be.
    """
    beside = _beside(path)
    if beside.is_file():
        old, new = (f"{_FOLDER}{os.path.realpath(place)}" for place in (path.parent, folder))
        lines = beside.read_text(encoding="utf-8").splitlines()
        write_text(beside, "".join(f"{new if line == old else line}\n" for line in lines))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.roots")


def _from_variable() -> list[Path] | None:
    written = os.environ.get(ROOTS_VARIABLE)
    return None if written is None else [Path(folder) for folder in written.split(os.pathsep) if folder]


def _from_file(path: Path) -> tuple[list[Path], list[str]]:
    """The folders that the file beside the list allows, and why it, or a line of it, is not used."""
    beside = _beside(path)
    if not os.path.isfile(beside):
        return [], []
    try:
        lines = [line.strip() for line in beside.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{beside.name} is not used, since it cannot be read: {error}"]
    first, *named = [line for line in lines if line and not line.startswith("#")] or [""]
    here = os.path.realpath(path.parent)
    if not first.startswith(_FOLDER) or os.path.realpath(_plain(first.removeprefix(_FOLDER))) != here:
        told = f"is for {first.removeprefix(_FOLDER)}" if first.startswith(_FOLDER) else "does not say for which folder"
        mend = f"where you trust the folders that it names, make its first line '{_FOLDER}{here}'"
        return [], [f"{beside.name} is not used, since it {told}; {mend}"] if first else []
    folders = {line: Path(os.path.realpath(path.parent / _plain(line))) for line in named}
    wide = [line for line, folder in folders.items() if _is_wide(folder)]
    unused = [f"{beside.name} cannot allow {line}, which is too wide; name a folder in it" for line in wide]
    return [folder for line, folder in folders.items() if line not in wide], unused


def _plain(line: str) -> str:
    return line.replace("\0", "")  # no path holds it


def _is_wide(folder: Path) -> bool:
    """Whether that is the root of the file system, a folder in it, a home folder, or one that holds home folders."""
    home = Path(os.path.realpath(os.path.expanduser("~")))
    return len(folder.parts) <= 2 or home.is_relative_to(folder) or folder.parent == home.parent
