"""Everything that a study writes about what is there: tables, pictures, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_iel.files import write_bytes, write_text
from monai_iel.report import Best, Report
from monai_iel.study.compare.cells import cells_of
from monai_iel.study.compare.differences import BETTER
from monai_iel.study.compare.markdown import as_markdown
from monai_iel.study.compare.plots import CAPTIONS, as_png, plots_of
from monai_iel.study.compare.run_cell import CellRun, look_again
from monai_iel.study.compare.study import Study, slug
from monai_iel.study.compare.summary import Summary
from monai_iel.study.compare.tables import (
    comparisons_of,
    noise_rows,
    write_noise,
    write_results,
    write_seconds,
    write_statistics,
)
from monai_iel.study.compare.values import measured_in

__all__ = ["write_outputs"]

Plots = Mapping[str, Mapping[str, Any]]


def write_outputs(study: Study, folder: Path, out: Path | None = None) -> Summary | None:
    """Write all tables, ``RESULTS.md``, the plots and ``report.html``, of the cells that are done.

    Args:
        study: the study.
        folder: of the study.
        out: where they are written, if not there.

    Returns:
        What they show; None where no cell is finished yet, and nothing is written.
    """
    look_again()
    cells = cells_of(study)
    states = {cell.name: CellRun(study, cell, folder).state() for cell in cells}
    done = [cell for cell in cells if states[cell.name] == "done"]
    measured = measured_in(study, done, folder)
    if not measured:
        return None
    changed = [cell.words for cell in cells if states[cell.name] == "changed"]
    summary = Summary(study, measured, comparisons_of(study, measured), len(cells) - len(done) - len(changed), changed)
    noise = noise_rows(study, done, folder)
    out = out or folder
    write_results(out / "results.csv", measured)
    write_seconds(out / "seconds.csv", measured)
    write_statistics(out / "statistics.csv", summary.comparisons, study.tolerance)
    write_noise(out / "noise.csv", noise)
    plots = {data: plots_of(summary, data, folder) for data in summary.data_sets()}
    files = {data: {name: f"plots/{slug(data)}-{name}.png" for name in figures} for data, figures in plots.items()}
    for data, figures in plots.items():
        for name, figure in figures.items():
            write_bytes(out / files[data][name], as_png(figure))
    write_text(out / "RESULTS.md", as_markdown(summary, noise, files))
    _write_page(summary, noise, plots, out)
    return summary


def _write_page(summary: Summary, noise: Sequence[dict[str, Any]], plots: Plots, folder: Path) -> None:
    study = summary.study
    report = Report(study.title, f"{len(summary.measured)} networks evaluated, compared with {study.reference!r}")
    report.add_section("Result")
    if tally := summary.tally():
        report.add_table(
            tally, caption=f"Dice against {study.reference!r}, over data sets, noises and numbers of cases"
        )
    report.add_text("\n\n".join(summary.notes()))
    for data in summary.data_sets():
        _add_data_set(report, summary, data, plots)
    if noise:
        report.add_section("The labels that were trained on")
        report.add_table(noise, note="Mean Dice between noisy and clean labels of the cases that are used.")
    report.add_section("Settings")
    packages = {name: version(name) for name in ("monai-iel", "monai", "torch", "pytorch-ignite", "scipy", "numpy")}
    report.add_details({**packages, study.path.name: study.path.read_text(encoding="utf-8")})
    report.write(folder / "report.html")


def _add_data_set(report: Report, summary: Summary, data: str, plots: Plots) -> None:
    report.add_section(data)
    headings = list(summary.columns(data).values())
    means = summary.means(data)
    report.add_table(means, caption="Dice on clean test labels", highlight=dict.fromkeys(headings, "max"))
    if differences := summary.differences(data):
        report.add_table(differences, caption=f"Difference from {summary.study.reference!r} in points of Dice")
    for name, figure in plots.get(data, {}).items():
        report.add_picture(figure, caption=CAPTIONS[name])
    if epochs := summary.epochs(data):
        report.add_table(
            epochs, caption="Dice in points at the last epoch, and at the best one of the noisy validation"
        )
    for place, heading in summary.columns(data).items():
        rows = summary.figures(place)
        best: dict[str, Best] = {name: "max" if BETTER[name] > 0 else "min" for name in rows[0] if name in BETTER}
        report.add_table(rows, caption=heading, highlight={n: b for n, b in best.items() if rows[0][n] is not None})
