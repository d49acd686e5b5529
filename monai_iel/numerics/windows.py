"""Counts in box windows, at a cost that does not depend on their size."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["box_counts", "dilated"]


def box_counts(mask: torch.Tensor, radii: Sequence[int]) -> torch.Tensor:
    """How many voxels of a mask lie in the box of ``2 r_d + 1`` voxels per axis around each voxel; outside none.

    Separable running sums: two operations per voxel and axis, whatever the radii.

    Args:
        mask: boolean, or counts as float32, ``B K H [W [D]]``.
        radii: r_d, one per axis.

    Returns:
        float32, exact up to 2^24.
    """
    counts = mask.to(torch.float32)
    for dim, radius in enumerate(radii, start=2):
        if radius == 0:
            continue
        n = counts.shape[dim]
        sums = torch.cumsum(counts, dim)
        last = sums.narrow(dim, n - 1, 1)
        reach = min(radius, n - 1)
        upper = torch.cat([sums.narrow(dim, reach, n - reach), last.expand_as(sums.narrow(dim, 0, reach))], dim)
        if n > radius + 1:
            upper.narrow(dim, radius + 1, n - radius - 1).sub_(sums.narrow(dim, 0, n - radius - 1))
        counts = upper
    return counts


def dilated(mask: torch.Tensor) -> torch.Tensor:
    """The voxels of a boolean mask and all their neighbours, across corners too."""
    return box_counts(mask, [1] * (mask.ndim - 2)) > 0
