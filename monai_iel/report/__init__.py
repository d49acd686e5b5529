"""Self-contained HTML pages: tables, curves, overlays and the settings behind them."""

from __future__ import annotations

from .page import Report

__all__ = ["Report"]
