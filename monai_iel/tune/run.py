"""Choose evolution and strength for a data set from its noisy labels: train the candidates, measure, decide, write."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from monai_iel.data import load_datalist
from monai_iel.data.building import write_json
from monai_iel.files import write_text
from monai_iel.resources import BUNDLES
from monai_iel.study import BundleRun
from monai_iel.study.compare.study import slug
from monai_iel.study.quiet import LOG, quietly
from monai_iel.tune.answer import write_answer
from monai_iel.tune.candidates import Candidate, default_candidates
from monai_iel.tune.criteria import CRITERIA, Choice, Evidence
from monai_iel.tune.measure import Networks, halves_of, measure
from monai_iel.tune.page import write_page
from monai_iel.tune.trainings import train_all

__all__ = ["Tuned", "Tuning"]

_OWN = {"dataset_json": "the data list", "seed": "--seed", "output_dir": "--out", "validation_section": "the data list"}


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Args:
        choice: the candidate and why.
        table: a row per candidate, with all figures.
        files: the overlays to go on with.
    """

    choice: Choice
    table: tuple[dict[str, Any], ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Tuning:
    """A choice of evolution and strength, from noisy labels alone.

    Every candidate is trained on the training section and judged on the validation section, with their labels as they
    are. The test section is not read: not its labels, and not its images.

    Not for data with labels that are wrong in the same way in every case: see `choose`.

    Args:
        dataset: a Decathlon ``dataset.json``; what it names training and validation is used.
        data: overlay of the data set.
        folder: where everything is written; complete trainings and evaluations in it are reused.
        bundle: name of the bundle.
        settings: config ids and values, each for the candidates whose configs know it.
        candidates: what is chosen from; None for `default_candidates`. They are taken in the order of `Candidate.kind`,
            and within a kind as given, which is to be from the weakest on.
        criterion: a name in `CRITERIA`.
        seed: of all trainings and of the bootstrap.
    """

    dataset: Path
    data: str
    folder: Path
    bundle: str = BUNDLES[0]
    settings: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[Candidate, ...] | None = None
    criterion: str = "held-out"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would be misread or found late."""
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion is {self.criterion!r}, expected one of {', '.join(CRITERIA)}")
        for name, where in _OWN.items():
            if name in self.settings:
                raise ValueError(f"--set {name}: it is set by {where}; leave it out")
        names = [candidate.name for candidate in self.candidates or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"candidate {twice[0]!r} stands twice; leave one out")
        if self.candidates is not None and len(names) < 2:
            raise ValueError(f"candidates: found {len(names)}, expected 2 or more to choose from")

    def run(self, *, jobs: int = 1, say: Callable[[str], object] = print) -> Tuned:
        """Train, measure, choose and write ``tuned.yaml``, ``tune.csv``, ``tune.json`` and ``report.html``.

        Args:
            jobs: trainings at once.
            say: is told how it goes on.

        Raises:
            ValueError: the data, an overlay or a setting cannot be used.
            OSError: nothing can be written, or a file is not there.
        """
        self._check()
        networks = self._networks()
        runs = [run for one in networks.values() for run in (one.full, *one.halves)]
        say(f"{len(self.ordered)} candidates, {len(runs)} trainings, {jobs} at once; those that are there are reused")
        seconds = dict(zip((run.folder for run in runs), train_all(runs, jobs=jobs, say=say), strict=True))
        evidence = {}
        for candidate in self.ordered:
            of = networks[candidate.training.name]
            say(f"evaluating {candidate.name}")
            with quietly(of.full.folder / LOG, threads=1):
                evidence[candidate.name] = measure(candidate, of, training=self.criterion == "discrepancy")
        choice = CRITERIA[self.criterion](evidence, self.seed)
        trained = {c.name: seconds[networks[c.training.name].full.folder] for c in self.ordered}
        return self._write(choice, evidence, trained)

    @cached_property
    def ordered(self) -> tuple[Candidate, ...]:
        """The candidates, from the simplest on."""
        found = default_candidates(self._run(Candidate.of())) if self.candidates is None else self.candidates
        return tuple(sorted(found, key=lambda candidate: candidate.kind))

    def _run(self, candidate: Candidate) -> BundleRun:
        """The training of a candidate, with the settings that its configs know."""
        settings = {
            **{"check_data": "files", **self.settings, **candidate.settings},  # every case is read in _check
            "dataset_json": str(self.dataset.resolve()),
            "seed": self.seed,
        }
        folder = self.folder / "networks" / slug(candidate.training.name)
        return BundleRun((self.data, *candidate.overlays), settings, folder, self.bundle).with_own_settings()

    def _check(self) -> None:
        plain = self._run(Candidate.of())
        dims, classes, channels = plain.content("@spatial_dims", "@num_classes", "@in_channels")
        for section in ("training", "validation"):
            load_datalist(self.dataset, section, spatial_dims=dims, num_classes=classes, in_channels=channels)
        used = (name for candidate in self.ordered for name in (*candidate.overlays, *candidate.after))
        given = {key: value for one in self.ordered for key, value in {**one.settings, **one.after_settings}.items()}
        overlays = tuple(dict.fromkeys([self.data, *used]))
        BundleRun(overlays, {**self.settings, **given}, self.folder, self.bundle).check()

    def _networks(self) -> dict[str, Networks]:
        """The trainings by the name of the candidate's training."""
        found = {}
        for training in {c.training.name: c.training for c in self.ordered}.values():
            full = self._run(training)
            halves = halves_of(full, full.folder / "halves") if self.criterion == "halves" else ()
            found[training.name] = Networks(full, halves)
        return found

    def _write(self, choice: Choice, evidence: Mapping[str, Evidence], seconds: Mapping[str, float]) -> Tuned:
        rows = [{**row, **_means(evidence[row["candidate"]], seconds[row["candidate"]])} for row in choice.table]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "tune.csv", text.getvalue())
        chosen = next(candidate for candidate in self.ordered if candidate.name == choice.name)
        asked = {name: getattr(self, name) for name in ("data", "bundle", "criterion", "seed")}
        asked |= {"dataset": str(self.dataset), "settings": dict(self.settings)}
        cases = {name: vars(one) for name, one in evidence.items()}
        told = {"chosen": choice.name, "reasons": choice.reasons}
        write_json(self.folder / "tune.json", {**told, "asked": asked, "table": rows, "cases": cases})
        files = write_answer(self.folder, chosen, choice.reasons)
        write_page(self.folder / "report.html", choice, rows, asked, files)
        return Tuned(choice, tuple(rows), tuple(files))


def _means(evidence: Evidence, seconds: float) -> dict[str, float]:
    means = {"dice": fmean(evidence.dice.values()), "cross_entropy": fmean(evidence.cross_entropy.values())}
    return {**means, "train_seconds": round(seconds, 1)}
