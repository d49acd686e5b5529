"""The command scripts/prepare_data.py."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

typer_testing = pytest.importorskip("typer.testing", reason="the command needs the extra 'cli'")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_data", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Typer resolves the annotations of the commands through sys.modules.
    sys.modules["prepare_data"] = module
    spec.loader.exec_module(module)
    return module


def invoke(script: ModuleType, *arguments: object):
    return typer_testing.CliRunner().invoke(script.app, [str(argument) for argument in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "wbc"
    folder.mkdir()
    for index in range(10):
        Image.fromarray(np.full((6, 7, 3), index, np.uint8)).save(folder / f"{index}.bmp")
        Image.fromarray(np.full((6, 7), 128, np.uint8)).save(folder / f"{index}.png")
    return folder


def counts(path: Path) -> list[int]:
    content = json.loads(path.read_text())
    return [len(content[section]) for section in ("training", "validation", "test")]


def test_wbc_is_written_and_summarised(script: ModuleType, source: Path, tmp_path: Path) -> None:
    result = invoke(script, "wbc", source, tmp_path / "out", "--training", "5", "--validation", "0.2", "--test", "rest")
    assert result.exit_code == 0, result.output
    assert counts(tmp_path / "out" / "dataset.json") == [5, 2, 3]
    assert "training" in result.stdout
    assert "0 background, 1 cytoplasm, 2 nucleus" in result.stdout


def test_an_error_is_one_line_on_stderr_with_exit_code_2(script: ModuleType, source: Path, tmp_path: Path) -> None:
    (source / "3.png").write_bytes(b"junk")
    result = invoke(script, "wbc", source, tmp_path / "out", "--quiet")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "prepare_data: error:" in result.stderr
    assert "3.png: cannot be read" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_an_existing_output_asks_for_overwrite(script: ModuleType, source: Path, tmp_path: Path) -> None:
    assert invoke(script, "wbc", source, tmp_path / "out", "--foreground", "cell").exit_code == 0
    result = invoke(script, "wbc", source, tmp_path / "out")
    assert (result.exit_code, "--overwrite" in result.stderr) == (2, True)
    assert invoke(script, "wbc", source, tmp_path / "out", "--overwrite").exit_code == 0


def test_a_share_that_is_no_number_is_refused(script: ModuleType, source: Path, tmp_path: Path) -> None:
    result = invoke(script, "wbc", source, tmp_path / "out", "--test", "many")
    assert result.exit_code == 2
    assert "neither a count" in result.stderr


@pytest.mark.parametrize("name", ["dsb2018", "drive", "refuge", "decathlon"])
def test_every_command_names_a_missing_source(script: ModuleType, tmp_path: Path, name: str) -> None:
    result = invoke(script, name, tmp_path / "absent", tmp_path / "out")
    assert result.exit_code == 2
    assert "absent" in result.stderr


def test_the_phantom_needs_no_source(script: ModuleType, tmp_path: Path) -> None:
    arguments = ("--training", "2", "--validation", "1", "--test", "1", "--spatial-dims", "2")
    result = invoke(script, "phantom", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output
    assert counts(tmp_path / "out" / "dataset.json") == [2, 1, 1]
    assert "low-contrast organ" in result.stdout


def test_download_says_where_to_get_what_it_does_not_fetch(script: ModuleType, tmp_path: Path) -> None:
    result = invoke(script, "download", "drive", tmp_path)
    assert result.exit_code == 2
    assert "drive.grand-challenge.org" in result.stderr


def test_the_script_runs_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "decathlon", str(tmp_path / "absent"), str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SCRIPT.parents[1]), "PATH": ""}
    )
    assert done.returncode == 2
    assert "dataset.json: no such file" in done.stderr
    assert "Traceback" not in done.stderr
