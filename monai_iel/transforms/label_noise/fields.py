"""Smooth Gaussian random fields over a part of a volume, with a correlation length in mm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.geometry import Box

__all__ = ["GaussianField", "draw_field"]

# Where the Gaussian that filters the white noise may be cut, in its standard deviations: it has fallen to 0.0003.
CUT = 4.0
# Weights of the filter that are left out, as their sum is far below the rounding to voxels.
NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class GaussianField:
    """Independent Gaussian fields of mean 0, root mean square 1 and correlation exp(-r^2 / (2 L^2)) at r mm.

    White noise on a lattice, filtered by a Gaussian w with a standard deviation of L / sqrt(2):

        f(x) = sum_n w(x - x_n) noise_n / sqrt(sum_n w(x - x_n)^2)

    The lattice's pitch is that standard deviation: a Gaussian is so smooth that the sums over the lattice are the
    integrals to about 1e-4. The filter is evaluated at x itself, so no field is resampled, and voxels may have any
    size.

    Args:
        noise: standard normal deviates, of shape ``number of fields, nodes along each axis``.
        corner: position of the first node in mm, per axis; 0 is the centre of the volume's first voxel.
        correlation: L in mm.
    """

    noise: NDArray[np.float64]
    corner: tuple[float, ...]
    correlation: float

    def rows(self, box: Box, spacing: tuple[float, ...]) -> Iterator[NDArray[np.float64]]:
        """Yield the fields at the voxels' centres, for one row along the first axis of ``box`` after the other.

        A row has the shape ``number of fields, voxels along the other axes``. All rows at once would need many times
        the memory of the label.
        """
        first, *others = (
            _filter_weights(size * np.arange(side.start, side.stop, dtype=np.float64), corner, nodes, self.correlation)
            for side, size, corner, nodes in zip(box, spacing, self.corner, self.noise.shape[1:], strict=True)
        )
        filtered = np.moveaxis(self.noise, 1, 0)
        for weights in others:  # each takes the foremost axis of nodes but one, and appends its axis of voxels
            filtered = np.tensordot(filtered, weights, axes=(2, 1))
        for weights in first:
            near = np.flatnonzero(weights > NEGLIGIBLE)
            nodes = slice(near[0], near[-1] + 1)
            yield np.tensordot(weights[nodes], filtered[nodes], axes=1)


def draw_field(
    number: int,
    box: Box,
    margin: float,
    spacing: tuple[float, ...],
    correlation: float,
    rng: np.random.Generator,
) -> GaussianField:
    """Draw ``number`` fields that cover ``box`` and ``margin`` mm around it, also beyond the volume."""
    pitch = _width(correlation)
    around = margin + CUT * pitch
    corner = tuple(side.start * size - around for side, size in zip(box, spacing, strict=True))
    nodes = tuple(
        math.ceil(((side.stop - side.start - 1) * size + 2 * around) / pitch) + 1
        for side, size in zip(box, spacing, strict=True)
    )
    return GaussianField(rng.standard_normal((number, *nodes)), corner, correlation)


def _width(correlation: float) -> float:
    """Return the filter's standard deviation: the field's correlation is the filter convolved with itself."""
    return correlation / math.sqrt(2)


def _filter_weights(
    positions: NDArray[np.float64], corner: float, nodes: int, correlation: float
) -> NDArray[np.float64]:
    """Return the filter along one axis, of shape ``positions, nodes``, normalised to unit variance at each position."""
    width = _width(correlation)
    offsets = positions[:, None] - (corner + width * np.arange(nodes))
    weights = np.exp(-(offsets**2) / (2 * width**2))
    normalised: NDArray[np.float64] = weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return normalised
