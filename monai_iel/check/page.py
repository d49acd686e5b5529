"""The result as a page, for people."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from monai_iel import __version__
from monai_iel.check.finding import KINDS, SEVERITIES, Finding
from monai_iel.check.look import CaseReport
from monai_iel.check.run import Result
from monai_iel.report import Report

__all__ = ["summary", "write_page"]

_ROWS = 300
_PICTURES = 24
_EXPLANATION = """\
An error breaks a training, or makes its figures wrong. A warning is something that a person should look at; it may be
right. What is not listed was looked for and not found; whether a label is right cannot be seen from the files."""


def summary(result: Result) -> list[dict[str, object]]:
    """A row per kind of finding: severity, kind, how often, in how many cases, and what it means."""
    counts = Counter(finding.kind for finding in result.findings)
    cases = Counter(kind for kind, *_ in {(f.kind, f.section, f.case_id) for f in result.findings if f.case_id})
    return [
        {"severity": severity, "kind": kind, "findings": counts[kind], "cases": cases[kind] or None, "meaning": meaning}
        for kind, (severity, meaning) in KINDS.items()
        if counts[kind]
    ]


def write_page(result: Result, path: Path) -> Path:
    """Write the report of a check: what was found, pictures, and what the cases are like."""
    counts = result.counts()
    told = ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items())
    report = Report(f"Check of {result.path.parent.name}", f"{len(result.reports)} cases: {told}")
    report.add_section("What was found")
    rows = summary(result)
    if rows:
        report.add_table(rows)
    report.add_text(_EXPLANATION if rows else "Nothing.\n\n" + _EXPLANATION)
    for severity in SEVERITIES:
        _add_findings(report, [f for f in result.findings if f.severity == severity], severity, result.path.parent)
    _add_pictures(report, result.reports)
    _add_cases(report, result.reports)
    _add_classes(report, result)
    _add_intensities(report, result.reports)
    report.add_section("Settings")
    details: dict[str, object] = {"monai_iel": __version__, "data list": result.path}
    expected = result.expected
    details |= {"axes": expected.spatial_dims, "channels": expected.in_channels, "classes": expected.num_classes}
    report.add_details({**details, "seconds": f"{result.seconds:.1f}"})
    return report.write(path)


def _add_findings(report: Report, findings: Sequence[Finding], severity: str, folder: Path) -> None:
    if not findings:
        return
    rows = [
        {
            "kind": finding.kind,
            "section": finding.section,
            "case": finding.case_id,
            "file": os.path.relpath(finding.file, folder) if finding.file else "",
            "what": finding.message,
        }
        for finding in findings[:_ROWS]
    ]
    report.add_section({"error": "Errors", "warning": "Warnings", "info": "Good to know"}[severity])
    left = len(findings) - len(rows)
    note = f"{left} more are in check.json." if left else ""
    report.add_table(rows, note=note)


def _add_pictures(report: Report, reports: Sequence[CaseReport]) -> None:
    def worst(seen: CaseReport) -> int:
        return min(SEVERITIES.index(finding.severity) for finding in seen.findings)

    drawn = sorted((seen for seen in reports if seen.picture is not None), key=worst)[:_PICTURES]
    if drawn:
        report.add_section("Pictures")
        report.add_text("""\
Cases in which something was found, the worst first: a slice through a speck or hole where there is one, else the slice
with the most foreground, with the outlines of the label.""")
        captions = [", ".join(dict.fromkeys(finding.kind for finding in seen.findings)) for seen in drawn]
        report.add_gallery(
            [(seen.picture, f"{seen.case.case_id}: {text}") for seen, text in zip(drawn, captions, strict=True)]
        )


def _add_cases(report: Report, reports: Sequence[CaseReport]) -> None:
    rows = []
    for section in dict.fromkeys(seen.case.section for seen in reports):
        members = [seen for seen in reports if seen.case.section == section]
        rows.append(
            {
                "section": section,
                "cases": len(members),
                "labelled": sum(bool(seen.case.label) for seen in members),
                "shape": _span([seen.shape for seen in members if seen.shape]),
                "voxel size, mm": _span([seen.spacing for seen in members if seen.spacing]),
                "orientation": _common([seen.orientation for seen in members if seen.orientation]),
                "stored as": _common([seen.stored for seen in members if seen.stored]),
                "channels": _common([seen.channels for seen in members if seen.channels]),
            }
        )
    report.add_section("The cases")
    report.add_table(rows, note="Shapes and voxel sizes: the median along each axis, and the range.")


def _span(values: Sequence[tuple[float, ...]]) -> str:
    """Per axis the median and, where they differ, the least and the largest."""
    axes = Counter(len(value) for value in values).most_common(1)
    if not axes:
        return ""
    columns = list(zip(*(value for value in values if len(value) == axes[0][0]), strict=True))
    texts = [
        f"{median(column):g}" + (f" ({min(column):g} – {max(column):g})" if min(column) < max(column) else "")
        for column in columns
    ]
    return " × ".join(texts)


def _common(values: Sequence[Any]) -> str:
    counts = Counter(values).most_common(4)
    if len(counts) == 1:
        return str(counts[0][0])
    return ", ".join(f"{value} ({count})" for value, count in counts)


def _add_classes(report: Report, result: Result) -> None:
    labelled = [seen for seen in result.reports if seen.class_voxels]
    numbers = sorted({n for seen in labelled for n in seen.class_voxels} | set(range(len(result.expected.classes))))
    rows = []
    for number in numbers[:64]:
        shares = [
            seen.class_voxels[number] / sum(seen.class_voxels.values())
            for seen in labelled
            if number in seen.class_voxels
        ]
        row: dict[str, object] = {"class": result.expected.name(number), "labels with it": len(shares)}
        if shares:
            parts = {"least": min(shares), "median": median(shares), "largest": max(shares)}
            row |= {f"{name} share of voxels, %": 100 * share for name, share in parts.items()}
        rows.append(row)
    if rows:
        report.add_section("Classes")
        report.add_table(rows, note=f"Of {len(labelled)} labels; the shares are of those with the class.")


def _add_intensities(report: Report, reports: Sequence[CaseReport]) -> None:
    seen = sorted((r.figures for r in reports if r.figures is not None), key=lambda figures: figures.median)
    if len(seen) < 2:
        return
    ranks = list(range(1, len(seen) + 1))
    curves = {
        "99th percentile": (ranks, [figures.p99 for figures in seen]),
        "median": (ranks, [figures.median for figures in seen]),
        "1st percentile": (ranks, [figures.p01 for figures in seen]),
    }
    report.add_section("Intensities")
    report.add_curves(curves, xlabel="case, in the order of its median", ylabel="intensity")
