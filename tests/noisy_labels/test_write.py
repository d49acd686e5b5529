"""The whole run: files, lists, records, and the same bytes however it ran."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.transforms import EnsureChannelFirst, LoadImage
from PIL import Image

import monai_iel.files
from monai_iel import BlockLabelNoise, BumpLabelNoise, MorphologyLabelNoise, UnknownLabelNoise, VoxelLabelNoise
from monai_iel.data import CaseError, load_datalist
from monai_iel.noisy_labels import (
    LabelFile,
    NoisyLabelWarning,
    UnreachableTargetError,
    label_damage,
    write_noisy_dataset,
)

REPO = Path(__file__).resolve().parents[2]
NOISE = MorphologyLabelNoise(radius=(1, 2))
Tree = Callable[[Path], dict[str, str]]


def write(folder: Path, out: Path, **options: Any):
    settings = {"noise": NOISE, "progress": False, "pictures": 2, **options}
    return write_noisy_dataset(folder / "dataset.json", out=out, **settings)


def test_labels_list_and_records_fit_together(picture_folder: Path, tmp_path: Path) -> None:
    result = write(picture_folder, tmp_path / "out", error_maps=True)
    entries = load_datalist(result.dataset_json, "training", spatial_dims=2, progress=False)
    source = load_datalist(picture_folder / "dataset.json", "training", spatial_dims=2, progress=False)
    assert [entry["case_id"] for entry in entries] == ["case 0", "../site/case 1", "case 2"]
    for entry, clean, record in zip(entries, source, result.records, strict=True):
        assert entry["image"] == clean["image"]
        assert Path(entry["label"]).parent == tmp_path / "out" / "labels"
        # What is written is what the noise does to the label as MONAI reads it.
        before, after = (EnsureChannelFirst()(LoadImage(image_only=True)(e["label"])) for e in (clean, entry))
        assert np.array_equal(after, NOISE(before, entry["case_id"]))
        damage = label_damage(np.asarray(after[0]), np.asarray(before[0]), (1.0, 1.0))
        assert {name: record[name] for name in damage.as_dict()} == damage.as_dict()
        described = NOISE.describe(entry["case_id"])
        assert json.loads(json.dumps(described)) == {name: record[name] for name in described}
        assert (tmp_path / "out" / "error_maps" / Path(entry["label"]).name).is_file()
    for section in ("validation", "test"):
        lists = (result.dataset_json, picture_folder / "dataset.json")
        own, its = (load_datalist(path, section, spatial_dims=2, progress=False) for path in lists)
        assert own == its
    content = json.loads(result.dataset_json.read_text())
    assert content["licence"] == "CC0"
    assert content["noise"]["model"] == "morphology"
    assert content["labels"] == {"0": "background", "1": "cell", "2": "nucleus"}


def test_the_manifest_is_there_as_lines_and_as_a_table(picture_folder: Path, tmp_path: Path) -> None:
    result = write(picture_folder, tmp_path / "out", preset="mine")
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(result.records)
    rows = list(csv.DictReader((tmp_path / "out" / "manifest.csv").read_text().splitlines()))
    for row, record in zip(rows, result.records, strict=True):
        assert (row["case"], row["model"], row["preset"]) == (record["case"], "morphology", "mine")
        assert json.loads(row["parameters"]) == record["parameters"]
        assert float(row["dice"]) == record["dice"]
        assert int(row["changed_2"]) == record["classes"]["2"]["changed"]


def test_a_target_is_reached_and_validation_labels_are_as_noisy(picture_folder: Path, tmp_path: Path) -> None:
    result = write(
        picture_folder, tmp_path / "out", sections=("training", "validation"), target_dice=0.8, tolerance=0.05
    )
    assert result.calibration is not None
    assert np.mean([r["dice"] for r in result.records]) == pytest.approx(result.calibration["reached"], abs=1e-5)
    assert result.calibration["reached"] == pytest.approx(0.8, abs=0.05)
    assert [record["section"] for record in result.records] == ["training"] * 3 + ["validation"]
    assert {record["strength"] for record in result.records} == {result.noise.strength}
    (entry,) = load_datalist(result.dataset_json, "validation", spatial_dims=2, progress=False)
    assert entry["label"] == str(tmp_path / "out" / "labels" / "3.png")


SCRIPT = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import monai_iel.files
from monai_iel import MorphologyLabelNoise
from monai_iel.noisy_labels import write_noisy_dataset
data, out, workers, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if last:
    opened = monai_iel.files.Path.open
    class Half:
        def __init__(self, stream): self.stream = stream
        def write(self, content):
            self.stream.write(content[: len(content) // 2])
            self.stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        def __enter__(self): return self
        def __exit__(self, *args): self.stream.close()
    def half(path, *args, **kwargs):
        global last
        last -= path.name.endswith(".tmp")
        stream = opened(path, *args, **kwargs)
        return stream if last else Half(stream)
    monai_iel.files.Path.open = half
if __name__ == "__main__":
    write_noisy_dataset(data, MorphologyLabelNoise(radius=(1, 2)), out, target_dice=0.8, tolerance=0.05,
                        error_maps=True, workers=workers, pictures=2, progress=False)
"""


