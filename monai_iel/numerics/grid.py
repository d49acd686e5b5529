"""Where a field lives: voxel spacing and boundary condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, cast, get_args

import torch

__all__ = ["Boundary", "Grid", "voxel_sizes"]

Boundary = Literal["neumann", "dirichlet", "periodic"]


@dataclass(frozen=True)
class Grid:
    """Spacing and boundary condition of a regular 1D, 2D or 3D voxel grid.

    A value object: it compares, hashes and prints by value and holds no tensor, so one grid serves any batch, channel
    count, device and dtype.

    Args:
        spacing: voxel size in mm (or in any unit; then ``dt`` is in its square). One number for all axes, or one per
            spatial axis in the order of the tensor's axes (``H W`` or ``H W D``). A list is kept as a tuple.
        boundary: ``"neumann"`` (nothing flows through the border; the default, and right for images),
            ``"dirichlet"`` (zero outside; the zero padding of a convolution) or ``"periodic"``.

    Raises:
        ValueError: a spacing that is not finite and positive, or an unknown boundary.

    Example:
        >>> Grid(spacing=(0.8, 0.8)).spacings(2)
        (0.8, 0.8)
        >>> Grid(spacing=[1, 1, 2.5], boundary="periodic")
        Grid(spacing=(1.0, 1.0, 2.5), boundary='periodic')
    """

    spacing: float | Sequence[float] = 1.0
    boundary: Boundary = "neumann"

    def __post_init__(self) -> None:
        given: Any = self.spacing
        isotropic = isinstance(given, Real)  # NumPy's scalars too
        sizes = tuple(float(h) for h in ([given] if isotropic else given))
        if not sizes or not all(math.isfinite(h) and h > 0 for h in sizes):
            raise ValueError(
                f"spacing must be positive and finite, one number or one per spatial axis; got {self.spacing!r}"
            )
        if self.boundary not in get_args(Boundary):
            raise ValueError(f"boundary must be one of {', '.join(get_args(Boundary))}; got {self.boundary!r}")
        object.__setattr__(self, "spacing", sizes[0] if isotropic else sizes)

    @property
    def spatial_dims(self) -> int | None:
        """Number of spatial axes, or None where one number stands for any number of axes."""
        return len(self.spacing) if isinstance(self.spacing, tuple) else None

    def spacings(self, spatial_dims: int) -> tuple[float, ...]:
        """Voxel size of each of ``spatial_dims`` axes.

        Raises:
            ValueError: the grid was made for another number of axes.
        """
        if not isinstance(self.spacing, tuple):
            return (float(cast("float", self.spacing)),) * spatial_dims
        if len(self.spacing) != spatial_dims:
            raise ValueError(
                f"the grid's spacing {self.spacing} has {len(self.spacing)} numbers, but the tensor has {spatial_dims} "
                f"spatial axes (shape: batch, channel, then space); give Grid(spacing=...) one number per spatial axis"
            )
        return self.spacing

    def coarsened(self, ratios: Sequence[float]) -> Grid:
        """The grid with voxels ``ratios`` times as large along each axis (deep-supervision levels)."""
        sizes = self.spacings(len(ratios))
        return Grid(tuple(h * r for h, r in zip(sizes, ratios, strict=True)), self.boundary)

    def check_affine(self, affine: torch.Tensor, spatial_dims: int) -> None:
        """`check_spacing` for an affine, or for each of a batch of them.

        Raises:
            ValueError: a voxel size differs by more than 1 %.
        """
        for sizes in voxel_sizes(affine, spatial_dims):
            self.check_spacing(sizes)

    def check_spacing(self, pixdim: Sequence[float], *, tolerance: float = 0.01) -> None:
        """Refuse a tensor whose own voxel size is not this grid's.

        Args:
            pixdim: the tensor's voxel size in mm, one number per spatial axis.
            tolerance: largest relative difference that passes; 1 % covers headers written in single precision.

        Raises:
            ValueError: a voxel size differs by more than ``tolerance``.
        """
        found = tuple(float(p) for p in pixdim)
        expected = self.spacings(len(found))
        if any(abs(p - h) > tolerance * h for p, h in zip(found, expected, strict=True)):
            shown = tuple(round(p, 4) for p in found)
            raise ValueError(
                f"the image's voxel spacing is {shown} mm, but the grid's is {expected} mm: set Grid(spacing={shown}), "
                f"or resample the images to the grid (Spacingd); a rotation by 90 degrees swaps the axes, and an "
                f"augmentation that scales changes them: drop the geometry behind it (EnsureTyped(track_meta=False))"
            )


def voxel_sizes(affine: torch.Tensor, spatial_dims: int) -> list[tuple[float, ...]]:
    """Lengths of the voxel edges in mm, one tuple for each matrix of a batch (one for a single matrix).

    Whole columns count: the axes of a 2D image may lie obliquely in space.

    Args:
        affine: voxel to mm, ``(B) r+1 r+1`` with ``r >= spatial_dims``.
        spatial_dims: number of spatial axes of the image.
    """
    matrices = affine.reshape(-1, *affine.shape[-2:]).double()
    return [tuple(sizes.tolist()) for sizes in matrices[:, :-1, :spatial_dims].norm(dim=1).cpu()]
