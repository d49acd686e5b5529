"""The command monai-iel."""

from __future__ import annotations

import builtins
import csv
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

pytest.importorskip("typer", reason="the command line needs the extra 'cli'")
pytest.importorskip("rich", reason="the command line needs the extra 'cli'")

from monai_iel import cli
from monai_iel.resources import overlay
from monai_iel.study import PairedStudy

Call = Callable[..., int]


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command in this process; gives the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["monai-iel", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def test_the_installed_command_shows_its_help(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "monai-iel"
    if not command.exists():
        pytest.skip(f"no {command}: the package is not installed in this environment")
    done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Inverse Evolution Layers for MONAI" in done.stdout
    assert "bundle" in done.stdout
    assert "paired" in done.stdout


@pytest.mark.parametrize("command", ["audit", "bundle", "check", "compare", "noise", "paired", "tune", "verify"])
def test_every_command_has_help(command: str, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    assert "Usage:" in capsys.readouterr().out


def test_a_copied_bundle_runs_from_where_it_is(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny: dict[str, Any],
) -> None:
    assert call("bundle", tmp_path / "mine") == 0
    root = Path(capsys.readouterr().out.strip())
    assert root == tmp_path / "mine" / "bundles" / "noisy_annotation_segmentation"
    monkeypatch.chdir(root)
    configs = ["configs/train.yaml", "../../configs/data/phantom.yaml", "../../configs/iel/heat.yaml"]
    settings = {key: value for key, value in tiny.items() if key not in ("dataset_dir", "dataset_json")}
    settings.update({"max_epochs": 1, "bundle_root": ".", "dataset_json#shape": [24, 28, 20]})
    settings.update({f"dataset_json#num_{name}": 2 for name in ("training", "validation", "test")})
    made = ConfigWorkflow(config_file=configs, workflow_type="train", logging_file=False, **settings)
    made.initialize()
    made.run()
    made.finalize()
    assert (root / "runs" / "train" / "model.pt").is_file()
    assert (root / "data" / "phantom" / "dataset.json").is_file()


def test_a_copy_over_a_copy_is_refused_in_one_line(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("bundle", tmp_path) == 0
    capsys.readouterr()
    assert call("bundle", tmp_path) == 2
    assert "exists; give another folder, or move it away" in one_line(capsys)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error that was printed; fails where it is more than one line."""
    text = capsys.readouterr().err
    assert text.startswith("error: "), text
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bundle", "OUT", "--name", "noisy"], "no bundle 'noisy'; did you mean 'noisy_annotation_segmentation'?"),
        (["paired", "OUT", "--iel", "iel/haet"], "no overlay 'iel/haet'; did you mean 'iel/heat'?"),
        (
            ["paired", "OUT", "--data", "data/hipocampus"],
            "no overlay 'data/hipocampus'; did you mean 'data/hippocampus'?",
        ),
        (["paired", "OUT", "--noise", "bumps"], "no overlay 'bumps'; did you mean 'noise/bumps'?"),
        (["paired", "OUT", "--loss", "cross_entropy"], "no overlay 'cross_entropy'; did you mean"),
        (["paired", "OUT", "--set", "max_epochs"], "--set takes ID=VALUE, e.g. max_epochs=5; got 'max_epochs'"),
        (["paired", "OUT", "--set", "=5"], "--set takes ID=VALUE"),
        (["paired", "OUT", "--set", "features=[4, 4"], "--set features: '[4, 4' is no YAML value"),
        (["paired", "OUT", "--set", "max_epoch=5"], "the id 'max_epoch'; did you mean 'max_epochs'?"),
        (["paired", "OUT", "--after", "convex_hull"], "no overlay 'convex_hull'; did you mean 'after/convex_hull'?"),
        (["paired", "OUT", "--bundle", "convex"], "no bundle 'convex'; did you mean 'convex_organ_segmentation'?"),
        (["paired", "OUT", "--epoch", "final"], "unknown epoch 'final'; there are 'last' and 'best'"),
        (["paired", "OUT", "--data", "data/wbc"], "dataset.json: no such file; give the path of a dataset.json"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)
def test_bad_input_ends_with_code_2_and_one_line(
    arguments: list[str], message: str, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*[str(tmp_path / "out") if a == "OUT" else a for a in arguments]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_damaged_list_is_named(
    call: Call, tmp_path: Path, phantom_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.json").write_text(phantom_list.read_text()[:-20])
    assert call("paired", tmp_path / "out", "--set", f"dataset_json={tmp_path / 'list.json'}") == 2
    assert "list.json: is not valid JSON" in one_line(capsys)


def test_an_error_of_our_own_is_not_hidden(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(self: PairedStudy) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(PairedStudy, "compare", compare)
    with pytest.raises(AssertionError, match="a bug"):
        call("paired", tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-3", 1e-3),
        ("-2E4", -2e4),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("files", "files"),
        ("[background, cell]", ["background", "cell"]),
        ("$@bundle_root + '/x'", "$@bundle_root + '/x'"),
        ("a=b", "a=b"),
        ("", None),
    ],
)
def test_values_are_read_as_yaml(
    text: str, value: Any, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PairedStudy] = []

    def compare(self: PairedStudy) -> None:
        seen.append(self)
        raise ValueError("enough")

    monkeypatch.setattr(PairedStudy, "compare", compare)
    assert call("paired", tmp_path, "--set", f"train#x={text}") == 2
    assert seen[0].settings == {"train#x": value}
    assert type(seen[0].settings["train#x"]) is type(value)


def test_options_reach_the_study(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PairedStudy] = []

    def compare(self: PairedStudy) -> None:
        seen.append(self)
        raise ValueError("enough")

    monkeypatch.setattr(PairedStudy, "compare", compare)
    monkeypatch.chdir(tmp_path)
    call("paired", "out")
    options = "--data data/wbc --noise none --iel iel/heat --iel iel/heat_one_step --loss loss/ce --clean"
    call("paired", "out", *options.split(), "--seed", 3, "--seed", 4, "--epoch", "last", "--epoch", "best")
    after = "--bundle convex_organ_segmentation --after evolve --after after/largest_component+after/convex_hull"
    call("paired", "out", *after.split(), "--after-all")
    plain, full, convex = seen
    assert overlay(str(plain.noise)).is_file()
    assert plain == PairedStudy(tmp_path / "out", data="data/phantom", noise=plain.noise)
    assert full == PairedStudy(
        tmp_path / "out",
        data="data/wbc",
        noise=None,
        iels=("iel/heat", "iel/heat_one_step"),
        seeds=(3, 4),
        loss="loss/ce",
        clean=True,
        epochs=("last", "best"),
    )
    assert convex == PairedStudy(
        tmp_path / "out",
        data="data/convex_phantom",
        noise=convex.noise,
        iels=("iel/convex_curvature",),
        bundle="convex_organ_segmentation",
        afterwards=("evolve", "after/largest_component+after/convex_hull"),
        afterwards_of="all",
    )
    assert overlay(convex.data).is_file()
    assert overlay(str(convex.noise)).is_file()


def test_paired_trains_evaluates_segments_and_reports(
    call: Call, tmp_path: Path, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**tiny, "max_epochs": 1}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    assert call("paired", tmp_path / "out", "--data", "data/phantom", *options) == 0
    printed = capsys.readouterr().out
    for method in ("plain", "plain + Evolve", "heat IEL"):
        assert method in printed
    assert printed.strip().endswith("report.html")
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["plain", "plain + Evolve", "heat IEL"]
    assert f"{float(rows[0]['dice']):.4f}" in printed
    for method in ("plain", "heat-IEL"):
        assert len(list((tmp_path / "out" / "seed0" / method / "segment").glob("*_seg.nii.gz"))) == 2
    assert (tmp_path / "out" / "report.html").is_file()


def test_without_the_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "typer":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"needs the extra 'cli': pip install 'monai-iel\[cli\]'"):
        importlib.reload(cli)
    monkeypatch.undo()
    importlib.reload(cli)
