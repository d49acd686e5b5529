"""Plain training, the same corrected afterwards, and training through an IEL, on the same seeds and noise."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from monai_iel.files import write_text
from monai_iel.resources import BUNDLES
from monai_iel.study.runs import BundleRun

__all__ = ["PairedStudy", "Row", "mean_table"]

PLAIN, CLEAN, TRUE_LABELS = "plain", "clean labels", "true labels"
_NO_IEL = ("peers", "loss")  # folders of overlays for training that are no IELs
_SHOWN = {"evolve": "Evolve"}


@dataclass(frozen=True)
class Row:
    """One evaluated network.

    Args:
        method: name of the method.
        epoch: ``"last"`` or ``"best"``.
        seed: of the training.
        metrics: means over the test cases, in the bundle's order; None where nothing could be measured.
        counts: sums over the test cases.
        train_seconds: how long the network trained.
    """

    method: str
    epoch: str
    seed: int
    metrics: Mapping[str, float | None]
    counts: Mapping[str, int]
    train_seconds: float

    def figures(self) -> dict[str, float | int | None]:
        """Metrics, each followed by the counts of its family: ``hd95_missed`` after ``hd95_mm``."""
        left = dict(self.counts)
        found: dict[str, float | int | None] = {}
        for name, value in self.metrics.items():
            found[name] = value
            found.update({n: left.pop(n) for n in list(left) if n.split("_")[0] == name.split("_")[0]})
        return {**found, **left}

    def record(self) -> dict[str, Any]:
        """The row as it is written."""
        known = {"method": self.method, "epoch": self.epoch, "seed": self.seed}
        return {**known, **self.figures(), "train_seconds": self.train_seconds}


@dataclass(frozen=True)
class PairedStudy:
    """A paired comparison on one data set with one noise.

    Args:
        folder: where everything is written; complete trainings in it are reused, interrupted ones go on.
        data: overlay of the data set.
        noise: overlay of the annotation noise, or None.
        iels: overlays of the IELs, or of other trainings to compare with, such as ``"peers/quasi_concavity"``.
        seeds: each trains every method once, from the same initial weights.
        loss: overlay of the base loss, or None for the bundle's own.
        clean: train on clean labels as well.
        epochs: which epochs are evaluated: ``"last"``, ``"best"`` (of the noisy validation).
        settings: config ids and values, each for the methods whose configs know it. ``dataset_dir`` is ``folder/data``
            where it is not among them.
        bundle: name of the bundle.
        afterwards: overlays of the evaluation that correct a network's output; ``"after/a+after/b"`` is both at once.
        afterwards_of: which networks they are applied to: the ``"plain"`` one, or ``"all"``. ``"after/true_labels"``
            replaces the output, and is done once.
    """

    folder: Path
    data: str
    noise: str | None = None
    iels: tuple[str, ...] = ("iel/heat",)
    seeds: tuple[int, ...] = (0,)
    loss: str | None = None
    clean: bool = False
    epochs: tuple[str, ...] = ("last",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    bundle: str = BUNDLES[0]
    afterwards: tuple[str, ...] = ("evolve",)
    afterwards_of: Literal["plain", "all"] = "plain"

    def __post_init__(self) -> None:
        """Refuse what would be misread silently."""
        if unknown := [epoch for epoch in self.epochs if epoch not in ("last", "best")]:
            raise ValueError(f"unknown epoch {', '.join(map(repr, unknown))}; there are 'last' and 'best'")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a seed stands twice in {list(self.seeds)}: the second run would be the first one again")
        if self.afterwards_of not in ("plain", "all"):
            raise ValueError(f"afterwards_of must be 'plain' or 'all'; got {self.afterwards_of!r}")
        names = [Path(iel).stem for iel in self.iels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several IEL overlays are called {', '.join(twice)}: {', '.join(self.iels)}; rename one")
        corrections = [_corrected(PLAIN, _parts(after)) for after in self.afterwards]
        if twice := sorted({name for name in corrections if corrections.count(name) > 1}):
            raise ValueError(f"'{', '.join(twice)}' stands twice in the afterwards {', '.join(self.afterwards)}")

    def methods(self) -> dict[str, tuple[str, ...]]:
        """Overlays of each training, by the method's name."""
        base = (self.data, *([self.loss] if self.loss else []))
        noisy = (*base, *([self.noise] if self.noise else []))
        named = {PLAIN: noisy, **{_trained(iel): (*noisy, iel) for iel in self.iels}}
        return {**named, CLEAN: base} if self.clean else named

    def run(self, method: str, seed: int) -> BundleRun:
        """The bundle run of a method and seed, with the settings that its configs know."""
        folder = self.folder / f"seed{seed}" / method.replace(" ", "-")
        return self._bundle_run(self.methods()[method], seed, folder).with_own_settings()

    def compare(self) -> list[Row]:
        """Train and evaluate everything; writes ``results.csv`` and ``results.json`` after each method."""
        trained = (overlay for overlays in self.methods().values() for overlay in overlays)
        judged = (overlay for after in self.afterwards for overlay in _parts(after))
        # Before anything trains: each overlay is there, and each setting is known to a method.
        self._bundle_run(tuple(dict.fromkeys([*trained, *judged])), self.seeds[0], self.folder).check()
        rows: list[Row] = []
        for seed in self.seeds:
            for method in self.methods():
                print(f"--- {method}, seed {seed}", flush=True)
                run = self.run(method, seed)
                seconds = run.train(resume=True)
                for epoch in self.epochs:
                    rows += self._evaluated(run, method, epoch, seed, seconds)
                self._write(rows)
        return rows

    def segment(self) -> dict[str, Path]:
        """Segment the test images with each method's last epoch of the first seed; folders of label maps by method."""
        segmented = {}
        for method in self.methods():
            run = self.run(method, self.seeds[0])
            cases = run.test_cases()
            print(f"--- segmenting {len(cases)} test images: {method}", flush=True)
            segmented[method] = run.segment([case["image"] for case in cases])
        return segmented

    def _bundle_run(self, overlays: tuple[str, ...], seed: int, folder: Path) -> BundleRun:
        settings = {"dataset_dir": str(self.folder / "data"), **self.settings, "seed": seed}
        return BundleRun(overlays, settings, folder, self.bundle)

    def _evaluated(self, run: BundleRun, method: str, epoch: str, seed: int, seconds: float) -> list[Row]:
        weights = "model_last.pt" if epoch == "last" else "model.pt"
        rows = [_row(method, epoch, seed, run.evaluate(epoch, weights=weights), seconds)]
        for parts in map(_parts, self.afterwards):
            name = _corrected(method, parts)
            if method != PLAIN and (self.afterwards_of == "plain" or name == TRUE_LABELS):
                continue
            known = self._bundle_run((*run.overlays, *parts), seed, run.folder).with_own_settings().settings
            own = {key: value for key, value in known.items() if key not in run.settings}
            folder = "-".join([epoch, *(Path(part).stem for part in parts)])
            summary = run.evaluate(folder, weights=weights, overlays=parts, **own)
            rows.append(_row(name, epoch, seed, summary, seconds))
        return rows

    def _write(self, rows: Sequence[Row]) -> None:
        records = [row.record() for row in rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        write_text(self.folder / "results.csv", text.getvalue())
        content = {"study": asdict(self), "rows": records}
        write_text(self.folder / "results.json", json.dumps(content, indent=2, default=str) + "\n")


def mean_table(rows: Sequence[Row]) -> list[dict[str, object]]:
    """A row per epoch and method: means over the seeds, and the differences of Dice from plain, seed by seed."""
    table: list[dict[str, object]] = []
    plain = {(r.epoch, r.seed): r.metrics["dice"] for r in rows if r.method == PLAIN}
    for epoch, method in itertools.product(*(dict.fromkeys(getattr(r, n) for r in rows) for n in ("epoch", "method"))):
        group = [r for r in rows if (r.method, r.epoch) == (method, epoch)]
        if not group:
            continue
        entry: dict[str, object] = {"method": method, "epoch": epoch, "seeds": len(group)}
        for name in group[0].figures():
            if name in group[0].counts:
                entry[name.split("_", 1)[-1]] = sum(r.counts[name] for r in group)
                continue
            values = [v for r in group if (v := r.metrics[name]) is not None]
            entry[name] = statistics.fmean(values) if values else None
        entry["Dice against plain"] = _gains(group, plain) if method not in (PLAIN, TRUE_LABELS) else None
        entry["training s"] = round(statistics.fmean(r.train_seconds for r in group))
        table.append(entry)
    return table


def _gains(group: Sequence[Row], plain: Mapping[tuple[str, int], float | None]) -> str:
    pairs = [(r.metrics["dice"], plain.get((r.epoch, r.seed))) for r in group]
    return ", ".join(f"{dice - base:+.4f}" for dice, base in pairs if dice is not None and base is not None)


def _trained(overlay: str) -> str:
    """Name of the method that trains with an overlay."""
    path = Path(overlay)
    return path.stem if path.parent.name in _NO_IEL else f"{path.stem} IEL"


def _parts(after: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in after.split("+"))


def _corrected(method: str, parts: Sequence[str]) -> str:
    """Name of a method whose output is corrected by the overlays."""
    stems = [Path(part).stem for part in parts]
    return TRUE_LABELS if stems == ["true_labels"] else " + ".join([method, *(_SHOWN.get(s, s) for s in stems)])


def _row(method: str, epoch: str, seed: int, summary: Mapping[str, Any], seconds: float) -> Row:
    means = {name: values["mean"] for name, values in summary["metrics"].items()}
    counts = {name: values["sum"] for name, values in summary["counts"].items()}
    return Row(method, epoch, seed, means, counts, seconds)
