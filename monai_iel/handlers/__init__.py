"""Ignite handlers: the metrics of this package, the table of an evaluation, and pictures for TensorBoard."""

from __future__ import annotations

from .case_table import CaseTableHandler
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
    "ExpectedCalibrationErrorHandler",
    "MissCountHandler",
    "PhysicalHausdorffDistanceHandler",
    "PhysicalSurfaceDiceHandler",
    "SegmentationOverlayHandler",
    "TrainingCheckpointHandler",
]
