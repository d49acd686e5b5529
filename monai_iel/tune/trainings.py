"""Trainings of a choice, several at once; what they print goes into a log beside each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import perf_counter

from monai_iel.processes import each_as_it_ends
from monai_iel.study import BundleRun
from monai_iel.study.quiet import LOG, quietly

__all__ = ["train_all"]


def train_all(runs: Sequence[BundleRun], *, jobs: int, say: Callable[[str], object]) -> list[float]:
    """Train those that are not trained; an interrupted one goes on from its checkpoint.

    Args:
        runs: each with a folder of its own.
        jobs: how many at once. With 1 they run in this process.
        say: is told how it goes on.

    Returns:
        Seconds of each training.

    Raises:
        ValueError: jobs below 1, or what a training refuses.
        ChildProcessError: a process was ended from outside.
    """
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}, expected 1 or more")
    seconds, start = dict[int, float](), perf_counter()
    above = os.path.commonpath([run.folder.parent for run in runs]) if runs else ""
    for index, found in each_as_it_ends(_train, runs, jobs):
        seconds[index] = found
        passed, done = perf_counter() - start, len(seconds)
        left = passed / done * (len(runs) - done)
        name = os.path.relpath(runs[index].folder, above)
        say(f"[{done}/{len(runs)}] {name}: {found:.0f} s; about {left:.0f} s left")
    return [seconds[index] for index in range(len(runs))]


def _train(run: BundleRun) -> float:
    with quietly(run.folder / LOG, threads=1):
        return run.train(resume=True)
