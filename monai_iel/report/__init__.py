"""Self-contained HTML pages: tables, curves, overlays and the settings behind them."""

from __future__ import annotations

from ._format import Best
from ._pictures import compact_uri
from .page import Report
from .worklist import Worklist, WorklistColumn, WorklistRow

__all__ = ["Best", "Report", "Worklist", "WorklistColumn", "WorklistRow", "compact_uri"]
