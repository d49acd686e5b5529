#!/usr/bin/env python
r"""Annotation noises side by side at equal damage: what each does to the labels of a data set, or the most it can do.

    python scripts/prepare_data.py decathlon Task04_Hippocampus hippo
    python scripts/noise_table.py runs/noise_hippo.md hippo/dataset.json --cases 60

Every model is calibrated to the mean label Dice of --level over the first cases of the training list, and measured
there: surface distances, bias of the outline (mean signed distance, positive outwards), volume, components, and the
correlation length of the outline's displacement. Published presets are measured as they are. Lengths are in mm, in
pixels where the labels have no geometry. The rows go to OUT (Markdown) and beside it as .json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from monai_iel.cli import in_one_line
from monai_iel.data import load_datalist
from monai_iel.data.datalist import read_json
from monai_iel.files import write_text
from monai_iel.noisy_labels import (
    BoundaryCorrelation,
    LabelDamage,
    LabelFile,
    UnreachableTargetError,
    calibrate,
    label_damage,
    label_noise_of_model,
    num_classes_of,
)
from monai_iel.processes import map_in_order
from monai_iel.transforms.label_noise import LabelNoise, label_noise_of_preset
from monai_iel.transforms.label_noise.presets import LABEL_NOISE_PRESETS

# Name in the table -> model and parameters; lengths for structures of some ten voxels.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "block, 4 voxels": ("block", {"scale": 4, "keep": 0.5}),
    "voxel": ("voxel", {"rate": 0.1}),
    "morphology, out or in": ("morphology", {"radius": (1, 3)}),
    "morphology, out": ("morphology", {"radius": (1, 3), "dilate_probability": 1, "erode_probability": 0}),
    "morphology, in": (
        "morphology",
        {"radius": (1, 3), "dilate_probability": 0, "erode_probability": 1, "allow_vanish": True},
    ),
    "bumps": ("bumps", {"radius": (1, 3), "fraction": 0.05}),
    "two bites": ("bumps", {"radius": (2, 4), "count": 2, "mode": "remove"}),
    "elastic, correlation 10": ("elastic", {"displacement": 1.0, "correlation": 10.0}),
    "elastic, correlation 3": ("elastic", {"displacement": 1.0, "correlation": 3.0}),
    "markov, outwards": ("markov", {"steps": 20, "expand": 0.8, "flip": 0.05}),
    "markov, unbiased": ("markov", {"steps": 20, "expand": 0.5, "flip": 0.3}),
    "affine": ("affine", {"rotation": 5, "shift": (0, 2), "scale": (0.95, 1.05)}),
    "area ratio": ("area_ratio", {"ratio": 0.2}),
    "slices missing": ("slices", {"missing": 0.3}),
    "slices, every 3rd, interpolated": ("slices", {"every": 3, "interpolate": True}),
    "instances": ("instances", {"fraction": 0.3}),
    "classes": ("classes", {}),
    "outline": ("outline", {"tolerance": 1.0}),
}
# Measured as they are: what is unknown is not wrong, so it has no Dice to be calibrated to.
AS_THEY_ARE: dict[str, tuple[str, dict[str, Any]]] = {"unknown": ("unknown", {"fraction": 0.3})}
HEADINGS = {
    "noise": "noise",
    "target": "target",
    "strength": "strength",
    "dice": "Dice",
    "distance": "surface distance",
    "distance95": "95 %",
    "bias": "bias",
    "volume": "volume",
    "components": "components",
    "correlation": "correlation length",
    "missed": "classes lost",
    "unknown": "unknown",
}


def arguments(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="Markdown file to write; the same as .json beside it")
    parser.add_argument("dataset", type=Path, help="the data list, a dataset.json")
    parser.add_argument("--cases", type=int, default=60, help="of the training list (%(default)s)")
    parser.add_argument("--level", type=float, action="append", help="mean label Dice; several times (0.9 and 0.8)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"of {', '.join(MODELS | AS_THEY_ARE)}, or a preset"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    return parser.parse_args(args)


def main(args: list[str] | None = None) -> None:
    """Calibrate, measure, print, write."""
    given = arguments(args)
    entries = load_datalist(given.dataset, "training", spatial_dims=3, check="files", limit=given.cases)
    cases = [(entry["case_id"], LabelFile(Path(entry["label"]))) for entry in entries]
    num_classes = num_classes_of(read_json(given.dataset))
    known = [*MODELS, *AS_THEY_ARE, *LABEL_NOISE_PRESETS]
    jobs: list[tuple[str, float | None]] = []
    for name in given.only or known:
        if name not in known:
            raise ValueError(f"no noise {name!r}; there are {', '.join(known)}")
        jobs += [(name, level) for level in (given.level or [0.9, 0.8])] if name in MODELS else [(name, None)]
    work = partial(row_of, cases=cases, num_classes=num_classes, seed=given.seed)
    with map_in_order(given.workers) as run:
        rows = list(track(run(work, jobs), "noises", len(jobs), console=Console(stderr=True)))
    text = markdown(rows)
    print(text)
    write_text(given.out, text)
    write_text(given.out.with_suffix(".json"), json.dumps(rows, indent=1) + "\n")


def row_of(
    job: tuple[str, float | None],
    *,
    cases: Sequence[tuple[str, LabelFile]],
    num_classes: int | None,
    seed: int,
) -> dict[str, Any]:
    """Figures of one noise at one level (None: as it is); why there are none, where it cannot be used."""
    name, level = job
    row: dict[str, Any] = {"noise": name, "target": level}
    try:
        noise = noise_of(name, num_classes, seed)
        if level is not None:
            noise = at_level(noise, cases, level)
        return {**row, "strength": noise.strength, **figures(noise, cases)}
    except ValueError as error:  # a 2D label has no slices, a redrawn preset no fixed labels
        return {**row, "why": " ".join(str(error).split())}


def noise_of(name: str, num_classes: int | None, seed: int) -> LabelNoise:
    """The noise of a row."""
    if name in LABEL_NOISE_PRESETS:
        return label_noise_of_preset(name, seed=seed)
    model, parameters = (MODELS | AS_THEY_ARE)[name]
    if model == "classes":  # half of the components of each foreground class are taken for the next one
        if num_classes is None or num_classes < 3:
            raise ValueError("there is one foreground class, so none to be swapped with")
        confusion = np.eye(num_classes)
        foreground = np.arange(1, num_classes)
        confusion[foreground, foreground] = confusion[foreground, np.roll(foreground, -1)] = 0.5
        parameters = {"confusion": confusion.tolist()}
    return label_noise_of_model(model, parameters, seed=seed, num_classes=num_classes)


def at_level(noise: LabelNoise, cases: Sequence[tuple[str, LabelFile]], level: float) -> LabelNoise:
    """The noise at the strength with the mean Dice ``level``, or where it comes nearest."""
    try:
        return calibrate(noise, cases, target_dice=level).noise
    except UnreachableTargetError as error:
        return noise.at_strength(error.nearest.strength)


def figures(noise: LabelNoise, cases: Iterable[tuple[str, LabelFile]]) -> dict[str, Any]:
    """Means over the cases; of figures by class, over the cases' means over the classes."""
    ignore = getattr(noise, "ignore_index", None)
    correlation = BoundaryCorrelation()
    damages: list[LabelDamage] = []
    for case_id, label in cases:
        clean, spacing = label()
        noisy = noise.corrupt_case(clean.copy(), spacing, case_id)
        damages.append(label_damage(noisy, clean, spacing, ignore_index=ignore))
        correlation.add(noisy, clean, spacing, ignore_index=ignore)
    both = [[one for one in damage.classes if not one.missed and not one.added] for damage in damages]
    components = [sum(one.noisy_components - one.components for one in damage.classes) for damage in damages]
    return {
        "dice": mean(damage.dice for damage in damages),
        # A class that is gone counts with the diagonal of the image; it is counted by itself, too.
        "distance": mean(mean(one.distance_mm for one in classes) for classes in both),
        "distance95": mean(mean(one.distance95_mm for one in classes) for classes in both),
        "bias": mean(damage.bias_mm for damage in damages),
        "volume": mean(mean(one.volume_ratio for one in damage.classes) for damage in damages),
        "components": mean(components),
        "correlation": correlation.length_mm,
        "missed": sum(len(damage.missed) for damage in damages),
        "unknown": mean(damage.unknown_share for damage in damages),
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table; noises that cannot be used below it."""
    shown = [name for name in HEADINGS if any(row.get(name) for row in rows)]
    lines = [f"| {' | '.join(HEADINGS[name] for name in shown)} |", "|---" * len(shown) + "|"]
    lines += [f"| {' | '.join(cell(name, row) for name in shown)} |" for row in rows if "why" not in row]
    # Once for all levels.
    why = dict.fromkeys(f"- {row['noise']}: {row['why']}" for row in rows if "why" in row)
    return "\n".join([*lines, *(["", *why] if why else [])]) + "\n"


def cell(name: str, row: dict[str, Any]) -> str:
    """One figure, with as many digits as mean something."""
    value = row.get(name)
    if name == "target":
        reached = value is None or abs(row["dice"] - value) < 0.01
        return "as it is" if value is None else f"{value:g}" if reached else f"{value:g}: most it can"
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if name in ("dice", "unknown"):
        return f"{value:.3f}"
    if name in ("bias", "components"):
        return f"{value:+.2f}"
    return "∞" if value == float("inf") else str(value) if isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    in_one_line(main)
