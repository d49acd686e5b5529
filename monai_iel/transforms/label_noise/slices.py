"""Slice-wise annotation of volumes: slices that were skipped, left empty or interpolated."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_whole, reach_all
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import ROUNDING, Mask, box_around

__all__ = [
    "SliceLabelNoise",
    "SliceLabelNoiseD",
    "SliceLabelNoiseDict",
    "SliceLabelNoised",
    "check_axis",
    "interpolate_slices",
    "slice_axis",
]


class SliceLabelNoise(LabelNoise):
    """Slices of a volume that were not drawn, fixed per case: left empty, or interpolated between those that were.

    Of the slices from the first to the last one with foreground,

        missing:  ``round(missing * n)`` of the n slices are skipped, in a random order that is the case's own
        every:    every k-th slice is kept, from a random one of the first k on, and all others are skipped

    A skipped slice becomes background, or with ``interpolate`` what lies between its neighbours that were kept: the
    first and the last slice are then kept in any case (n counts those between them), and each voxel takes the class,
    background included, whose signed distance to its outline within the slice, in mm, positive inside, interpolated
    linearly between the two slices, is greatest. At equal distances the lowest class wins. Where one of the two slices
    lacks a class, the distance there is that in the other slice less its maximum: alone, the class tapers off to a
    point at the slice that lacks it, beside other structures it ends before. (For a class that fills a slice of the
    array it is the distance less its minimum: the gap tapers off.) A part without a counterpart ends in between.

    One slice at least is kept, so a label whose extent is one slice stays as it is. Not for images: they have no
    slices.

    Args:
        missing: share of the slices that is skipped. Either this or ``every``.
        every: k, every k-th slice is kept.
        interpolate: whether skipped slices are interpolated, instead of left empty.
        axis: spatial axis across the slices, 0 to 2; None for the axis with the coarsest spacing, the last one of
            several.
        seed: chooses another realisation.
        strength: factor on ``missing``, whose skipped slices at one strength are among those at every greater one; or
            on ``every - 1``: at half the strength of ``every=5``, every third slice is kept. In between the kept slices
            are spaced unevenly, and those of different strengths are not the same.

    Shape:
        - label and output: ``1 H W D``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, not exactly one of missing and every is given, or the label is an
            image (``1 H W``).

    References:
        Raya and Udupa, *Shape-based interpolation of multidimensional objects*, IEEE Transactions on Medical Imaging 9
        (1990), of one object; several classes as said above.

    Example::

        >>> import numpy as np
        >>> volume = np.zeros((1, 6, 6, 8), dtype="uint8")
        >>> volume[0, 1:5, 1:5, 1:7] = 1
        >>> noisy = SliceLabelNoise(every=3, axis=2)(volume, "case-1")
        >>> [int(noisy[..., number].sum()) for number in range(8)]
        [0, 16, 0, 0, 16, 0, 0, 0]
        >>> bool((SliceLabelNoise(every=3, axis=2, interpolate=True)(volume, "case-1") == volume).all())
        True
    """

    model: ClassVar[str] = "slices"

    def __init__(
        self,
        *,
        missing: float | None = None,
        every: int | None = None,
        interpolate: bool = False,
        axis: int | None = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        if (missing is None) == (every is None):
            raise ValueError(f"missing is {missing} and every is {every}, expected exactly one of the two")
        self.missing = None if missing is None else check_fraction("missing", missing)
        self.every = None if every is None else check_whole("every", every, minimum=1)
        self.interpolate = bool(interpolate)
        self.axis = check_axis(axis)

    @property
    def max_strength(self) -> float:
        """All slices are skipped that may be; infinity for ``every``."""
        return math.inf if self.missing is None else reach_all(self.missing)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Empty or interpolate the slices that are skipped."""
        axis = slice_axis(self.axis, spacing)
        slices = np.moveaxis(label, axis, 0)  # a view: what is written goes into the label
        drawn = np.flatnonzero((slices > 0).any(axis=(1, 2)))
        if not len(drawn):
            return label
        extent = slices[drawn[0] : drawn[-1] + 1]
        skipped = self._skip(len(extent), rng)
        if not self.interpolate:
            extent[skipped] = 0
        elif skipped.any():
            sampling = tuple(size for number, size in enumerate(spacing) if number != axis)
            interpolate_slices(extent, skipped, sampling)
        return label

    def _skip(self, number: int, rng: np.random.Generator) -> Mask:
        """Return which of ``number`` slices are skipped."""
        skipped = np.zeros(number, dtype=bool)
        free = np.arange(1, number - 1) if self.interpolate else np.arange(number)
        if self.missing is not None:
            order = rng.permutation(free)
            count = math.floor(self.strength * self.missing * len(free) + 0.5)
            skipped[order[: count if self.interpolate else min(count, number - 1)]] = True
            return skipped
        assert self.every is not None  # by the check in the constructor
        step = 1 + self.strength * (self.every - 1)
        places = np.floor(rng.random() * min(step, number) + step * np.arange(math.ceil(number / step)))
        skipped[free] = True
        skipped[places[places < number].astype(int)] = False
        return skipped


