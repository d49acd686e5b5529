"""``monai-iel check``: what it prints, writes and returns."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("typer", reason="the command line needs the extra 'cli'")
pytest.importorskip("rich", reason="the command line needs the extra 'cli'")

from monai_iel import cli
from monai_iel.check import KINDS

Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command in this process; gives the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["monai-iel", "check", *map(str, arguments), "--workers", "0"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    return run


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (24, 20), dtype=np.uint8)).save(tmp_path / f"i{index}.png")
        mask = np.zeros((24, 20), np.uint8)
        mask[4:20, 4 : 15 + index] = 1
        Image.fromarray(mask).save(tmp_path / f"l{index}.png")
    entries = [{"id": f"<c{i}>", "image": f"i{i}.png", "label": f"l{i}.png"} for i in range(3)]
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"labels": ["background", "organ"], "training": entries}))
    return path


def with_hole(listed: Path) -> None:
    mask = np.asarray(Image.open(listed.parent / "l1.png")).copy()
    mask[10, 10] = 0
    Image.fromarray(mask).save(listed.parent / "l1.png")


def test_nothing_found_is_exit_code_0(call: Call, listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(listed) == 0
    assert re.fullmatch(r"3 cases in \d+ s: error 0, warning 0, info 0", capsys.readouterr().out.strip())


def test_an_info_is_exit_code_0_and_a_warning_is_1_unless_only_errors_count(call: Call, listed: Path) -> None:
    listed.write_text(json.dumps({**json.loads(listed.read_text()), "test": []}))
    assert call(listed) == 0
    with_hole(listed)
    assert call(listed) == 1
    assert call(listed, "--fail-on", "error") == 0


def test_an_error_is_exit_code_1(call: Call, listed: Path) -> None:
    (listed.parent / "i0.png").write_bytes(b"")
    assert call(listed, "--fail-on", "error") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.json"], "absent.json: no such file"),
        (["dataset.json", "--spatial-dims", "4"], "spatial_dims is 4; expected 2 or 3"),
        (["dataset.json", "--max-voxels", "0"], "expected 0 or more, and 1 or more"),
    ],
)
def test_bad_usage_is_exit_code_2_and_one_line(
    call: Call, listed: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(listed.parent / arguments[0], *arguments[1:]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_table_and_the_findings_are_printed(call: Call, listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_hole(listed)
    (listed.parent / "i0.png").write_bytes(b"")
    call(listed, "--show", 1)
    printed = capsys.readouterr().out
    assert KINDS["holes"][1] in printed
    assert f"error: unreadable: training <c0> {listed.parent / 'i0.png'}: the file is empty (0 bytes)" in printed
    assert "... and 1 more" in printed
    assert "warning: holes" not in printed


def test_json_and_page_hold_what_was_found(call: Call, listed: Path, tmp_path: Path) -> None:
    with_hole(listed)
    call(listed, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    assert found["counts"] == {"error": 0, "warning": 1, "info": 0}
    assert found["findings"] == [
        {
            "severity": "warning",
            "kind": "holes",
            "message": "a hole of 1 voxel, one at voxel (10, 10)",
            "section": "training",
            "case_id": "<c1>",
            "file": str(listed.parent / "l1.png"),
        }
    ]
    assert [case["case_id"] for case in found["cases"]] == ["<c0>", "<c1>", "<c2>"]
    assert found["cases"][0]["class_voxels"] == {"0": 24 * 20 - 16 * 11, "1": 16 * 11}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a hole of 1 voxel, one at voxel (10, 10)" in page
    assert "&lt;c1&gt;" in page
    assert page.count('src="data:image/png') == 1
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_folder_outside_has_to_be_named(call: Call, listed: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (listed.parent / "i0.png").rename(tmp_path / "far" / "i0.png")
    moved = tmp_path / "lists" / "dataset.json"
    moved.parent.mkdir()
    content = json.loads(listed.read_text())
    content["training"] = [{"image": str(tmp_path / "far" / "i0.png"), "label": str(listed.parent / "l0.png")}]
    moved.write_text(json.dumps(content))
    assert call(moved, "--out", tmp_path / "out") == 1
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    assert [finding["kind"] for finding in found["findings"]] == ["outside", "outside"]
    assert found["cases"] == []
    (moved.parent / "dataset.json.roots").write_text(f"folder: {moved.parent}\n{tmp_path}\n")
    assert call(moved, "--fail-on", "error", "--out", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    assert [(finding["kind"], finding["severity"]) for finding in found["findings"]] == [("roots-file", "warning")]
    (moved.parent / "dataset.json.roots").unlink()
    assert call(moved, "--root", tmp_path, "--out", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    assert [finding["kind"] for finding in found["findings"]] == ["outside-allowed"]


def test_what_a_terminal_would_obey_or_hide_is_printed_as_text(
    call: Call, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"id": "\x1b[2Ja\u202eb\r", "image": "x\ny\x9b.png", "label": "l0.png"}
    listed.write_text(json.dumps({"labels": ["background", "organ"], "training": [entry]}))
    assert call(listed) == 1
    printed = capsys.readouterr().out
    assert r"training \x1b[2Ja\u202eb\r " in printed
    assert r"x\ny\x9b.png: no such file" in printed
    assert not set("\x1b\x9b\r\u202e") & set(printed)
