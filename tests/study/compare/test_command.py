"""The command ``monai-iel compare``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the command needs the extra 'cli'")
pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")
pytest.importorskip("jinja2", reason="the report needs the extra 'report'")

from typer.testing import CliRunner

from monai_iel.cli import app
from monai_iel.study.compare import CellRun, Study, cells_of
from monai_iel.tune import Candidate, Evidence, of_study


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_the_list_says_what_is_there(grid: Study, dice: Callable[..., float], pretend: Any, tmp_path: Path) -> None:
    first, second = cells_of(grid)[:2]
    pretend(grid, tmp_path, dice, [first, second])
    (first.folder(tmp_path) / "cell.json").write_text(json.dumps({"key": "another", "train_seconds": 1}))
    found = run(grid.path, "--out", tmp_path, "--list", "--only", "noise=clean", "--only", "seed=0")
    assert found.exit_code == 0
    assert "2 trainings, 1 of them done" in found.output
    assert "changed" in found.output


def test_shards_of_the_list_are_parts(grid: Study, tmp_path: Path) -> None:
    counts = [
        run(grid.path, "--out", tmp_path, "--list", "--shard", f"{i}/5").output.count("phantom")
        for i in (1, 2, 3, 4, 5)
    ]
    assert sorted(counts) == [2, 2, 2, 3, 3]


def test_the_report_alone_trains_nothing(
    grid: Study, dice: Callable[..., float], pretend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(grid, tmp_path, dice)
    monkeypatch.setattr(CellRun, "execute", lambda self: pytest.fail("trains"))
    found = run(grid.path, "--out", tmp_path, "--report-only")
    assert found.exit_code == 0
    assert "better" in found.output
    assert (tmp_path / "report.html").is_file()


def test_tables_may_lie_elsewhere_and_be_against_another_method(
    grid: Study, dice: Callable[..., float], pretend: Any, tmp_path: Path
) -> None:
    pretend(grid, tmp_path / "out", dice)
    other = ("--reference", "IEL", "--tables", tmp_path / "tables")
    found = run(grid.path, "--out", tmp_path / "out", "--report-only", *other)
    assert found.exit_code == 0, found.output
    assert "IEL (reference)" in (tmp_path / "tables" / "RESULTS.md").read_text()
    assert not (tmp_path / "out" / "RESULTS.md").exists()
    found = run(grid.path, "--out", tmp_path / "out", "--report-only", "--reference", "LEI")
    assert "--reference" in str(found.exception)
    assert "IEL" in str(found.exception)


def test_a_failed_training_makes_the_exit_code_1(grid: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(self: CellRun) -> None:
        raise ValueError("the loss is not finite")

    monkeypatch.setattr(CellRun, "execute", execute)
    only = ("--only", "noise=clean", "--only", "seed=0", "--only", "method=IEL")
    found = run(grid.path, "--out", tmp_path, "--jobs", 1, *only)
    assert found.exit_code == 1
    assert "the loss is not finite" in found.output
    assert "no training is finished" in found.output
    assert "1 trainings failed" in found.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "1"], "--shard is '1', expected I/N"),
        (["--shard", "3/2"], "--shard is 3/2, expected I/N with I from 1 to N"),
        (["--only", "nois=clean"], "--only is 'nois=clean', expected data=, noise="),
        (["--only", "noise=clear"], "unknown noise 'clear'; did you mean 'clean'"),
        (["--jobs", "-1"], "--jobs is -1, expected 1 or more"),
    ],
)
def test_options_that_cannot_be_used_are_named(arguments: list[str], said: str, grid: Study, tmp_path: Path) -> None:
    found = run(grid.path, "--out", tmp_path, *arguments)
    assert isinstance(found.exception, ValueError)
    assert said in str(found.exception)


def test_a_tuned_method_is_chosen_from_the_others_and_then_trained(
    write_study: Callable[..., Path], pretend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = {"plain": None, "IEL": {"overlays": "iel/heat"}, "tuned": {"tune": True}}
    path, out = write_study(methods=methods, noises={"clean": None}), tmp_path / "out"
    trained: list[tuple[str, bool]] = []

    def execute(self: CellRun) -> None:
        trained.append((self.cell.method.name, self.waits))
        pretend(self.study, out, lambda cell, evaluation, case: 0.5 + case / 100, [self.cell])

    def evidence(candidate: Candidate, *_: object, **__: object) -> Evidence:
        return Evidence(dict.fromkeys("ab", 0.9 if candidate.name == "IEL" else 0.5))

    monkeypatch.setattr(CellRun, "execute", execute)
    monkeypatch.setattr(of_study, "measure", evidence)
    found = run(path, "--out", out, "--jobs", 1)
    assert found.exit_code == 0, found.output
    assert trained == [("plain", False), ("IEL", False), ("tuned", False)]
    assert "'tuned' is 'IEL'" in found.output
    assert "| tuned |" in (out / "RESULTS.md").read_text()
