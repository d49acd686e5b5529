"""The phantom "organs": a body with four organs, one of them rough, one hard to see, one small."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import label as connected_components

from monai_iel.data.organs import Array, Ellipsoid, SmoothField, keep_all, random_rotation
from monai_iel.data.phantom_parts import BODY, NOISE, Anatomy, Labels, paint_body

__all__ = ["FIVE_ORGANS", "ROUGHNESS_MM"]

ROUGHNESS_MM = 1.2

# Mean intensity before the gain. The third organ differs from the body by one noise standard deviation.
_ORGANS = (0.74, 0.28, BODY + NOISE, 0.95)
_TEXTURE = 0.02


def draw(
    outlines: np.random.Generator,
    tissue: np.random.Generator,
    positions: Array,
    extents: Array,
    roughness_mm: float = ROUGHNESS_MM,
) -> tuple[Array, Labels]:
    """Intensities and class map; 1 a smooth ellipsoid, 2 a rough one, 3 a faint one, 4 a small one that touches 1."""
    body = Ellipsoid(centre=np.zeros(extents.size), radii=0.46 * extents, rotation=np.eye(extents.size))
    label = _draw_organs(outlines, positions, body, roughness_mm)
    clean, textured = paint_body(tissue, positions, body)
    for number, mean in enumerate(_ORGANS, start=1):
        clean[label == number] = mean
    return textured(clean, _TEXTURE), label


FIVE_ORGANS = Anatomy(
    classes=("background", "smooth organ", "rough organ", "low-contrast organ", "small convex organ"),
    geometry={2: ((96, 96), (1.0, 0.8)), 3: ((40, 48, 32), (1.0, 1.0, 1.5))},
    draw=draw,
)


def _draw_organs(rng: np.random.Generator, positions: Array, body: Ellipsoid, roughness_mm: float) -> Labels:
    dims = body.radii.size
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
    keep_all(label, outlines, positions)
    return label


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
