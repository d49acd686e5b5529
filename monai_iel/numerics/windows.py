"""Counts in box windows, at a cost that does not depend on their size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["BoxCounts", "dilated"]

_LARGE_PLANE = 1024  # elements
_EXACT = 2**24  # whole numbers that float32 holds


class BoxCounts:
    """How many voxels of a mask lie in a box around each voxel; outside the image there are none.

    The sums from the first voxel on, along all axes, are made once; each box then costs one subtraction per voxel and
    axis, whatever its size.

    Args:
        mask: boolean, ``B K H [W [D]]``.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self._sums = mask.to(torch.float32 if math.prod(mask.shape[2:]) <= _EXACT else torch.float64)
        for dim in range(2, mask.ndim):
            self._sums = _running_sums(self._sums, dim)

    def __call__(self, radii: Sequence[int]) -> torch.Tensor:
        """Counts in boxes of ``2 r_d + 1`` voxels per axis, exact.

        Args:
            radii: r_d, one per axis, 0 or more.

        Returns:
            ``B K H [W [D]]``, float32, or float64 for images of more than 2^24 voxels.
        """
        counts = self._sums
        for dim, radius in enumerate(radii, start=2):
            counts = _in_windows(counts, dim, radius)
        return counts


def _in_windows(sums: torch.Tensor, dim: int, radius: int) -> torch.Tensor:
    """``sums[i + r] - sums[i - r - 1]`` along an axis: the last sum beyond its end, 0 before its start."""
    n = sums.shape[dim]
    counts = torch.empty_like(sums)
    starts = sorted({0, min(radius + 1, n), max(n - radius, 0)})
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        if start == stop:
            continue
        inside = start < n - radius
        upper = sums.narrow(dim, start + radius, stop - start) if inside else sums.narrow(dim, n - 1, 1)
        if start <= radius:
            counts.narrow(dim, start, stop - start).copy_(upper)
        else:
            lower = sums.narrow(dim, start - radius - 1, stop - start)
            torch.sub(upper, lower, out=counts.narrow(dim, start, stop - start))
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