def run_script(folder: Path, out: Path, *, workers: int = 1, last: int = 0, hash_seed: int = 0):
    script = out.parent / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, script, folder / "dataset.json", out, str(workers), str(last)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


CALIBRATED = {"target_dice": 0.8, "tolerance": 0.05, "error_maps": True}


def test_four_workers_write_the_same_bytes(
    picture_folder: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(picture_folder, tmp_path / "one", **CALIBRATED)
    monkeypatch.setenv("PYTHONHASHSEED", "4711")  # that of the workers
    write(picture_folder, tmp_path / "four", workers=4, **CALIBRATED)
    assert tree(tmp_path / "one") == tree(tmp_path / "four")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_another_process_with_another_hash_seed_writes_the_same_bytes(
    picture_folder: Path, tmp_path: Path, tree: Tree, workers: int
) -> None:
    write(picture_folder, tmp_path / "here", **CALIBRATED)
    done = run_script(picture_folder, tmp_path / "there", workers=workers, hash_seed=4711)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "here") == tree(tmp_path / "there")


def test_a_killed_run_leaves_no_half_file_and_goes_on(picture_folder: Path, tmp_path: Path, tree: Tree) -> None:
    write(picture_folder, tmp_path / "whole", **CALIBRATED)
    done = run_script(picture_folder, tmp_path / "killed", last=12, hash_seed=4711)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = tree(tmp_path / "killed")
    assert any(name.endswith(".tmp") for name in left)
    whole = tree(tmp_path / "whole")
    finished = {name: value for name, value in left.items() if not name.endswith(".tmp") and ".records" not in name}
    assert "dataset.json" not in finished
    assert "labels/0.png" in finished
    assert finished.items() <= whole.items()
    write(picture_folder, tmp_path / "killed", **CALIBRATED)
    assert tree(tmp_path / "killed") == whole


class Stopped(BaseException):
    """As a signal would."""


def test_wherever_a_run_stops_it_goes_on_without_doing_a_case_again(
    picture_folder: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    replace, stop_at = os.replace, 0

    def counting(source: Path, target: Path) -> None:
        replaced.append(Path(target).name)
        if len(replaced) == stop_at:
            raise Stopped
        replace(source, target)

    monkeypatch.setattr(monai_iel.files.os, "replace", counting)
    write(picture_folder, tmp_path / "whole", **CALIBRATED)
    whole, order = tree(tmp_path / "whole"), list(replaced)
    assert order[0] == "run.json"
    assert order[-1] == "dataset.json"
    first_case = order.index("0.png")
    for stop in range(2, len(order) + 1, 3):
        out = tmp_path / f"stop{stop}"
        replaced.clear()
        stop_at = stop
        with pytest.raises(Stopped):
            write(picture_folder, out, **CALIBRATED)
        stop_at = 0
        replaced.clear()
        write(picture_folder, out, **CALIBRATED)
        assert tree(out) == whole
        begun = min(stop - 1, order.index("manifest.jsonl"))  # from there on all is made of the records
        if first_case <= begun < first_case + 3 * 3:  # label, error map and record of a case are one step
            begun -= (begun - first_case) % 3
        assert replaced == order[begun:]


def test_a_complete_run_is_left_as_it_is(picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(picture_folder, tmp_path / "out")
    monkeypatch.setattr(MorphologyLabelNoise, "corrupt", None)
    again = write(picture_folder, tmp_path / "out")
    assert again.records == first.records
    assert not (tmp_path / "out" / ".records").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            {"noise": MorphologyLabelNoise(radius=(1, 3))},
            r"noise.parameters.radius is \[1.0, 2.0\] there, \[1.0, 3.0\]",
        ),
        ({"noise": MorphologyLabelNoise(radius=(1, 2), seed=1)}, "noise.seed is 0 there, 1 here"),
        ({"noise": NOISE.at_strength(2)}, "noise.strength is 1.0 there, 2.0 here"),
        ({"sections": ["validation"]}, r"sections is \[\"training\"\] there, \[\"validation\"\] here"),
        ({"target_dice": 0.5}, "target_dice is null there, 0.5 here"),
    ],
)
def test_a_folder_with_another_run_is_refused(picture_folder: Path, tmp_path: Path, options: dict, match: str) -> None:
    write(picture_folder, tmp_path / "out")
    with pytest.raises(FileExistsError, match=rf"holds another run: .*{match}.*; give another folder, or delete"):
        write(picture_folder, tmp_path / "out", **options)


