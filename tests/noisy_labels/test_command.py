"""The command ``monai-iel noise``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("typer", reason="the command line needs the extra 'cli'")
pytest.importorskip("rich", reason="the command line needs the extra 'cli'")

from monai_iel import cli, label_noise_of_preset
from monai_iel.data import load_datalist
from monai_iel.noisy_labels import LABEL_NOISE_MODELS, Calibration, label_noise_of_model

Call = Callable[..., int]
BUMPS = ("--model", "bumps", "--set", "radius=[1, 3]", "--set", "count=3")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, picture_folder: Path, tmp_path: Path) -> Call:
    """Run the command in this process on the pictures; gives the exit code."""

    def run(*arguments: object) -> int:
        words = ["noise", picture_folder / "dataset.json", "--out", tmp_path / "out", "--quiet", *arguments]
        monkeypatch.setattr(sys, "argv", ["monai-iel", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def test_a_model_at_a_target_writes_everything(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--seed",
        3,
        "--target-dice",
        0.8,
        "--tolerance",
        0.1,
        "--section",
        "training",
        "--section",
        "validation",
    )
    assert call(*BUMPS, *options, "--error-maps", "--pictures", 1) == 0
    printed = capsys.readouterr().out
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    noise = label_noise_of_model("bumps", {"radius": [1, 3], "count": 3}, seed=3).describe("any")
    assert {"case": "any", **run["noise"]} == json.loads(json.dumps(noise))
    assert (run["sections"], run["target_dice"], run["error_maps"]) == (["training", "validation"], 0.8, True)
    for name in (
        "dataset.json",
        "manifest.jsonl",
        "manifest.csv",
        "calibration.json",
        "report.html",
        "error_maps/0.png",
    ):
        assert (tmp_path / "out" / name).is_file()
    assert "distance95_mm" in printed
    strength = json.loads((tmp_path / "out" / "calibration.json").read_text())["strength"]
    assert f"strength: {strength:.6g}" in printed
    assert "1 of 4 cases" in (tmp_path / "out" / "report.html").read_text()


def test_a_preset_is_named_in_the_records_and_a_strength_applied(call: Call, tmp_path: Path) -> None:
    assert call("--preset", "markov-B3", "--strength", 0.5) == 0
    records = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    noise = label_noise_of_preset("markov-B3")
    assert {(r["preset"], r["model"], r["strength"]) for r in records} == {("markov-B3", noise.model, 0.5)}


def test_the_number_of_classes_comes_from_the_list_unless_set(call: Call, tmp_path: Path) -> None:
    assert call("--model", "voxel", "--set", "rate=0.1") == 0
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["noise"]["parameters"] == {"rate": 0.1, "num_classes": 3}


def test_warnings_are_said_in_a_line(call: Call, picture_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (24, 24)).save(picture_folder / "label" / "0.png")
    assert call(*BUMPS) == 0
    said = "warning: 1 case with an empty label: case 0; it stays in the list and is in no mean."
    assert said in capsys.readouterr().err


def test_a_damage_that_did_not_always_grow_is_said(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Calibration, "is_monotone", False)
    options = (*BUMPS, "--target-dice", 0.8, "--tolerance", 0.1)
    for _ in range(2):  # a complete run says it again
        assert call(*options) == 0
        assert "warning: More strength did not always do more damage" in capsys.readouterr().err


def test_the_size_of_the_page_is_printed(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BUMPS) == 0
    size = (tmp_path / "out" / "report.html").stat().st_size
    assert f"report.html ({size / 1e6:.1f} MB)" in capsys.readouterr().out


def test_all_names_are_listed_without_a_data_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["monai-iel", "noise", "--list"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    printed = capsys.readouterr().out.splitlines()
    for name in LABEL_NOISE_MODELS:
        assert any(line.startswith(f"  {name}: ") for line in printed)
    assert "  elastic: displacement, correlation, classes=null" in printed
    assert "  pymic-jsrt" in printed
    assert "  iel-wbc" not in printed  # redrawn at every access


def test_folders_outside_that_of_the_list_are_allowed_by_an_option(
    call: Call, picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (picture_folder / "label").rename(tmp_path / "elsewhere")
    path = picture_folder / "dataset.json"
    path.write_text(path.read_text().replace('"label/', f'"{tmp_path}/elsewhere/'))
    assert call(*BUMPS) == 2
    assert "0.png: lies in" in capsys.readouterr().err
    assert call(*BUMPS, "--root", tmp_path / "elsewhere") == 0
    load_datalist(tmp_path / "out" / "dataset.json", "test", spatial_dims=2, check="files")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --preset NAME and --model NAME"),
        (["--preset", "markov-B1", *BUMPS], "give one of --preset NAME and --model NAME"),
        (["--preset", "markov-B1", "--set", "a=1"], "--set is for --model; the preset 'markov-B1' has its parameters"),
        (["--preset", "pymic-jstr"], "did you mean 'pymic-jsrt'"),
        (["--preset", "iel-wbc"], "redraws the classes at every access"),
        (["--model", "bump"], "no model 'bump'; did you mean 'bumps'? there are "),
        (["--model", "sequential"], "no model 'sequential'"),
        (
            ["--model", "block", "--set", "scale=2"],
            "model 'block' needs keep; its parameters are scale, keep, num_classes",
        ),
        ([*BUMPS, "--set", "radios=2"], "model 'bumps' has no parameter 'radios'; did you mean 'radius'?"),
        (["--model", "voxel", "--set", "rate=much"], "rate is 'much', expected a fraction"),
        (["--model", "voxel", "--set", "rate=2"], "rate is 2, expected a fraction"),
        ([*BUMPS, "--strength", -1], "strength is -1.0, expected a finite number of 0 or more"),
        ([*BUMPS, "--target-dice", 0.8, "--target-distance", 1], "give exactly one of them"),
        ([*BUMPS, "--tolerance", 0.1], "tolerance is 0.1, but there is no target; give one, or leave it out"),
        (["--model", "unknown", "--set", "fraction=1", "--target-dice", 0.5], "unknown are in no Dice and no distance"),
        (
            ["--model", "unknown", "--set", "fraction=0.5", "--target-dice", 0.5],
            "unknown are in no Dice and no distance",
        ),
        ([*BUMPS, "--ignore-index", 2], "ignore_index is 2, but the classes that the data list declares go up to 2"),
        (
            ["--model", "block", "--set", "scale=1", "--set", "keep=0.5", "--target-dice", 0.01],
            "cannot be reached with",
        ),
        ([*BUMPS, "--section", "test"], "the labels of the test section stay clean"),
    ],
    ids=lambda value: " ".join(map(str, value[:4])) if isinstance(value, list) else "",
)
def test_bad_input_ends_with_code_2_and_one_line(
    arguments: list, message: str, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_folder_with_another_run_is_refused(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BUMPS) == 0
    assert call(*BUMPS, "--seed", 1) == 2
    assert "holds another run: noise.seed is 0 there, 1 here; give another folder" in capsys.readouterr().err


def test_every_model_but_the_composed_ones_has_its_name() -> None:
    assert {"block", "voxel", "morphology", "bumps", "elastic", "markov", "affine"} <= set(LABEL_NOISE_MODELS)
    assert not {"sequential", "choice"} & set(LABEL_NOISE_MODELS)
