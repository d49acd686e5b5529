"""A look at a whole data set before it is used: every case is read once, and what is odd is listed by severity."""

from __future__ import annotations

from monai_iel.check.finding import KINDS, Finding, Severity
from monai_iel.check.output import to_json
from monai_iel.check.page import write_page
from monai_iel.check.run import Result, check_dataset

__all__ = ["KINDS", "Finding", "Result", "Severity", "check_dataset", "to_json", "write_page"]
