"""scripts/compare_convex.py: its options are those of a paired study, and all its overlays exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("typer", reason="the script needs the extra 'cli'")
pytest.importorskip("jinja2", reason="the script needs the extra 'report'")

from monai_iel.resources import overlay
from monai_iel.study import PairedStudy, Row

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "compare_convex.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_convex", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compared(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[PairedStudy]:
    """Studies that are not run, but have a result; no page is written."""
    studies: list[PairedStudy] = []
    metrics = {"dice": 0.5, "hd95_mm": 2.0, "solidity": 0.9, "concavity_mm": 1.0, "components": 1.5}

    def compare(self: PairedStudy) -> list[Row]:
        studies.append(self)
        return [Row("plain", "last", 0, metrics, {"hd95_missed": 0}, 1.0)]

    monkeypatch.setattr(PairedStudy, "compare", compare)
    monkeypatch.setattr(script, "write_page", lambda study, rows, segmented: study.folder / "report.html")
    return studies


def test_all_its_methods_are_there(script: ModuleType) -> None:
    names = [part for name in (*script.TRAINED, *script.CORRECTED) for part in name.split("+")]
    assert all(overlay(name).is_file() for name in names)


def test_by_default_everything_is_compared(
    script: ModuleType, compared: list[PairedStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([str(tmp_path), "--no-pictures"])
    (study,) = compared
    assert study == PairedStudy(
        tmp_path,
        data="data/convex_phantom",
        iels=script.TRAINED,
        bundle="convex_organ_segmentation",
        afterwards=script.CORRECTED,
    )
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("solidity", "concavity_mm", "components", "0.9000", "report.html"))


def test_methods_and_settings_are_chosen(script: ModuleType, compared: list[PairedStudy], tmp_path: Path) -> None:
    line = "--data data/wbc_cell --noise noise/bites --loss loss/ce --only iel/heat --only after/convex_hull --clean"
    line += " --seed 1 --seed 2 --epoch best --set max_epochs=3 --after-all --no-pictures"
    script.main([str(tmp_path), *line.split()])
    assert compared == [
        PairedStudy(
            tmp_path,
            data="data/wbc_cell",
            noise="noise/bites",
            iels=("iel/heat",),
            seeds=(1, 2),
            loss="loss/ce",
            clean=True,
            epochs=("best",),
            settings={"max_epochs": 3},
            bundle="convex_organ_segmentation",
            afterwards=("after/convex_hull",),
            afterwards_of="all",
        )
    ]


def test_an_unknown_method_is_refused(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        script.main([str(tmp_path), "--only", "iel/haet"])
    assert "invalid choice: 'iel/haet'" in capsys.readouterr().err
