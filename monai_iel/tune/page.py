"""The report of a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.config import get_config_values

from monai_iel import __version__
from monai_iel.report import Best, Report
from monai_iel.tune.criteria import Choice

__all__ = ["write_page"]

_EXPLANATION = """\
All figures are measured with the noisy labels of cases that were held out of the training; no clean label and no test
case was read. dice and cross_entropy are means over these cases. score is what was chosen by; difference is that from
the highest score, with its standard error and 95 % interval, both by bootstrap over the cases, pair by pair.

The candidates stand from the simplest on: nothing at all, smoothing at inference, which costs no training, then layers
in training. The first one whose score is not below the highest by more than the standard error of the difference is
chosen. So "none" is an answer, and it means that nothing was seen to be better.

What noisy labels cannot show: an error that all labels share. Where every organ is drawn too large, the candidate that
draws it too large has the best figures."""
_BEST: dict[str, Best] = {"score": "max", "dice": "max", "cross_entropy": "min"}


def write_page(
    path: Path, choice: Choice, rows: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], files: Sequence[Path]
) -> Path:
    """Write the page: the choice with its reasons, the table, and the settings.

    Args:
        path: of the page.
        choice: what was chosen.
        rows: its table.
        asked: settings and their values.
        files: the overlays that were written.
    """
    report = Report("Evolution and strength, from noisy labels", choice.name)
    report.add_section("The choice")
    report.add_text("\n\n".join([*choice.reasons, f"To go on with: {', '.join(file.name for file in files)}."]))
    shown = [{**row, "chosen": "chosen" if row["chosen"] else ""} for row in rows]
    report.add_table(shown, highlight={name: best for name, best in _BEST.items() if name in rows[0]})
    report.add_text(_EXPLANATION)
    report.add_section("Settings")
    report.add_details({"monai_iel": __version__, **get_config_values(), **asked})
    return report.write(path)
