"""Grids, stencils, time schemes and the spectral basis. Needs torch only."""

from monai_iel.numerics.grid import Boundary, Grid
from monai_iel.numerics.stencils import laplacian

__all__ = ["Boundary", "Grid", "laplacian"]
