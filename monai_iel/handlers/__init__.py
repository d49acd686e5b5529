"""Ignite handlers: metrics of this package, the table of an evaluation, pictures, checkpoints and seeds."""

from __future__ import annotations

from .case_table import CaseTableHandler
from .convexity_handler import ConvexityHandler
from .epoch_seed import EpochSeedHandler
from .metric_handlers import (
    ExpectedCalibrationErrorHandler,
    MissCountHandler,
    PhysicalHausdorffDistanceHandler,
    PhysicalSurfaceDiceHandler,
)
from .overlay import SegmentationOverlayHandler
from .training_checkpoint import TrainingCheckpointHandler

__all__ = [
    "CaseTableHandler",
    "ConvexityHandler",
    "EpochSeedHandler",
    "ExpectedCalibrationErrorHandler",
    "MissCountHandler",
    "PhysicalHausdorffDistanceHandler",
    "PhysicalSurfaceDiceHandler",
    "SegmentationOverlayHandler",
    "TrainingCheckpointHandler",
]
