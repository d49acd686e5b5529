"""Cases whose disputes are known: what the networks see, and an annotation that differs from it in one thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_iel.audit.case import AuditCase

NAMES = ("background", "cytoplasm", "nucleus")


def ball(shape: Sequence[int], centre: Sequence[float], radius: float, spacing: Sequence[float]) -> np.ndarray:
    """Voxels whose centre is within a radius in mm of that of a voxel."""
    grid = np.indices(tuple(shape), dtype=float)
    return np.sqrt(sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, spacing, strict=True))) <= radius


def block(shape: Sequence[int], *sides: tuple[int, int]) -> np.ndarray:
    """Voxels between two indices of each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def sure_of(seen: np.ndarray, classes: int = 3, right: float = 0.95) -> np.ndarray:
    """Probabilities of a network that sees this, and is so sure of it."""
    rest = (1 - right) / (classes - 1)
    one_hot = np.moveaxis(np.eye(classes)[seen], -1, 0)
    return (rest + (right - rest) * one_hot).astype(np.float32)


def case_of(
    label: np.ndarray,
    seen: np.ndarray,
    spacing: tuple[float, ...] | None = None,
    affine: np.ndarray | None = None,
    right: float = 0.95,
    case_id: str = "case",
) -> AuditCase:
    """A case of three classes; a volume in mm, an image in pixels unless there is an affine."""
    spacing = (1.0,) * label.ndim if spacing is None else spacing
    if affine is None and label.ndim == 3:
        affine = np.diag([*spacing, 1.0])
    return AuditCase(case_id, label.astype(np.int32), sure_of(seen, right=right), spacing, affine, NAMES)
