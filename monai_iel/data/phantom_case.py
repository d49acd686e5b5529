"""One phantom case: body and four organs laid out in mm, with MR-like intensities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as connected_components

from monai_iel.data.organs import Ellipsoid, SmoothField, random_rotation, voxel_positions

__all__ = ["NOISE", "case_name", "check_geometry", "make_phantom_case"]

Array = np.ndarray[Any, np.dtype[np.float64]]

NOISE = 0.05
"""Noise in each of the two channels that Rician noise is made of, before the gain."""

# Mean intensity before the gain. The third organ differs from the body by one noise standard deviation.
_AIR, _BODY, _RIM = 0.02, 0.50, 0.66
_ORGANS = (0.74, 0.28, _BODY + NOISE, 0.95)
_TEXTURE = 0.02
_BIAS = 0.12
_DEFAULTS: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {
    2: ((96, 96), (1.0, 0.8)),
    3: ((40, 48, 32), (1.0, 1.0, 1.5)),
}


def make_phantom_case(
    case: int | str,
    *,
    spatial_dims: int = 3,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    seed: int = 0,
    oblique: bool = True,
    roughness_mm: float = 1.2,
) -> tuple[np.ndarray[Any, np.dtype[np.int16]], np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, Any]]:
    """One case: image, label and affine, a function of the arguments alone.

    Everything is laid out in mm, relative to the shortest side of the field of view (``shape * spacing``): the same
    field of view at another spacing shows the same organs. Classes: 1 a smooth ellipsoid, 2 an ellipsoid with rough
    outline, 3 one that differs from the body by one standard deviation of the noise, 4 a small convex one that touches
    organ 1. Around them are a body with a bright rim, and air. Intensities: a mean per class, smooth texture, a smooth
    multiplicative bias field, Rician noise, and a gain per case between 0.32 and 3.2 (scanners scale by what they
    like).

    Args:
        case: index (``7`` is ``"phantom_007"``) or case id.
        spatial_dims: 2 or 3.
        shape: voxels per axis, at least 8; by default (96, 96) or (40, 48, 32).
        spacing: mm per axis; by default (1.0, 0.8) or (1.0, 1.0, 1.5).
        seed: another seed makes other cases.
        oblique: rotate the affine by 10 to 20 degrees: in the plane in 2D, about two axes in 3D; drawn per case.
        roughness_mm: standard deviation of the outline of organ 2, in mm; its correlation length is a fifth of the mean
            radius of the organ (but at least 1 mm).

    Returns:
        image (int16), label (uint8), and the 4 x 4 affine in mm.

    Raises:
        ValueError: a shape, spacing, ``spatial_dims`` or roughness that makes no phantom.

    >>> image, label, affine = make_phantom_case(0, shape=(24, 24, 16))
    >>> image.shape, label.max(), affine.shape
    ((24, 24, 16), np.uint8(4), (4, 4))
    >>> make_phantom_case("a", spatial_dims=2)[1].shape
    (96, 96)
    """
    sizes, steps = check_geometry(spatial_dims, shape, spacing)
    if not 0 <= roughness_mm < np.inf:
        raise ValueError(f"roughness_mm is {roughness_mm}; expected 0 or more, in mm")
    # One stream per purpose: the noise, whose count depends on the shape, moves none of the others.
    outlines, tissue, noise, pose = _generators(case_name(case), seed)
    positions = voxel_positions(sizes, steps)
    body, label = _draw_organs(outlines, positions, np.array(sizes) * np.array(steps), roughness_mm)
    image = _paint(tissue, noise, positions, body, label)
    return image, label, _affine(pose, sizes, steps, oblique)


def check_geometry(
    spatial_dims: int, shape: Sequence[int] | None, spacing: Sequence[float] | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if spatial_dims not in _DEFAULTS:
        raise ValueError(f"spatial_dims is {spatial_dims!r}; expected 2 or 3")
    default_shape, default_spacing = _DEFAULTS[spatial_dims]
    sizes = default_shape if shape is None else tuple(int(size) for size in shape)
    steps = default_spacing if spacing is None else tuple(float(step) for step in spacing)
    if len(sizes) != spatial_dims or min(sizes) < 8:
        raise ValueError(f"shape is {sizes}; expected {spatial_dims} numbers of at least 8")
    if len(steps) != spatial_dims or not all(0 < step < np.inf for step in steps):
        raise ValueError(f"spacing is {steps}; expected {spatial_dims} positive numbers in mm")
    return sizes, steps


def case_name(case: int | str) -> str:
    return case if isinstance(case, str) else f"phantom_{case:03d}"


def _generators(case_id: str, seed: int) -> list[np.random.Generator]:
    entropy = int.from_bytes(hashlib.sha256(f"phantom:{seed}:{case_id}".encode()).digest()[:16], "big")
    return [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(4)]


def _draw_organs(
    rng: np.random.Generator, positions: Array, extents: Array, roughness_mm: float
) -> tuple[Array, np.ndarray[Any, np.dtype[np.uint8]]]:
    """Depth below the skin in mm, and the class map."""
    dims = extents.size
    body = Ellipsoid(centre=np.zeros(dims), radii=0.46 * extents, rotation=np.eye(dims))
    unit = float(body.radii.min())  # mm; all sizes are multiples of it, so that organs are no flatter than the body is

    def organ(place: tuple[float, float], size: float) -> Ellipsoid:
        """An ellipsoid of about ``size`` units at about ``place`` (of the first two axes, in body radii)."""
        middle = np.concatenate([place, np.zeros(dims - 2)]) + rng.uniform(-0.05, 0.05, size=dims)
        radii = size * unit * rng.uniform(0.9, 1.1) * rng.uniform(0.85, 1.15, size=dims)
        return Ellipsoid(centre=middle * body.radii, radii=radii, rotation=random_rotation(rng, dims, 25.0))

    smooth, rough, faint = organ((-0.42, -0.30), 0.32), organ((0.42, -0.28), 0.30), organ((0.12, 0.50), 0.27)
    small = organ((0.0, 0.0), 0.17)
    # Organ 4 goes where it just touches organ 1, on the side where there is room.
    towards = np.concatenate([(-0.25, 1.0), rng.uniform(-0.3, 0.3, size=dims - 2)])
    towards /= np.linalg.norm(towards)
    gap = 0.92 * (smooth.radius_along(towards) + small.radius_along(towards))
    small = Ellipsoid(centre=smooth.centre + gap * towards, radii=small.radii, rotation=small.rotation)

    outlines = (smooth, rough, faint, small)
    depths = [outline.depth(positions) for outline in outlines]
    depths[1] = depths[1] + _roughness(rng, rough, positions, depths[1], roughness_mm)
    label = np.zeros(positions.shape[:-1], dtype=np.uint8)
    for number, depth in enumerate(depths, start=1):  # the later organ lies on top
        label[_one_piece(depth > 0)] = number
    for number, outline in enumerate(outlines, start=1):
        if not (label == number).any():  # smaller than a voxel: it keeps the nearest one
            nearest = np.linalg.norm(positions - outline.centre, axis=-1).argmin()
            label.flat[nearest] = number
    return body.depth(positions), label


def _one_piece(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The largest component: the tip of a spike thinner than a voxel may come off when it is sampled."""
    pieces, count = connected_components(mask)
    return mask if count < 2 else np.asarray(pieces == 1 + np.bincount(pieces[mask])[1:].argmax())


