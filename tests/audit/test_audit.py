"""The audit of a data set whose predictions are there: worklist, files, and what is computed again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel.audit import audit
from monai_iel.data.files import CaseError
from monai_iel.noisy_labels import LabelFile

from .conftest import AFFINE, organ, probabilities, run, save

REPO = Path(__file__).parents[2]
Rewrite = Callable[[Callable[[dict], None]], None]


def times(folder: Path) -> dict[str, int]:
    """Of the files that belong to a case."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for part in ("error_maps", "proposals", ".audit/cases", ".audit/pictures")
        for path in (folder / part).glob("*")
    }


def test_the_wrong_case_is_the_first_and_its_files_say_why(organs: Path) -> None:
    labels = {path: path.read_bytes() for path in organs.parent.glob("label/*")}
    result = run(organs)
    first = result.cases[0]
    assert first.scores.case_id == "c3"
    assert first.scores.reason.startswith("component of spleen missing near (")
    assert result.computed == tuple(f"c{number}" for number in range(6))
    assert result.notes == ()
    rows = list(csv.DictReader(result.worklist.open(encoding="utf-8-sig")))
    assert [row["rank"] for row in rows] == [str(number) for number in range(1, 7)]
    assert (rows[0]["case"], rows[0]["reason"]) == ("c3", first.scores.reason)
    assert all(Path(rows[0][name]).is_file() for name in ("image", "label"))
    assert all((result.folder / rows[0][name]).is_file() for name in ("error_map", "proposal"))
    records = json.loads((result.folder / "worklist.json").read_text())["cases"]
    assert [record["case"] for record in records] == [row["case"] for row in rows]
    assert records[0]["findings"][0]["class_name"] == "spleen"
    assert "c3" in result.report.read_text()
    assert labels == {path: path.read_bytes() for path in organs.parent.glob("label/*")}


def test_slices_are_ranked_over_all_cases(organs: Path) -> None:
    rows = list(csv.DictReader((run(organs).folder / "slices.csv").open(encoding="utf-8-sig")))
    assert len(rows) == 6 * 10
    assert [row["case"] for row in rows[:3]] == ["c3"] * 3
    qualities = [float(row["quality"]) for row in rows]
    assert qualities == sorted(qualities)


def test_error_map_and_proposal_lie_where_the_label_does(organs: Path) -> None:
    result = run(organs)
    error = nibabel.load(result.folder / "error_maps" / "c3.nii.gz")
    proposal = nibabel.load(result.folder / "proposals" / "c3.nii.gz")
    for file in (error, proposal):
        np.testing.assert_allclose(file.affine, AFFINE, atol=1e-6)
    values = error.get_fdata()
    assert error.get_data_dtype() == np.float32
    assert values[organ(3) == 2].min() > 0.5 > values[organ(3) == 1].max()
    np.testing.assert_array_equal(np.asarray(proposal.dataobj), organ(3))
    assert proposal.get_data_dtype() == np.uint8
    assert [path.name for path in (result.folder / "proposals").iterdir()] == ["c3.nii.gz"]


def test_nothing_is_computed_twice(organs: Path) -> None:
    before = times(run(organs).folder)
    result = run(organs, pictures=300)
    assert result.computed == ()
    assert times(result.folder) == before


def test_after_a_correction_that_case_alone_is_computed(organs: Path) -> None:
    first = run(organs)
    before, scores = times(first.folder), {one.case_id: one for one in first.scores}
    label = organs.parent / "label" / "c3.nii.gz"
    label.write_bytes((first.folder / "proposals" / "c3.nii.gz").read_bytes())
    second = run(organs)
    assert second.computed == ("c3",)
    assert {one.case_id: one for one in second.scores if one.case_id != "c3"} == {
        name: one for name, one in scores.items() if name != "c3"
    }
    assert not second.cases[0].scores.findings
    after = times(second.folder)
    assert "proposals/c3.nii.gz" not in after  # nothing is disputed any more
    changed = {name for name, time in after.items() if before[name] != time}
    assert len(changed) == 3  # error map, record, picture
    assert "error_maps/c3.nii.gz" in changed


