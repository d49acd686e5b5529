"""An audit that is run again: whose files are kept, removed and drawn anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_iel.audit import one_case
from monai_iel.audit.run_folder import AuditFolder
from monai_iel.data.files import CaseError

from .conftest import organ, probabilities, run, save

Rewrite = Callable[[Callable[[dict], None]], None]


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def correct(organs: Path, number: int = 3) -> None:
    """The label as it should be."""
    save(organs.parent / "label" / f"c{number}.nii.gz", organ(number))


def damage(organs: Path, number: int = 3) -> None:
    """A label that lacks all."""
    save(organs.parent / "label" / f"c{number}.nii.gz", organ(number) * 0)


# Proposals


@pytest.mark.parametrize("change", [correct, damage], ids=["without a proposal", "with another proposal"])
def test_an_edited_proposal_is_kept_when_its_case_is_scored_again(organs: Path, change: Callable) -> None:
    folder = run(organs).folder / "proposals"
    edited = []
    for number in (1, 2):
        content = b"by hand %d" % number
        (folder / "c3.nii.gz").write_bytes(content)
        edited.append(content)
        change(organs)
        found = run(organs)
        assert found.computed == ("c3",)
        damage(organs, 3) if change is correct else correct(organs)
        run(organs)
    assert (folder / "c3.edited.nii.gz").read_bytes() == edited[0]
    assert (folder / "c3.edited-2.nii.gz").read_bytes() == edited[1]


def test_edited_proposals_are_told_for_as_long_as_they_are_there(organs: Path) -> None:
    folder = run(organs).folder
    (folder / "proposals" / "c3.nii.gz").write_bytes(b"by hand")
    correct(organs)
    for _ in range(2):
        result = run(organs)
        (note,) = result.notes
        assert note.startswith("Proposals that were edited are kept: proposals/c3.edited.nii.gz. No label is made from")
        assert "c3.edited.nii.gz" in result.report.read_text()
    (folder / "proposals" / "c3.edited.nii.gz").unlink()
    assert run(organs).notes == ()


def test_an_edited_proposal_of_a_removed_case_is_kept(organs: Path, rewrite: Rewrite) -> None:
    folder = run(organs).folder
    (folder / "proposals" / "c3.nii.gz").write_bytes(b"by hand")
    rewrite(lambda content: content["training"].pop(3))
    assert run(organs).removed == ("c3",)
    assert names(folder / "proposals") == ["c3.edited.nii.gz"]


def test_a_proposal_as_it_was_written_is_removed_or_written_over(organs: Path) -> None:
    folder = run(organs).folder / "proposals"
    before = (folder / "c3.nii.gz").read_bytes()
    damage(organs)
    run(organs)
    assert names(folder) == ["c3.nii.gz"]
    assert (folder / "c3.nii.gz").read_bytes() == before  # the same prediction
    correct(organs)
    run(organs)
    assert names(folder) == []


def test_a_proposal_that_no_record_knows_is_kept_unless_it_is_the_same(organs: Path) -> None:
    folder = run(organs).folder
    for content, left in ((None, ["c3.nii.gz"]), (b"by hand", ["c3.edited.nii.gz", "c3.nii.gz"])):
        AuditFolder(folder, json.loads((folder / "run.json").read_text()), ()).record_of("c3").unlink()
        if content:
            (folder / "proposals" / "c3.nii.gz").write_bytes(content)
        run(organs)
        assert names(folder / "proposals") == left


# Pictures


def test_a_picture_of_an_old_label_is_never_shown(organs: Path) -> None:
    run(organs)
    damage(organs)
    assert run(organs, pictures=0).computed == ("c3",)
    folder = run(organs, pictures=0).folder
    assert len(names(folder / ".audit" / "pictures")) == 5
    assert run(organs).computed == ("c3",)
    shown = {path.read_text() for path in (folder / ".audit" / "pictures").iterdir()}
    fresh = organs.parent.parent / "fresh"
    folder.rename(fresh)
    run(organs)
    assert shown == {path.read_text() for path in (folder / ".audit" / "pictures").iterdir()}


def test_another_image_is_drawn_anew(organs: Path) -> None:
    folder = run(organs).folder
    before = {path: path.read_text() for path in (folder / ".audit" / "pictures").iterdir()}
    save(organs.parent / "image" / "c3.nii.gz", 255 - organ(3) * 50)
    assert run(organs).computed == ("c3",)
    assert sum(path.read_text() != text for path, text in before.items()) == 1


def test_an_image_of_another_shape_is_found_in_a_scored_case(organs: Path) -> None:
    run(organs)
    save(organs.parent / "image" / "c3.nii.gz", organ(3)[:-1])
    with pytest.raises(CaseError, match=r"the label has shape \(24, 20, 10\), its image c3.nii.gz \(23, 20, 10\)"):
        run(organs)


# Names, and calls that were killed


def test_files_of_an_old_name_are_removed(organs: Path, rewrite: Rewrite) -> None:
    folder = run(organs).folder
    label = organs.parent / "label" / "c3.nii.gz"
    nibabel.save(nibabel.load(label), label.with_name("c3.nii"))
    rewrite(lambda content: content["training"][3].update(label="label/c3.nii"))
    assert run(organs).computed == ("c3",)
    assert [name for name in names(folder / "error_maps") if "c3" in name] == ["c3.nii"]
    assert names(folder / "proposals") == ["c3.nii"]
    extra = {"id": "C3", "image": "image/c2.nii.gz", "label": "label/c2.nii.gz"}
    save(organs.parent.parent / "predictions" / "C3.nii.gz", probabilities(organ(2)))
    rewrite(lambda content: content["training"].append(extra))  # so that both get a hash
    run(organs)
    assert {name.partition("-")[0] for name in names(folder / "error_maps") if "3" in name[:2]} == {"c3", "C3"}
    assert not {"c3.nii", "C3.nii.gz"} & {*names(folder / "error_maps"), *names(folder / "proposals")}


def test_no_record_vouches_for_files_that_are_not_its_own(organs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call ends while it writes a case without a proposal, and the label is then as it was."""
    label = organs.parent / "label" / "c0.nii.gz"
    old = label.read_bytes()
    error = run(organs, pictures=0).folder / "error_maps" / "c0.nii.gz"
    before = error.read_bytes()
    damage(organs, 0)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one_case, "propose", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(organs, pictures=0)
    assert error.read_bytes() != before
    label.write_bytes(old)
    assert run(organs, pictures=0).computed == ("c0",)
    assert error.read_bytes() == before


