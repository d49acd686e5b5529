"""How much worse a choice without clean labels is than the best one with them, on the trainings of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from monai_iel.study import BundleRun
from monai_iel.study.compare import Study
from monai_iel.study.quiet import LOG, quietly
from monai_iel.tune.criteria import CRITERIA, Evidence
from monai_iel.tune.measure import Networks, clean_dice, halves_of, measure
from monai_iel.tune.of_study import Place, groups_of
from monai_iel.tune.trainings import train_all

__all__ = ["mean_regret", "regret_table"]


def regret_table(
    study: Study,
    folder: Path,
    *,
    criteria: Sequence[str] = ("held-out", "likelihood", "discrepancy"),
    jobs: int = 1,
    say: Callable[[str], object] = print,
) -> list[dict[str, Any]]:
    """Choose among the methods of a study by each criterion, and look at the choices with clean test labels.

    The networks are those of the study; they are evaluated on their noisy validation cases, and for the comparison on
    the clean test cases. Only ``"halves"`` trains: two networks of half the cases for each. Data set, noise, number of
    cases and seed of which a training is not done are left out, and named.

    The candidates are those of `StudyGroup`.

    Args:
        study: the study.
        folder: its folder.
        criteria: names in `CRITERIA`.
        jobs: trainings at once.
        say: is told how it goes on.

    Returns:
        Rows of ``data``, ``noise``, ``cases``, ``seed``, ``criterion``, ``chosen``, ``dice`` (mean over the clean test
        cases), ``best``, ``best_dice`` and ``regret``, the difference of the two. Besides the criteria there is a row
        ``always NAME`` for each candidate: what comes of a fixed choice.

    Raises:
        ValueError: a criterion is not known.
    """
    if unknown := [name for name in criteria if name not in CRITERIA]:
        raise ValueError(f"criterion {unknown[0]!r} is not known, expected one of {', '.join(CRITERIA)}")
    rows = []
    for place, group in groups_of(study, folder).items():
        if missing := group.missing:
            say(f"{group.words}: left out, {missing[0]!r} is not done")
            continue
        candidates = group.candidates()
        say(f"{group.words}: {len(candidates)} candidates")
        networks = _networks({name: run.bundle_run() for name, run in group.runs.items()}, criteria, jobs, say)
        evidence, dice = dict[str, Evidence](), dict[str, float]()
        for candidate, of in candidates:
            with quietly(networks[of].full.folder / LOG, threads=1):
                evidence[candidate.name] = measure(candidate, networks[of], training="discrepancy" in criteria)
                dice[candidate.name] = fmean(clean_dice(candidate, networks[of].full).values())
        chosen = {name: CRITERIA[name](evidence, 0).name for name in criteria}
        chosen |= {f"always {name}": name for name in dice}
        rows += [_row(place, name, choice, dice) for name, choice in chosen.items()]
    return rows


def mean_regret(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per criterion or fixed choice: mean and largest regret, and how often the best one was chosen.

    >>> row = {"criterion": "held-out", "chosen": "none", "best": "heat", "regret": 0.02}
    >>> mean_regret([row, {**row, "best": "none", "regret": 0.0}])
    [{'criterion': 'held-out', 'choices': 2, 'mean_regret': 0.01, 'largest_regret': 0.02, 'best_chosen': 1}]
    """
    table = []
    for name in dict.fromkeys(row["criterion"] for row in rows):
        of = [row for row in rows if row["criterion"] == name]
        regrets = [row["regret"] for row in of]
        best = sum(row["chosen"] == row["best"] for row in of)
        figures = {"mean_regret": fmean(regrets), "largest_regret": max(regrets), "best_chosen": best}
        table.append({"criterion": name, "choices": len(of), **figures})
    return table


def _networks(
    runs: Mapping[str, BundleRun], criteria: Sequence[str], jobs: int, say: Callable[[str], object]
) -> dict[str, Networks]:
    halves = {name: halves_of(run, run.folder / "halves") if "halves" in criteria else () for name, run in runs.items()}
    train_all([half for both in halves.values() for half in both], jobs=jobs, say=say)
    return {name: Networks(run, halves[name]) for name, run in runs.items()}


def _row(place: Place, criterion: str, chosen: str, dice: Mapping[str, float]) -> dict[str, Any]:
    best = max(dice, key=lambda name: dice[name])
    where = dict(zip(("data", "noise", "cases", "seed"), place, strict=True))
    figures = {"dice": dice[chosen], "best": best, "best_dice": dice[best], "regret": dice[best] - dice[chosen]}
    return {**where, "criterion": criterion, "chosen": chosen, **figures}