def test_cases_come_and_go(organs: Path, rewrite: Rewrite) -> None:
    taken: list[dict] = []
    rewrite(lambda content: taken.append(content["training"].pop(3)))
    first = run(organs)
    rewrite(lambda content: content["training"].append(taken[0]))
    second = run(organs)
    assert (len(first.cases), second.computed) == (5, ("c3",))
    rewrite(lambda content: content["training"].pop(0))
    third = run(organs)
    assert (third.computed, third.removed) == ((), ("c0",))
    assert not (third.folder / "error_maps" / "c0.nii.gz").exists()
    assert len(third.cases) == 5


def test_a_case_with_another_id_and_the_same_file_names_keeps_its_files(organs: Path, rewrite: Rewrite) -> None:
    run(organs)
    rewrite(lambda content: content["training"][3].update(id="c3.nii.gz"))
    result = run(organs)
    assert (result.computed, result.removed) == (("c3.nii.gz",), ("c3",))
    assert (result.folder / result.cases[0].files["error map"]).is_file()


def test_other_predictions_of_all_cases_give_another_temperature_and_of_one_case_do_not(organs: Path) -> None:
    folder = organs.parent.parent
    run(organs)
    save(folder / "predictions" / "c1.nii.gz", probabilities(organ(1), right=0.8))
    assert run(organs).computed == ("c1",)
    for number in range(6):
        save(folder / "predictions" / f"c{number}.nii.gz", probabilities(organ(number), right=0.7))
    before = json.loads((folder / "audit" / "worklist.json").read_text())["temperatures"]
    assert len(run(organs).computed) == 6
    assert json.loads((folder / "audit" / "worklist.json").read_text())["temperatures"] != before


def test_two_processes_find_the_same(organs: Path) -> None:
    alone = run(organs)
    worklist, error = alone.worklist.read_bytes(), (alone.folder / "error_maps" / "c3.nii.gz").read_bytes()
    for path in sorted(alone.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    together = run(organs, workers=2)
    assert together.worklist.read_bytes() == worklist
    assert (together.folder / "error_maps" / "c3.nii.gz").read_bytes() == error


SCRIPT = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import monai_iel.files
from monai_iel.audit import audit
last, replace = int(sys.argv[3]), os.replace
def killed(*arguments):
    global last
    last -= 1
    if not last:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*arguments)
