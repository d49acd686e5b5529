"""Grids, stencils, time schemes and the spectral basis. Needs torch, and SciPy's fast transforms."""

from monai_iel.numerics.grid import Boundary, Grid
from monai_iel.numerics.stencils import (
    central_difference,
    central_second_difference,
    face_difference,
    laplacian,
    sum_inwards,
    sum_outwards,
)

__all__ = [
    "Boundary",
    "Grid",
    "central_difference",
    "central_second_difference",
    "face_difference",
    "laplacian",
    "sum_inwards",
    "sum_outwards",
]
