"""Self-contained HTML pages: tables, curves, overlays and the settings behind them."""

from __future__ import annotations

from ._format import Best
from .page import Report

__all__ = ["Best", "Report"]
