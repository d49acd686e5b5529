"""A thousand volumes of 128 cubed in one run: bounded memory, every planted mistake found and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_iel.data import write_datalist

COUNT, SIZE = 1000, 128


PLANTED = {
    "case 17": "not-finite",
    "case 40": "missing-slices",
    "case 60": "islands",
    "case 80": "unexpected-class",
    "case 90": "spacing-mismatch",
    "case 700": "intensity-outlier",
    f"case {COUNT - 1}": "leak",
}


def spoil(index: int, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, label and the label's affine of a case, with the mistake of `PLANTED`."""
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    kind = PLANTED.get(f"case {index}")
    if kind == "not-finite":
        image = image.astype(np.float32)
        image[3, 3, 3] = np.nan
    elif kind == "missing-slices":
        image[:, :, image.shape[2] // 2] = 0
    elif kind == "islands":
        label[0, 0, 0] = 1
    elif kind == "unexpected-class":
        label[tuple(size // 2 for size in label.shape)] = 5
    elif kind == "spacing-mismatch":
        affine[2, 2] = 3
    elif kind == "intensity-outlier":
        image *= 50
    return image, label, affine


def make(folder: Path, count: int, size: int) -> Path:
    """Noisy volumes (int16) with a ball each (uint8), uncompressed, and their list."""
    rng = np.random.default_rng(0)
    axes = np.ogrid[:size, :size, :size]
    noise = rng.integers(0, 100, (size, size, size), dtype=np.int16)
    entries = []
    for index in range(count):
        middle = rng.integers(3 * size // 8, 5 * size // 8, 3)
        ball = sum((axis - m) ** 2 for axis, m in zip(axes, middle, strict=True)) < (size // 4 + index % 7) ** 2
        image = np.roll(noise, rng.integers(0, size, 3), axis=(0, 1, 2)) + 300 * ball.astype(np.int16)
        image, label, affine = spoil(index, image, ball.astype(np.uint8))
        paths = {kind: folder / f"{kind}_{index}.nii" for kind in ("image", "label")}
        nibabel.save(nibabel.Nifti1Image(image, np.diag([1.0, 1.0, 1.5, 1.0])), paths["image"])
        nibabel.save(nibabel.Nifti1Image(label, affine), paths["label"])
        entries.append({"id": f"case {index}", **{kind: str(path) for kind, path in paths.items()}})
    for kind in ("image", "label"):
        shutil.copy(folder / f"{kind}_3.nii", folder / f"{kind}_{count - 1}.nii")
    train = entries[: count * 4 // 5]
    return write_datalist(
        folder / "dataset.json",
        name="many",
        labels=["background", "ball"],
        channel_names=["CT"],
        training=train,
        validation=[],
        test=entries[len(train) :],
    )


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "set"
    folder.mkdir()
    yield make(folder, COUNT, SIZE)
    shutil.rmtree(folder)  # 6 GiB


@pytest.mark.slow
def test_a_thousand_volumes_are_checked_in_one_run_with_bounded_memory(many: Path, tmp_path: Path) -> None:
    command = [Path(sys.executable).parent / "monai-iel", "check", many, "--workers", "2", "--out", tmp_path / "out"]
    with (tmp_path / "printed").open("w") as printed:
        started = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(started.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1, (tmp_path / "printed").read_text()[-2000:]
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    odd = [finding for finding in found["findings"] if finding["severity"] != "info"]
    # Two balls of a thousand may be the same, by chance.
    assert {f["case_id"]: f["kind"] for f in odd if f["kind"] != "duplicate-label"} == PLANTED
    assert len(found["cases"]) == COUNT
    peak = usage.ru_maxrss * 1024  # of the command and its workers, the largest
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{found['seconds']} s, {cpu:.0f} s of CPU, largest process {peak / 2**20:.0f} MiB")
    assert peak < 2**30
