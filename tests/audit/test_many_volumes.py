"""The memory and the time of an audit of many volumes. Minutes: ``pytest -m slow tests/audit``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import save

REPO = Path(__file__).parents[2]
SCRIPT = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
from monai_iel.audit import audit
start = time.monotonic()
cases = len(audit(sys.argv[1], sys.argv[2], predictions=sys.argv[3], progress=False).cases)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"cases": cases, "GiB": peak, "seconds": time.monotonic() - start}))
"""


def volumes(folder: Path, count: int, size: int) -> Path:
    """A list of ``count`` volumes of two organs, of which four are files and the others links to them."""
    grid = np.indices((size, size, size), dtype=np.float32) / size - 0.5
    rng = np.random.default_rng(0)
    rough = np.kron(rng.normal(0, 0.02, (size // 4,) * 3), np.ones((4, 4, 4), np.float32))
    entries = []
    for number in range(count):
        names = {kind: folder / kind / f"v{number:03}.nii.gz" for kind in ("image", "label", "p")}
        entries.append({"id": f"v{number:03}", "image": f"image/v{number:03}.nii.gz", "label": str(names["label"])})
        if number >= 4:
            for kind, path in names.items():
                os.link(folder / kind / f"v{number % 4:03}.nii.gz", path)
            continue
        shift = 0.02 * number
        depth = [np.sqrt(((grid - shift) ** 2).sum(0)) - 0.3, np.sqrt(((grid + 0.1 - shift) ** 2).sum(0)) - 0.12]
        logits = np.stack([np.zeros_like(rough), -depth[0] * 60, -depth[1] * 90], axis=-1) + rough[..., None]
        seen = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        label = np.where(depth[1] < 0, 2, depth[0] < rough).astype(np.uint8)
        label[..., size // 2 : size // 2 + 3] *= number != 1  # slices that were passed over
        save(names["image"], (label * 60 + 20).astype(np.int16), np.eye(4))
        save(names["label"], label, np.eye(4))
        save(names["p"], seen.astype(np.float32), np.eye(4))
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": {"0": "background", "1": "organ", "2": "core"}, "training": entries}))
    return path


@pytest.mark.slow
def test_300_volumes_of_128_need_less_than_4_gib(tmp_path: Path) -> None:
    source = volumes(tmp_path / "data", 300, 128)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, source, tmp_path / "out", source.parent / "p"]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    print(measured)
    assert measured["cases"] == 300
    assert measured["GiB"] < 4
