"""Where the voxels lie: spacing, orientation, and in what an image and its label differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes

from monai_iel.data.checks import check_pair
from monai_iel.data.files import AFFINE_TOLERANCE, CaseError, ImageFile

__all__ = ["orientation", "pair_problem", "spacing"]

Affine = np.ndarray[Any, np.dtype[np.float64]]


def spacing(file: ImageFile, spatial_dims: int) -> tuple[float, ...]:
    """Voxel size in mm per axis; nothing for a picture."""
    if file.affine is None:
        return ()
    return tuple(round(float(size), 4) for size in voxel_sizes(file.affine)[:spatial_dims])


def orientation(file: ImageFile) -> str:
    """To which sides of the patient the axes run, such as ``"RAS"``; nothing for a picture."""
    return "" if file.affine is None else "".join(str(code) for code in aff2axcodes(file.affine))


def pair_problem(
    image: ImageFile, image_shape: tuple[int, ...], label: ImageFile, label_shape: tuple[int, ...]
) -> tuple[str, str] | None:
    """Kind and message of what keeps a label from lying on its image."""
    try:
        check_pair(image, image_shape, label, label_shape)
    except CaseError as error:
        if image_shape != label_shape or image.affine is None or label.affine is None:
            return "shape-mismatch", str(error)
        kind, detail = _difference(image, label)
        return kind, f"{error} ({detail})"
    return None


def _difference(image: ImageFile, label: ImageFile) -> tuple[str, str]:
    assert image.affine is not None
    assert label.affine is not None
    codes = orientation(image), orientation(label)
    if codes[0] != codes[1]:
        return "orientation-mismatch", f"orientation {codes[1]}, the image {codes[0]}"
    sizes = spacing(image, 3), spacing(label, 3)
    if not np.allclose(sizes[0], sizes[1], rtol=0, atol=AFFINE_TOLERANCE):
        return "spacing-mismatch", f"voxel size {sizes[1]} mm, the image {sizes[0]} mm"
    shift = float(np.linalg.norm(label.affine[:3, 3] - image.affine[:3, 3]))
    turn = np.linalg.inv(image.affine[:3, :3]) @ label.affine[:3, :3]
    degrees = float(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    return "affine-mismatch", f"origin {shift:.4g} mm apart, axes turned by {degrees:.3g} degrees"