def _roughness(
    rng: np.random.Generator, organ: Ellipsoid, positions: Array, depth: Array, roughness_mm: float
) -> Array:
    """How far the outline is moved along the ray through each position, in mm; the organ stays star-shaped."""
    mean_radius = float(organ.radii.mean())
    field = SmoothField(rng, dims=positions.shape[-1], length=max(0.2 * mean_radius, 1.0))
    limit = 0.5 * float(organ.radii.min())
    moved = np.zeros(depth.shape)
    near = np.abs(depth) < limit  # further away nothing can change
    moved[near] = np.clip(roughness_mm * field(organ.outline_points(positions[near])), -limit, limit)
    return moved


def _paint(
    tissue: np.random.Generator,
    noise: np.random.Generator,
    positions: Array,
    body: Array,
    label: np.ndarray[Any, np.dtype[np.uint8]],
) -> np.ndarray[Any, np.dtype[np.int16]]:
    reach = float(np.abs(positions).max(axis=tuple(range(positions.ndim - 1))).min())  # half the shortest side, mm
    dims = positions.shape[-1]
    texture = SmoothField(tissue, dims=dims, length=0.2 * reach)
    bias = SmoothField(tissue, dims=dims, length=1.2 * reach, num_waves=12)
    gain = 1000.0 * 10.0 ** tissue.uniform(-0.5, 0.5)

    clean = np.where(body > 0, np.where(body > 0.09 * reach, _BODY, _RIM), _AIR)
    for number, mean in enumerate(_ORGANS, start=1):
        clean[label == number] = mean
    clean += np.where(body > 0, _TEXTURE * texture(positions), 0.0)
    clean = gaussian_filter(clean, sigma=0.5)  # partial volume: half a voxel
    clean *= np.exp(_BIAS * bias(positions))
    # The magnitude of a complex signal with Gaussian noise in both parts has a Rice distribution.
    real, imaginary = noise.normal(scale=NOISE, size=(2, *clean.shape))
    return np.rint(gain * np.hypot(clean + real, imaginary)).astype(np.int16)


def _affine(rng: np.random.Generator, sizes: tuple[int, ...], steps: tuple[float, ...], oblique: bool) -> Array:
    """Voxel to mm; the middle of the volume lies near the origin. A 2D image keeps the third axis as it is."""
    affine = np.eye(4)
    dims = len(sizes)
    angles = np.deg2rad(rng.uniform(10.0, 20.0, size=dims - 1)) * rng.choice([-1.0, 1.0], size=dims - 1)
    shift = rng.uniform(-5.0, 5.0, size=dims)
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