def test_a_run_of_another_list_is_refused(picture_folder: Path, tmp_path: Path) -> None:
    write(picture_folder, tmp_path / "out")
    shutil.copytree(picture_folder, tmp_path / "copy")
    with pytest.raises(FileExistsError, match=r"another run: datalist is .*pictures/dataset.json.* there"):
        write(tmp_path / "copy", tmp_path / "out")
    path = picture_folder / "dataset.json"
    path.write_text(path.read_text().replace("CC0", "CC1"))
    with pytest.raises(FileExistsError, match="another run: datalist_sha256 is"):
        write(picture_folder, tmp_path / "out")


def test_a_folder_that_no_run_made_is_refused(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"holds 'dataset.json' and no run.json, so no run made it"):
        write(picture_folder, picture_folder)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file: is a file; give a folder"):
        write(picture_folder, tmp_path / "file")


def test_a_target_that_cannot_be_reached_leaves_the_folder_free(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreachableTargetError, match=r"a mean Dice of 0.01 cannot be reached with .*: the nearest is"):
        write(
            picture_folder, tmp_path / "out", target_dice=0.01, noise=BlockLabelNoise(scale=1, keep=0.9, num_classes=3)
        )
    assert not (tmp_path / "out").exists()


def test_a_label_that_is_read_back_otherwise_is_an_error(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = LabelFile.rewrite
    monkeypatch.setattr(LabelFile, "rewrite", lambda self, classes: rewrite(self, np.minimum(classes, 1)))
    with pytest.raises(CaseError, match=r"labels/0.png: class 2 at voxel \(\d+, \d+\) is read back as 1"):
        write(picture_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_clean_label_that_changed_after_the_run_is_named(picture_folder: Path, tmp_path: Path) -> None:
    first = write(picture_folder, tmp_path / "out")
    label = picture_folder / "label" / "2.png"
    content = label.read_bytes()
    label.write_bytes((picture_folder / "label" / "0.png").read_bytes())
    with pytest.raises(FileExistsError, match=r"holds a run of other labels: .*label/2.png has changed since; restore"):
        write(picture_folder, tmp_path / "out")
    label.write_bytes(content)
    assert write(picture_folder, tmp_path / "out").records == first.records


def test_other_fields_are_kept_and_files_beside_the_list_found_from_the_new_one(
    picture_folder: Path, tmp_path: Path
) -> None:
    path = picture_folder / "dataset.json"
    content = json.loads(path.read_text())
    (picture_folder / "mask.png").touch()
    own = {"fold": 3, "age": None, "site": "label", "mask": "mask.png", "more": ["mask.png", "no.png", 1], "at": "/a/b"}
    for section in ("training", "test"):
        content[section][0] |= own
    content |= {
        "folds": [{"image": "image/0.png", "id": "x", "fold": 3}],
        "note": {"a": [1]},
        "labels": ["b", "c", "n"],
    }
    path.write_text(json.dumps(content))
    written = json.loads(write(picture_folder, tmp_path / "out").dataset_json.read_text())
    mask = str(picture_folder / "mask.png")
    expected = own | {"mask": mask, "more": [mask, "no.png", 1]}
    for section, label in (("training", "labels/0.png"), ("test", str(picture_folder / "label/4.png"))):
        entry = written[section][0]
        assert {name: entry[name] for name in own} == expected
        assert entry["label"] == label
    assert written["folds"] == [{"id": "x", "image": str(picture_folder / "image/0.png"), "fold": 3}]
    assert (written["note"], written["labels"], written["licence"]) == ({"a": [1]}, ["b", "c", "n"], "CC0")
    assert (written["made_by"], written["numTraining"], written["numTest"]) == ("monai_iel", 3, 1)


def test_a_noise_that_changes_nothing_is_warned_of(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.warns(
        NoisyLabelWarning, match="changed no voxel of any of the 3 cases: the noisy labels are the clean"
    ):
        result = write(picture_folder, tmp_path / "out", noise=NOISE.at_strength(0))
    assert "The noise changed no voxel of any of the 3 cases" in result.report.read_text()


@pytest.mark.parametrize("below", ["file", "/proc/none"])
def test_a_place_that_cannot_be_written_to_is_named_before_labels_are_read(
    picture_folder: Path, tmp_path: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(LabelFile, "read", None)
    with pytest.raises(
        OSError, match=r"out: .*(file is a file|/proc cannot be written to \(.*\)); give an output folder"
    ):
        write(picture_folder, tmp_path / below / "out")


def test_labels_that_cannot_be_used_are_named_before_anything_is_written(picture_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (24, 24)).save(picture_folder / "label" / "0.png")
    Image.new("L", (24, 20)).save(picture_folder / "label" / "2.png")
    with pytest.raises(CaseError) as caught:
        write(picture_folder, tmp_path / "out")
    first, second, third = str(caught.value).splitlines()
    assert first == "2 of 3 cases cannot be used:"
    assert "label/0.png: the picture has mode RGB" in second
    assert "label/2.png: the label has shape (24, 20), its image 2.png (24, 24)" in third
    assert not (tmp_path / "out").exists()


def test_empty_labels_and_absent_classes_are_kept_recorded_and_warned_of(picture_folder: Path, tmp_path: Path) -> None:
    Image.new("L", (24, 24)).save(picture_folder / "label" / "0.png")
    with Image.open(picture_folder / "label" / "2.png") as picture:
        values = np.minimum(np.asarray(picture), 1)
    Image.fromarray(values).save(picture_folder / "label" / "2.png")
    with pytest.warns(NoisyLabelWarning) as caught:
        result = write(picture_folder, tmp_path / "out")
    said = [str(one.message) for one in caught]
    assert "1 case with an empty label: case 0; it stays in the list and is in no mean." in said
    assert "1 case without class 2: case 2." in said
    assert (result.records[0]["dice"], result.records[0]["classes"]) == (None, {})
    page = result.report.read_text()
    assert "1 case with an empty label" in page
    assert "case 0: no foreground" in page


def test_volumes_keep_their_geometry_and_paths(save_nifti: Callable[..., Path], tmp_path: Path, tree: Tree) -> None:
    label = np.zeros((14, 12, 5), np.int16)
    label[3:10, 3:9, 1:4] = 1
    entries = []
    for name in ("a", "b"):
        for kind in ("images", "labels"):
            (tmp_path / kind / name).mkdir(parents=True)
        save_nifti(label, f"labels/{name}/x.nii.gz")
        save_nifti(label.astype(np.float32), f"images/{name}/x.nii.gz")
        entries.append({"image": f"images/{name}/x.nii.gz", "label": f"labels/{name}/x.nii.gz"})
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": ["background", "organ"], "training": entries}))
    noise = BumpLabelNoise(radius=(1, 3), count=3)
    result = write(tmp_path, tmp_path / "out", noise=noise, error_maps=True)
    assert [record["label"] for record in result.records] == ["labels/a/x.nii.gz", "labels/b/x.nii.gz"]
    assert [record["case"] for record in result.records] == ["images/a/x.nii.gz", "images/b/x.nii.gz"]
    new, old = (nibabel.load(folder / "labels/a/x.nii.gz") for folder in (tmp_path / "out", tmp_path))
    assert new.header.binaryblock == old.header.binaryblock
    clean, spacing = LabelFile(tmp_path / "labels/a/x.nii.gz").read()
    expected = noise.corrupt_case(clean.copy(), spacing, "images/a/x.nii.gz")
    assert np.array_equal(np.asanyarray(new.dataobj), expected)
    assert "error_maps/b/x.nii.gz" in tree(tmp_path / "out")
    assert result.report.read_text().count('src="data:image/png;base64,') == 2


def test_cases_that_share_a_label_get_files_of_their_own(picture_folder: Path, tmp_path: Path) -> None:
    path = picture_folder / "dataset.json"
    path.write_text(path.read_text().replace("label/1.png", "label/0.png"))
    result = write(picture_folder, tmp_path / "out")
    names = [record["label"] for record in result.records]
    assert len(set(names)) == 3
    assert names[1].startswith("labels/_site_case_1-")
    assert all((tmp_path / "out" / name).resolve().is_relative_to(tmp_path / "out" / "labels") for name in names)


def test_unknown_voxels_are_measured_as_such(picture_folder: Path, tmp_path: Path) -> None:
    result = write(picture_folder, tmp_path / "out", noise=UnknownLabelNoise(fraction=0.5, scale=1))
    assert all(record["dice"] == 1 for record in result.records)
    assert all(0.3 < record["unknown_share"] < 0.7 for record in result.records)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sections": ["test"]}, r"sections is \['test'\], .* the labels of the test section stay clean"),
        ({"sections": []}, r"sections is \[\]"),
        ({"sections": ["trainings"]}, "has no section 'trainings'; did you mean 'training'?"),
        ({"pictures": -1}, "pictures is -1, expected 0 or more"),
        ({"workers": 0}, "workers is 0, expected 1 or more"),
        ({"target_dice": 0.8, "target_distance_mm": 1.0}, "give exactly one of them"),
        ({"target_dice": 80}, "target_dice is 80"),
        ({"tolerance": 0.1}, "tolerance is 0.1, but there is no target"),
        (
            {"noise": VoxelLabelNoise(rate=0.5, num_classes=3).at_strength(5)},
            "strength is 5.0, but .* can do no more than at 2",
        ),
    ],
)
def test_bad_arguments_write_nothing(picture_folder: Path, tmp_path: Path, options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        write(picture_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
