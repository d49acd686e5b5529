"""Plain training, the same smoothed afterwards, and training through an IEL, on the same seeds and noise."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_iel.files import write_text
from monai_iel.study.runs import BundleRun

__all__ = ["PairedStudy", "Row", "mean_table"]

_SUMMARY_METRICS = ("dice", "hd95_mm", "surface_dice", "ece")
PLAIN, SMOOTHED, CLEAN = "plain", "plain + Evolve", "clean labels"


@dataclass(frozen=True)
class Row:
    """One evaluated network: means over the test cases."""

    method: str
    epoch: str
    seed: int
    dice: float | None
    hd95_mm: float | None
    hd95_missed: int
    surface_dice: float | None
    ece: float | None
    train_seconds: float


@dataclass(frozen=True)
class PairedStudy:
    """A paired comparison on one data set with one noise.

    Args:
        folder: where everything is written; complete trainings in it are reused.
        data: overlay of the data set.
        noise: overlay of the annotation noise, or None.
        iels: overlays of the IELs.
        seeds: each trains every method once, from the same initial weights.
        loss: overlay of the base loss, or None for the bundle's own.
        clean: train on clean labels as well.
        epochs: which epochs are evaluated: ``"last"``, ``"best"`` (of the noisy validation).
        settings: config ids and values, each for the methods whose configs know it. ``dataset_dir`` is ``folder/data``
            where it is not among them.
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

    def __post_init__(self) -> None:
        """Refuse what would be misread silently."""
        if unknown := [epoch for epoch in self.epochs if epoch not in ("last", "best")]:
            raise ValueError(f"unknown epoch {', '.join(map(repr, unknown))}; there are 'last' and 'best'")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a seed stands twice in {list(self.seeds)}: the second run would be the first one again")
        names = [Path(iel).stem for iel in self.iels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several IEL overlays are called {', '.join(twice)}: {', '.join(self.iels)}; rename one")

    def methods(self) -> dict[str, tuple[str, ...]]:
        """Overlays of each training, by the method's name."""
        base = (self.data, *([self.loss] if self.loss else []))
        noisy = (*base, *([self.noise] if self.noise else []))
        named = {PLAIN: noisy, **{f"{Path(iel).stem} IEL": (*noisy, iel) for iel in self.iels}}
        return {**named, CLEAN: base} if self.clean else named

    def run(self, method: str, seed: int) -> BundleRun:
        """The bundle run of a method and seed, with the settings that its configs know."""
        folder = self.folder / f"seed{seed}" / method.replace(" ", "-")
        return BundleRun(self.methods()[method], self._settings(seed), folder).with_own_settings()

    def compare(self) -> list[Row]:
        """Train and evaluate everything; writes ``results.csv`` and ``results.json`` after each method."""
        overlays = dict.fromkeys(overlay for overlays in self.methods().values() for overlay in overlays)
        # Before anything trains: each overlay is there, and each setting is known to a method.
        BundleRun(tuple(overlays), self._settings(self.seeds[0]), self.folder).check()
        rows: list[Row] = []
        for seed in self.seeds:
            for method in self.methods():
                print(f"--- {method}, seed {seed}", flush=True)
                run = self.run(method, seed)
                seconds = run.train()
                for epoch in self.epochs:
                    rows += self._evaluated(run, method, epoch, seed, seconds)
                self._write(rows)
        return rows

    def _settings(self, seed: int) -> dict[str, Any]:
        return {"dataset_dir": str(self.folder / "data"), **self.settings, "seed": seed}

    def _evaluated(self, run: BundleRun, method: str, epoch: str, seed: int, seconds: float) -> list[Row]:
        weights = "model_last.pt" if epoch == "last" else "model.pt"
        rows = [_row(method, epoch, seed, run.evaluate(epoch, weights=weights), seconds)]
        if method == PLAIN:
            summary = run.evaluate(f"{epoch}-evolve", weights=weights, overlays=["evolve"])
            rows.append(_row(SMOOTHED, epoch, seed, summary, seconds))
        return rows

    def _write(self, rows: Sequence[Row]) -> None:
        records = [asdict(row) for row in rows]
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
    plain = {(r.epoch, r.seed): r.dice for r in rows if r.method == PLAIN}
    for epoch, method in itertools.product(*(dict.fromkeys(getattr(r, n) for r in rows) for n in ("epoch", "method"))):
        group = [r for r in rows if (r.method, r.epoch) == (method, epoch)]
        if not group:
            continue
        entry: dict[str, object] = {"method": method, "epoch": epoch, "seeds": len(group)}
        for name in _SUMMARY_METRICS:
            values = [v for r in group if (v := getattr(r, name)) is not None]
            entry[name] = statistics.fmean(values) if values else None
            if name == "hd95_mm":
                entry["missed"] = sum(r.hd95_missed for r in group)
        gains = [r.dice - p for r in group if r.dice is not None and (p := plain.get((epoch, r.seed))) is not None]
        entry["Dice against plain"] = ", ".join(f"{g:+.4f}" for g in gains) if method != PLAIN else None
        entry["training s"] = round(statistics.fmean(r.train_seconds for r in group))
        table.append(entry)
    return table


def _row(method: str, epoch: str, seed: int, summary: Mapping[str, Any], seconds: float) -> Row:
    means = {name: summary["metrics"][name]["mean"] for name in _SUMMARY_METRICS}
    return Row(method, epoch, seed, hd95_missed=summary["counts"]["hd95_missed"]["sum"], train_seconds=seconds, **means)
