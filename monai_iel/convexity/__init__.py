"""How convex a mask is: its convex hull on the voxel grid, and four measures of what is missing (NumPy and SciPy)."""

from __future__ import annotations

from .hull import convex_hull_mask
from .measures import MEASURES, Convexity, convexity_of, measure_convexity
from .regions import check_regions

__all__ = ["MEASURES", "Convexity", "check_regions", "convex_hull_mask", "convexity_of", "measure_convexity"]
