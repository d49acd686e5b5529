"""What is measured of a trained candidate through the bundle's evaluation, with noisy labels alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_iel.data import write_datalist
from monai_iel.study import BundleRun
from monai_iel.study.case_table import read_case_table
from monai_iel.study.compare.study import slug
from monai_iel.tune.candidates import Candidate
from monai_iel.tune.criteria import Evidence, halves_scores
from monai_iel.tune.maps import agreement

__all__ = ["Networks", "clean_dice", "halves_of", "measure"]

_TWICE = ("max_epochs", "val_interval", "warm_up_epochs")
_WATCH = "watch"


@dataclass(frozen=True)
class Networks:
    """The trainings that a candidate is judged by.

    Args:
        full: on all training cases.
        halves: on a half each; empty where these are not asked for.
    """

    full: BundleRun
    halves: tuple[BundleRun, ...] = ()


def halves_of(run: BundleRun, folder: Path) -> tuple[BundleRun, ...]:
    """The same training on every other training case, and on the rest, with the same held-out cases.

    Each has as many iterations as the training on all cases: twice the epochs.

    Args:
        run: the training on all cases.
        folder: where the two work; their data lists are written there. Test cases are not in them.

    Raises:
        ValueError: fewer than four training cases.
    """
    # A network watched on clean labels would read them.
    run = replace(run, overlays=tuple(name for name in run.overlays if name != _WATCH)).with_own_settings()
    found = run.content("@train::cases", "@validate::cases", "@class_names", "@in_channels", *(f"@{n}" for n in _TWICE))
    cases, held_out, names, channels = found[:4]
    if len(cases) < 4:
        raise ValueError(f"{len(cases)} training cases, expected 4 or more to train networks on two halves of them")
    longer = {name: 2 * value for name, value in zip(_TWICE, found[4:], strict=True)}
    roots = tuple(sorted({str(Path(case[key]).parent) for case in (*cases, *held_out) for key in ("image", "label")}))
    # What the file beside the list allows does not count where the variable for it is set.
    own = {f"{part}#cases#roots": roots for part in ("train", "validate")}
    halves = []
    for index in range(2):
        path = write_datalist(
            folder / str(index) / "dataset.json",
            name=f"half {index}",
            labels=names,
            channel_names=[str(channel) for channel in range(channels)],
            training=cases[index::2],
            validation=held_out,
            test=[],
        )
        settings = {**run.settings, **longer, **own, "dataset_json": str(path), "num_training_cases": None}
        halves.append(replace(run, settings=settings, folder=path.parent))
    return tuple(halves)


def measure(candidate: Candidate, networks: Networks, *, training: bool = False) -> Evidence:
    """Evaluate a candidate's networks on the held-out cases; what is there already is not done again.

    Args:
        candidate: what is done to the logits.
        networks: trained.
        training: also evaluate the cases that were trained on.
    """
    keep = {"keep_maps": True} if networks.halves else {}
    full = _evaluated(networks.full, candidate, "validation")
    dice, halves, seen = _column(full, "dice"), dict[str, float](), dict[str, float]()
    if networks.halves:
        first, second = (_evaluated(run, candidate, "validation", **keep) for run in networks.halves)
        both = agreement(first / "maps", second / "maps")
        halves = halves_scores(_column(first, "dice"), _column(second, "dice"), both)
    if training:
        seen = _column(_evaluated(networks.full, candidate, "training"), "dice")
    return Evidence(dice, _column(full, "cross_entropy"), seen, halves)


def clean_dice(candidate: Candidate, run: BundleRun) -> dict[str, float]:
    """Dice of the test cases with their clean labels, by which a way to choose is judged; nothing is chosen by it."""
    return _column(_evaluated(run, candidate, "test", validation_noise=[]), "dice")


def _evaluated(run: BundleRun, candidate: Candidate, section: str, **own: Any) -> Path:
    """Folder of the evaluation of a network behind a candidate's smoothing, made unless the same is there."""
    name = "-".join(["tune", section, *([slug(candidate.after_name)] if candidate.after else [])])
    overlays = ("held_out", *candidate.after)
    settings = {**candidate.after_settings, "validation_section": section, **own}
    if section == "training":
        settings["validate#cases#limit"] = "@num_training_cases"
    return run.evaluate_once(name, overlays=overlays, **settings)


def _column(evaluation: Path, name: str) -> dict[str, float]:
    """Mean over the classes of each case; cases without a figure are left out."""
    return read_case_table(evaluation)[0].get(name, {})
