"""An audit against labels whose errors are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_iel.audit import audit
from monai_iel.audit.evaluate import BINS, evaluate_audit
from monai_iel.data.files import CaseError

from .conftest import organ, save

metrics = pytest.importorskip("sklearn.metrics", reason="comes with the extra 'audit'")


def written(folder: Path, cases: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, float]]) -> dict[str, Path]:
    """A worklist as an audit writes it; clean labels by case. A case: label, clean label, errors, suspicion."""
    records, clean = [], {}
    for case_id, (label, right, errors, suspicion) in cases.items():
        names = {"label": f"label_{case_id}.nii.gz", "error map": f"errors_{case_id}.nii.gz"}
        save(folder / names["label"], label.astype(np.uint8))
        save(folder / names["error map"], errors.astype(np.float32))
        clean[case_id] = save(folder / f"clean_{case_id}.nii.gz", right.astype(np.uint8))
        worst = errors.max(axis=(0, 1)) if errors.ndim == 3 else [errors.max()]
        slices = [1 - float(value) for value in worst]
        records.append({"case": case_id, "suspicion": suspicion, "slices": slices, "files": names})
    (folder / "worklist.json").write_text(json.dumps({"cases": records}))
    return clean


def drawn(seed: int, wrong: bool, shape: tuple[int, ...] = (20, 16, 6)) -> tuple[np.ndarray, ...]:
    """Label, clean label and errors, which are larger in the wrong voxels: all in the slices 2 and 3."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 2, shape)
    differs = np.zeros(shape, bool)
    if wrong:
        differs[5:12, 4:9, 2:4] = rng.random((7, 5, 2)) < 0.7
    errors = 1 / (1 + np.exp(-rng.normal(-4 + 3 * differs, 2.5)))
    return np.where(differs, 1 - right, right), right, errors


@pytest.fixture
def known(tmp_path: Path) -> tuple[Path, dict[str, Path], dict[str, tuple[np.ndarray, ...]]]:
    cases = {f"c{i}": drawn(i, wrong=i < 3) for i in range(8)}
    clean = written(tmp_path, {name: (*case, 1 / (1 + i)) for i, (name, case) in enumerate(cases.items())})
    return tmp_path, clean, cases


def test_voxels_in_bins_have_the_figures_of_the_voxels_themselves(known) -> None:
    folder, clean, cases = known
    found = evaluate_audit(folder, clean, resamples=20).voxels
    is_wrong = np.concatenate([(label != right).ravel() for label, right, _ in cases.values()])
    errors = np.concatenate([errors.ravel() for *_, errors in cases.values()])
    assert found is not None
    assert (found.wrong, found.units) == (is_wrong.sum(), is_wrong.size)
    assert found.auroc.value == pytest.approx(metrics.roc_auc_score(is_wrong, errors), abs=1 / BINS)
    assert found.auprc.value == pytest.approx(metrics.average_precision_score(is_wrong, errors), abs=5e-3)
    assert found.auroc.low < found.auroc.value < found.auroc.high


def test_probabilities_near_0_and_1_are_told_apart(tmp_path: Path) -> None:
    errors = np.full((6, 5, 4), 2e-5)
    errors[:3] = 1e-5
    errors[0, 0, 0], errors[0, 0, 1] = 0.9999, 0.99995
    right = np.zeros((6, 5, 4))
    label = right.copy()
    label[0, 0, 1] = label[5, 4, 3] = 1
    clean = written(tmp_path, {"a": (label, right, errors, 1.0), "b": (right, right, errors * 0, 0.0)})
    found = evaluate_audit(tmp_path, clean, resamples=5).voxels
    is_wrong = np.concatenate([(label != right).ravel(), np.zeros(120, bool)])
    expected = metrics.roc_auc_score(is_wrong, np.concatenate([errors.ravel(), np.zeros(120)]))
    assert found is not None
    assert found.auroc.value == pytest.approx(expected, abs=1e-12)


