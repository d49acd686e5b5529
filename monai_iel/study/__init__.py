"""Paired comparisons, run through the bundles."""

from monai_iel.study.paired import PairedStudy, Row, mean_table
from monai_iel.study.runs import BundleRun, root_cause

__all__ = ["BundleRun", "PairedStudy", "Row", "mean_table", "root_cause"]
