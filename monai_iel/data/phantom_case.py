"""One phantom case of any kind, laid out in mm, with MR-like intensities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from monai.utils import look_up_option

from monai_iel.data.convex_organs import CONVEX_ORGANS
from monai_iel.data.cup_in_disc import CUP_IN_DISC
from monai_iel.data.five_organs import FIVE_ORGANS, ROUGHNESS_MM
from monai_iel.data.organs import voxel_positions
from monai_iel.data.phantom_parts import NOISE, acquire, draw_affine, random_streams

__all__ = ["KINDS", "NOISE", "case_name", "check_geometry", "make_phantom_case"]

KINDS = MappingProxyType({"organs": FIVE_ORGANS, "convex_organs": CONVEX_ORGANS, "cup_in_disc": CUP_IN_DISC})
"""Name -> anatomy; a new one is one file and one entry here."""


def make_phantom_case(
    case: int | str,
    *,
    kind: str = "organs",
    spatial_dims: int = 3,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    seed: int = 0,
    oblique: bool = True,
    roughness_mm: float | None = None,
) -> tuple[np.ndarray[Any, np.dtype[np.int16]], np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, Any]]:
    """One case: image, label and affine, a function of the arguments alone.

    Everything is laid out in mm, relative to the shortest side of the field of view (``shape * spacing``): the same
    field of view at another spacing shows the same organs. Kinds:

    - ``"organs"``: classes 1 a smooth ellipsoid, 2 an ellipsoid with rough outline, 3 one that differs from the body by
      one standard deviation of the noise, 4 a small convex one that touches organ 1.
    - ``"convex_organs"``: 1 a bright ellipsoid ("bladder"), 2 a dark rounded box ("prostate") next to it; in three of
      five cases they are pressed against one another, with a flat face between them. Both are convex, cut by that face
      or not. Around one point of its outline each fades into the body, so that it looks bitten there, and a vessel as
      bright as the other organ leaves it at another; the label takes no notice of both.
    - ``"cup_in_disc"``: 1 the rim, 2 the cup of an optic disc. The cup lies inside the disc (rim and cup together), at
      least a 32nd of the field of view from its outline; both are ellipses or ellipsoids. Both fade on one side into
      what is around them, and dark vessels cross them.

    The organs of the first two lie in a body with a bright rim, in air. Intensities: a mean per class, smooth texture,
    a smooth multiplicative bias field, Rician noise, and a gain per case between 0.32 and 3.2 (scanners scale by what
    they like).

    Args:
        case: index (``7`` is ``"phantom_007"``) or case id.
        kind: "organs", "convex_organs" or "cup_in_disc".
        spatial_dims: 2 or 3.
        shape: voxels per axis, at least 8; by default (96, 96) or (40, 48, 32), and (48, 48, 40) for the other two
            kinds.
        spacing: mm per axis; by default (1.0, 0.8) or (1.0, 1.0, 1.5), and (1.0, 1.0) or (1.0, 1.0, 1.2) for the other
            two kinds.
        seed: another seed makes other cases.
        oblique: rotate the affine by 10 to 20 degrees: in the plane in 2D, about two axes in 3D; drawn per case.
        roughness_mm: of kind "organs" only: standard deviation of the outline of organ 2, in mm, by default 1.2; its
            correlation length is a fifth of the mean radius of the organ (but at least 1 mm).

    Returns:
        image (int16), label (uint8), and the 4 x 4 affine in mm.

    Raises:
        ValueError: a kind that is none, or a shape, spacing, ``spatial_dims`` or roughness that makes no phantom.

    >>> image, label, affine = make_phantom_case(0, shape=(24, 24, 16))
    >>> image.shape, label.max(), affine.shape
    ((24, 24, 16), np.uint8(4), (4, 4))
    >>> make_phantom_case("a", kind="cup_in_disc", spatial_dims=2)[1].shape
    (96, 96)
    """
    sizes, steps = check_geometry(spatial_dims, shape, spacing, kind=kind)
    draw = KINDS[kind].draw
    if roughness_mm is not None:
        if kind != "organs" or not 0 <= roughness_mm < np.inf:
            raise ValueError(
                f"roughness_mm is {roughness_mm} for kind {kind!r}; expected 0 or more, in mm, and only for kind "
                f"'organs' (None: {ROUGHNESS_MM})"
            )
        draw = partial(draw, roughness_mm=roughness_mm)
    name = "phantom" if kind == "organs" else f"phantom {kind}"
    outlines, tissue, noise, pose = random_streams(f"{name}:{seed}:{case_name(case)}")
    positions = voxel_positions(sizes, steps)
    clean, label = draw(outlines, tissue, positions, np.array(sizes) * np.array(steps))
    return acquire(tissue, noise, positions, clean), label, draw_affine(pose, sizes, steps, oblique)


def check_geometry(
    spatial_dims: int, shape: Sequence[int] | None, spacing: Sequence[float] | None, *, kind: str = "organs"
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing of a case, the kind's own where they are not given."""
    geometry = KINDS[look_up_option(kind, tuple(KINDS))].geometry
    if spatial_dims not in geometry:
        raise ValueError(f"spatial_dims is {spatial_dims!r}; expected 2 or 3")
    default_shape, default_spacing = geometry[spatial_dims]
    sizes = default_shape if shape is None else tuple(int(size) for size in shape)
    steps = default_spacing if spacing is None else tuple(float(step) for step in spacing)
    if len(sizes) != spatial_dims or min(sizes) < 8:
        raise ValueError(f"shape is {sizes}; expected {spatial_dims} numbers of at least 8")
    if len(steps) != spatial_dims or not all(0 < step < np.inf for step in steps):
        raise ValueError(f"spacing is {steps}; expected {spatial_dims} positive numbers in mm")
    return sizes, steps


def case_name(case: int | str) -> str:
    """The id of a case: itself, or of an index ``phantom_NNN``."""
    return case if isinstance(case, str) else f"phantom_{case:03d}"
