"""Metrics in mm that count misses, convexity and calibration: MONAI's conventions, one value per case and structure."""

from __future__ import annotations

from .calibration import ExpectedCalibrationErrorMetric, compute_expected_calibration_error
from .convexity import ConvexityMetric, compute_convexity
from .hausdorff import PhysicalHausdorffDistanceMetric, compute_physical_hausdorff_distance
from .misses import MissCountMetric, compute_misses
from .surface_dice import PhysicalSurfaceDiceMetric, compute_physical_surface_dice

__all__ = [
    "PhysicalHausdorffDistanceMetric",
    "compute_physical_hausdorff_distance",
    "PhysicalSurfaceDiceMetric",
    "compute_physical_surface_dice",
    "MissCountMetric",
    "compute_misses",
    "ConvexityMetric",
    "compute_convexity",
    "ExpectedCalibrationErrorMetric",
    "compute_expected_calibration_error",
]
