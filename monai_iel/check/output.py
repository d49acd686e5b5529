"""The result as JSON, for scripts."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from monai_iel import __version__
from monai_iel.check.run import Result

__all__ = ["FORMAT", "to_json"]

FORMAT = 1
"""Number of the layout; it grows with every change that a reader has to know of."""


def to_json(result: Result) -> dict[str, Any]:
    """Everything that was found, as JSON can hold it; values that are not finite are ``null``.

    Keys: ``format``, ``monai_iel`` (version), ``dataset``, ``expected``, ``counts`` by severity, ``findings``
    (severity, kind, message, section, case_id, file), ``cases`` (figures of each), ``seconds``.
    """
    return {
        "format": FORMAT,
        "monai_iel": __version__,
        "dataset": str(result.path),
        "expected": asdict(result.expected),
        "counts": result.counts(),
        "findings": [{"severity": finding.severity, **asdict(finding)} for finding in result.findings],
        "cases": [_finite(report.row()) for report in result.reports],
        "seconds": round(result.seconds, 2),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
