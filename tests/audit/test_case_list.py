"""What the audit takes from a data list."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_iel.audit import groups
from monai_iel.audit.case_list import AuditList
from monai_iel.files import digest

Rewrite = Callable[[Callable[[dict], None]], None]


def test_cases_of_one_patient_or_of_one_image_are_one_group(organs: Path, rewrite: Rewrite) -> None:
    def change(content: dict) -> None:
        for entry, patient in zip(content["training"], (7, "7", None, None, "x"), strict=False):
            entry["patient"] = patient
        content["training"][3]["image"] = content["training"][2]["image"]

    rewrite(change)
    found = [entry.group for entry in AuditList(organs, ["training"]).entries]
    assert found == ["patient 7", "patient 7", "case c2", "case c2", "patient x", "case c5"]


@pytest.mark.parametrize("copy", [shutil.copy, os.symlink, os.link])
def test_cases_are_one_group_that_share_a_patient_or_an_image_with_a_third(
    organs: Path, rewrite: Rewrite, copy: Callable[[Path, Path], Any]
) -> None:
    """c0 and c2 are of one patient, c2 and c5 of one image, c5 and c4 of another patient."""
    images = organs.parent / "image"
    (images / "c5.nii.gz").unlink()
    copy(images / "c2.nii.gz", images / "c5.nii.gz")

    def change(content: dict) -> None:
        for number, patient in ((0, "b"), (2, "b"), (4, "a"), (5, "a")):
            content["training"][number]["patient"] = patient
        content["training"].reverse()

    rewrite(change)
    found = {entry.case_id: entry.group for entry in AuditList(organs, ["training"]).entries}
    one = "patient a"
    assert found == {"c0": one, "c1": "case c1", "c2": one, "c3": "case c3", "c4": one, "c5": one}


def test_a_group_without_patients_is_named_by_its_smallest_id(organs: Path, rewrite: Rewrite) -> None:
    shutil.copy(organs.parent / "image" / "c1.nii.gz", organs.parent / "image" / "c4.nii.gz")
    rewrite(lambda content: content["training"].reverse())
    found = {entry.case_id: entry.group for entry in AuditList(organs, ["training"]).entries}
    assert (found["c1"], found["c4"]) == ("case c1", "case c1")


def test_each_image_is_read_once(organs: Path, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch) -> None:
    images = organs.parent / "image"
    (images / "c5.nii.gz").unlink()
    (images / "c5.nii.gz").symlink_to(images / "c0.nii.gz")
    shutil.copy(images / "c1.nii.gz", images / "c4.nii.gz")
    read: list[Path] = []
    monkeypatch.setattr(groups, "digest", lambda path: read.append(path) or digest(path))
    cases = AuditList(organs, ["training"])
    assert {path.name for path in read} >= {"c1.nii.gz", "c4.nii.gz"}
    found = cases.image_digests()
    assert found == {f"c{number}": digest(images / f"c{number}.nii.gz") for number in range(6)}
    assert max(Counter(path.resolve() for path in read).values()) == 1


def test_files_are_named_by_ids_that_are_plain_and_by_hashes_elsewhere(organs: Path, rewrite: Rewrite) -> None:
    ids = ["imagesTr/a.nii.gz", "../b", "A b", "c", "C", "d.nii"]

    def change(content: dict) -> None:
        for entry, case_id in zip(content["training"], ids, strict=True):
            entry["id"] = case_id

    rewrite(change)
    names = [entry.name for entry in AuditList(organs, ["training"]).entries]
    assert [names[0], names[5]] == ["imagesTr/a", "d"]
    assert all("/" not in name and ".." not in name and name[-13] == "-" for name in names[1:5])  # c and C are one file
    assert len({name.lower() for name in names}) == 6


def test_all_sections_can_be_audited_together(organs: Path, rewrite: Rewrite) -> None:
    rewrite(lambda content: content.update(test=[content["training"].pop()]))
    entries = AuditList(organs, ["training", "test"]).entries
    assert [entry.section for entry in entries] == ["training"] * 5 + ["test"]


@pytest.mark.parametrize(
    ("change", "arguments", "match"),
    [
        (lambda c: None, {"group_key": "site"}, r"no entry has 'site'"),
        (lambda c: c["training"][0].update(patient=[1]), {}, r"'patient' of case 'c0' is \[1\], expected a text"),
        (lambda c: c.update(test=c["training"][:1]), {}, r"case id 'c0' stands in the sections 'training' and 'test'"),
        (lambda c: c["training"][0].pop("label"), {}, r"has no 'label'"),
    ],
)
def test_lists_that_cannot_be_audited_are_refused(
    organs: Path, rewrite: Rewrite, change: Callable[[dict], None], arguments: dict, match: str
) -> None:
    rewrite(change)
    sections = ["training", "test"] if "test" in organs.read_text() else ["training"]
    with pytest.raises(ValueError, match=match):
        AuditList(organs, sections, **arguments)


def test_classes_are_named_by_the_list_else_by_the_bundle_else_by_numbers(organs: Path, rewrite: Rewrite) -> None:
    assert AuditList(organs, ["training"]).class_names(3, ["a", "b", "c"]) == ("background", "liver", "spleen")
    rewrite(lambda content: content.pop("labels"))
    assert AuditList(organs, ["training"]).class_names(3, ["a", "b", "c"]) == ("a", "b", "c")
    assert AuditList(organs, ["training"]).class_names(3, ["a", "b"]) == ("background", "class 1", "class 2")
