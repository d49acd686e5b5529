"""What the phantoms have in common: random streams, body and air, an MR-like acquisition, an oblique affine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_iel.data.organs import Array, Ellipsoid, SmoothField

__all__ = ["BODY", "CUBE", "NOISE", "Anatomy", "Labels", "acquire", "draw_affine", "paint_body", "random_streams"]

Labels = np.ndarray[Any, np.dtype[np.uint8]]

NOISE = 0.05
"""Noise in each of the two channels that Rician noise is made of, before the gain."""

# Mean intensities before the gain.
AIR, BODY, RIM = 0.02, 0.50, 0.66
_BIAS = 0.12


CUBE = MappingProxyType({2: ((96, 96), (1.0, 1.0)), 3: ((48, 48, 40), (1.0, 1.0, 1.2))})
"""Number of axes -> shape and spacing in mm of a field of view with equal sides."""


@dataclass(frozen=True)
class Anatomy:
    """What a kind of phantom shows.

    Args:
        classes: names of the classes, background first.
        geometry: number of axes -> shape in voxels and spacing in mm of a case by default.
        draw: the noise-free intensities and the class map, from a generator for the outlines, one for the tissue, the
            positions of the voxels in mm (..., axes), and the extents of the field of view in mm.
    """

    classes: tuple[str, ...]
    geometry: Mapping[int, tuple[tuple[int, ...], tuple[float, ...]]]
    draw: Callable[..., tuple[Array, Labels]]


def random_streams(identity: str) -> list[np.random.Generator]:
    """Four generators that depend on ``identity`` alone: outlines, tissue, noise, pose.

    One stream per purpose: the noise, whose count depends on the shape, moves none of the others.
    """
    entropy = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:16], "big")
    return [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(4)]


def _half_width(positions: Array) -> float:
    """Half the shortest side of the field of view, between the middles of its outermost voxels, in mm."""
    return float(np.abs(positions).max(axis=tuple(range(positions.ndim - 1))).min())


def paint_body(
    tissue: np.random.Generator, positions: Array, body: Ellipsoid
) -> tuple[Array, Callable[[Array, float], Array]]:
    """Air, a bright rim and the body as intensities; and a function that adds smooth texture to the body.

    The texture comes last, over the organs: ``clean = textured(clean, 0.02)``.
    """
    depth, reach = body.depth(positions), _half_width(positions)
    texture = SmoothField(tissue, dims=positions.shape[-1], length=0.2 * reach)

    def textured(clean: Array, strength: float) -> Array:
        return np.asarray(clean + np.where(depth > 0, strength * texture(positions), 0.0))

    return np.where(depth > 0, np.where(depth > 0.09 * reach, BODY, RIM), AIR), textured


def acquire(
    tissue: np.random.Generator, noise: np.random.Generator, positions: Array, clean: Array
) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Partial volume, a smooth multiplicative bias field, Rician noise, and a gain between 0.32 and 3.2 per case."""
    bias = SmoothField(tissue, dims=positions.shape[-1], length=1.2 * _half_width(positions), num_waves=12)
    gain = 1000.0 * 10.0 ** tissue.uniform(-0.5, 0.5)
    clean = gaussian_filter(clean, sigma=0.5)  # partial volume: half a voxel
    clean *= np.exp(_BIAS * bias(positions))
    # The magnitude of a complex signal with Gaussian noise in both parts has a Rice distribution.
    real, imaginary = noise.normal(scale=NOISE, size=(2, *clean.shape))
    return np.rint(gain * np.hypot(clean + real, imaginary)).astype(np.int16)


def draw_affine(pose: np.random.Generator, sizes: tuple[int, ...], steps: tuple[float, ...], oblique: bool) -> Array:
    """Voxel to mm; the middle of the volume lies near the origin. A 2D image keeps the third axis as it is."""
    affine = np.eye(4)
    dims = len(sizes)
    angles = np.deg2rad(pose.uniform(10.0, 20.0, size=dims - 1)) * pose.choice([-1.0, 1.0], size=dims - 1)
    shift = pose.uniform(-5.0, 5.0, size=dims)
    rotation = np.eye(3)
    if oblique:
        for axis, angle in enumerate(angles):  # in the planes (0, 1) and, in 3D, (1, 2)
            turn = np.eye(3)
            plane = np.ix_((axis, axis + 1), (axis, axis + 1))
            turn[plane] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            rotation = rotation @ turn
    affine[:3, :3] = rotation
    affine[:3, :dims] *= steps
    affine[:3, 3] = -affine[:3, :dims] @ ((np.array(sizes) - 1) / 2)
    affine[:dims, 3] += shift
    return affine
