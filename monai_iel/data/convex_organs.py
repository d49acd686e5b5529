"""The phantom "convex_organs": two convex organs side by side, each hard to see on one side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_iel.data.organs import Array, Ellipsoid, bent_tube, keep_all, random_direction, random_rotation, spot_on
from monai_iel.data.phantom_parts import BODY, CUBE, Anatomy, Labels, paint_body

__all__ = ["CONVEX_ORGANS"]

_ORGANS = (0.72, 0.30)  # mean intensity before the gain
_TEXTURE = 0.03
_FADE_WIDTH = 0.65  # how far an organ fades around a point of its outline, in its radii
_VESSEL = (0.06, 0.09)  # radius of a vessel, in radii of the body


def draw(
    outlines: np.random.Generator, tissue: np.random.Generator, positions: Array, extents: Array
) -> tuple[Array, Labels]:
    """Intensities and class map; 1 an ellipsoid, 2 a rounded box."""
    body = Ellipsoid(centre=np.zeros(extents.size), radii=0.46 * extents, rotation=np.eye(extents.size))
    organs, towards, face = _place(outlines, body)
    # A convex organ cut by a plane is convex: where the two would overlap, they are pressed flat.
    beyond = positions @ towards > face
    label = np.zeros(positions.shape[:-1], dtype=np.uint8)
    for number, (organ, its_side) in enumerate(zip(organs, (~beyond, beyond), strict=True), start=1):
        label[(organ.depth(positions) > 0) & its_side] = number
    keep_all(label, organs, positions)

    clean, textured = paint_body(tissue, positions, body)
    for number, (organ, mean, away) in enumerate(zip(organs, _ORGANS, (-towards, towards), strict=True), start=1):
        side = random_direction(outlines, away.size)
        side = side if side @ away > 0 else -side  # not towards the other organ
        hidden = spot_on(organ, side, positions, _FADE_WIDTH * float(organ.radii.mean()))
        clean = np.where(label == number, mean + (BODY - mean) * hidden, clean)
    for organ, mean in zip(organs, reversed(_ORGANS), strict=True):  # a vessel that looks like the other organ
        vessel = np.where(body.depth(positions) > 0, _vessel(outlines, organ, body, positions), 0.0)
        clean += (mean - clean) * vessel
    return textured(clean, _TEXTURE), label


def _place(rng: np.random.Generator, body: Ellipsoid) -> tuple[tuple[Ellipsoid, Ellipsoid], Array, float]:
    """The two organs, the direction from the first to the second, and where along it the face between them lies."""
    dims, unit = body.radii.size, float(body.radii.min())
    towards = random_direction(rng, dims)

    def organ(size: float, exponent: float) -> Ellipsoid:
        radii = size * unit * rng.uniform(0.85, 1.15, size=dims)
        return Ellipsoid(np.zeros(dims), radii, random_rotation(rng, dims, 40.0), exponent)

    first, second = organ(0.38, 2.0), organ(0.30, 3.5)
    widths = [float(each.support(towards)) for each in (first, second)]
    gap = unit * rng.uniform(-0.12, 0.08)  # negative: pressed against one another
    length = 2 * sum(widths) + gap
    middle = unit * rng.uniform(-0.08, 0.08, size=dims)
    first = replace(first, centre=middle - (length / 2 - widths[0]) * towards)
    second = replace(second, centre=middle + (length / 2 - widths[1]) * towards)
    return (first, second), towards, float(first.centre @ towards) + widths[0] + gap / 2


def _vessel(rng: np.random.Generator, organ: Ellipsoid, body: Ellipsoid, positions: Array) -> Array:
    """1 along a curve that starts just below the organ's outline, in any direction."""
    side, towards = (random_direction(rng, body.radii.size) for _ in range(2))
    start = organ.centre + 0.9 * organ.radius_along(side) * side
    unit = float(body.radii.min())
    return bent_tube(rng, start, towards, unit, unit * rng.uniform(*_VESSEL), positions)


CONVEX_ORGANS = Anatomy(classes=("background", "bladder", "prostate"), geometry=CUBE, draw=draw)
