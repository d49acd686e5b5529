"""Outlines of phantom organs as functions of the position in mm; the number of axes is a parameter, not a branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.spatial import cKDTree

__all__ = [
    "Ellipsoid",
    "SmoothField",
    "bent_tube",
    "keep_all",
    "random_direction",
    "random_rotation",
    "spot_on",
    "voxel_positions",
]

Array = np.ndarray[Any, np.dtype[np.float64]]


def voxel_positions(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Array:
    """Positions of the voxel centres in mm, 0 in the middle of the volume: shape (all of ``shape``, number of axes)."""
    axes = [(np.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def random_rotation(rng: np.random.Generator, dims: int, degrees: float) -> Array:
    """A rotation of ``dims`` axes, by about ``degrees`` in each coordinate plane: exp of a skew matrix."""
    turn = np.triu(rng.normal(scale=np.deg2rad(degrees), size=(dims, dims)), k=1)
    return np.asarray(expm(turn - turn.T))


def random_direction(rng: np.random.Generator, dims: int) -> Array:
    """A unit vector, uniform over all directions."""
    vector = rng.normal(size=dims)
    return np.asarray(vector / np.linalg.norm(vector))


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipse or ellipsoid, or with an exponent above 2 a rounded box (superellipsoid); all of them are convex.

    Args:
        centre: position in mm.
        radii: semi-axes in mm.
        rotation: orthogonal matrix whose columns are the directions of the semi-axes.
        exponent: p of the outline |x / a|^p + |y / b|^p + ... = 1, above 1.
    """

    centre: Array
    radii: Array
    rotation: Array
    exponent: float = 2.0

    def radius_along(self, direction: Array) -> Array:
        """Distance from the centre to the outline in mm along unit vectors (..., axes)."""
        return np.asarray(1.0 / self._level(direction)[..., 0])

    def support(self, direction: Array) -> Array:
        """Distance in mm from the centre to the tangent plane across unit vectors (..., axes): the dual norm."""
        dual = self.exponent / (self.exponent - 1.0)
        return np.asarray(np.linalg.norm((direction @ self.rotation) * self.radii, ord=dual, axis=-1))

    def outline_points(self, positions: Array) -> Array:
        """Where the rays from the centre through ``positions`` (not the centre itself) meet the outline."""
        offset = positions - self.centre
        return np.asarray(self.centre + offset / self._level(offset))

    def depth(self, positions: Array) -> Array:
        """Distance in mm to the outline along the ray from the centre, positive inside."""
        offset = positions - self.centre
        level = self._level(offset)[..., 0]
        length = np.linalg.norm(offset, axis=-1)
        smallest = float(self.radii.min())  # the centre itself lies on no ray
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(level > 1e-9, length / level - length, smallest))

    def _level(self, offset: Array) -> Array:
        """1 on the outline, less inside; shape (..., 1)."""
        return np.asarray(
            np.linalg.norm((offset @ self.rotation) / self.radii, ord=self.exponent, axis=-1, keepdims=True)
        )


def spot_on(organ: Ellipsoid, side: Array, positions: Array, width: float) -> Array:
    """1 within about ``width`` mm of where the ray along the unit vector ``side`` meets the outline, 0 further off."""
    place = organ.centre + organ.radius_along(side) * side
    return np.asarray(np.exp(-((((positions - place) ** 2).sum(axis=-1) / width**2) ** 2)))


def bent_tube(
    rng: np.random.Generator, start: Array, towards: Array, length: float, radius: float, positions: Array
) -> Array:
    """1 within ``radius`` mm of a curve that leaves ``start`` along a unit vector and bends away, 0 further off."""
    bend = random_direction(rng, start.size)
    bend = bend - (bend @ towards) * towards
    t = np.linspace(0.0, 1.0, 400)[:, None]
    curve = cKDTree(start + length * (t * towards + 0.5 * t**2 * bend))
    distance, _ = curve.query(positions, distance_upper_bound=3 * radius)  # infinite further off; exp(-81) is nothing
    return np.asarray(np.exp(-((distance / radius) ** 4)))


def keep_all(label: np.ndarray[Any, np.dtype[np.uint8]], outlines: Sequence[Ellipsoid], positions: Array) -> None:
    """Give an organ that is smaller than a voxel the nearest one, in place; the classes are 1, 2, ... in order."""
    for number, outline in enumerate(outlines, start=1):
        if not (label == number).any():
            label.flat[np.linalg.norm(positions - outline.centre, axis=-1).argmin()] = number


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
