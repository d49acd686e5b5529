"""What is done to one case, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_iel.data.building import write_json
from monai_iel.data.files import CaseError
from monai_iel.files import write_bytes
from monai_iel.noisy_labels.case_list import NoisyCase
from monai_iel.noisy_labels.damage import label_damage
from monai_iel.noisy_labels.label_file import LabelFile
from monai_iel.noisy_labels.run_folder import RunFolder
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["Corruption", "caption", "remark_of_no_change", "remarks"]


@dataclass(frozen=True)
class Corruption:
    """Writes the noisy label of one case, then its record; runs in the workers."""

    noise: LabelNoise
    folder: RunFolder

    def __call__(self, case: NoisyCase) -> dict[str, Any]:
        asked = self.folder.asked
        clean, spacing = case.label.read()
        try:
            noisy = self.noise.corrupt_case(clean.copy(), spacing, case.case_id)
        except ValueError as error:
            raise ValueError(f"case {case.case_id!r}, {case.label.path}: {error}") from error
        _check_reads_as(write_bytes(self.folder.path / case.target, case.label.rewrite(noisy)), noisy)
        if asked["error_maps"]:
            content = case.label.error_map(noisy, clean, asked["ignore_index"])
            write_bytes(self.folder.path / case.error_map, content)
        described = self.noise.describe(case.case_id)
        record = {
            "case": described.pop("case"),
            "section": case.section,
            "label": case.target,
            "preset": asked["preset"],
            **described,
            **label_damage(noisy, clean, spacing, ignore_index=asked["ignore_index"]).as_dict(),
        }
        record = json.loads(json.dumps(record))  # what a resumed run would read
        write_json(self.folder.record_of(case.case_id), record)
        return dict(record)


def _check_reads_as(path: Path, meant: NDArray[np.int32]) -> None:
    """Refuse a file that a reader would understand otherwise than it was meant."""
    found, _ = LabelFile(path).read()
    if not np.array_equal(found, meant):
        at = tuple(np.argwhere(found != meant)[0].tolist())
        raise CaseError(
            f"{path}: class {meant[at]} at voxel {at} is read back as {found[at]}; this file format does not hold the "
            "label, save the clean one as NIfTI or 8-bit grey PNG"
        )


def remark_of_no_change(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence where the noise did nothing at all."""
    if any(record["changed"] or record["unknown_share"] for record in records):
        return []
    return [f"The noise changed no voxel of any of the {_counted(records)}: the noisy labels are the clean ones."]


def remarks(present: Sequence[tuple[str, Sequence[int]]]) -> list[str]:
    """Sentences about labels that are empty or lack a class, from the classes of each clean label."""
    everywhere = sorted({number for _, numbers in present for number in numbers})
    lacking = {
        number: [case for case, numbers in present if numbers and number not in numbers] for number in everywhere
    }
    empty = [case for case, numbers in present if not numbers]
    sentences = []
    if empty:
        stay = "they stay in the list and are" if len(empty) > 1 else "it stays in the list and is"
        sentences.append(f"{_counted(empty)} with an empty label: {_some(empty)}; {stay} in no mean.")
    sentences += [
        f"{_counted(cases)} without class {number}: {_some(cases)}." for number, cases in lacking.items() if cases
    ]
    return sentences


def _counted(cases: Sequence[Any]) -> str:
    return f"{len(cases)} case{'s' if len(cases) > 1 else ''}"


def _some(cases: Sequence[str]) -> str:
    return ", ".join(cases[:5]) + (f" and {len(cases) - 5} more" if len(cases) > 5 else "")


def caption(record: Mapping[str, Any]) -> str:
    """Return what stands below the picture of a case."""
    if record["dice"] is None:
        return f"{record['case']}: no foreground"
    return f"{record['case']}: Dice {record['dice']:.3f}, distance {record['distance_mm']:.2f} mm"
