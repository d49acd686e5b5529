"""The phantom "cup_in_disc": a convex cup inside a convex disc, as on a fundus picture, crossed by vessels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_iel.data.organs import (
    Array,
    Ellipsoid,
    SmoothField,
    bent_tube,
    keep_all,
    random_direction,
    random_rotation,
    spot_on,
)
from monai_iel.data.phantom_parts import CUBE, Anatomy, Labels

__all__ = ["CUP_IN_DISC"]

_RETINA, _RIM, _CUP = 0.42, 0.60, 0.80  # mean intensity before the gain
_TEXTURE = 0.03
_FADES = (0.7, 0.97)  # how much of the contrast of disc and cup is lost where they are hardest to see
_FADE_WIDTH = 0.75  # how far that goes, in radii
_NUM_VESSELS = 4
_VESSEL = 0.6  # what a vessel leaves of the intensity


def draw(
    outlines: np.random.Generator, tissue: np.random.Generator, positions: Array, extents: Array
) -> tuple[Array, Labels]:
    """Intensities and class map; 1 the rim, 2 the cup, 1 and 2 together the disc."""
    dims, unit = extents.size, 0.5 * float(extents.min())
    disc = Ellipsoid(
        centre=unit * outlines.uniform(-0.12, 0.12, size=dims),
        radii=unit * outlines.uniform(0.50, 0.62) * outlines.uniform(0.88, 1.12, size=dims),
        rotation=random_rotation(outlines, dims, 40.0),
    )
    cup = _cup_inside(outlines, disc, rim=unit / 16)
    label = np.zeros(positions.shape[:-1], dtype=np.uint8)
    label[disc.depth(positions) > 0] = 1
    label[cup.depth(positions) > 0] = 2
    keep_all(label, (disc, cup), positions)

    clean = np.full(label.shape, _RETINA)
    for number, (organ, step) in enumerate(((disc, _RIM - _RETINA), (cup, _CUP - _RIM)), start=1):
        width = _FADE_WIDTH * float(organ.radii.mean())
        spot = spot_on(organ, random_direction(outlines, dims), positions, width)
        clean += np.where(label >= number, step * (1 - _FADES[number - 1] * spot), 0.0)
    clean += _TEXTURE * SmoothField(tissue, dims=dims, length=0.15 * unit)(positions)
    for _ in range(_NUM_VESSELS):
        start = disc.centre + 0.15 * unit * random_direction(outlines, dims)
        towards, width = random_direction(outlines, dims), unit * outlines.uniform(0.020, 0.035)
        clean *= 1 - (1 - _VESSEL) * bent_tube(outlines, start, towards, 1.8 * unit, width, positions)
    return clean, label


CUP_IN_DISC = Anatomy(classes=("background", "rim", "cup"), geometry=CUBE, draw=draw)


def _cup_inside(rng: np.random.Generator, disc: Ellipsoid, rim: float) -> Ellipsoid:
    """A cup whose outline is at least ``rim`` mm from that of the disc.

    A convex set lies inside another iff its supporting planes do, in every direction; 720 of them are looked at.
    """
    dims = disc.radii.size
    cup = Ellipsoid(
        centre=disc.centre,
        radii=disc.radii * rng.uniform(0.42, 0.72) * rng.uniform(0.9, 1.1, size=dims),
        rotation=disc.rotation @ random_rotation(rng, dims, 15.0),
    )
    towards, share = random_direction(rng, dims), rng.uniform(0.2, 0.9)
    around = np.random.default_rng(0).normal(size=(720, dims))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    limit = disc.support(around) - rim
    cup = replace(cup, radii=cup.radii * min(1.0, 0.95 * float((limit / cup.support(around)).min())))
    along = around @ towards
    room = (limit - cup.support(around))[along > 0] / along[along > 0]
    return replace(cup, centre=cup.centre + share * float(room.min()) * towards)
