"""How a training went, epoch by epoch, as a small table beside it."""

from __future__ import annotations

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel.files import write_text

__all__ = ["CURVES", "read_curves", "write_curves"]

CURVES = "curves.csv"
_TAGS = {"dice": "validation", "test_dice": "test"}
_HEAD = ("curve", "epoch", "dice")


def write_curves(events: Path, target: Path) -> None:
    """Write the Dice by epoch, of the validation (on its noisy labels) and of the clean test labels where watched.

    Args:
        events: folder of TensorBoard events. Where an epoch stands twice, of a training that was interrupted, the later
            one counts.
        target: the table.
    """
    found = EventAccumulator(str(events), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
    found.Reload()
    rows = [",".join(_HEAD)]
    for tag, name in _TAGS.items():
        if tag in found.Tags()["scalars"]:
            by_epoch = {point.step: point.value for point in found.Scalars(tag)}
            rows += [f"{name},{epoch},{value:.6g}" for epoch, value in sorted(by_epoch.items())]
    write_text(target, "\n".join(rows) + "\n")


def read_curves(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Curve -> (epochs, values); none where there is no such file."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            epochs, values = found.setdefault(row["curve"], ([], []))
            epochs.append(int(row["epoch"]))
            values.append(float(row["dice"]))
    return found
