"""Tables, pictures and report of cells that are pretended to be done."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="the report needs the extra 'report'")

from monai_iel.study.compare import Cell, Study, cells_of, write_outputs
from monai_iel.study.compare.plots import plots_of

Dice = Callable[[Cell, str, int], float]
Pretend = Callable[..., None]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(grid: Study, dice: Dice, pretend: Pretend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    pretend(grid, folder, dice)
    assert write_outputs(grid, folder) is not None
    return folder


def test_results_have_a_row_per_place_method_epoch_and_seed(written: Path) -> None:
    rows = table(written / "results.csv")
    assert len(rows) == 3 * (2 + 1 + 2 + 2) * 2
    assert list(rows[0])[:8] == ["data", "noise", "cases", "method", "epoch", "seed", "is_compared", "test_cases"]
    first = rows[0]
    assert (first["noise"], first["method"], first["epoch"], first["test_cases"]) == ("clean", "plain", "last", "12")
    assert first["hd95_missed"] == "24"
    assert [r["epoch"] for r in rows if r["method"] == "early"] == ["best"] * 6


def test_statistics_say_what_was_put_in(written: Path) -> None:
    rows = {
        (r["noise"], r["cases"], r["method"]): r for r in table(written / "statistics.csv") if r["metric"] == "dice"
    }
    for place in (("clean", "all"), ("block", "2"), ("block", "all")):
        assert rows[*place, "plain"]["against"] == "best"
        assert rows[*place, "plain"]["other"] == "IEL"
        assert rows[*place, "IEL"]["verdict"].startswith("better (interval +")
        assert float(rows[*place, "IEL"]["difference"]) == pytest.approx(0.05, abs=0.003)


def test_a_metric_of_which_less_is_better_is_judged_so(written: Path) -> None:
    rows = table(written / "statistics.csv")
    (one,) = (
        r for r in rows if (r["metric"], r["noise"], r["method"], r["other"]) == ("hd95_mm", "clean", "IEL", "plain")
    )
    assert float(one["difference"]) < 0
    assert one["verdict"].startswith("better (interval -")


def test_markdown_has_intervals_and_the_best_in_bold(written: Path) -> None:
    text = (written / "RESULTS.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| IEL | **"))
    assert row.count("**") == 6
    assert row.count("[") == 3
    assert "| plain (reference) | 7" in text
    assert "2 seeds tell little" in text
    assert "| IEL | 3 | 0 | 0 |" in text  # better, no clear difference, worse
    for name in ("noise", "cases", "by-case", "curves"):
        assert f"(plots/phantom-{name}.png)" in text
        assert (written / "plots" / f"phantom-{name}.png").stat().st_size > 5000


def test_the_report_is_one_file_with_all_figures(written: Path) -> None:
    page = (written / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 4
    assert "http" not in page.replace("http://www.w3.org", "")


def test_what_is_missing_is_said_and_the_rest_compared(
    grid: Study, dice: Dice, pretend: Pretend, tmp_path: Path
) -> None:
    cells = [cell for cell in cells_of(grid) if not (cell.seed == 1 and cell.method.name == "IEL")]
    pretend(grid, tmp_path / "out", dice, cells)
    write_outputs(grid, tmp_path / "out")
    assert "3 trainings of the study are not finished" in (tmp_path / "out" / "RESULTS.md").read_text()
    rows = [r for r in table(tmp_path / "out" / "statistics.csv") if r["method"] == "IEL"]
    assert {r["seeds"] for r in rows} == {"1"}


def test_what_was_made_by_other_settings_is_left_out_and_named(
    grid: Study, dice: Dice, pretend: Pretend, tmp_path: Path
) -> None:
    pretend(grid, tmp_path, dice)
    longer = replace(grid, methods={**grid.methods, "IEL": replace(grid.methods["IEL"], settings={"max_epochs": 9})})
    write_outputs(longer, tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "6 trainings were made by other settings, versions or files" in text
    assert "(phantom, clean, all cases, IEL, seed 0)" in text
    assert {row["method"] for row in table(tmp_path / "results.csv")} == {"plain", "early", "plain + smoothing"}


def test_nothing_is_written_of_nothing(grid: Study, tmp_path: Path) -> None:
    assert write_outputs(grid, tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


def test_the_same_cells_give_the_same_files_in_any_order(
    grid: Study, dice: Dice, pretend: Pretend, written: Path, tmp_path: Path
) -> None:
    pretend(grid, tmp_path / "other", dice, cells_of(grid)[::-1])
    write_outputs(grid, tmp_path / "other")
    for name in ("results.csv", "statistics.csv", "RESULTS.md", "report.html", "plots/phantom-noise.png"):
        assert (tmp_path / "other" / name).read_bytes() == (written / name).read_bytes(), name


def test_a_method_that_learnt_nothing_does_not_flatten_the_others(
    grid: Study, dice: Dice, pretend: Pretend, tmp_path: Path
) -> None:
    def collapsed(cell: Cell, evaluation: str, case: int) -> float:
        return 0.1 if cell.method.name == "IEL" and cell.noise.name == "clean" else dice(cell, evaluation, case)

    for value, cut in ((dice, False), (collapsed, True)):
        pretend(grid, tmp_path, value)
        summary = write_outputs(grid, tmp_path)
        assert summary is not None
        (axes,) = plots_of(summary, "phantom", tmp_path)["noise"].axes
        assert [text.get_text() for text in axes.texts] == (["\N{LEFTWARDS ARROW} 0.10"] if cut else [])
        assert axes.get_ylim()[0] > 0.5
