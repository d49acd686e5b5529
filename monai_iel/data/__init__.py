"""Data lists, checks of every case, a guard for convex evolutions, phantoms, and preparation of public data sets."""

from __future__ import annotations

from monai_iel.data.checks import CaseError, MissingCaseFileError, check_case, check_cases
from monai_iel.data.convexity_guard import ConvexityWarning, RegionFigures, guard_convexity
from monai_iel.data.datalist import load_datalist, write_datalist
from monai_iel.data.phantom import PHANTOM_CLASSES, make_phantom_case, make_phantom_dataset
from monai_iel.data.prepare import (
    prepare_decathlon,
    prepare_drive,
    prepare_dsb2018,
    prepare_refuge,
    prepare_wbc,
)
from monai_iel.data.seeded_cache import SeededCacheDataset, SeededSampler
from monai_iel.data.splits import sort_by_hash, split_by_hash

__all__ = [
    "sort_by_hash",
    "split_by_hash",
    "CaseError",
    "MissingCaseFileError",
    "check_case",
    "check_cases",
    "load_datalist",
    "write_datalist",
    "ConvexityWarning",
    "RegionFigures",
    "guard_convexity",
    "PHANTOM_CLASSES",
    "make_phantom_case",
    "make_phantom_dataset",
    "prepare_decathlon",
    "prepare_drive",
    "prepare_dsb2018",
    "prepare_refuge",
    "prepare_wbc",
    "SeededCacheDataset",
    "SeededSampler",
]
