"""What a network learns from the labels as they are, as the audit would have them, and as they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audit.corrupted import Truth, write_list
from audit.ranked import audited
from monai_iel.audit.rankings import estimate
from monai_iel.noisy_labels import LabelFile, label_damage
from monai_iel.study import BundleRun
from monai_iel.study.case_table import read_case_table

__all__ = ["NOISY", "CLEAN", "PROPOSALS", "BY_HAND", "Training", "compare_labels", "label_sets", "replaced"]

NOISY, CLEAN, PROPOSALS, BY_HAND = "noisy", "clean", "proposals", "by hand"


@dataclass(frozen=True)
class Training:
    """A network from one set of labels, judged on clean test labels; runs in the workers.

    Args:
        name: of the set.
        seed: of the training.
        folder: where it works.
        overlays: of the bundle.
        settings: config ids and values.
        source: the list that names the classes.
        truth: the cases.
        labels: case id -> label.
        others: entries of the validation and test sections.
    """

    name: str
    seed: int
    folder: Path
    overlays: tuple[str, ...]
    settings: Mapping[str, Any]
    source: Path
    truth: Truth
    labels: Mapping[str, Path]
    others: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    def run(self) -> dict[str, float]:
        """Test case -> Dice, mean over its classes; trained and evaluated unless that is done."""
        path = self.folder / "dataset.json"
        folders = write_list(path, self.source, self.truth, self.labels, self.others)
        roots = {f"{part}#cases#roots": tuple(folders) for part in ("train", "validate")}
        settings = {"check_data": "files", **self.settings, "dataset_json": str(path), "seed": self.seed, **roots}
        run = BundleRun(self.overlays, settings, self.folder)
        run.train(resume=True)
        return read_case_table(run.evaluate_once("last"))[0]["dice"]


def label_sets(truth: Truth, worklist: Path) -> dict[str, dict[str, Path]]:
    """Labels to train with, by name.

    Args:
        truth: the cases, so many of them corrupted.
        worklist: folder of the audit whose first cases, as many as are corrupted, are replaced.
    """
    noisy, clean = truth.labels("label"), truth.labels("clean")
    first = audited(worklist)[: len(truth.wrong)]
    proposed = {case["case"]: worklist / case["files"]["proposal"] for case in first if "proposal" in case["files"]}
    by_hand = {case["case"]: clean[case["case"]] for case in first}
    return {NOISY: noisy, CLEAN: clean, PROPOSALS: noisy | proposed, BY_HAND: noisy | by_hand}


def replaced(truth: Truth, worklist: Path) -> list[dict[str, Any]]:
    """The replaced cases: whether they were corrupted, and the Dice with the clean label before and after."""
    rows = []
    for case in audited(worklist)[: len(truth.wrong)]:
        case_id, files = case["case"], case["files"]
        noisy, clean = (Path(truth.cases[case_id][kind]) for kind in ("label", "clean"))
        proposed = worklist / files["proposal"] if "proposal" in files else noisy
        row = {"case": case_id, "corrupted": case_id in truth.wrong, "has_proposal": proposed != noisy}
        rows.append({**row, "before": _dice(noisy, clean), "after": _dice(proposed, clean)})
    return rows


def compare_labels(
    dices: Mapping[str, Sequence[Mapping[str, float]]], *, resamples: int, seed: int = 0
) -> dict[str, Any]:
    """Test Dice by set of labels, and how much of the gap between noisy and clean ones is closed.

    The intervals are over resamples of the test cases, the same for all sets; a case counts with its mean over the
    seeds. They do not cover other seeds, so the means of each seed stand beside them.

    Args:
        dices: set of labels -> seed by seed, test case -> Dice.
        resamples: number of them.
        seed: of the resamples.
    """
    cases = list(dices[NOISY][0])
    table = {name: np.array([[one[case] for case in cases] for one in seeds]) for name, seeds in dices.items()}
    rng = np.random.default_rng(seed)
    chosen = [np.arange(len(cases)), *rng.integers(len(cases), size=(resamples, len(cases)))]
    means = {name: np.array([values.mean(axis=0)[which].mean() for which in chosen]) for name, values in table.items()}
    gap = means[CLEAN] - means[NOISY]
    by_seed = {name: values.mean(axis=1) for name, values in table.items()}
    # A share of a gap that may be none says nothing.
    is_known = estimate(gap).low > 0 and bool((by_seed[CLEAN] > by_seed[NOISY]).all())
    found: dict[str, Any] = {"cases": len(cases), "sets": {}}
    for name in table:
        gain = means[name] - means[NOISY]
        found["sets"][name] = {
            "dice": asdict(estimate(means[name])),
            "by_seed": by_seed[name].tolist(),
            "gain": asdict(estimate(gain)) if name != NOISY else None,
            "closed": asdict(estimate(gain / gap)) if is_known and name in (PROPOSALS, BY_HAND) else None,
        }
    return found


def _dice(label: Path, clean: Path) -> float | None:
    right, spacing = LabelFile(clean).read()
    return label_damage(LabelFile(label).read()[0], right, spacing).dice