def test_slices_with_a_wrong_voxel_are_wrong(known) -> None:
    folder, clean, cases = known
    found = evaluate_audit(folder, clean, resamples=20).slices
    is_wrong = [(label[..., k] != right[..., k]).any() for label, right, _ in cases.values() for k in range(6)]
    doubt = [errors[..., k].max() for *_, errors in cases.values() for k in range(6)]
    assert found is not None
    assert (found.wrong, found.units) == (6, 48)
    assert found.auroc.value == pytest.approx(metrics.roc_auc_score(is_wrong, doubt), abs=1e-6)


def test_cases_are_ranked_by_suspicion(known) -> None:
    folder, clean, _ = known
    found = evaluate_audit(folder, clean, resamples=20)
    assert (found.cases.auroc.value, found.cases.top.value, found.cases.wrong) == (1, 1, 3)
    assert found.cases.curve == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1])
    assert json.loads(json.dumps(found.record()))["cases"]["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_pictures_are_read_in_the_axes_of_their_label(tmp_path: Path) -> None:
    """Not square, and the error is at an end that the other order of axes does not have."""
    records, clean = [], {}
    for name, wrong in (("a", True), ("b", False)):
        right = np.zeros((5, 9), np.uint8)  # rows, columns
        label, errors = right.copy(), np.zeros_like(right)
        if wrong:
            label[1, 8], errors[1, 8] = 1, 255
        for kind, values in (("label", label), ("clean", right), ("errors", errors)):
            Image.fromarray(values).save(tmp_path / f"{kind}_{name}.png")
        clean[name] = tmp_path / f"clean_{name}.png"
        files = {"label": f"label_{name}.png", "error map": f"errors_{name}.png"}
        records.append({"case": name, "suspicion": float(wrong), "slices": [1.0 - wrong], "files": files})
    (tmp_path / "worklist.json").write_text(json.dumps({"cases": records}))
    found = evaluate_audit(tmp_path, clean, resamples=5)
    assert found.voxels is not None
    assert found.slices is not None
    assert (found.voxels.wrong, found.voxels.units, found.voxels.auprc.value) == (1, 90, 1)
    assert (found.slices.wrong, found.slices.units, found.slices.auroc.value) == (1, 2, 1)


def test_what_an_audit_writes_is_understood(organs: Path, tmp_path: Path) -> None:
    """The fixture's case c3 lacks its class 2, and the predictions know it."""
    audit(organs, tmp_path / "audit", predictions=tmp_path / "predictions", pictures=0, progress=False)
    clean = {f"c{i}": save(tmp_path / "clean" / f"c{i}.nii.gz", organ(i)) for i in range(6)}
    found = evaluate_audit(tmp_path / "audit", clean, resamples=20)
    assert found.slices is not None
    assert found.voxels is not None
    assert [level.auroc.value for level in (found.cases, found.slices, found.voxels)] == [1, 1, 1]
    assert found.voxels.wrong == np.count_nonzero(organ(3) == 2)
    assert found.slices.wrong == np.count_nonzero((organ(3) == 2).any(axis=(0, 1)))


def test_a_case_without_a_clean_label_is_named(known) -> None:
    folder, clean, _ = known
    del clean["c5"]
    with pytest.raises(ValueError, match="has case 'c5', for which there is no clean label"):
        evaluate_audit(folder, clean)


def test_labels_that_are_all_right_leave_nothing_to_rank(known) -> None:
    folder, clean, _ = known
    with pytest.raises(ValueError, match="none of the 8 cases is wrong"):
        evaluate_audit(folder, {case_id: folder / f"label_{case_id}.nii.gz" for case_id in clean})


def test_a_clean_label_of_another_shape_is_named(known) -> None:
    folder, clean, _ = known
    save(clean["c2"], np.zeros((20, 16, 5), np.uint8))
    with pytest.raises(CaseError, match=r"clean_c2.nii.gz: has shape \(20, 16, 5\), the audited label \(20, 16, 6\)"):
        evaluate_audit(folder, clean)


def test_an_error_map_of_another_shape_is_named(known) -> None:
    folder, clean, _ = known
    save(folder / "errors_c4.nii.gz", np.zeros((16, 20, 6), np.float32))
    with pytest.raises(CaseError, match=r"errors_c4.nii.gz: has shape \(16, 20, 6\), the audited label \(20, 16, 6\)"):
        evaluate_audit(folder, clean)
