"""Which folders the files of a data list may lie in: its own, and those that somebody on this machine has allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_iel.data.files import CaseError
from monai_iel.files import write_text

__all__ = ["ROOTS_VARIABLE", "OutsideError", "Roots", "write_roots"]

ROOTS_VARIABLE = "MONAI_IEL_DATA_ROOTS"
"""Environment variable: folders, separated as in ``PATH``. Where it is set, even empty, no ``.roots`` file is read."""


class OutsideError(CaseError):
    """A data list names a file that does not lie where files of this list may lie."""


class Roots:
    """The folders in which the files of a data list may lie.

    That is the folder of the list, and besides it one of these, the first that is given:

    1. ``folders``, from the caller;
    2. those in the environment variable ``MONAI_IEL_DATA_ROOTS``, set for a whole machine or site;
    3. the lines of the file ``dataset.json.roots`` beside ``dataset.json``, which `write_datalist` writes where it is
       given files of other folders, and which anyone can write with an editor.

    None of them is in the list itself: a list that comes from elsewhere cannot allow itself anything. What counts is
    where a file really lies, behind ``..`` and symbolic links.

    Args:
        path: the data list.
        folders: further folders; relative ones are relative to the working directory.

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
        if given is None:
            given, self.source = _from_file(path), _beside(path).name
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
        if self.source == _beside(self.path).name:
            mend = f"write it as a line into {self.path}.roots, or set {ROOTS_VARIABLE} to it"
        raise OutsideError(
            f"{file}: lies in {real.parent}, which is not below the folder of {self.path.name} nor a folder allowed by "
            f"{self.source}; where this folder is meant, {mend}; else correct the path"
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
        write_text(beside, "\n".join([told, *folders]) + "\n")
    else:
        beside.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.roots")


def _from_variable() -> list[Path] | None:
    written = os.environ.get(ROOTS_VARIABLE)
    return None if written is None else [Path(folder) for folder in written.split(os.pathsep) if folder]


def _from_file(path: Path) -> list[Path]:
    beside = _beside(path)
    if not beside.is_file():
        return []
    lines = (line.strip() for line in beside.read_text(encoding="utf-8").splitlines())
    return [path.parent / line for line in lines if line and not line.startswith("#")]
