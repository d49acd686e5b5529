"""What the values of a file are: their digest and range, and slices that hold nothing of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Figures", "class_voxels", "constant_slices", "digest", "measure", "repeated_slices"]

Values = np.ndarray[Any, Any]

_PIECE = 2**20
_SAMPLED = 200_000
_STRIDE = 7


@dataclass(frozen=True)
class Figures:
    """Of the finite values of an image, all channels together; quantiles are of about 200,000 values."""

    minimum: float
    maximum: float
    mean: float
    p01: float
    median: float
    p99: float


def _pieces(values: Values) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    """The values one after the other, first axis fastest, in pieces of 8 MiB."""
    flat = values.ravel(order="F")  # a view of what nibabel gives
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE].astype(np.float64) + 0.0  # no -0.0


def digest(values: Values) -> str:
    """A hash of shape and values, whatever they are stored as: int16 or float32, packed or not, NIfTI or PNG."""
    found = hashlib.blake2b(digest_size=16)
    found.update(repr(tuple(size for size in values.shape if size > 1)).encode())
    for piece in _pieces(values):
        found.update(piece.tobytes())
    return found.hexdigest()


def measure(values: Values) -> Figures | None:
    """Range, mean and quantiles; ``None`` where no value is finite."""
    lowest, highest, total, count = np.inf, -np.inf, 0.0, 0
    for piece in _pieces(values):
        finite = piece[np.isfinite(piece)] if values.dtype.kind == "f" else piece
        if finite.size:
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
            total, count = total + float(finite.sum()), count + finite.size
    if not count:
        return None
    flat = values.ravel(order="F")
    sample = flat[:: (flat.size // _SAMPLED) | 1].astype(np.float64)  # an odd step: not one column of voxels again
    sample = sample[np.isfinite(sample)]
    p01, median, p99 = np.percentile(sample, (1, 50, 99)) if sample.size else (lowest, lowest, highest)
    return Figures(lowest, highest, total / count, float(p01), float(median), float(p99))


def class_voxels(values: Values) -> dict[int, int]:
    """Number of voxels by class, of whole numbers that are not far from one another."""
    counts: dict[int, int] = {}
    for piece in _pieces(values):
        low = int(piece.min())
        found = np.bincount(piece.astype(np.int64) - low)
        for number in np.flatnonzero(found).tolist():
            counts[number + low] = counts.get(number + low, 0) + int(found[number])
    return dict(sorted(counts.items()))


def constant_slices(volume: Values, axis: int) -> list[int]:
    """Slices across ``axis`` that have one value only, between slices that have more."""
    slices = np.moveaxis(volume, axis, 0)
    sample = slices[:, ::_STRIDE, ::_STRIDE]  # few voxels rule nearly all slices out
    likely = np.flatnonzero(sample.max(axis=(1, 2)) == sample.min(axis=(1, 2)))
    constant = {int(i) for i in likely if (slices[i] == slices[i, 0, 0]).all()}
    varied = [i for i in range(len(slices)) if i not in constant]
    return sorted(i for i in constant if varied and varied[0] < i < varied[-1])


def repeated_slices(volume: Values, axis: int) -> list[int]:
    """Slices across ``axis`` that equal the one before and are not constant."""
    slices = np.moveaxis(volume, axis, 0)
    sample = slices[:, ::_STRIDE, ::_STRIDE]
    likely = np.flatnonzero((sample[1:] == sample[:-1]).all(axis=(1, 2))) + 1
    return [int(i) for i in likely if (slices[i] != slices[i, 0, 0]).any() and np.array_equal(slices[i], slices[i - 1])]
