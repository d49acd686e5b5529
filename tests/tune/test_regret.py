"""Criteria judged on the trainings of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_iel.study.compare import CellRun, Study
from monai_iel.tune import Candidate, Evidence, mean_regret, regret, regret_table

STUDY = """\
methods:
  plain: {}
  plain, stopped early: {of: plain, epoch: best}
  heat: {overlays: iel/heat, settings: {iel_gain: 10}}
  plain + Evolve: {of: plain, after: evolve, settings: {iel_gain: 5}}
seeds: [0, 1]
"""


@pytest.fixture
def study(read_study: Callable[[str], Study]) -> Study:
    return read_study(STUDY)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """Figures of networks that are not there: with noisy labels "heat" looks best, with clean ones "plain + Evolve"."""
    seen: list[Candidate] = []
    noisy, clean = {"heat": 0.8, "plain": 0.6}, {"plain + Evolve": 0.9, "heat": 0.85, "plain": 0.8}

    def evidence(candidate: Candidate, networks: Any, *, training: bool) -> Evidence:
        seen.append(candidate)
        same = dict.fromkeys("abc", noisy.get(candidate.name, 0.5))
        return Evidence(same, {case: 1 - value for case, value in same.items()}, same)

    monkeypatch.setattr(regret, "measure", evidence)
    monkeypatch.setattr(regret, "clean_dice", lambda candidate, run: {"t": clean.get(candidate.name, 0.7)})
    monkeypatch.setattr(CellRun, "is_done", lambda self: self.cell.seed == 0)
    return seen


def test_regret_is_the_clean_dice_that_a_choice_leaves_behind(
    study: Study, tmp_path: Path, measured: list[Candidate]
) -> None:
    said: list[str] = []
    rows = regret_table(study, tmp_path, criteria=["held-out"], say=said.append)
    (row,) = (row for row in rows if row["criterion"] == "held-out")
    assert (row["chosen"], row["best"]) == ("heat", "plain + Evolve")
    assert row["regret"] == pytest.approx(0.05)
    assert {row["seed"] for row in rows} == {0}
    assert any("seed 1: left out, 'plain' is not done" in text for text in said)
    always = {row["criterion"]: row["regret"] for row in rows if row["criterion"].startswith("always")}
    assert always["always plain"] == pytest.approx(0.1)
    assert always["always plain + Evolve"] == 0


def test_candidates_are_plain_and_iel_networks_at_the_last_epoch_and_plain_smoothed_at_every_strength(
    study: Study, tmp_path: Path, measured: list[Candidate]
) -> None:
    regret_table(study, tmp_path, criteria=["held-out"], say=lambda _: None)
    names = [candidate.name for candidate in measured]
    assert names[:2] == ["plain", "plain + Evolve"]
    assert names[-1] == "heat"
    assert sum(name.startswith("plain + evolve iel_gain=") for name in names) == 5
    assert len(names) == 8
    assert measured[1].after_settings == {"iel_gain": 5}


def test_an_unknown_criterion_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'guess' is not known, expected one of held-out"):
        regret_table(study, tmp_path, criteria=["guess"])


def test_means_are_taken_by_criterion() -> None:
    row = {"criterion": "a", "chosen": "x", "best": "y", "regret": 0.04}
    table = mean_regret([row, {**row, "best": "x", "regret": 0.0}, {**row, "criterion": "b"}])
    assert [(one["criterion"], one["choices"], one["best_chosen"]) for one in table] == [("a", 2, 1), ("b", 1, 0)]
    assert (table[0]["mean_regret"], table[0]["largest_regret"]) == (0.02, 0.04)
