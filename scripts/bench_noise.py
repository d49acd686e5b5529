#!/usr/bin/env python
"""How many volumes of 128^3 an annotation noise makes in a minute on one core.

    OMP_NUM_THREADS=1 python scripts/bench_noise.py

Two ellipsoids, one in the other, that fill --share of each axis; every model, and the published Markov walk of 180
steps. The floor is what no noise can do without: to read the label, to copy it, and to write it in its own type.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from monai_iel.noisy_labels import label_noise_of_model
from monai_iel.transforms.label_noise import LabelNoise, label_noise_of_preset
from monai_iel.transforms.label_noise.base import read_label, write_label

MODELS: dict[str, dict[str, Any]] = {
    "block": {"scale": 4, "keep": 0.8},
    "voxel": {"rate": 0.1},
    "morphology": {"radius": (2, 5)},
    "area_ratio": {"ratio": 0.3},
    "bumps": {"radius": (2, 5), "fraction": 0.02},
    "elastic": {"displacement": 2.0, "correlation": 8.0},
    "affine": {"rotation": 10, "shift": (0, 5), "scale": (0.9, 1.1)},
    "markov": {"steps": 80, "expand": 0.7, "flip": 0.05},
    "slices": {"every": 3, "interpolate": True},
    "instances": {"fraction": 0.5},
    "classes": {"confusion": [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]},
    "outline": {"tolerance": 2.0},
    "unknown": {"fraction": 0.3},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="voxels of an axis (%(default)s)")
    parser.add_argument("--share", type=float, default=0.5, help="of each axis that the organ fills (%(default)s)")
    parser.add_argument("--cases", type=int, default=5, help="volumes of each model (%(default)s)")
    given = parser.parse_args()
    label = organ(given.size, given.share)
    noises: dict[str, LabelNoise] = {
        name: label_noise_of_model(name, settings, num_classes=3) for name, settings in MODELS.items()
    }
    noises["markov-J1, 180 steps"] = label_noise_of_preset("markov-J1")

    table = Table("noise", "seconds", "volumes a minute", "times the floor")
    floor = seconds_of(lambda case: write_label(read_label(label)[0].copy(), label), given.cases)
    table.add_row("floor", f"{floor:.4f}", f"{60 / floor:.0f}", "1")
    for name, noise in noises.items():
        seconds = seconds_of(lambda case, noise=noise: noise(label, case), given.cases)  # type: ignore[misc]
        table.add_row(name, f"{seconds:.3f}", f"{60 / seconds:.0f}", f"{seconds / floor:.0f}")
    Console().print(table)
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def organ(size: int, share: float) -> NDArray[np.uint8]:
    """Class 1 around class 2, off the centre; ``1 H W D``."""
    axes = np.ix_(*[(np.arange(size) + 0.5) / size - 0.5] * 3)
    label = np.zeros((1, size, size, size), dtype=np.uint8)
    for number, (scale, shift) in enumerate([(1.0, 0.0), (0.5, 0.05)], start=1):
        radii = scale * share / 2 * np.array([1.0, 0.9, 0.8])
        label[0][sum(((axis - shift) / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)) < 1] = number
    return label


def seconds_of(work: Callable[[int], object], cases: int) -> float:
    """Median over the cases, which draw different numbers; the first of all is not counted."""
    work(cases)
    times = []
    for case in range(cases):
        start = time.perf_counter()
        work(case)
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    main()
