"""Counts in box windows, at a cost that does not depend on their size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["box_counts", "dilated"]

_LARGE_PLANE = 1024  # elements


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
        sums = _running_sums(counts, dim)
        last = sums.narrow(dim, n - 1, 1)
        reach = min(radius, n - 1)
        upper = torch.cat([sums.narrow(dim, reach, n - reach), last.expand_as(sums.narrow(dim, 0, reach))], dim)
        if n > radius + 1:
            upper.narrow(dim, radius + 1, n - radius - 1).sub_(sums.narrow(dim, 0, n - radius - 1))
        counts = upper
    return counts


def _running_sums(counts: torch.Tensor, dim: int) -> torch.Tensor:
    """``cumsum``; plane by plane on a CPU where the planes are large, since torch's goes through memory by columns."""
    if counts.device.type != "cpu" or math.prod(counts.shape[dim + 1 :]) < _LARGE_PLANE:
        return torch.cumsum(counts, dim)
    sums = counts.clone(memory_format=torch.contiguous_format)
    for i in range(1, counts.shape[dim]):
        sums.select(dim, i).add_(sums.select(dim, i - 1))
    return sums


def dilated(mask: torch.Tensor) -> torch.Tensor:
    """The voxels of a boolean mask and all their neighbours, across corners too."""
    for dim in range(2, mask.ndim):
        n = mask.shape[dim] - 1
        grown = mask.clone()
        grown.narrow(dim, 0, n).logical_or_(mask.narrow(dim, 1, n))
        grown.narrow(dim, 1, n).logical_or_(mask.narrow(dim, 0, n))
        mask = grown
    return mask
