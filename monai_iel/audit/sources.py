"""Where the predictions of an audit come from: networks trained here, fold by fold, or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from monai_iel.audit.case_list import AuditList
from monai_iel.audit.fold_runs import OWN_SETTINGS, FoldRun, Since, check_image_names
from monai_iel.audit.folds import check_folds, keep_folds
from monai_iel.audit.prediction_folder import find_predictions
from monai_iel.audit.probabilities import count_classes
from monai_iel.data.files import open_image
from monai_iel.files import digest
from monai_iel.resources import overlay
from monai_iel.study import BundleRun

__all__ = ["FoldNetworks", "GivenPredictions", "Predictions", "Source"]


@dataclass(frozen=True)
class Predictions:
    """What is known of all cases before one is scored.

    Args:
        files: case id -> its probabilities.
        folds: case id -> number of the fold, from 1; one for all where there are no folds.
        class_names: background first.
        notes: sentences for whoever reads the results.
    """

    files: Mapping[str, Path]
    folds: Mapping[str, int]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where predictions come from."""

    def asked(self) -> dict[str, Any]:
        """Return the settings that one folder holds one kind of."""

    def check(self) -> None:
        """Refuse what cannot be done, before anything is written."""

    def predict(self, digests: Mapping[str, str], out: Path, progress: bool) -> Predictions:
        """Return the predictions, made where they are not there yet.

        Args:
            digests: case id -> digest of its label.
            out: the folder of the audit.
            progress: say what is done.
        """


@dataclass(frozen=True)
class GivenPredictions:
    """Probabilities in a folder, see `find_predictions`."""

    cases: AuditList
    folder: Path

    def asked(self) -> dict[str, Any]:
        """Return the settings that one folder holds one kind of."""
        return {"predictions": str(self.folder)}

    def check(self) -> None:
        """Look for the files."""
        _ = self._files

    def predict(self, digests: Mapping[str, str], out: Path, progress: bool) -> Predictions:
        """Return the files; the number of classes is the list's, else that of the first file."""
        number = self.cases.num_classes
        if number is None:
            first = self.cases.entries[0]
            number = max(2, count_classes(open_image(self._files[first.case_id]), first.label.read()[0].shape))
        return Predictions(self._files, dict.fromkeys(self._files, 1), self.cases.class_names(number))

    @cached_property
    def _files(self) -> dict[str, Path]:
        return find_predictions(self.folder, self.cases.entries, self.cases.path.parent)


@dataclass(frozen=True)
class FoldNetworks:
    """Networks of a bundle, each trained without the cases that it predicts.

    Args:
        cases: the list.
        bundle: its name.
        overlays: names or files of overlays, in order: of the data, of an IEL.
        num_folds: number of folds.
        seed: of the trainings.
        settings: further config ids and their values.
        weights: ``"model_last.pt"``, or ``"model.pt"``, the best epoch of the validation.
        retrain: train those networks again that were trained on other labels or cases.
    """

    cases: AuditList
    bundle: str
    overlays: tuple[str, ...]
    num_folds: int
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "model_last.pt"
    retrain: bool = False

    def asked(self) -> dict[str, Any]:
        """Return the settings that one folder holds one kind of."""
        texts = {name: digest(overlay(name))[:16] for name in self.overlays}
        return {
            "bundle": self.bundle,
            "overlays": list(self.overlays),
            "overlay_texts": texts,
            "folds": self.num_folds,
            "seed": self.seed,
            "settings": dict(self.settings),
            "weights": self.weights,
        }

    def check(self) -> None:
        """Look up bundle, overlays and settings, and whether the cases are enough.

        Raises:
            ValueError: they are not; the message says what to change.
        """
        own = next((name for name in self.settings if name in OWN_SETTINGS), None)
        if own is not None:
            raise ValueError(f"--set {own}: the audit sets it itself, by its other options; leave it out")
        self._run(Path()).check()
        check_folds(self.cases.entries, self.num_folds)
        check_image_names(self.cases.entries)

    def predict(self, digests: Mapping[str, str], out: Path, progress: bool) -> Predictions:
        """Train the networks that are not there, and predict the cases that are not predicted yet."""
        found = self._run(out).content("@spatial_dims", "@num_classes", "@in_channels", "@class_names")
        spatial_dims, num_classes, in_channels, others = found
        cases, images = self.cases, self.cases.image_digests()
        if cases.num_classes not in (None, num_classes):
            raise ValueError(
                f"{cases.path}: declares {cases.num_classes} classes, but num_classes of the bundle is {num_classes}; "
                "give the data overlay that fits, or --set num_classes and class_names"
            )
        names = cases.class_names(num_classes, others)
        channels = [f"channel {number}" for number in range(in_channels)]
        folds = keep_folds(out / "folds.json", cases.entries, self.num_folds)
        runs = {
            fold: FoldRun(
                run=self._run(out / f"fold-{fold + 1}"),
                held_out=[entry for entry in cases.entries if folds[entry.case_id] == fold],
                others=[entry for entry in cases.entries if folds[entry.case_id] != fold],
                digests=digests,
                images=images,
                class_names=names,
                channel_names=channels,
                weights=self.weights,
            )
            for fold in sorted(set(folds.values()))
        }
        to_train = [fold for fold, run in runs.items() if not run.is_usable() or (self.retrain and run.since())]
        if to_train:
            cases.check_in_full(
                spatial_dims=spatial_dims, num_classes=num_classes, in_channels=in_channels, progress=progress
            )
        files: dict[str, Path] = {}
        for fold, run in runs.items():
            if fold in to_train:
                seen = run.what_it_saw() if run.is_trained() else ""
                why = f" again, as its network saw {seen}:" if seen else ""
                _say(progress, f"--- fold {fold + 1} of {self.num_folds}: training{why} on {len(run.others)} cases")
                run.train()
            _say(progress, f"--- fold {fold + 1} of {self.num_folds}: predicting {len(run.held_out)} cases")
            files |= run.predict()
        numbers = {case_id: fold + 1 for case_id, fold in folds.items()}
        return Predictions(files, numbers, names, _told([run.since() for run in runs.values()]))

    def _run(self, folder: Path) -> BundleRun:
        return BundleRun(self.overlays, {**self.settings, "seed": self.seed}, folder, self.bundle)


def _say(progress: bool, text: str) -> None:
    if progress:
        print(text, flush=True)


def _told(since: Sequence[Since]) -> tuple[str, ...]:
    """A sentence about networks that were trained on something else than there is now."""
    stale = [one for one in since if one]
    if not stale:
        return ()
    kinds = {
        "changed": len({i for one in stale for i in one.changed}),
        "added": len({i for one in stale for i in one.added}),
        "removed": len({i for one in stale for i in one.removed}),
    }
    words = [f"{count} {what[kind]}" for kind, count in kinds.items() if count for what in [_WORDS[count > 1]]]
    return (
        f"{len(stale)} of {len(since)} fold networks were trained before {' and '.join(words)}; --retrain trains them "
        "again.",
    )


_WORDS = (
    {"changed": "label changed", "added": "case was added", "removed": "case was removed"},
    {"changed": "labels changed", "added": "cases were added", "removed": "cases were removed"},
)
