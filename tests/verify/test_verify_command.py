"""``monai-iel verify``: what it prints, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the command line needs the extra 'cli'")

from monai_iel import cli
from monai_iel.verify import Check

Call = Callable[..., int]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command in this process; gives the exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["monai-iel", "verify", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    return run


def test_a_sound_bundle_ends_with_0_and_says_what_was_not_run(
    call: Call, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(copy) == 0
    printed = capsys.readouterr().out
    assert "  expression configs/train.yaml: dataset_json: $@dataset_dir + '/dataset.json'\n" in printed
    assert "  target     configs/train.yaml: optimizer::_target_: torch.optim.Adam\n" in printed
    assert "passed   weights\n" in printed
    assert "not run  network, properties, iterations (evaluates the configs; asked for by --run)\n" in printed


def test_a_malicious_config_is_listed_and_not_run(
    call: Call, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = f"$__import__('pathlib').Path('{tmp_path / 'run'}').touch()"
    with (copy / "configs" / "inference.yaml").open("a") as stream:
        stream.write(f'\nevil: "{payload}"\n')
    assert call(copy, "--run", "--no-list") == 3
    printed = capsys.readouterr().out
    assert "to read  configs\n" in printed
    assert f"         - configs/inference.yaml: evil: {payload}  <- " in printed
    assert "'touch' can run code, or change files" in printed
    why_not = "(not this package's own: read the list above, then --run --trust)"
    assert f"not run  network, properties, iterations {why_not}" in printed
    assert not (tmp_path / "run").exists()
    assert call(copy, "--trust", "--no-list") == 0  # without --run it is not evaluated either
    assert not (tmp_path / "run").exists()


def test_what_is_marked_is_trusted_as_long_as_all_that_runs_is_the_package_s_own(
    call: Call, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(copy, "--no-list") == 0  # inference.yaml moves finished files, which is marked
    for file in ("configs/inference_largest.yaml", "scripts/new.yaml", "configs/new.py"):
        path = copy / file
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if path.exists() else None
        path.write_text(f"{before or ''}\n# another one\n")
        assert call(copy, "--no-list") == 3, file
        assert "configs/inference.yaml: " in capsys.readouterr().out
        path.unlink() if before is None else path.write_text(before)
    assert call(copy, "--no-list") == 0


def test_a_bundle_from_elsewhere_is_not_run_though_nothing_is_marked(
    call: Call, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty list of marks is no permission."""

    def refuse(root: Path) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr("monai_iel.verify.bundle.check_network", refuse)
    monkeypatch.setattr("monai_iel.verify.bundle.check_found", lambda *_: Check("configs"))  # which sees nothing
    (copy / "configs" / "more.yaml").write_text("x: 1\n")
    assert call(copy) == 0
    assert call(copy, "--run") == 3
    assert "(not this package's own: read the list above, then --run --trust)" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="evaluated"):
        call(copy, "--run", "--trust")


def test_what_is_no_folder_ends_with_2(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path / "none") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'} is no folder")