def test_a_folder_that_was_there_is_left_and_a_link_does_not_hide_what_is_wrong(organs: Path) -> None:
    save(organs.parent / "label" / "c5.nii.gz", organ(5) * 4)
    out, place = organs.parent.parent / "audit", organs.parent.parent / "place"
    for link in (False, True):
        place.mkdir(exist_ok=True)
        out.symlink_to(place) if link else out.mkdir()
        with pytest.raises(CaseError, match=r"c5.nii.gz: found class 8, expected 0 to 2"):
            run(organs)
        assert out.is_dir()
        assert list(out.iterdir()) == []
        if not link:
            out.rmdir()


# Few cases, hard predictions


@pytest.mark.parametrize(("cases", "told"), [(5, None), (4, "4 cases"), (1, "one case")])
def test_few_cases_are_not_calibrated_by_the_labels_under_judgement(
    organs: Path, rewrite: Rewrite, cases: int, told: str | None
) -> None:
    rewrite(lambda content: content["training"].__delitem__(slice(0, 6 - cases)))
    result = run(organs)
    temperatures = json.loads((result.folder / "worklist.json").read_text())["temperatures"]
    assert (temperatures == {"1": 1.0}) == (told is not None)
    notes = [note for note in result.notes if note.startswith(f"Fold 1 has {told} to calibrate by, fewer than 5: ")]
    assert len(notes) == (told is not None)
    alone = "There is one case, and nothing to rank it against: see its findings, not its suspicion."
    assert (alone in result.notes) == (cases == 1)


def test_a_temperature_of_few_cases_is_fitted_as_soon_as_they_are_enough(organs: Path, rewrite: Rewrite) -> None:
    taken: list[dict] = []
    rewrite(lambda content: taken.extend(content["training"].pop() for _ in range(2)))
    assert run(organs).notes
    rewrite(lambda content: content["training"].extend(taken))
    result = run(organs)
    assert result.notes == ()
    assert len(result.computed) == 6


def test_one_hot_predictions_are_told(organs: Path) -> None:
    for number in range(6):
        save(organs.parent.parent / "predictions" / f"c{number}.nii.gz", probabilities(organ(number), right=1.0))
    (note,) = run(organs).notes
    assert note.startswith("The probabilities of 6 of 6 cases are 0 or 1 everywhere: nothing can be calibrated")


def test_labels_as_predictions_are_refused(organs: Path) -> None:
    with pytest.raises(CaseError, match=r"6 of 6 cases cannot be used") as caught:
        run(organs, predictions=organs.parent / "label")
    assert str(caught.value).count("c0.nii.gz itself, expected probabilities of networks that never saw it") == 1


def test_names_of_classes_are_taken_from_a_list_of_nnunet(organs: Path, rewrite: Rewrite) -> None:
    rewrite(lambda content: content.update(labels={"background": 0, "spleen": 2, "liver": 1}))
    assert run(organs).cases[0].scores.reason.startswith("component of spleen missing")


def test_a_sheared_voxel_has_the_volume_of_its_affine(organs: Path) -> None:
    tilt = np.array([[1, 0, 0, 0], [0, 1, 1.5, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])  # edges of 1, 1 and 2.5 mm, 2 mm^3
    for folder in (organs.parent / "image", organs.parent / "label", organs.parent.parent / "predictions"):
        for path in folder.iterdir():
            save(path, np.asarray(nibabel.load(path).dataobj), tilt)
    finding = run(organs).cases[0].scores.findings[0]
    assert finding.size == pytest.approx(2 * np.count_nonzero(organ(3) == 2))
