"""How convex a mask is: its convex hull on the voxel grid, and four measures of what is missing (NumPy and SciPy)."""

from __future__ import annotations

from .hull import convex_hull_mask
from .measures import MEASURES, Convexity, convexity_of, measure_convexity

__all__ = ["MEASURES", "Convexity", "convex_hull_mask", "convexity_of", "measure_convexity"]
