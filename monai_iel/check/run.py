"""Look at every case of a data list, in several processes, and at all of them together."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from monai_iel.check.across import look_across
from monai_iel.check.cases import Case, Expected, expect, read_cases
from monai_iel.check.finding import SEVERITIES, Finding, Severity
from monai_iel.check.look import CaseReport, look_at
from monai_iel.check.memory import voxels_for
from monai_iel.data.roots import Roots
from monai_iel.processes import process_pool

__all__ = ["Result", "check_dataset"]

_AHEAD = 4  # cases handed out per worker, so that none waits for another
_PICTURES = 24


@dataclass(frozen=True)
class Result:
    """What a look at a data set gave.

    Args:
        path: the data list.
        expected: what the cases were held against.
        reports: a report per case that could be looked at, in the order of the list.
        findings: all findings, errors first, in the order of the list.
        seconds: how long it took.
    """

    path: Path
    expected: Expected
    reports: Sequence[CaseReport]
    findings: Sequence[Finding]
    seconds: float

    def counts(self) -> dict[Severity, int]:
        """Number of findings by severity."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity: counted[severity] for severity in SEVERITIES}


def check_dataset(
    path: str | os.PathLike[str],
    *,
    spatial_dims: int | None = None,
    num_classes: int | None = None,
    workers: int = 0,
    max_voxels: int | None = None,
    roots: Sequence[str | os.PathLike[str]] | None = None,
    progress: bool = True,
) -> Result:
    """Read every case of all sections of a ``dataset.json`` once and list what is odd.

    A worker holds one case at a time, and of a case only figures stay, so memory does not grow with the number of
    voxels of all cases. At its peak a case takes 18 bytes per voxel of a volume, with its label (22 of float64). A file
    that is larger than the share of a worker in the memory that is left waits until the others are done, and is then
    read alone.

    Not a proof that data are right: it sees what is wrong in form, and what is unlike the other cases. A label of the
    other kidney has no mistake that it could find.

    Args:
        path: the data list.
        spatial_dims: 2 or 3; by default what most of the headers say.
        num_classes: number of classes with background; by default what the list declares (``labels``).
        workers: processes that read; 0: this one.
        max_voxels: files that declare more are not read, however many workers read at a time. By default what the
            memory that is left holds at 24 bytes per voxel, and at most 2**29.
        roots: as for `monai_iel.data.load_datalist`.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: it is no data list, holds no cases, or an argument is out of range.

    >>> import tempfile
    >>> from monai_iel.data import make_phantom_dataset
    >>> made = make_phantom_dataset(tempfile.mkdtemp(), shape=(16, 16, 12), num_training=2, num_validation=1)
    >>> check_dataset(made, progress=False).counts()["error"]
    0
    """
    if workers < 0 or (max_voxels is not None and max_voxels < 1):
        raise ValueError(f"workers is {workers} and max_voxels {max_voxels}; expected 0 or more, and 1 or more")
    start = time.monotonic()
    path = Path(os.path.abspath(path))
    cases, findings, content = read_cases(path, Roots(path, roots))
    expected = expect(cases, content, spatial_dims=spatial_dims, num_classes=num_classes)
    look = partial(look_at, expected=expected, max_voxels=voxels_for(workers) if max_voxels is None else max_voxels)
    looked = _in_processes(cases, look, workers) if workers else map(look, cases)
    bar = tqdm(looked, total=len(cases), desc="checking cases", unit="case", disable=not progress)
    reports = list(_with_few_pictures(bar))
    if workers > 1 and max_voxels is None:
        look = partial(look_at, expected=expected, max_voxels=voxels_for(1))
        reports = [_alone(report.case, look) if _is_too_large(report) else report for report in reports]
    findings += [finding for report in reports for finding in report.findings]
    findings += look_across(reports, expected)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Result(path, expected, reports, findings, time.monotonic() - start)


def _is_too_large(report: CaseReport) -> bool:
    return any(finding.kind == "too-large" for finding in report.findings)


def _with_few_pictures(reports: Iterable[CaseReport]) -> Iterator[CaseReport]:
    """Keep the first pictures of each severity: a page holds no more."""
    left = dict.fromkeys(SEVERITIES, _PICTURES)
    for report in reports:
        if report.picture is not None:
            worst = min((finding.severity for finding in report.findings), key=SEVERITIES.index)
            left[worst] -= 1
            if left[worst] < 0:
                report.picture = None
        yield report


def _in_processes(cases: Sequence[Case], look: partial[CaseReport], workers: int) -> Iterator[CaseReport]:
    """``map(look, cases)`` in processes, in order, with a few cases ahead.

    Where a process dies, killed for its memory or by a fault in a library, those in flight are looked at again, each
    in a process of its own.
    """
    left = deque(cases)
    flying: deque[tuple[Case, Future[CaseReport]]] = deque()
    while left or flying:
        try:
            with process_pool(workers) as pool:
                while left or flying:
                    while left and len(flying) < _AHEAD * workers:
                        case = left.popleft()
                        flying.append((case, pool.submit(look, case)))
                    report = flying[0][1].result()
                    flying.popleft()
                    yield report
        except BrokenProcessPool:
            for case, _ in flying:
                yield _alone(case, look)
            flying.clear()


def _alone(case: Case, look: partial[CaseReport]) -> CaseReport:
    try:
        with process_pool(1) as pool:
            return pool.submit(look, case).result()
    except BrokenProcessPool:
        message = "the process that read it died: too little memory, or a fault in a library; look at it by hand"
        return CaseReport(case, findings=[Finding("unreadable", message, case.section, case.case_id, case.image)])
