#!/usr/bin/env python
r"""The label audit against annotations whose errors are known: rankings, and what a correction is worth.

    python scripts/prepare_data.py decathlon Task04_Hippocampus hippo
    python scripts/audit_study.py runs/audit_hippo hippo/dataset.json --data data/hippocampus \
        --noise elastic --noise-set displacement=2 --noise-set correlation=8 --target-dice 0.8

Takes the first cases of the training list, corrupts a share of their labels, and audits them through plain training and
through an IEL. Compares the rankings of the cases by suspicion, by cleanlab's scores of the plain predictions, slice by
slice, and by Dice of prediction and label. Then trains, plainly, on the labels as they are, on clean ones, and with the
first cases of the worklist replaced by the proposals or by their clean labels, and evaluates on the clean test list.

Writes results.json and RESULTS.md. A run that was killed goes on where it was; what is complete is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.corrupted import Truth, corrupt, first_cases, write_list
from audit.ranked import rankings
from audit.retrained import Training, compare_labels, label_sets, replaced
from audit.written import markdown

from monai_iel import __version__
from monai_iel.audit import audit, compare_rankings, evaluate_audit
from monai_iel.cli import in_one_line, setting
from monai_iel.data import load_datalist
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.data.settings_folder import SettingsFolder
from monai_iel.files import digest, write_text
from monai_iel.noisy_labels import label_noise_of_model, num_classes_of
from monai_iel.processes import map_in_order

BUNDLE = "noisy_annotation_segmentation"
PLAIN = "plain"


def arguments(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("dataset", type=Path, help="the data list, a dataset.json; its labels are taken for right")
    parser.add_argument("--data", required=True, help="overlay of the data set, e.g. data/hippocampus")
    parser.add_argument("--cases", type=int, default=60, help="of the training list (%(default)s)")
    parser.add_argument("--share", type=float, default=0.2, help="of them that is corrupted (%(default)s)")
    parser.add_argument("--noise", required=True, help="model of the corruption; all: monai-iel noise --list")
    parser.add_argument("--noise-set", action="append", default=[], metavar="NAME=VALUE", help="its parameters")
    parser.add_argument("--noise-seed", type=int, default=0, help="chooses the realisation (%(default)s)")
    parser.add_argument("--target-dice", type=float, help="mean label Dice of the corrupted; without: noise as it is")
    parser.add_argument("--iel", default="iel/heat", help="overlay of the IEL (%(default)s)")
    parser.add_argument("--folds", type=int, default=3, help="networks of an audit (%(default)s)")
    parser.add_argument("--audit-seed", type=int, default=0, help="of the audits' trainings (%(default)s)")
    parser.add_argument(
        "--seed", type=int, action="append", help="of the trainings afterwards; several times (0 and 1)"
    )
    parser.add_argument("--no-retraining", action="store_true", help="audits and rankings only")
    parser.add_argument("--worklist", choices=("iel", "plain"), default="iel", help="whose first cases are corrected")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="config id and value")
    parser.add_argument("--root", type=Path, action="append", help="folder outside that of the list for its files")
    parser.add_argument("--resamples", type=int, default=2000, help="of the cases, for the intervals (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once, each a process (%(default)s)")
    return parser.parse_args(args)


def main(args: list[str] | None = None) -> None:
    """Corrupt, audit, compare, train, write."""
    given = arguments(args)
    study = Study.begin(given)
    with map_in_order(given.jobs) as mapped:
        list(mapped(study.audit, study.audits))
        results = study.compared(given.resamples)
        _write(study.out, results)  # the trainings take longer than all that
        if not given.no_retraining:
            trainings = study.trainings(given.seed or [0, 1])
            dices: dict[str, list[dict[str, float]]] = {}
            for training, found in zip(trainings, mapped(Training.run, trainings), strict=True):
                dices.setdefault(training.name, []).append(found)
            results["retraining"] = {
                "replaced": replaced(study.truth, study.worklist),
                "compared": compare_labels(dices, resamples=given.resamples),
            }
            _write(study.out, results)
    print(markdown(results))


@dataclass(frozen=True)
class Study:
    """What the steps share.

    Args:
        out: folder for everything.
        source: the prepared list.
        asked: the settings that one folder holds one kind of.
        truth: the cases, and what is wrong with them.
        others: entries of the validation and test sections.
        folders: that the files of the cases lie in.
        audits: the IEL's and the plain one.
        main: the one whose worklist is worked off.
    """

    out: Path
    source: Path
    asked: Mapping[str, Any]
    truth: Truth
    others: Mapping[str, Sequence[Mapping[str, str]]]
    folders: Sequence[str]
    audits: tuple[str, ...]
    main: str

    @classmethod
    def begin(cls, given: argparse.Namespace) -> Study:
        """Look everything up and corrupt the labels."""
        content = read_json(given.dataset)
        count = round(given.share * given.cases)
        if not 0 < count < given.cases:
            raise ValueError(f"--share {given.share} of {given.cases} cases is {count}, expected some and not all")
        parameters = dict(map(setting, given.noise_set))
        classes = num_classes_of(content)
        noise = label_noise_of_model(given.noise, parameters, seed=given.noise_seed, num_classes=classes)
        entries = first_cases(given.dataset, given.cases, given.root)
        others = {
            section: load_datalist(given.dataset, section, spatial_dims=3, check="files", roots=given.root)
            for section in ("validation", "test")
        }
        asked = {
            "dataset": digest(given.dataset),
            "noise": {"model": given.noise, "parameters": parameters, "seed": given.noise_seed},
            "settings": dict(map(setting, given.set)),
            **{name: getattr(given, name) for name in ("data", "cases", "share", "target_dice", "folds", "audit_seed")},
        }
        folder = SettingsFolder(given.out.resolve(), asked)
        folder.check_writable()
        if folder.is_new:
            folder.write_settings()
        out, source = folder.path, given.dataset.resolve()
        truth = corrupt(out / "data", entries, noise, count, given.target_dice)
        folders = write_list(out / "data" / "dataset.json", source, truth, truth.labels("label"), {})
        audits = (given.iel, PLAIN)
        return cls(out, source, folder.asked, truth, others, folders, audits, audits[given.worklist == PLAIN])

    @property
    def worklist(self) -> Path:
        """Folder of the audit whose worklist is worked off."""
        return self.place(self.main)

    def place(self, name: str) -> Path:
        """Folder of an audit."""
        return self.out / f"audit-{Path(name).stem}"

    def audit(self, name: str) -> None:
        """Audit the corrupted labels, unless that is done."""
        overlays = (self.asked["data"], *([] if name == PLAIN else [name]))
        audit(
            self.out / "data" / "dataset.json",
            self.place(name),
            bundle=BUNDLE,
            overlays=overlays,
            folds=self.asked["folds"],
            seed=self.asked["audit_seed"],
            settings=self.asked["settings"],
            roots=self.folders,
        )

    def compared(self, resamples: int) -> dict[str, Any]:
        """What the audits found, against what is wrong."""
        content = read_json(self.source)
        clean = self.truth.labels("clean")
        places = {name: self.place(name) for name in self.audits}
        ranked = rankings(places, PLAIN, num_classes_of(content) or 2)
        return {
            "title": f"{content.get('name', self.source.parent.name)}: {self.asked['noise']['model']}",
            "version": __version__,
            "asked": dict(self.asked),
            "noise": dict(self.truth.noise),
            "cases": {"all": len(self.truth.cases), "wrong": len(self.truth.wrong)},
            "main": f"audit, {self.main}",
            "audits": {name: evaluate_audit(at, clean, resamples=resamples).record() for name, at in places.items()},
            "rankings": compare_rankings(ranked, self.truth.wrong, resamples=resamples).record(),
        }

    def trainings(self, seeds: Sequence[int]) -> list[Training]:
        """All trainings after the audits."""
        return [
            Training(
                name=name,
                seed=seed,
                folder=self.out / "retraining" / f"{name.replace(' ', '-')}-seed{seed}",
                overlays=(self.asked["data"],),
                settings=self.asked["settings"],
                source=self.source,
                truth=self.truth,
                labels=labels,
                others=self.others,
            )
            for name, labels in label_sets(self.truth, self.worklist).items()
            for seed in seeds
        ]


def _write(out: Path, results: Mapping[str, Any]) -> None:
    write_json(out / "results.json", dict(results))
    write_text(out / "RESULTS.md", markdown(results))


if __name__ == "__main__":
    in_one_line(main)
