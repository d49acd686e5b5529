"""``monai-iel audit``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from monai_iel.cli._console import print_table
from monai_iel.cli._setting import setting
from monai_iel.files import printable
from monai_iel.resources import BUNDLES

if TYPE_CHECKING:
    from monai_iel.audit import Audit

__all__ = ["audit"]

_REASON_WIDTH = 90


class Epoch(StrEnum):
    """Whose network predicts."""

    last = "last"
    best = "best"


def audit(
    dataset: Annotated[Path, typer.Argument(help="The data list, a dataset.json.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; an audit in it with the same settings goes on.")],
    bundle: Annotated[
        str | None, typer.Option(help=f"Bundle whose networks are trained: {', '.join(BUNDLES)}.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Overlay of the data set, e.g. data/wbc, or a file.")] = None,
    iel: Annotated[str, typer.Option(help="Overlay of an IEL, e.g. iel/heat, or 'none': plain networks.")] = "none",
    predictions: Annotated[
        Path | None,
        typer.Option(help="Or a folder of probabilities as NIfTI, of networks that did not see these labels."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Networks; each predicts the cases that it was trained without. Default: 3.")
    ] = None,
    section: Annotated[
        list[str] | None, typer.Option(help="List whose labels are audited; several times. Default: training.")
    ] = None,
    group_key: Annotated[
        str, typer.Option(help="Key of the list's entries; cases with the same value are in one fold.")
    ] = "patient",
    seed: Annotated[int | None, typer.Option(help="Of the trainings. Default: 0.")] = None,
    epoch: Annotated[
        Epoch | None, typer.Option(help="Whose network predicts; 'best' of the validation. Default: last.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Config id and value, e.g. max_epochs=50.")] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train networks again whose labels or cases have changed since.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that score, one case at a time each.")] = 1,
    top: Annotated[int, typer.Option(min=0, help="How many cases to print; all are in worklist.csv.")] = 20,
    pictures: Annotated[
        int, typer.Option(min=0, help="Most cases with pictures in the report, 10 to 60 kB each.")
    ] = 300,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder outside that of the list which files may lie in; several times."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars of the audit itself.")] = False,
) -> None:
    """Rank annotations by how probably they are wrong: a worklist with reasons, error maps, proposals and a report.

    Each case is judged by a network that never saw its label. An audit that was killed goes on where it was; after
    labels were corrected the same command computes again what has changed. No label is ever written to. Exit code: 0,
    or 2 with one line that says what to change.
    """
    overlays = [name for name in (data, iel) if name is not None and name != "none"]
    of_training = {"--data and --iel": overlays, "--folds": folds, "--seed": seed, "--epoch": epoch, "--set": set_}
    given = [name for name, value in of_training.items() if value not in (None, [])]
    _check_source(bundle, predictions, [*given, *(["--retrain"] if retrain else [])])
    import logging

    from monai_iel.audit import audit as run

    # nibabel logs what is odd in a header; what cannot be used is an error here.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    result = run(
        dataset,
        out,
        bundle=bundle,
        predictions=predictions,
        overlays=overlays,
        folds=3 if folds is None else folds,
        seed=0 if seed is None else seed,
        settings=dict(setting(text) for text in set_ or []),
        epoch=(epoch or Epoch.last).value,
        retrain=retrain,
        sections=tuple(section or ["training"]),
        group_key=group_key,
        pictures=pictures,
        workers=workers,
        progress=not quiet,
        roots=root or None,
    )
    _print(result, top)


def _check_source(bundle: str | None, predictions: Path | None, of_training: list[str]) -> None:
    """Refuse what does not go together, before the seconds in which the audit is imported."""
    if (bundle is None) == (predictions is None):
        raise ValueError(
            "give either --bundle, whose networks are trained here, or --predictions, a folder of probabilities"
        )
    if predictions is not None and of_training:
        raise ValueError(f"--predictions: nothing is trained, so leave {', '.join(of_training)} out")


def _print(result: Audit, top: int) -> None:
    shown = result.cases[:top]
    if shown:
        print_table([_row(case.rank, case.scores.case_id, case.scores.suspicion, case.scores.reason) for case in shown])
    console = Console(highlight=False, soft_wrap=True)
    for note in result.notes:
        console.print(f"note: {printable(note)}", markup=False)
    removed = f", {len(result.removed)} removed" if result.removed else ""
    console.print(f"{len(result.cases)} cases, {len(result.computed)} scored now{removed}")
    console.print(f"worklist: {printable(str(result.worklist))}", markup=False)
    size = result.report.stat().st_size / 1e6
    console.print(f"report: {printable(str(result.report))} ({size:.1f} MB)", markup=False)


def _row(rank: int, case_id: str, suspicion: float, reason: str) -> dict[str, object]:
    short = reason if len(reason) <= _REASON_WIDTH else f"{reason[: _REASON_WIDTH - 1]}…"
    return {"rank": rank, "case": printable(case_id), "suspicion": suspicion, "reason": printable(short) or "-"}
