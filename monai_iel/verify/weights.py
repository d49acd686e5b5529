"""The weights of a bundle: their checksums, and that they are nothing but tensors."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from monai_iel.files import digest
from monai_iel.verify.check import Check

__all__ = ["CHECKSUMS", "check_checksums", "check_weights", "load_weights"]

CHECKSUMS = "models/SHA256SUMS"
"""File with a line for each file beside it, as ``sha256sum * > SHA256SUMS`` writes them and ``sha256sum -c`` reads."""

_LOAD_ERRORS = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError, TypeError, ValueError),
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
)
_LINE = re.compile(r"([0-9a-fA-F]{64})  ?\*?(\S.*)")


def check_checksums(root: Path) -> Check:
    """The SHA-256 of every file in ``models`` is written down, and is that of the file.

    It finds damage and mix-ups. Who changes a model on purpose can change the line too: compare the checksum with one
    that you have from elsewhere.
    """
    if not (root / CHECKSUMS).is_file():
        mend = "(cd models && sha256sum *.pt > SHA256SUMS)"
        return Check("checksums", (f"{CHECKSUMS} is missing; write it with: {mend}",))
    return Check("checksums", tuple(_wrong_sums(root / CHECKSUMS)))


def check_weights(root: Path) -> Check:
    """``models/model.pt`` holds named tensors and nothing else, all of them finite."""
    try:
        weights = load_weights(root / "models" / "model.pt")
    except ValueError as error:
        return Check("weights", (str(error),))
    bad = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    return Check("weights", tuple(f"models/model.pt: {name!r} holds NaN or infinite values" for name in bad))


def load_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """A ``state_dict``, loaded without running anything that the file may hold.

    Raises:
        ValueError: there is none, it is damaged, holds more than tensors, or no ``state_dict``.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{name} is missing, or no file")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except _LOAD_ERRORS as error:
        # Not torch's own text, which advises to load the file as code.
        raise ValueError(
            f"{name} cannot be loaded as weights alone ({type(error).__name__}): it is damaged, or holds code"
        ) from error
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{name} holds a {type(content).__name__}, expected the state_dict of a network")
    if other := [key for key, value in content.items() if not isinstance(value, torch.Tensor)]:
        raise ValueError(f"{name}: {other[0]!r} is no tensor; expected the state_dict of a network alone")
    if other := [key for key, value in content.items() if value.layout != torch.strided or value.is_meta]:
        raise ValueError(f"{name}: {other[0]!r} is a sparse tensor, or one without values; expected a dense one")
    return content


def _wrong_sums(listed: Path) -> Iterator[str]:
    folder = listed.parent
    sums: dict[str, str] = {}
    for number, line in enumerate(listed.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).name != match[2]:
            yield f"{CHECKSUMS}, line {number}: expected a SHA-256, two spaces and the name of a file beside it"
        else:
            sums[match[2]] = match[1].lower()
    beside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {listed.name}
    yield from (f"models/{name} stands not in {CHECKSUMS}" for name in sorted(beside - set(sums)))
    for name, wanted in sums.items():
        if not (folder / name).is_file():
            yield f"models/{name} is missing, but stands in {CHECKSUMS}"
            continue
        found = digest(folder / name)
        if found != wanted:
            yield f"models/{name} has the SHA-256 {found}, but {CHECKSUMS} says {wanted}; the file was changed"
