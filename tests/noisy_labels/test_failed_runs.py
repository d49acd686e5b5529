"""What a run that fails leaves in its folder."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import monai_iel.noisy_labels.write
from monai_iel import MorphologyLabelNoise
from monai_iel.noisy_labels import LabelFile, one_case, write_noisy_dataset


class Late(MorphologyLabelNoise):
    """Refuses what the look beforehand cannot see: the third case, by what is drawn for it."""

    def corrupt_case(self, label, spacing, case_id):
        if case_id == "case 2" and label.shape == (24, 24):
            raise ValueError("not this one")
        return super().corrupt_case(label, spacing, case_id)


class Stopped(BaseException):
    """As a signal would."""


attempt = partial(write_noisy_dataset, noise=Late(radius=(1, 2)), progress=False, pictures=0)


def test_a_run_that_fails_takes_away_what_it_wrote_and_nothing_else(picture_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"case 'case 2', .*label/2.png: not this one"):
        attempt(picture_folder / "dataset.json", out=out, error_maps=True)
    assert not out.exists()
    rewrite = LabelFile.rewrite

    def beside(self: LabelFile, classes: np.ndarray) -> bytes:
        (out / "labels").mkdir(exist_ok=True)
        (out / "labels" / "mine.txt").touch()
        (out / ".mine.tmp").touch()
        return rewrite(self, classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabelFile, "rewrite", beside)
        with pytest.raises(ValueError, match="not this one"):
            attempt(picture_folder / "dataset.json", out=out)
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [".mine.tmp", "mine.txt"]


def test_cases_that_workers_end_after_a_failure_are_taken_away_too(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late(workers: int):
        kept: list = []

        def mapped(function, cases):
            kept.append((function, cases))
            return map(function, cases)

        try:
            yield mapped
        finally:
            function, cases = kept[-1]
            function(cases[0])  # the pool shuts down when all that runs has ended

    monkeypatch.setattr(monai_iel.noisy_labels.write, "map_in_order", late)
    with pytest.raises(ValueError, match="not this one"):
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_taken_up_again_keeps_its_cases_when_it_fails(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Stopped

    monkeypatch.setattr(Late, "describe", stopped)
    with pytest.raises(Stopped):
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="not this one"):  # without a record it may go
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    damage, seen = one_case.label_damage, []
    monkeypatch.setattr(
        one_case, "label_damage", lambda *a, **k: stopped() if seen else seen.append(1) or damage(*a, **k)
    )
    with pytest.raises(Stopped):
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="not this one"):
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    assert (tmp_path / "out" / "labels" / "0.png").is_file()
    assert (tmp_path / "out" / "run.json").is_file()


def test_a_complete_run_that_lost_a_label_is_not_taken_away_by_a_failure(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Late, "corrupt_case", MorphologyLabelNoise.corrupt_case)
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    (tmp_path / "out" / "labels" / "1.png").unlink()
    with pytest.raises(ValueError, match="not this one"):
        attempt(picture_folder / "dataset.json", out=tmp_path / "out")
    for name in ("run.json", "labels/0.png", "labels/2.png"):
        assert (tmp_path / "out" / name).is_file()
