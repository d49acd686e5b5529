"""What the annotation noise did to each training case."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.metrics import compute_dice
from monai.networks import one_hot

from monai_iel.files import write_text
from monai_iel.metrics import compute_physical_hausdorff_distance

__all__ = ["noise_manifest", "write_manifest"]

Item = Mapping[str, Any]


def noise_manifest(
    cases: Sequence[Item],
    load: Callable[[Any], Any],
    noise: Sequence[Callable[[Any], Any]],
    *,
    num_classes: int,
) -> list[dict[str, Any]]:
    """One entry per case: its noises with parameters and seeds, and how far the noisy label is from the clean one.

    Args:
        cases: entries of a data list.
        load: everything that comes before the noise.
        noise: the noise transforms, in order.
        num_classes: number of classes, background included.

    Returns:
        Per case ``case_id``, ``noise`` (list of descriptions), ``changed`` (fraction of voxels), ``dice`` and
        ``hd95_mm`` between noisy and clean label (means over the foreground classes that either has; None where neither
        has one). A redrawn noise is looked at once.
    """
    entries = []
    for case in cases:
        item = load(case)
        clean = item["label"]
        for transform in noise:
            item = transform(item)
        noisy = item["label"]
        masks = [one_hot(label[None], num_classes) for label in (noisy, clean)]
        entries.append(
            {
                "case_id": case["case_id"],
                "noise": [_description(transform, case["case_id"]) for transform in noise],
                "changed": float((noisy != clean).float().mean()),
                "dice": _mean(compute_dice(*masks, include_background=False, ignore_empty=False), masks),
                "hd95_mm": _mean(compute_physical_hausdorff_distance(*masks, percentile=95), masks),
            }
        )
    return entries


def write_manifest(path: Path, entries: Sequence[Item]) -> None:
    """Write the entries as JSON lines, whole or not at all."""
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def _description(transform: Any, case_id: str) -> Any:
    describe = getattr(transform, "describe", None)
    return describe(case_id) if describe is not None else type(transform).__name__


def _mean(values: torch.Tensor, masks: Sequence[torch.Tensor]) -> float | None:
    """Over the classes that one of the two masks has."""
    present = torch.stack([mask[0, 1:].flatten(1).any(dim=1) for mask in masks]).any(dim=0)
    known = values[0][present]
    return float(known.mean()) if known.numel() else None
