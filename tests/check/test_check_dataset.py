"""Every kind of finding is made once and found; a sound data set has none."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel.check import KINDS, Finding, Result, check_dataset, labels, memory, run
from monai_iel.check.cases import Case
from monai_iel.check.look import CaseReport, look_at

SHAPE = (20, 18, 16)
COUNT = 12
AFFINE = np.diag([1.0, 1.0, 1.5, 1.0])


def volume(index: int) -> np.ndarray:
    return np.random.default_rng(index).normal(100, 10, SHAPE).astype(np.float32)


def label(index: int) -> np.ndarray:
    """Two balls, at places that differ by case."""
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    found = np.zeros(SHAPE, np.uint8)
    for number, middle in ((1, (6, 6 + index % 3, 7)), (2, (13, 11, 8 - index % 4))):
        found[sum((axis - m) ** 2 for axis, m in zip(axes, middle, strict=True)) < 16] = number
    found[10, 2, 2 + index] = 1  # so that no two are equal
    found[10, 2, 1 : 2 + index] = 1
    found[8:11, 2, 1] = 1
    found[6:9, 2:6, 1:6] = 1
    return found


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for index in range(COUNT):
        save(folder / f"image{index}.nii", volume(index))
        save(folder / f"label{index}.nii", label(index))
    entries = [{"id": f"c{i}", "image": f"image{i}.nii", "label": f"label{i}.nii"} for i in range(COUNT)]
    content = {"labels": {"0": "background", "1": "a", "2": "b"}, "modality": {"0": "CT"}}
    content |= {"training": entries[:8], "validation": entries[8:10], "test": entries[10:]}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "set"))


def look(folder: Path, **options: Any) -> Result:
    return check_dataset(folder / "dataset.json", progress=False, **options)


def found(result: Result, kind: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.kind == kind]


def relist(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def with_value(values: np.ndarray, at: Any, value: float, dtype: str | None = None) -> np.ndarray:
    values = values.astype(dtype or values.dtype)
    values[at] = value
    return values


def test_a_sound_data_set_has_no_findings(sound: Path) -> None:
    result = look(sound)
    assert list(result.findings) == []
    assert len(result.reports) == COUNT
    assert (result.expected.spatial_dims, result.expected.num_classes) == (3, 3)


TURNED = AFFINE @ np.diag([-1.0, 1.0, 1.0, 1.0])
MOVED = AFFINE + np.array([[0, 0, 0, 5.0]] + [[0.0] * 4] * 3)
INNER = (slice(None), slice(None), slice(7, 9))

# kind -> (file, values, affine, part of the message)
FILES: dict[str, tuple[str, np.ndarray, np.ndarray, str]] = {
    "axes": ("image3", np.stack([volume(3)] * 4, -1), AFFINE, "found 4 channels"),
    "shape-mismatch": ("label3", label(3)[:-1], AFFINE, r"found the shape \(19, 18, 16\)"),
    "orientation-mismatch": ("label3", label(3), TURNED, "orientation LAS, the image RAS"),
    "spacing-mismatch": ("label3", label(3), AFFINE @ np.diag([1, 1, 2.0, 1]), r"voxel size \(1.0, 1.0, 3.0\) mm"),
    "affine-mismatch": ("label3", label(3), MOVED, "origin 5 mm apart, axes turned by 0 degrees"),
    "not-finite": ("image3", with_value(volume(3), (1, 1, 1), np.inf), AFFINE, "found 1 values that are NaN"),
    "constant-image": ("image3", np.full(SHAPE, 7, np.int16), AFFINE, "all values are 7"),
    "fractional-label": ("label3", with_value(label(3), (1, 1, 1), 0.5, "float32"), AFFINE, "found the value 0.5"),
    "unexpected-class": ("label3", with_value(label(3), (1, 1, 1), 3), AFFINE, "found class 3, expected 0 .. 2"),
    "label-is-image": ("label3", volume(3).round(), AFFINE, "holds the same values as the image"),
    "empty-label": ("label3", np.zeros(SHAPE, np.uint8), AFFINE, r"all voxels are of class 0 \(background\)"),
    "constant-label": ("label3", np.ones(SHAPE, np.uint8), AFFINE, r"all voxels are of class 1 \(a\)"),
    "absent-class": ("label3", np.minimum(label(3), 1), AFFINE, r"class 2 \(b\) is absent; 11 of 12 labels hold it"),
    "islands": ("label3", with_value(label(3), (0, 17, 15), 2), AFFINE, r"class 2 \(b\): an island of 1 voxel"),
    "holes": ("label3", with_value(label(3), (13, 11, 5), 0), AFFINE, r"a hole of 1 voxel, one at voxel \(13, 11, 5\)"),
    "label-gap": ("label3", with_value(label(3), (..., 5), 0), AFFINE, r"class 2 \(b\): slices 5 across axis 2"),
    "missing-slices": ("image3", with_value(volume(3), INNER, 0), AFFINE, "slices 7, 8 across axis 2"),
    "repeated-slices": ("image3", np.repeat(volume(3)[:, ::2], 2, axis=1), AFFINE, "slices 1, 3, 5, 7, .* axis 1"),
    "intensity-outlier": ("image3", volume(3) * 100, AFFINE, "median .*e[+]0[34] where 100"),
    "spacing-outlier": ("both3", volume(3), np.diag([1, 1, 5.0, 1]), r"\(1.0, 1.0, 5.0\) mm where \(1.0, 1.0, 1.5\)"),
    "orientation-differs": ("both3", volume(3), TURNED, "LAS where 11 of 12 have RAS"),
    "duplicate": ("image3", volume(5).astype(np.float64), AFFINE, r"the same image as 'c3' \(training\)"),
    "duplicate-label": ("label3", label(5), AFFINE, r"the same label as 'c3' \(training\), whose image is another"),
    "leak": ("image3", volume(11), AFFINE, r"the same image as 'c3' \(training\); a case belongs in one section"),
    "float-label": ("label3", label(3).astype(np.float32), AFFINE, "stored as float32"),
    "mixed": ("image3", volume(3).astype(np.float64), AFFINE, r"2 number types: float32 \(11\), float64 \(1\)"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_mistake_in_a_file_is_found(folder: Path, kind: str) -> None:
    name, values, affine, message = FILES[kind]
    if kind == "label-is-image":
        save(folder / "image3.nii", values, affine)
    if name == "both3":
        save(folder / "label3.nii", label(3), affine)
    save(folder / f"{name.replace('both', 'image')}.nii", values, affine)
    (finding,) = found(look(folder), kind)
    assert re.search(message, finding.message), finding.message
    assert finding.case_id == {"duplicate": "c5", "duplicate-label": "c5", "leak": "c11", "mixed": ""}.get(kind, "c3")


def test_of_each_mistake_nothing_else_is_noted(folder: Path) -> None:
    save(folder / "label3.nii", with_value(label(3), (0, 17, 15), 2))
    assert [finding.kind for finding in look(folder).findings] == ["islands"]


LISTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "bad-entry": (lambda c: c["training"].append({"label": "x"}), "entry 8: 'image' is None"),
    "outside": (lambda c: c["training"][3].update(image="../far.nii"), "which is not below the folder"),
    "missing-file": (lambda c: c["training"][3].update(label="absent.nii"), "no such file"),
    "missing-label": (lambda c: c["training"][3].pop("label"), "has no label"),
    "unlabelled": (lambda c: [e.pop("label") for e in c["test"]], "2 cases have no label"),
    "empty-section": (lambda c: c.update(validation=[]), "section 'validation' holds no cases"),
    "duplicate-id": (lambda c: c["training"][4].update(id="c3"), "stands twice"),
    "leak": (lambda c: c["test"][0].update(id="c3"), "the id is also in section 'training'"),
    "unused-class": (lambda c: c["labels"].update({"3": "c"}), r"class 3 \(c\) is in none of 12 labels"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_mistake_in_the_list_is_found(folder: Path, kind: str) -> None:
    change, message = LISTS[kind]
    relist(folder, change)
    (finding,) = found(look(folder), kind)
    assert re.search(message, finding.message), finding.message


def test_an_unreadable_file_and_a_wrong_header_are_told_apart(folder: Path) -> None:
    (folder / "image3.nii").write_bytes(b"junk" * 200)
    image = nibabel.Nifti1Image(volume(4), np.eye(4))
    image.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    nibabel.save(image, folder / "image4.nii")
    result = look(folder)
    assert [finding.case_id for finding in found(result, "unreadable")] == ["c3"]
    assert [finding.case_id for finding in found(result, "header")] == ["c4"]


def test_a_file_beyond_the_limit_is_not_read(folder: Path) -> None:
    relist(folder, lambda c: c.update(training=c["training"][:1], validation=[], test=[]))
    (image, mask) = found(look(folder, max_voxels=np.prod(SHAPE) - 1), "too-large")
    assert "raise --max-voxels" in image.message
    assert mask.file.endswith("label0.nii")
    assert found(look(folder, max_voxels=int(np.prod(SHAPE))), "too-large") == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (16, 14, 3), dtype=np.uint8)).save(tmp_path / f"image{index}.png")
        mask = np.zeros((16, 14), np.uint8)
        mask[3:9, 3 : 4 + index % 10] = 1
        mask[12, 1] = index >= 10  # no two are equal
        mask[11:14, 1:9] |= index >= 10
        mask[11, 1] = index == 10
        Image.fromarray(mask).save(tmp_path / f"label{index}.png")
    entries = [{"id": f"c{i}", "image": f"image{i}.png", "label": f"label{i}.png"} for i in range(COUNT)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": ["background", "a"], "training": entries}))
    return tmp_path


def test_pictures_are_two_dimensional_and_those_unlike_the_others_are_named(pictures: Path) -> None:
    assert list(look(pictures).findings) == []
    grey = np.random.default_rng(1).integers(0, 256, (16, 14), dtype=np.uint8)
    Image.fromarray(grey).save(pictures / "image3.png")
    Image.fromarray(np.repeat(grey[..., None], 3, axis=-1) // 2).save(pictures / "image4.png")
    Image.fromarray(np.zeros((16, 14, 4), np.uint8)).save(pictures / "image5.png")
    result = look(pictures)
    assert result.expected.spatial_dims == 2
    assert [finding.case_id for finding in found(result, "channels-differ")] == ["c3"]
    assert [finding.case_id for finding in found(result, "grey-as-colour")] == ["c4"]
    assert [finding.case_id for finding in found(result, "colour")] == ["c5"]


def test_every_kind_of_finding_is_made_by_these_tests() -> None:
    elsewhere = {"unreadable", "header", "too-large", "channels-differ", "grey-as-colour", "colour", "outside-allowed"}
    elsewhere |= {"roots-file", "not-searched"}
    assert set(FILES) | set(LISTS) | elsewhere == set(KINDS)


SCATTERED = np.random.default_rng(0).integers(0, 3000, (32, 32, 32)).astype(np.int16)
OBJECTS = np.kron(np.arange(1, 401, dtype=np.uint16).reshape(20, 20), np.pad(np.ones((4, 4), np.uint16), 1))
SLABS = np.arange(40, dtype=np.uint8)[None, None] + np.zeros((128, 128, 40), np.uint8)  # boxes that do not overlap
NESTED = np.minimum.reduce(np.indices((128, 128)) % 64).astype(np.uint8)  # wide boxes, but of few classes


@pytest.mark.parametrize(("classes", "count"), [(SCATTERED, 0), (OBJECTS, 400), (SLABS, 39), (NESTED, 63)])
def test_the_time_for_structures_is_bounded_and_small_objects_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: np.ndarray, count: int
) -> None:
    sizes: list[int] = []
    islands = labels.islands
    monkeypatch.setattr(labels, "islands", lambda mask: sizes.append(mask.size) or islands(mask))
    nibabel.save(nibabel.Nifti1Image(classes.astype(np.float32) + 0.5, AFFINE), tmp_path / "image.nii")
    nibabel.save(nibabel.Nifti1Image(classes, AFFINE), tmp_path / "label.nii")
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": "image.nii", "label": "label.nii"}]}))
    result = look(tmp_path)
    assert len(sizes) == count
    assert sum(sizes) <= max(32 * classes.size, 2**22)
    skipped = [finding.message for finding in found(result, "not-searched")]
    assert len(skipped) == (count == 0)
    assert all(re.match(r"29\d\d classes, .* 1\d\d\d times .*; check that this is a label", text) for text in skipped)


def test_files_that_the_system_does_not_give_are_named_and_the_others_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relist(folder, lambda c: c["training"][0].update(image="x" * 300 + ".nii"))
    (folder / "loop.nii").symlink_to("loop.nii")
    relist(folder, lambda c: c["training"][1].update(image="loop.nii"))
    stat = Path.stat

    def refuse(path: Path, **options: Any) -> os.stat_result:
        if path.name == "label3.nii":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    result = look(folder)
    assert [finding.case_id for finding in found(result, "unreadable")] == ["c0", "c3"]
    assert [finding.case_id for finding in found(result, "missing-file")] == ["c1"]
    assert result.counts()["error"] == 3
    assert sum(report.figures is not None for report in result.reports) == COUNT - 2


def test_the_file_beside_the_list_is_a_warning_where_it_counts_and_where_it_is_not_used(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    (folder / "image3.nii").rename(tmp_path / "far" / "image3.nii")
    relist(folder, lambda c: c["training"][3].update(image="../far/image3.nii"))
    (folder / "dataset.json.roots").write_text(f"folder: {folder}\n../far\n/\n")
    used, unused = found(look(folder), "roots-file")[::-1]
    assert used.severity == "warning"
    assert f"1 folder, allowed by dataset.json.roots: {tmp_path / 'far'}; look at" in used.message
    assert "cannot allow /, which is too wide" in unused.message
    (folder / "dataset.json.roots").write_text("folder: /elsewhere\n../far\n")
    result = look(folder)
    assert "it is for /elsewhere" in found(result, "roots-file")[0].message
    assert [finding.case_id for finding in found(result, "outside")] == ["c3"]


def test_workers_share_the_memory_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.available_bytes() is None or memory.available_bytes() > 0
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:    2400 kB\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert [memory.voxels_for(workers) for workers in (0, 1, 4)] == [102400, 102400, 25600]
    (tmp_path / "memory.max").write_text("241000\n")
    assert memory.voxels_for(2) == 5000
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "absent")
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "absent")
    assert memory.voxels_for(4) == 2**27


def test_a_file_too_large_for_a_share_of_the_memory_is_read_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = int(np.prod(SHAPE))
    monkeypatch.setattr(run, "voxels_for", lambda workers: 2 * voxels // max(1, workers) - 1)
    result = look(folder, workers=2)
    assert list(result.findings) == []
    assert [report.case.case_id for report in result.reports] == [f"c{i}" for i in range(COUNT)]
    monkeypatch.setattr(run, "voxels_for", lambda workers: voxels - 1)
    assert len(found(look(folder, workers=2), "too-large")) == 2 * COUNT


def test_the_number_of_processes_changes_nothing(folder: Path) -> None:
    (folder / "image3.nii").write_bytes(b"junk" * 200)
    save(folder / "label5.nii", label(6))
    alone, together = look(folder), look(folder, workers=2)
    assert alone.findings
    assert together.findings == alone.findings
    assert [report.row() for report in together.reports] == [report.row() for report in alone.reports]


def deadly(case: Case, *args: Any, **options: Any) -> CaseReport:
    if case.case_id == "c3":
        os._exit(9)
    return look_at(case, *args, **options)


def test_a_case_that_kills_its_process_is_named_and_the_others_are_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "look_at", deadly)
    result = look(folder, workers=2)
    (finding,) = result.findings
    assert (finding.case_id, finding.kind) == ("c3", "unreadable")
    assert "the process that read it died" in finding.message
    assert [report.case.case_id for report in result.reports] == [f"c{i}" for i in range(COUNT)]


def test_arguments_out_of_range_are_refused(sound: Path) -> None:
    with pytest.raises(ValueError, match="workers is -2"):
        look(sound, workers=-2)
    with pytest.raises(ValueError, match="spatial_dims is 4; expected 2 or 3"):
        look(sound, spatial_dims=4)


def test_a_list_without_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [], "tags": ["a", "b"]}))
    with pytest.raises(ValueError, match=r"dataset.json: holds no cases"):
        look(tmp_path)


def test_the_real_hippocampus_set_has_no_errors_and_its_two_float_labels(shared_data: Path) -> None:
    result = look(shared_data / "hippocampus", workers=2)
    assert result.counts()["error"] == 0
    assert len(found(result, "float-label")) == 2
    assert len(found(result, "intensity-outlier")) == 1
