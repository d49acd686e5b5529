"""Which file is whose prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_iel.audit.case_list import AuditEntry
from monai_iel.audit.prediction_folder import find_predictions
from monai_iel.data.files import CaseError, MissingCaseFileError
from monai_iel.noisy_labels import LabelFile


def entry(case_id: str, image: str = "img/i.png", label: str = "lab/l.png") -> AuditEntry:
    return AuditEntry(case_id, "training", case_id, Path("/data", image), LabelFile(Path("/data", label)), case_id)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (entry("a"), "a.nii.gz"),
        (entry("a"), "a.nii"),
        (entry("a"), "a_probabilities.nii.gz"),
        (entry("site/a.nii.gz"), "site/a.nii"),
        (entry("site/a.nii.gz"), "site_a_prob.nii"),
        (entry("a", "images/case_7_0000.nii.gz"), "images/case_7_0000.nii.gz"),
        (entry("a", "images/case_7_0000.nii.gz"), "case_7.nii.gz"),
        (entry("a", label="labels/x.seg.nii.gz"), "x.seg.nii.gz"),
        (entry("a.b"), "a.b.nii"),
    ],
)
def test_a_file_is_found_by_id_image_or_label(tmp_path: Path, case: AuditEntry, name: str) -> None:
    touch(tmp_path, name, "other.nii.gz")
    assert find_predictions(tmp_path, [case], Path("/data")) == {case.case_id: tmp_path / name}


def test_the_id_counts_more_than_the_names_of_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "i.nii", "l.nii")
    assert find_predictions(tmp_path, [entry("a")], Path("/data")) == {"a": tmp_path / "a.nii"}


def test_images_of_one_name_in_folders_of_their_own_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "p1/scan.nii", "p2/scan.nii")
    cases = [entry("a", "p1/scan.nii.gz"), entry("b", "p2/scan.nii.gz")]
    assert find_predictions(tmp_path, cases, Path("/data"))["b"] == tmp_path / "p2/scan.nii"


def test_two_files_of_a_case_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "a_seg.nii.gz")
    with pytest.raises(CaseError, match=r"a.nii: fits case 'a', and so does a_seg.nii.gz"):
        find_predictions(tmp_path, [entry("a")], Path("/data"))


def test_one_file_of_two_cases_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "i.nii")
    with pytest.raises(CaseError, match=r"i.nii: fits the cases 'a' and 'b'; name predictions by case id"):
        find_predictions(tmp_path, [entry("a"), entry("b")], Path("/data"))


def test_up_to_20_cases_without_a_file_are_named_together(tmp_path: Path) -> None:
    touch(tmp_path, "c5.nii")
    cases = [entry(f"c{number}", f"{number}.png", f"{number}.png") for number in range(40)]
    with pytest.raises(MissingCaseFileError, match=r"the first 20 cases that cannot be used, of 40") as caught:
        find_predictions(tmp_path, cases, Path("/data"))
    assert "c4.nii.gz: no such file" in str(caught.value)
    assert "'c5'" not in str(caught.value)


def test_no_file_outside_of_the_folder_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "secret.nii", "predictions/b.nii")
    for case_id in ("../secret", f"{tmp_path}/secret"):
        with pytest.raises(MissingCaseFileError, match=r"no such file, nor one by the name"):
            find_predictions(tmp_path / "predictions", [entry(case_id)], Path("/data"))


@pytest.mark.parametrize("case_id", ["a" * 300, "ü" * 128 + ".nii.gz", "/".join(["a"] * 3000)])
def test_names_that_no_file_can_have_are_not_looked_for(tmp_path: Path, case_id: str) -> None:
    touch(tmp_path, "i.nii")
    assert find_predictions(tmp_path, [entry(case_id)], Path("/data")) == {case_id: tmp_path / "i.nii"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder; give that of the predictions"):
        find_predictions(tmp_path / "nowhere", [entry("a")], Path("/data"))
