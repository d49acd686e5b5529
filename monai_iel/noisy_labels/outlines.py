"""Two class maps class by class, each in the box of the class: masks, outlines and distances between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = [
    "Map",
    "Outline",
    "Pair",
    "check_maps",
    "diagonal_of",
    "foreground_of",
    "mean_of_known",
    "pairs_of",
    "signed_distance",
    "surface_distances",
]

Mask = NDArray[np.bool_]
Map = NDArray[np.int32]


@dataclass(frozen=True)
class Pair:
    """One class in both maps, cut to the box that holds both masks and one voxel more.

    Args:
        number: the class.
        noisy: its mask in the noisy map, without unknown voxels.
        clean: its mask in the clean map, without those that are unknown in the noisy one.
        known: voxels that both maps know.
        unknown: number of the class's clean voxels that are unknown.
    """

    number: int
    noisy: Mask
    clean: Mask
    known: Mask
    unknown: int

    def outlines(self, spacing: Sequence[float]) -> tuple[Outline, Outline]:
        """Return the outlines of the noisy and of the clean mask."""
        return Outline(self.noisy, self.known, spacing), Outline(self.clean, self.known, spacing)


def check_maps(noisy: NDArray[Any], clean: NDArray[Any], spacing: Sequence[float]) -> tuple[Map, Map]:
    """Return both maps as int32, or raise a ValueError that says which argument does not fit."""
    if noisy.shape != clean.shape or clean.ndim not in (2, 3):
        raise ValueError(f"noisy has shape {noisy.shape}, clean {clean.shape}; expected two maps H W [D] of one shape")
    if len(spacing) != clean.ndim or not all(0 < size < np.inf for size in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}, expected {clean.ndim} positive lengths in mm, one per axis")
    whole = []
    for name, values in (("noisy", noisy), ("clean", clean)):
        with np.errstate(invalid="ignore"):  # NaN and infinity are reported below
            classes = values.astype(np.int32, copy=False)
        if not np.array_equal(classes, values):
            raise ValueError(
                f"{name} holds the value {values[classes != values].flat[0]}, expected whole class numbers"
            )
        whole.append(classes)
    return whole[0], whole[1]


def diagonal_of(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Return the diagonal of an image in mm."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that are not None; None where there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def foreground_of(*maps: Map, ignore_index: int | None = None) -> NDArray[np.int32]:
    """Return the classes but 0 and ``ignore_index`` that one of the maps holds, in ascending order."""
    found = np.unique(np.concatenate([np.unique(classes) for classes in maps]))
    return found[(found != 0) & (found != (0 if ignore_index is None else ignore_index))]


def pairs_of(noisy: Map, clean: Map, ignore_index: int | None = None) -> Iterator[Pair]:
    """Yield each foreground class that one of the maps holds, in ascending order."""
    numbers = foreground_of(noisy, clean, ignore_index=ignore_index)
    # As positions in the list of classes, so that class 60000 costs no more than class 1; 0 is everything else.
    noisy_at, clean_at = (_positions(classes, numbers) for classes in (noisy, clean))
    known = np.ones(clean.shape, bool)
    if ignore_index is not None:
        known = (noisy != ignore_index) & (clean != ignore_index)
    boxes = [ndimage.find_objects(at, max_label=len(numbers)) for at in (noisy_at, clean_at)]
    for index, number in enumerate(numbers):
        box = _around([found[index] for found in boxes if found[index] is not None], clean.shape)
        seen, whole = known[box], clean_at[box] == index + 1
        yield Pair(
            number=int(number),
            noisy=(noisy_at[box] == index + 1) & seen,
            clean=whole & seen,
            known=seen,
            unknown=int(np.count_nonzero(whole & ~seen)),
        )


def _positions(classes: Map, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    at = np.searchsorted(numbers, classes)
    at[at == len(numbers)] = 0
    return np.where(numbers[at] == classes, at + 1, 0).astype(np.int32) if len(numbers) else np.zeros_like(classes)


def _around(boxes: Sequence[tuple[slice, ...]], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, min(side.start for side in sides) - 1), min(size, max(side.stop for side in sides) + 1))
        for sides, size in zip(zip(*boxes, strict=True), shape, strict=True)
    )


class Outline:
    """The voxels of a mask with a face neighbour that is known not to be of it.

    Neither the border of the image nor that of an unknown region is an outline.
    """

    def __init__(self, mask: Mask, known: Mask, spacing: Sequence[float]) -> None:
        edge = mask & ~ndimage.binary_erosion(mask | ~known, border_value=1)
        self.indices = np.argwhere(edge)
        self.points: NDArray[np.float64] = self.indices.astype(np.float64) * spacing
        self._tree = cKDTree(self.points) if len(self.points) else None

    def __len__(self) -> int:
        return len(self.points)

    def distance_from(self, other: Outline) -> NDArray[np.float64]:
        """Distance in mm of each point of ``other`` from the nearest point of this outline, which is not empty."""
        assert self._tree is not None
        return np.asarray(self._tree.query(other.points)[0])


def surface_distances(noisy: Outline, clean: Outline, diagonal: float) -> tuple[float, float]:
    """Mean and 95 % distance in mm between two outlines, both ways; ``diagonal`` where only one of them has points.

    The mean is taken over the points of both outlines together; the other is the larger of the two 95th percentiles.
    """
    if not len(noisy) and not len(clean):
        return 0.0, 0.0
    if not len(noisy) or not len(clean):
        return diagonal, diagonal
    ways = clean.distance_from(noisy), noisy.distance_from(clean)
    return float(np.concatenate(ways).mean()), max(float(np.percentile(way, 95)) for way in ways)


def signed_distance(of: Outline, reference: Outline, inside: Mask) -> NDArray[np.float64]:
    """Distance in mm of each point of an outline from another one, negative where the point lies in ``inside``."""
    sign = np.where(inside[tuple(of.indices.T)], -1.0, 1.0)
    return sign * reference.distance_from(of)
