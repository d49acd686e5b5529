"""The command ``monai-iel tune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the command line needs the extra 'cli'")
pytest.importorskip("rich", reason="the command line needs the extra 'cli'")

from monai_iel import cli
from monai_iel.tune import Choice, Tuned, Tuning


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Tuning]:
    """The choices that were asked for; none is made."""
    calls: list[Tuning] = []

    def run(self: Tuning, *, jobs: int, say: Any) -> Tuned:
        calls.append(self)
        row = {"candidate": "none", "chosen": True, "score": 0.5, "dice": 0.5, "cross_entropy": 0.1}
        return Tuned(Choice("none", ("It is the simplest.",), ()), (row,), (self.folder / "tuned.yaml",))

    monkeypatch.setattr(Tuning, "run", run)
    return calls


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["monai-iel", "tune", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_candidates_are_read_from_words_and_the_choice_is_printed(
    asked: list[Tuning], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--candidate", "none", "--candidate", "iel/heat iel_gain=10", "--candidate", "none + evolve iel_gain=1e1"]
    options = ["--data", "data/phantom", "--out", tmp_path, "--set", "max_epochs=3", "--seed", 4]
    assert call(monkeypatch, "list.json", *options, *words) == 0
    (tuning,) = asked
    assert tuning.candidates is not None
    assert [candidate.name for candidate in tuning.candidates] == [
        "none",
        "iel/heat iel_gain=10",
        "none + evolve iel_gain=10",
    ]
    assert (tuning.settings, tuning.seed, tuning.criterion) == ({"max_epochs": 3}, 4, "held-out")
    printed = capsys.readouterr().out
    assert "chosen: none\nIt is the simplest." in printed
    assert str(tmp_path / "tuned.yaml") in printed


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--candidate", "iel/heet"], "no overlay 'iel/heet'; did you mean 'iel/heat'"),
        (["--criterion", "guess"], "criterion is 'guess'"),
        (["--bundle", "convex"], "did you mean 'convex_organ_segmentation'"),
    ],
)
def test_bad_input_ends_with_one_line(
    options: list[str], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "list.json", "--data", "data/phantom", "--out", tmp_path, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert match in line


def test_a_list_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "dataset.json"
    assert call(monkeypatch, missing, "--data", "data/phantom", "--out", tmp_path / "out") == 2
    assert str(missing) in capsys.readouterr().err
