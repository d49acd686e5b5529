"""``monai-iel audit``, with networks that are trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from monai_iel.cli import app

from .conftest import organ, save


def call(organs: Path, *options: str) -> Result:
    out = organs.parent.parent / "audit"
    return CliRunner().invoke(app, ["audit", str(organs), "--out", str(out), "--quiet", *options])


def test_a_killed_training_goes_on_and_its_audit_is_brought_up_to_date(
    organs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, as each training takes seconds."""
    options = ["--bundle", "noisy_annotation_segmentation", "--iel", "iel/heat", "--folds", "2", "--top", "2"]
    for setting in ("max_epochs=2", "features=[4,4,4,4,4,4]", "patch_size=[32,32,16]", "device=cpu"):
        options += ["--set", setting]
    out = organs.parent.parent / "audit"

    import monai_iel.handlers.training_checkpoint as checkpoint

    write, epochs = checkpoint.save_whole, []

    def stopped(*given: Any, **named: Any) -> None:
        write(*given, **named)
        epochs.append(given)
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_whole", stopped)
    assert call(organs, *options).exit_code != 0
    assert not (out / "fold-1" / "network.json").exists()
    assert (out / "fold-1" / "train" / "checkpoint.pt").exists()
    monkeypatch.undo()

    first = call(organs, *options)
    assert first.exit_code == 0, first.output
    assert "6 cases, 6 scored now" in first.output
    assert "note: The median Dice" in first.output
    assert str(out / "worklist.csv") in first.output.replace("\n", "")
    networks = {path: path.stat().st_mtime_ns for path in out.glob("fold-*/train/model_last.pt")}
    assert len(networks) == 2

    save(organs.parent / "label" / "c3.nii.gz", organ(3))
    second = call(organs, *options)
    assert "6 cases, 1 scored now" in second.output
    assert "1 of 2 fold networks were trained before 1 label changed" in second.output
    assert {path: path.stat().st_mtime_ns for path in networks} == networks


def test_predictions_are_enough(organs: Path) -> None:
    result = call(organs, "--predictions", str(organs.parent.parent / "predictions"), "--top", "1", "--pictures", "0")
    assert result.exit_code == 0, result.output
    assert "component of spleen missing near" in result.output
    assert "c3" in result.output
    assert "c0" not in result.output.split("worklist:")[0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (
            ["--predictions", "p", "--iel", "iel/heat"],
            "--predictions: nothing is trained, so leave --data and --iel out",
        ),
        (["--predictions", "p", "--folds", "5"], "--predictions: nothing is trained, so leave --folds out"),
        (["--predictions", "p", "--seed", "0"], "leave --seed out"),
        (["--predictions", "p", "--epoch", "last"], "leave --epoch out"),
        (["--predictions", "p", "--set", "a=1", "--retrain"], "leave --set, --retrain out"),
        (["--predictions", "p", "--bundle", "b"], "give either --bundle"),
        ([], "give either --bundle"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_imported(
    organs: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], match: str
) -> None:
    monkeypatch.setitem(sys.modules, "monai_iel.audit", None)  # importing it is an error now
    result = call(organs, *options)
    assert isinstance(result.exception, ValueError)
    assert match in str(result.exception)


@pytest.mark.parametrize("option", ["--top", "--pictures"])
def test_numbers_below_zero_are_refused(organs: Path, option: str) -> None:
    result = call(organs, "--predictions", "p", option, "-1")
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output
