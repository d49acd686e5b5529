"""Run the cells of a study, several at once, and go on where an earlier run ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from monai_iel.files import write_text
from monai_iel.processes import each_as_it_ends
from monai_iel.study.compare.cells import Cell
from monai_iel.study.compare.datasets import DataLists
from monai_iel.study.compare.run_cell import CellRun, Outcome, look_again, run_cell
from monai_iel.study.compare.study import Study

__all__ = ["default_jobs", "run_cells"]


def default_jobs(threads: int) -> int:
    """As many trainings as the CPUs hold; one where there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, len(os.sched_getaffinity(0)) // threads)


def run_cells(
    study: Study, cells: Sequence[Cell], folder: Path, *, jobs: int, say: Callable[[str], object] = print
) -> list[Outcome]:
    """Write what the cells need, then run those that are not done.

    Any number of processes may do this in one folder at once: each cell is run by one of them.

    Args:
        study: the study.
        cells: which of it.
        folder: of the study; it is made.
        jobs: how many trainings at once. With 1 they run in this process.
        say: is told how it goes on.

    Returns:
        What came of each cell, in the order in which they ended.

    Raises:
        ValueError: a data set or a noise cannot be used.
        OSError: nothing can be written, or a process was ended from outside.
    """
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}, expected 1 or more")
    look_again()
    write_text(folder / "study.yaml", study.path.read_text(encoding="utf-8"))
    say("reading the data sets and writing the noisy labels")
    DataLists(folder).prepare(cells, workers=jobs, progress=False)
    outcomes, left = list[Outcome](), list[Cell]()
    for cell in cells:
        if CellRun(study, cell, folder).is_done():
            outcomes.append(Outcome(cell, "reused", 0.0))
        else:
            left.append(cell)
    say(f"{len(cells)} trainings, {len(outcomes)} of them done; {jobs} at once")
    start = time.perf_counter()
    ran = 0
    for _, outcome in each_as_it_ends(partial(run_cell, study, study_folder=folder), left, jobs):
        outcomes.append(outcome)
        ran += outcome.state not in ("busy", "waits")
        elapsed = time.perf_counter() - start
        done = len(outcomes) - (len(cells) - len(left))
        rest = elapsed / max(ran, 1) * (len(left) - done)
        words = {"failed": f"failed: {outcome.reason}", "busy": "is run by another process", "waits": outcome.reason}
        said = words.get(outcome.state, f"{outcome.seconds:.0f} s")
        say(
            f"[{len(outcomes)}/{len(cells)}] {outcome.cell.words}: {said}; {_clock(elapsed)} passed, about "
            f"{_clock(rest)} left"
        )
    return outcomes


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
