"""``monai-iel check``."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from monai_iel.cli._console import print_table
from monai_iel.files import printable

__all__ = ["check"]

_SHOWN = 20


class FailOn(StrEnum):
    """The least severity that makes the exit code 1."""

    warning = "warning"
    error = "error"


def check(
    dataset: Annotated[Path, typer.Argument(help="The data list, a dataset.json; all of its sections are read.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write report.html and check.json into. Default: only print.")
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that read, one case at a time each; 0: none. Default: one per CPU, up to 8.")
    ] = -1,
    spatial_dims: Annotated[int | None, typer.Option(help="2 or 3. Default: what most headers say.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="With background. Default: what the list declares.")] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder outside that of the list which files may lie in; several times."),
    ] = None,
    max_voxels: Annotated[
        int | None,
        typer.Option(help="Files that declare more are not read. Default: what the memory left holds, at most 2^29."),
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="From which severity on the exit code is 1.")] = FailOn.warning,
    show: Annotated[int, typer.Option(help="How many findings to print; all are in check.json.")] = _SHOWN,
) -> None:
    """Read every case of a data list once and list what is odd, by severity.

    Exit code: 0 if nothing was found, or nothing as bad as --fail-on; 1 if something was; 2 if the list or an option
    cannot be used.
    """
    from monai_iel.check import check_dataset, to_json, write_page
    from monai_iel.check.page import summary
    from monai_iel.data.building import write_json

    # nibabel logs what is odd in a header; here each oddity that matters becomes a finding.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    result = check_dataset(
        dataset,
        spatial_dims=spatial_dims,
        num_classes=num_classes,
        workers=min(8, os.cpu_count() or 1) if workers == -1 else workers,
        max_voxels=max_voxels,
        roots=root or None,
    )
    rows = summary(result)
    if rows:
        print_table(rows)
    console = Console(highlight=False, soft_wrap=True)
    worth_showing = [finding for finding in result.findings if finding.severity != "info"]
    for finding in worth_showing[: max(0, show)]:
        where = " ".join(filter(None, (finding.section, finding.case_id, finding.file)))
        console.print(escape(printable(f"{finding.severity}: {finding.kind}: {where}: {finding.message}")))
    if len(worth_showing) > show:
        console.print(f"... and {len(worth_showing) - max(0, show)} more")
    counts = result.counts()
    told = ", ".join(f"{severity} {count}" for severity, count in counts.items())
    console.print(f"{len(result.reports)} cases in {result.seconds:.0f} s: {told}")
    if out is not None:
        write_json(out / "check.json", to_json(result))
        console.print(f"report: {write_page(result, out / 'report.html')}", markup=False)
    if counts["error"] or (counts["warning"] and fail_on is FailOn.warning):
        raise typer.Exit(code=1)
