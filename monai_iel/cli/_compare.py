"""``monai-iel compare``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_iel.cli._console import print_table
from monai_iel.resources import study_file

if TYPE_CHECKING:
    from monai_iel.study.compare import Cell, Study

__all__ = ["compare"]


def compare(
    study: Annotated[str, typer.Argument(help="The study file, or the name of one in configs/study.")] = "phantom",
    out: Annotated[
        Path | None, typer.Option(help="Folder for everything; what is done in it is kept. Default: runs/NAME.")
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            envvar="MONAI_IEL_STUDY_DATA",
            help="Folder that the data lists of the study are relative to. Default: that of the study file.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="data=NAME, noise=NAME, cases=NUMBER, method=NAME or seed=NUMBER; several times."),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="I/N: the I-th of N parts, from 1; all may write into one folder.")
    ] = "1/1",
    jobs: Annotated[int, typer.Option(help="Trainings at once. Default: as many as the CPUs hold; 1 with a GPU.")] = 0,
    list_: Annotated[bool, typer.Option("--list", help="Print the trainings and which are done, and end.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing; tables and report of what is there.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="The method that the others are compared with. Default: that of the study file.")
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(help="Folder of the tables, plots and report, for several studies in one folder. Default: --out."),
    ] = None,
) -> None:
    """Compare methods on data sets with noisy annotations: train, evaluate on clean labels, test in pairs, report.

    A run that was killed goes on where it was. Exit code: 0; 1 if a training failed; 2 with one line that says what to
    change.
    """
    from monai_iel.study.compare import default_jobs, load_study, run_cells, selected, shard_of, write_outputs
    from monai_iel.study.compare.entry import known_name
    from monai_iel.tune import tune_study

    path = study_file(study)
    loaded = load_study(path, data_root)
    if reference is not None:
        loaded = replace(loaded, reference=known_name(reference, list(loaded.methods), "--reference", "method"))
    folder = (out or Path("runs") / path.stem).resolve()
    cells = shard_of(selected(loaded, _only(only or [])), *_shard(shard))
    if list_:
        _print_cells(loaded, cells, folder)
        return
    failed = []
    if not report_only:
        jobs = jobs or default_jobs(loaded.threads)
        outcomes = run_cells(loaded, [cell for cell in cells if not cell.method.tuned], folder, jobs=jobs, say=_say)
        if tuned := [cell for cell in cells if cell.method.tuned]:
            tune_study(loaded, tuned, folder, say=_say)
            outcomes += run_cells(loaded, tuned, folder, jobs=jobs, say=_say)
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    summary = write_outputs(loaded, folder, tables and tables.resolve())
    if summary is None:
        print(f"no training is finished in {folder}")
    else:
        if tally := summary.tally():
            print_table(tally)
        print(f"report: {(tables or folder) / 'report.html'}; tables: RESULTS.md, results.csv, statistics.csv")
    if failed:
        print(f"{len(failed)} trainings failed; their reasons stand in failed.txt and log.txt of their folders")
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(text, flush=True)


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found:
        raise ValueError(f"--shard is {text!r}, expected I/N, e.g. 1/4")
    return int(found[1]), int(found[2])


def _only(texts: list[str]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, found, name = text.partition("=")
        if not found or key not in ("data", "noise", "cases", "method", "seed"):
            raise ValueError(f"--only is {text!r}, expected data=, noise=, cases=, method= or seed= and a name")
        wanted.setdefault(key, []).append(name)
    return wanted


def _print_cells(study: Study, cells: Sequence[Cell], folder: Path) -> None:
    from monai_iel.study.compare import CellRun

    rows = [
        {
            "data": cell.data.name,
            "noise": cell.noise.name,
            "cases": cell.cases.name,
            "method": cell.method.name,
            "seed": str(cell.seed),
            "state": CellRun(study, cell, folder).state(),
        }
        for cell in cells
    ]
    if rows:
        print_table(rows)
    print(f"{len(rows)} trainings, {sum(row['state'] == 'done' for row in rows)} of them done, in {folder}")
