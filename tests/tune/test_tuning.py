"""A choice on a data set: what it reads, what it writes, and what it does not do again."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monai_iel.study import BundleRun
from monai_iel.tune import Candidate, Tuned, Tuning, halves_of


def test_the_simplest_candidate_stands_first_and_one_is_chosen(tuned: Tuned, tuning: Tuning) -> None:
    names = ["none", "none + evolve iel_gain=3 iel_steps=20", "iel/heat iel_gain=3"]
    assert [row["candidate"] for row in tuned.table] == names
    assert [row["candidate"] for row in tuned.table if row["chosen"]] == [tuned.choice.name]
    written = list(csv.DictReader((tuning.folder / "tune.csv").open()))
    assert [row["candidate"] for row in written] == names
    assert all(math.isfinite(float(row["cross_entropy"])) for row in written)
    assert float(written[0]["train_seconds"]) == float(written[1]["train_seconds"])  # one network
    assert tuned.choice.name in (tuning.folder / "report.html").read_text()


def test_the_figures_are_those_of_the_validation_section_and_test_cases_are_not_needed(
    tuned: Tuned, tuning: Tuning
) -> None:
    """Their files are gone."""
    told = json.loads((tuning.folder / "tune.json").read_text())
    ids = {case["id"] for case in json.loads(tuning.dataset.read_text())["validation"]}
    assert {frozenset(one["dice"]) for one in told["cases"].values()} == {frozenset(ids)}
    assert told["chosen"] == tuned.choice.name


def test_a_second_run_does_only_what_is_new(tuned: Tuned, tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    run = BundleRun._run

    def noted(self: BundleRun, configs: Any, overlays: Any, settings: Any) -> float:
        ran.append(f"{self.folder.name} {configs[-1]}")
        return run(self, configs, overlays, settings)

    monkeypatch.setattr(BundleRun, "_run", noted)
    assert tuning.run(say=lambda _: None) == tuned
    assert ran == []
    assert tuning.candidates is not None
    more = (*tuning.candidates, Candidate.of(after=["evolve"], after_settings={"iel_gain": 10.0, "iel_steps": 1}))
    assert len(replace(tuning, candidates=more).run(say=lambda _: None).table) == len(tuned.table) + 1
    assert ran == ["none evaluate"]  # what is smoothed afterwards needs no training


@pytest.mark.slow
def test_halves_and_discrepancy_choose_on_the_same_networks(tuned: Tuned, tuning: Tuning) -> None:
    assert tuning.candidates is not None
    plain = tuple(candidate for candidate in tuning.candidates if not candidate.overlays)
    by = {
        criterion: replace(tuning, candidates=plain, criterion=criterion).run(say=lambda _: None)
        for criterion in ("halves", "discrepancy")
    }
    assert {len(found.table) for found in by.values()} == {2}
    assert [row["dice"] for row in by["halves"].table] == [row["dice"] for row in tuned.table[:2]]
    assert all(0 <= row["score"] <= 1.5 for row in by["halves"].table)
    assert all(row["residual"] > 0 for row in by["discrepancy"].table)


def test_halves_share_no_training_case_and_have_as_many_iterations(tuning: Tuning, tmp_path: Path) -> None:
    settings = {**tuning.settings, "dataset_json": str(tuning.dataset), "num_training_cases": 4, "max_epochs": 3}
    full = BundleRun(("data/phantom", "watch"), {**settings, "watch_interval": 1}, tmp_path)
    halves = halves_of(full, tmp_path / "halves")
    cases = [run.content("@train::cases", "@validate::cases", "@max_epochs") for run in halves]
    ids = [{case["case_id"] for case in found[0]} for found in cases]
    (all_cases,) = full.content("@train::cases")
    assert ids[0].isdisjoint(ids[1])
    assert ids[0] | ids[1] == {case["case_id"] for case in all_cases}
    assert [len(half) for half in ids] == [2, 2]
    assert cases[0][1:] == cases[1][1:]
    assert cases[0][2] == 6
    assert all(run.overlays == ("data/phantom",) for run in halves)  # watched on clean labels, it would read them


def test_halves_of_three_cases_are_refused(tuning: Tuning, tmp_path: Path) -> None:
    settings = {**tuning.settings, "dataset_json": str(tuning.dataset), "num_training_cases": 3}
    with pytest.raises(ValueError, match="3 training cases, expected 4 or more"):
        halves_of(BundleRun(("data/phantom",), settings, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"criterion": "held_out"}, "criterion is 'held_out', expected one of held-out, likelihood"),
        ({"settings": {"seed": 1}}, "--set seed: it is set by --seed"),
        ({"candidates": (Candidate.of(), Candidate.of())}, "'none' stands twice"),
        ({"candidates": (Candidate.of(),)}, "found 1, expected 2 or more"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(change: dict[str, Any], match: str, tuning: Tuning) -> None:
    with pytest.raises(ValueError, match=match):
        replace(tuning, **change)


def test_a_setting_that_no_config_has_is_refused_before_anything_trains(
    tuning: Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundleRun, "_run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(ValueError, match="has the id 'max_epoch'; did you mean 'max_epochs'"):
        replace(tuning, folder=tmp_path, settings={**tuning.settings, "max_epoch": 3}).run(say=lambda _: None)


def test_a_list_without_held_out_cases_is_refused(tuning: Tuning, tmp_path: Path) -> None:
    content = json.loads(tuning.dataset.read_text())
    path = tuning.dataset.with_name("no_validation.json")
    path.write_text(json.dumps({**content, "validation": []}))
    with pytest.raises(ValueError, match="section 'validation': the list is empty"):
        replace(tuning, dataset=path, folder=tmp_path).run(say=lambda _: None)
