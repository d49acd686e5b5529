"""Choices for a study, from its own trainings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_iel.study.compare import CellRun, Study, cells_of
from monai_iel.tune import Candidate, Evidence, groups_of, of_study, tune_study

STUDY = """\
methods:
  plain: {}
  heat: {overlays: iel/heat, settings: {iel_steps: 5}, for: {phantom: {iel_gain: 10}}}
  GCE: {overlays: peers/gce}
  plain + Evolve: {of: plain, after: evolve, settings: {iel_gain: 5}}
  tuned: {tune: true}
seeds: [3, 4]
"""


@pytest.fixture
def study(read_study: Callable[[str], Study]) -> Study:
    return read_study(STUDY)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Dice with noisy labels by the candidate's name, 0.5 for the others; read when networks are measured."""
    found: dict[str, float] = {}

    def evidence(candidate: Candidate, networks: Any, *, training: bool) -> Evidence:
        return Evidence(dict.fromkeys("abc", found.get(candidate.name, 0.5)))

    monkeypatch.setattr(of_study, "measure", evidence)
    return found


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, int]]:
    """Trainings that are done: method and seed."""
    found = {("plain", 3), ("heat", 3)}
    monkeypatch.setattr(CellRun, "is_done", lambda self: (self.cell.method.name, self.cell.seed) in found)
    return found


def test_the_choice_for_all_seeds_is_made_from_the_trainings_of_the_first(
    study: Study, tmp_path: Path, scores: dict[str, float], done: set[tuple[str, int]]
) -> None:
    scores |= {"heat": 0.8, "plain + Evolve": 0.7}
    said: list[str] = []
    (folder,) = tune_study(study, cells_of(study), tmp_path, say=said.append)
    assert said == ["phantom, clean, all cases, seed 3: 'tuned' is 'heat'"]
    tuned = [cell for cell in cells_of(study) if cell.method.tuned]
    assert {CellRun(study, cell, tmp_path).tuned for cell in tuned} == {folder}
    assert not any(CellRun(study, cell, tmp_path).waits for cell in tuned)
    content = yaml.safe_load((folder / "tuned.yaml").read_text())
    assert (content["iel_gain"], content["iel_steps"]) == (10, 5)
    assert content["loss"]["layer"]["gain"] == "@iel_gain"
    names = [row["candidate"] for row in json.loads((folder / "choice.json").read_text())["table"]]
    assert names[:2] == ["plain", "plain + Evolve"]
    assert names[-1] == "heat"
    assert not {"GCE", "tuned"} & set(names)


def test_another_choice_takes_the_place_of_the_first(
    study: Study, tmp_path: Path, scores: dict[str, float], done: set[tuple[str, int]]
) -> None:
    scores["heat"] = 0.8
    cells = [cell for cell in cells_of(study) if cell.method.tuned]
    before = tune_study(study, cells, tmp_path) and CellRun(study, cells[0], tmp_path).key()
    scores["plain + Evolve"] = 0.9
    (folder,) = tune_study(study, cells, tmp_path)
    assert yaml.safe_load((folder / "tuned.yaml").read_text()) == {"loss": "@base_loss"}
    assert yaml.safe_load((folder / "tuned_evaluate.yaml").read_text())["iel_gain"] == 5
    assert CellRun(study, cells[0], tmp_path).key() != before


def test_it_waits_for_its_candidates(
    study: Study, tmp_path: Path, scores: dict[str, float], done: set[tuple[str, int]]
) -> None:
    done.remove(("heat", 3))
    said: list[str] = []
    assert tune_study(study, cells_of(study), tmp_path, say=said.append) == []
    assert said == ["phantom, clean, all cases, seed 3: 'tuned' waits for 'heat'"]


def test_overlays_that_were_written_otherwise_are_left_as_they_are(
    study: Study, tmp_path: Path, scores: dict[str, float], done: set[tuple[str, int]]
) -> None:
    cells = [cell for cell in cells_of(study) if cell.method.tuned]
    folder = CellRun(study, cells[0], tmp_path).tuned
    folder.mkdir(parents=True)
    (folder / "tuned.yaml").write_text("loss: '@base_loss' # mine\n")
    assert tune_study(study, cells, tmp_path) == []
    assert "mine" in (folder / "tuned.yaml").read_text()


@pytest.mark.parametrize("criterion", ["halves", "guess"])
def test_a_criterion_that_trains_or_is_unknown_is_refused(study: Study, tmp_path: Path, criterion: str) -> None:
    with pytest.raises(ValueError, match=f"criterion is '{criterion}', expected one of held-out, likelihood, disc"):
        tune_study(study, cells_of(study), tmp_path, criterion=criterion)


def test_a_group_holds_the_trainings_on_the_same_labels_from_the_same_seed(study: Study, tmp_path: Path) -> None:
    groups = groups_of(study, tmp_path)
    assert list(groups) == [("phantom", "clean", "all", seed) for seed in (3, 4)]
    assert list(groups["phantom", "clean", "all", 3].runs) == ["plain", "heat"]
