"""Fixtures that watch or replace the trainings of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_iel.study import BundleRun


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the trainings that were run from here on."""
    folders: list[Path] = []
    run = BundleRun._run

    def noted(self: BundleRun, configs: Any, overlays: Any, settings: Any) -> None:
        if list(configs) == ["train"]:
            folders.append(self.folder)
        run(self, configs, overlays, settings)

    monkeypatch.setattr(BundleRun, "_run", noted)
    return folders


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Settings of trainings that are not run but end well."""
    calls: list[dict[str, Any]] = []

    def done(self: BundleRun, configs: Any, overlays: Any, settings: Any) -> float:
        calls.append({**self.settings, **settings})
        Path(settings["output_dir"]).mkdir(parents=True, exist_ok=True)
        return 0.0

    monkeypatch.setattr(BundleRun, "_run", done)
    return calls
