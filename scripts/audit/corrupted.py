"""A data list in which some labels are known to be wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_iel.data import load_datalist, write_datalist
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.data.splits import sort_by_hash
from monai_iel.files import write_bytes
from monai_iel.noisy_labels import LabelFile, UnreachableTargetError, calibrate, label_damage
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["Truth", "corrupt", "first_cases", "write_list"]

_DAMAGE = ("dice", "distance_mm", "changed", "changed_share", "missed")


@dataclass(frozen=True)
class Truth:
    """What is wrong in the list.

    Args:
        cases: case id -> ``image``, ``label`` (the audited one), ``clean`` and, of the corrupted ones, ``damage``.
        noise: what corrupted them.
    """

    cases: Mapping[str, Mapping[str, Any]]
    noise: Mapping[str, Any]

    @property
    def wrong(self) -> set[str]:
        """Ids of the corrupted cases."""
        return {case_id for case_id, case in self.cases.items() if "damage" in case}

    def labels(self, kind: str) -> dict[str, Path]:
        """Case id -> its label, ``"label"`` as it is audited or ``"clean"``."""
        return {case_id: Path(case[kind]) for case_id, case in self.cases.items()}


def corrupt(
    folder: Path, entries: Sequence[Mapping[str, str]], noise: LabelNoise, count: int, target: float | None
) -> Truth:
    """Corrupt ``count`` of the cases, unless that is done: the first in the order of the hash of noise and case id.

    With a target the noise has the strength at which the mean label Dice of these cases is that, or comes nearest. A
    case that stays as it is is replaced by the next one.

    Args:
        folder: gets ``labels/`` and ``truth.json``.
        entries: the cases.
        noise: fixed per case.
        count: how many.
        target: mean label Dice; None for the noise as it is.

    Raises:
        ValueError: the noise changes too few of the cases.
    """
    done = folder / "truth.json"
    if done.is_file():
        return Truth(**read_json(done))
    clean = {entry["case_id"]: LabelFile(Path(entry["label"])) for entry in entries}
    order = sorted(clean, key=lambda case_id: hashlib.sha256(f"{noise.model}:{case_id}".encode()).digest())
    if target is not None:
        noise = _at_dice(noise, [(case_id, clean[case_id]) for case_id in order[:count]], target)
    cases: dict[str, dict[str, Any]] = {
        entry["case_id"]: {"image": entry["image"], "label": entry["label"], "clean": entry["label"]}
        for entry in entries
    }
    damages = []
    for case_id in order:
        label, spacing = clean[case_id].read()
        noisy = noise.corrupt_case(label.copy(), spacing, case_id)
        if (noisy == label).all():
            continue
        path = folder / "labels" / f"{list(clean).index(case_id):03d}_{clean[case_id].path.name}"
        write_bytes(path, clean[case_id].rewrite(noisy))
        damage = label_damage(noisy, label, spacing).as_dict()
        cases[case_id] |= {"label": str(path), "damage": {name: damage[name] for name in _DAMAGE}}
        damages.append(damage["dice"])
        if len(damages) == count:
            break
    if len(damages) < count:
        raise ValueError(
            f"{noise} changes {len(damages)} of the {len(order)} cases, expected {count}; make it stronger"
        )
    described = {"noise": repr(noise), "strength": noise.strength, "target_dice": target}
    described |= {"dice": sum(damages) / count, "least_dice": min(damages), "largest_dice": max(damages)}
    write_json(done, {"cases": cases, "noise": described})
    return Truth(cases, described)


def _at_dice(noise: LabelNoise, cases: Sequence[tuple[str, LabelFile]], target: float) -> LabelNoise:
    try:
        return calibrate(noise, cases, target_dice=target).noise
    except UnreachableTargetError as error:
        return noise.at_strength(error.nearest.strength)


def first_cases(dataset: Path, count: int, roots: Sequence[Path] | None) -> list[dict[str, str]]:
    """The first so many training cases in the order of the hash of their ids.

    Raises:
        ValueError: there are fewer.
    """
    entries = {e["case_id"]: e for e in load_datalist(dataset, "training", spatial_dims=3, check="files", roots=roots)}
    if len(entries) < count:
        raise ValueError(f"{dataset}: the training list has {len(entries)} cases, expected {count}; give --cases")
    return [entries[case_id] for case_id in sort_by_hash(entries)[:count]]


def write_list(
    path: Path,
    source: Path,
    truth: Truth,
    labels: Mapping[str, Path],
    others: Mapping[str, Sequence[Mapping[str, str]]],
) -> list[str]:
    """Write a data list with the cases and these labels for training; returns the folders that its files lie in.

    Args:
        path: where to.
        source: the list that names the classes and the channels.
        truth: the cases.
        labels: case id -> label.
        others: entries of the validation and test sections.
    """
    content = read_json(source)
    sections = {
        "training": [
            {"id": case_id, "image": case["image"], "label": str(labels[case_id])}
            for case_id, case in truth.cases.items()
        ],
        "validation": list(others.get("validation", [])),
        "test": list(others.get("test", [])),
    }
    write_datalist(
        path,
        name=str(content.get("name", source.parent.name)),
        labels=content["labels"],
        channel_names=content.get("modality") or ["image"],
        **sections,
    )
    return sorted(
        {str(Path(e[key]).parent) for entries in sections.values() for e in entries for key in ("image", "label")}
    )
