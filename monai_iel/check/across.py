"""What shows only beside the other cases: the same data twice, and cases unlike all others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from monai_iel.check.cases import Expected
from monai_iel.check.finding import Finding
from monai_iel.check.look import CaseReport

__all__ = ["look_across", "robust_scores"]

_FEWEST = 10  # cases, below which nothing is called usual
_FARTHEST = 6.0  # robust standard deviations; of a normal distribution 2 values in 1e9 lie beyond
_RARE = 0.1

Reports = Sequence[CaseReport]


def look_across(reports: Reports, expected: Expected) -> list[Finding]:
    """Findings about several cases at once."""
    return [
        *_same_ids(reports),
        *_same_values(reports),
        *_classes(reports, expected),
        *_intensities(reports),
        *_spacings(reports),
        *_unlike_the_others(reports, "orientation-differs", lambda report: report.orientation),
        *_unlike_the_others(reports, "channels-differ", lambda report: report.channels),
        *_mixed(reports),
    ]


def robust_scores(values: np.ndarray[Any, Any], floor: float) -> np.ndarray[Any, Any]:
    """Distance of each row from the median in robust standard deviations, column by column.

    The standard deviation is 1.4826 times the median absolute deviation, but at least ``floor``, so that where most
    values are equal the others are not all outliers.

    >>> robust_scores(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]]), floor=0.1).round(1).ravel().tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    """
    centre = np.median(values, axis=0)
    scale = np.maximum(1.4826 * np.median(np.abs(values - centre), axis=0), floor)
    return np.asarray((values - centre) / scale)


def _about(report: CaseReport, kind: str, message: str, *, label: bool = False) -> Finding:
    case = report.case
    return Finding(kind, message, case.section, case.case_id, case.label if label else case.image)


def _named(report: CaseReport) -> str:
    return f"{report.case.case_id!r} ({report.case.section})"


def _groups(reports: Reports, key: Callable[[CaseReport], Hashable]) -> list[list[CaseReport]]:
    """Reports of equal key, where there are several; an empty key is none."""
    groups: dict[Hashable, list[CaseReport]] = defaultdict(list)
    for report in reports:
        if key(report):
            groups[key(report)].append(report)
    return [group for group in groups.values() if len(group) > 1]


def _same_ids(reports: Reports) -> list[Finding]:
    """Ids in two sections, unless the images show it too."""
    found = []
    for first, *others in _groups(reports, lambda report: report.case.case_id):
        for other in others:
            equal = other.image_digest and other.image_digest == first.image_digest
            if other.case.section != first.case.section and not equal:
                message = f"the id is also in section {first.case.section!r}; a case belongs in one section"
                found.append(_about(other, "leak", message))
    return found


def _same_values(reports: Reports) -> list[Finding]:
    found = []
    for first, *others in _groups(reports, lambda report: report.image_digest):
        for other in others:
            kind = "duplicate" if other.case.section == first.case.section else "leak"
            mend = "leave one out" if kind == "duplicate" else "a case belongs in one section"
            found.append(_about(other, kind, f"holds the same image as {_named(first)}; {mend}"))
    for first, *others in _groups(reports, lambda report: report.label_digest):
        for other in others:
            if other.image_digest != first.image_digest:
                message = f"holds the same label as {_named(first)}, whose image is another; pair the right files"
                found.append(_about(other, "duplicate-label", message, label=True))
    return found


def _classes(reports: Reports, expected: Expected) -> list[Finding]:
    labelled = [report for report in reports if report.label_digest]
    found = []
    for number in range(1, len(expected.classes)):
        without = [report for report in labelled if number not in report.class_voxels]
        name = expected.name(number)
        if labelled and len(without) == len(labelled):
            found.append(Finding("unused-class", f"class {name} is in none of {len(labelled)} labels"))
        elif len(labelled) >= _FEWEST and len(without) <= _RARE * len(labelled):
            message = f"class {name} is absent; {len(labelled) - len(without)} of {len(labelled)} labels hold it"
            found += [_about(report, "absent-class", message, label=True) for report in without]
    return found


def _intensities(reports: Reports) -> list[Finding]:
    """Outliers of the 1st percentile, the median and the 99th percentile, on a scale that is logarithmic far from 0."""
    seen = [(report, report.figures) for report in reports if report.figures is not None]
    if len(seen) < _FEWEST:
        return []
    values = np.array([(figures.p01, figures.median, figures.p99) for _, figures in seen])
    unit = float(np.median(np.abs(values).max(axis=1))) or 1.0
    scores = robust_scores(np.arcsinh(values / (0.1 * unit)), floor=0.1)
    usual = np.median(values, axis=0)
    far = np.abs(scores) > _FARTHEST
    apart = np.flatnonzero(far.any(axis=1))
    if len(apart) > _RARE * len(seen):  # another scanner or unit rather than mistakes
        ids = ", ".join(repr(seen[i][0].case.case_id) for i in apart[:4])
        message = f"{len(apart)} of {len(seen)} cases are far from the others, such as {ids}; normalise each case"
        return [Finding("intensity-outlier", message)]
    names = ("1st percentile", "median", "99th percentile")
    found = []
    for i in apart:
        parts = [f"{n} {values[i, j]:.4g} where {usual[j]:.4g} is usual" for j, n in enumerate(names) if far[i, j]]
        found.append(_about(seen[i][0], "intensity-outlier", "; ".join(parts)))
    return found


def _spacings(reports: Reports) -> list[Finding]:
    seen = [report for report in reports if report.spacing]
    if len(seen) < _FEWEST:
        return []
    values = np.array([report.spacing for report in seen])
    scores = robust_scores(np.log(np.maximum(values, 1e-6)), floor=0.05)
    usual = tuple(np.median(values, axis=0).round(4).tolist())
    return [
        _about(report, "spacing-outlier", f"voxel size {report.spacing} mm where {usual} mm is usual")
        for report, score in zip(seen, scores, strict=True)
        if (np.abs(score) > _FARTHEST).any()
    ]


def _unlike_the_others(reports: Reports, kind: str, of: Callable[[CaseReport], Hashable]) -> list[Finding]:
    seen = [report for report in reports if of(report)]
    if len(seen) < _FEWEST:
        return []
    ((usual, count),) = Counter(of(report) for report in seen).most_common(1)
    if count < (1 - _RARE) * len(seen):
        return []  # then it is a mixture, which is said once
    message = f"{{}} where {count} of {len(seen)} have {usual}"
    return [_about(report, kind, message.format(of(report))) for report in seen if of(report) != usual]


def _mixed(reports: Reports) -> list[Finding]:
    found = []
    properties: dict[str, Callable[[CaseReport], Hashable]] = {
        "orientations": lambda report: report.orientation,
        "voxel sizes": lambda report: report.spacing,
        "shapes": lambda report: report.shape,
        "number types": lambda report: report.stored,
        "numbers of channels": lambda report: report.channels,
    }
    for name, of in properties.items():
        counts = Counter(of(report) for report in reports if of(report))
        if len(counts) > 1:
            named = ", ".join(f"{value} ({count})" for value, count in counts.most_common(3))
            found.append(Finding("mixed", f"{len(counts)} {name}: {named}{', ...' if len(counts) > 3 else ''}"))
    return found