os.replace = killed
audit(sys.argv[1], sys.argv[2], predictions=Path(sys.argv[1]).parents[1] / "predictions", progress=False, pictures=2)
"""


@pytest.mark.parametrize("last", [9, 22])
def test_a_killed_audit_leaves_no_half_file_and_goes_on(organs: Path, last: int) -> None:
    script = organs.parent / "script.py"
    script.write_text(SCRIPT)
    out = organs.parent.parent / "audit"
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script, organs, out, str(last)], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = [path for path in out.rglob("*.nii.gz") if not path.name.startswith(".")]
    assert all(nibabel.load(path).get_fdata().shape == (24, 20, 10) for path in there)
    result = run(organs)
    scored = 6 - len(result.computed)
    assert scored == max(0, (last - 3) // 3)  # settings, temperatures; then error map, picture, record
    assert result.cases[0].scores.case_id == "c3"
    assert not list(out.rglob("*.tmp"))


def test_pictures_are_audited_with_outputs_of_their_kind(tmp_path: Path) -> None:
    entries = []
    for number in range(4):
        values = organ(number)[..., 5]
        label = np.where(values == 2, 0, values) if number == 2 else values
        for name, content in (("i", values * 70), ("l", label)):
            Image.fromarray(content.T.astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
        save(tmp_path / "p" / f"{number}.nii.gz", probabilities(values)[:, :, None], np.eye(4))
        entries.append({"id": str(number), "image": f"i{number}.png", "label": f"l{number}.png"})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    result = audit(tmp_path / "dataset.json", tmp_path / "out", predictions=tmp_path / "p", progress=False)
    assert result.cases[0].scores.case_id == "2"
    assert "class 2" in result.cases[0].scores.reason
    proposed, _ = LabelFile(result.folder / "proposals" / "2.png").read()
    np.testing.assert_array_equal(proposed, organ(2)[..., 5])
    with Image.open(result.folder / "error_maps" / "2.png") as error:
        assert error.mode == "L"
        assert np.asarray(error).T[organ(2)[..., 5] == 2].min() > 128


def test_a_class_that_nobody_labelled_is_said(organs: Path, rewrite: Rewrite) -> None:
    folder = organs.parent.parent
    rewrite(lambda content: content["labels"].update({"3": "tail"}))
    for number in range(6):
        save(folder / "predictions" / f"c{number}.nii.gz", probabilities(organ(number), classes=4))
    (note,) = run(organs).notes
    assert note == "No label has the class tail: where it is predicted, it counts as missing."


def test_labels_of_one_class_each_are_said(organs: Path) -> None:
    for number in range(6):
        save(organs.parent / "label" / f"c{number}.nii.gz", np.full_like(organ(number), number % 2))
    result = run(organs)
    assert "Each label of fold 1 is of one class, so that no temperature was fitted; it is 1." in result.notes
    assert json.loads((result.folder / "worklist.json").read_text())["temperatures"] == {"1": 1.0}


def test_predictions_that_know_nothing_are_said(organs: Path) -> None:
    for number in range(6):
        save(organs.parent.parent / "predictions" / f"c{number}.nii.gz", probabilities(organ(number) * 0))
    (note,) = run(organs).notes
    assert "the networks have not learnt the task" in note


def test_a_proposal_that_the_label_file_cannot_hold_is_said(organs: Path) -> None:
    label = nibabel.Nifti1Image((organ(3) == 1) * np.uint8(128), AFFINE)
    label.header.set_slope_inter(1 / 128, 0)  # 2 would be 256 of them
    label.to_filename(organs.parent / "label" / "c3.nii.gz")
    result = run(organs)
    assert result.cases[0].scores.case_id == "c3"
    assert any(note.startswith("There is no proposal for c3: ") for note in result.notes)
    assert not (result.folder / "proposals").exists()


def test_all_problems_are_told_before_anything_is_scored(organs: Path) -> None:
    folder = organs.parent.parent
    save(folder / "predictions" / "c1.nii.gz", np.log(probabilities(organ(1))))
    save(folder / "predictions" / "c4.nii.gz", probabilities(organ(4))[:-1])
    save(organs.parent / "label" / "c5.nii.gz", organ(5) * 4)
    with pytest.raises(CaseError, match=r"3 of 6 cases cannot be used") as caught:
        run(organs)
    told = str(caught.value)
    assert "c1.nii.gz: holds values from -2.99573" in told
    assert "c4.nii.gz: has shape (23, 20, 10, 3)" in told
    assert "c5.nii.gz: found class 8, expected 0 to 2 (background, liver, spleen)" in told
    assert not (folder / "audit").exists()  # so other settings may follow


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"predictions": None}, r"give either a bundle, .* or a folder of predictions"),
        ({"bundle": "convex_organ_segmentation"}, r"give either a bundle"),
        ({"retrain": True}, r"nothing is trained: leave retrain, overlays and settings out"),
        ({"overlays": ["iel/heat"]}, r"nothing is trained"),
        ({"pictures": -1}, r"pictures is -1, expected 0 or more"),
        ({"workers": 0}, r"workers is 0, expected 1 or more"),
        ({"sections": ()}, r"sections is \[\], expected one or more"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(organs: Path, arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        run(organs, **arguments)
    assert not (organs.parent.parent / "audit").exists()


def test_another_run_in_the_folder_is_refused(organs: Path) -> None:
    folder = organs.parent.parent
    run(organs)
    (folder / "predictions").rename(folder / "others")
    with pytest.raises(
        FileExistsError, match=r"holds another run: predictions is \".*predictions\" there, \".*others\""
    ):
        run(organs, predictions=folder / "others")


def test_no_output_may_lie_over_the_labels(organs: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(organs.parent)
    for out in (organs.parent, organs.parent / "label", link, tmp_path):
        with pytest.raises(FileExistsError, match=r"the output folder holds .*c0.nii.gz, which the audit reads"):
            audit(organs, out, predictions=tmp_path / "predictions", progress=False)
