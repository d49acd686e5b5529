"""How far along an outline an annotation error goes on: the correlation length of the boundary's displacement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from monai_iel.noisy_labels.outlines import check_maps, pairs_of, signed_distance

__all__ = ["BoundaryCorrelation", "correlation_length"]


class BoundaryCorrelation:
    """Correlation of the displacement of outline points against their distance, over as many labels as are added.

    The displacement u of a point of the clean outline is its distance to the noisy outline in mm, positive where the
    noisy outline lies outside. Over the pairs of points of one class and one label whose distance from each other (in a
    straight line) is in a bin,

        C(r) = mean(u_i u_j) / mean(u^2)

    and the correlation length is the r at which C first falls below 1/e, between the bins by a straight line from
    C(0) = 1. The mean of u is not taken away: an outline drawn too far out everywhere is one mistake, however long the
    outline is, and its length is infinite.

    A single label has few independent mistakes, so its length varies by much; add the labels of a data set. Lengths
    below the voxel size are not seen.

    Args:
        bin_mm: width of the bins; about the voxel size.
        reach_mm: largest distance between two points that is looked at; a correlation that lasts longer is infinite.
        max_points: of an outline with more points that many are drawn, always the same ones.

    Example::

        >>> clean = np.zeros((40, 40), dtype=int)
        >>> clean[10:30, 10:30] = 1
        >>> noisy = clean.copy()
        >>> noisy[8:12, 15:20] = 1  # a bump
        >>> correlation = BoundaryCorrelation()
        >>> correlation.add(noisy, clean, (1.0, 1.0))
        >>> 1 < correlation.length_mm < 5
        True
    """

    def __init__(self, *, bin_mm: float = 1.0, reach_mm: float = 50.0, max_points: int = 1500) -> None:
        if not 0 < bin_mm <= reach_mm < math.inf:
            raise ValueError(f"bin_mm is {bin_mm}, reach_mm {reach_mm}; expected 0 < bin_mm <= reach_mm")
        self.bin_mm, self.reach_mm, self.max_points = bin_mm, reach_mm, max_points
        bins = math.ceil(reach_mm / bin_mm)
        self._pairs, self._products, self._lengths = np.zeros(bins), np.zeros(bins), np.zeros(bins)
        self._points, self._squares = 0, 0.0

    def add(
        self, noisy: NDArray[Any], clean: NDArray[Any], spacing: Sequence[float], *, ignore_index: int | None = None
    ) -> None:
        """Add a label; classes without an outline in both maps are left out, as are unknown voxels.

        Raises:
            ValueError: if the maps differ in shape, hold fractions, or the spacing does not fit.
        """
        for pair in pairs_of(*check_maps(noisy, clean, spacing), ignore_index):
            drawn, true = pair.outlines(spacing)
            if len(drawn) and len(true):
                # A point in the noisy mask has the noisy outline outside of it.
                self._add_class(true.points, -signed_distance(true, drawn, pair.noisy))

    def _add_class(self, points: NDArray[np.float64], displacements: NDArray[np.float64]) -> None:
        if len(points) > self.max_points:
            drawn = np.sort(np.random.default_rng(0).choice(len(points), self.max_points, replace=False))
            points, displacements = points[drawn], displacements[drawn]
        self._points += len(points)
        self._squares += float(displacements @ displacements)
        apart = pdist(points)
        first, second = np.triu_indices(len(points), 1)
        near = apart < self.reach_mm
        bins, count = (apart[near] / self.bin_mm).astype(int), len(self._pairs)
        self._pairs += np.bincount(bins, minlength=count)
        self._lengths += np.bincount(bins, apart[near], minlength=count)
        products = displacements[first[near]] * displacements[second[near]]
        self._products += np.bincount(bins, products, minlength=count)

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean distance in mm and correlation of each bin that has pairs, from (0, 1) on.

        Both are empty where no outline was displaced.
        """
        if not self._squares:
            return np.empty(0), np.empty(0)
        known = self._pairs > 0
        distances = self._lengths[known] / self._pairs[known]
        correlations = self._products[known] / self._pairs[known] / (self._squares / self._points)
        return np.concatenate([[0.0], distances]), np.concatenate([[1.0], correlations])

    @property
    def length_mm(self) -> float | None:
        """The correlation length: None where no outline was displaced, infinite where C stays above 1/e."""
        distances, correlations = self.curve()
        if not len(distances):
            return None
        below = np.flatnonzero(correlations < 1 / math.e)
        if not len(below):
            return math.inf
        last = below[0]
        low, high = correlations[last], correlations[last - 1]
        share = (high - 1 / math.e) / (high - low)
        return float(distances[last - 1] + share * (distances[last] - distances[last - 1]))


def correlation_length(
    noisy: NDArray[Any], clean: NDArray[Any], spacing: Sequence[float], *, ignore_index: int | None = None
) -> float | None:
    """Correlation length in mm of one label, with bins of the largest voxel size; see `BoundaryCorrelation`.

    Raises:
        ValueError: as `BoundaryCorrelation.add`.

    Example::

        >>> clean = np.zeros((20, 20), dtype=int)
        >>> clean[5:12, 5:12] = 1
        >>> print(correlation_length(clean, clean, (1, 1)))
        None
    """
    size = max(spacing)
    correlation = BoundaryCorrelation(bin_mm=size, reach_mm=max(50.0, 20 * size))
    correlation.add(noisy, clean, spacing, ignore_index=ignore_index)
    return correlation.length_mm