def check_axis(axis: int | None) -> int | None:
    """Return a spatial axis of a volume, or None for the one that its spacing names."""
    if axis is None:
        return None
    whole = check_whole("axis", axis, minimum=0)
    if whole > 2:
        raise ValueError(f"axis is {whole}, expected a spatial axis from 0 to 2 (the channel does not count), or None")
    return whole


def slice_axis(axis: int | None, spacing: tuple[float, ...]) -> int:
    """Return the axis across the slices of a volume: the given one, or that with the coarsest spacing."""
    if len(spacing) != 3:
        raise ValueError(
            "label is an image (1 H W), expected a volume (1 H W D): an image has no slices; for missing parts of an "
            "outline take BumpLabelNoise, for missing objects InstanceLabelNoise"
        )
    if axis is not None:
        return axis
    return max(number for number, size in enumerate(spacing) if size * ROUNDING >= max(spacing))


def interpolate_slices(slices: NDArray[np.int32], skipped: Mask, sampling: tuple[float, ...]) -> None:
    """Write into each skipped slice (first axis) what lies between its kept neighbours; the outermost two are kept."""
    box = box_around(np.any(slices > 0, axis=0), (1, 1))  # beyond it all is background
    kept = np.flatnonzero(~skipped)
    for low, high in itertools.pairwise(kept):
        if high - low > 1:
            weights = np.arange(1, high - low) / (high - low)
            slices[(slice(low + 1, high), *box)] = _between(slices[low][box], slices[high][box], weights, sampling)


def _between(
    low: NDArray[np.int32], high: NDArray[np.int32], weights: NDArray[np.float64], sampling: tuple[float, ...]
) -> NDArray[np.int32]:
    """Return the slices at ``weights`` (0: low, 1: high) of the way between two slices."""
    blend = weights[:, None, None]
    classes = np.zeros((len(weights), *low.shape), dtype=np.int32)
    greatest = np.full(classes.shape, -np.inf)
    for number in np.union1d(low, high):
        below, above = _paired_distances(low == number, high == number, sampling)
        distance = (1 - blend) * below + blend * above
        wins = distance > greatest
        classes[wins] = number
        greatest[wins] = distance[wins]
    return classes


def _paired_distances(
    low: Mask, high: Mask, sampling: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the signed distances of a class in two slices, also where one of them lacks it or is full of it."""
    pair = [_signed_distance(mask, sampling) for mask in (low, high)]
    for one, other in ((0, 1), (1, 0)):
        distance = pair[other]
        if pair[one] is None and distance is not None:
            # The outline moves inwards (or outwards) evenly, until nothing (or all) is left at the other slice.
            pair[one] = distance - (distance.max() if not (low, high)[one].any() else distance.min())
    below, above = (
        np.full(mask.shape, 1.0 if mask.any() else -1.0) if distance is None else distance
        for mask, distance in zip((low, high), pair, strict=True)
    )
    return below, above


def _signed_distance(mask: Mask, sampling: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Return the distance in mm to the nearest voxel on the other side, negative outside; None without an outline."""
    if mask.all() or not mask.any():
        return None
    inside, outside = (ndimage.distance_transform_edt(side, sampling=sampling) for side in (mask, ~mask))
    signed: NDArray[np.float64] = inside - outside
    return signed


class SliceLabelNoised(NamedLabelNoised):
    """Dictionary form of `SliceLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = SliceLabelNoised("label", missing=0.5)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = SliceLabelNoise


SliceLabelNoiseD = SliceLabelNoiseDict = SliceLabelNoised
