"""Outlines of phantom organs as functions of the position in mm; the number of axes is a parameter, not a branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm

__all__ = ["Ellipsoid", "SmoothField", "random_rotation", "voxel_positions"]

Array = np.ndarray[Any, np.dtype[np.float64]]


def voxel_positions(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Array:
    """Positions of the voxel centres in mm, 0 in the middle of the volume: shape (all of ``shape``, number of axes)."""
    axes = [(np.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def random_rotation(rng: np.random.Generator, dims: int, degrees: float) -> Array:
    """A rotation of ``dims`` axes, by about ``degrees`` in each coordinate plane: exp of a skew matrix."""
    turn = np.triu(rng.normal(scale=np.deg2rad(degrees), size=(dims, dims)), k=1)
    return np.asarray(expm(turn - turn.T))


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipse or ellipsoid.

    Args:
        centre: position in mm.
        radii: semi-axes in mm.
        rotation: orthogonal matrix whose columns are the directions of the semi-axes.
    """

    centre: Array
    radii: Array
    rotation: Array

    def radius_along(self, direction: Array) -> Array:
        """Distance from the centre to the outline in mm along unit vectors (..., axes)."""
        return np.asarray(1.0 / np.linalg.norm((direction @ self.rotation) / self.radii, axis=-1))

    def outline_points(self, positions: Array) -> Array:
        """Where the rays from the centre through ``positions`` (not the centre itself) meet the outline."""
        offset = positions - self.centre
        level = np.linalg.norm((offset @ self.rotation) / self.radii, axis=-1, keepdims=True)
        return np.asarray(self.centre + offset / level)

    def depth(self, positions: Array) -> Array:
        """Distance in mm to the outline along the ray from the centre, positive inside."""
        offset = positions - self.centre
        level = np.linalg.norm((offset @ self.rotation) / self.radii, axis=-1)
        length = np.linalg.norm(offset, axis=-1)
        smallest = float(self.radii.min())  # the centre itself lies on no ray
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(level > 1e-9, length / level - length, smallest))


class SmoothField:
    """A smooth random function of the position: zero mean, unit variance, Gaussian correlation.

    A sum of plane waves with random directions. It is drawn once and can be evaluated anywhere, so the same organ can
    be sampled at any spacing (a filtered noise volume would depend on the voxels).

    Args:
        rng: generator that the waves are drawn from.
        dims: number of axes.
        length: correlation length in mm: the correlation of two points at distance r is exp(-r^2 / (2 length^2)).
        num_waves: number of waves; 32 are enough for an outline.
    """

    def __init__(self, rng: np.random.Generator, *, dims: int, length: float, num_waves: int = 32) -> None:
        self.waves = rng.normal(scale=1.0 / length, size=(dims, num_waves))
        self.phases = rng.uniform(0.0, 2 * np.pi, size=num_waves)

    def __call__(self, positions: Array) -> Array:
        """The values at positions (..., axes) in mm."""
        angles = positions @ self.waves
        angles += self.phases
        return np.asarray(np.sqrt(2.0 / self.phases.size) * np.cos(angles, out=angles).sum(axis=-1))
