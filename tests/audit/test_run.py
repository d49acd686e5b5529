"""What the audit does around its steps: one at a time in a folder, and each look at the disk once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_iel.audit import Audit, audit, sources
from monai_iel.audit.run_folder import AuditFolder
from monai_iel.audit.steps import Steps
from monai_iel.locks import locked


def run(organs: Path, **arguments: Any) -> Audit:
    folder = organs.parent.parent
    return audit(organs, folder / "audit", predictions=folder / "predictions", progress=False, pictures=0, **arguments)


@pytest.mark.parametrize(("where", "step"), [(AuditFolder, "begin"), (Steps, "look"), (AuditFolder, "sweep")])
def test_a_second_audit_in_the_folder_of_one_that_runs_is_refused(
    organs: Path, monkeypatch: pytest.MonkeyPatch, where: type, step: str
) -> None:
    does, refused = getattr(where, step), []

    def with_another(self: Any) -> None:
        monkeypatch.setattr(where, step, does)
        with pytest.raises(FileExistsError, match=r"audit: another audit is running in this folder; let it end") as at:
            run(organs)
        refused.append(at.value)
        does(self)

    monkeypatch.setattr(where, step, with_another)
    assert len(run(organs).cases) == 6
    assert len(refused) == 1
    assert "\n" not in str(refused[0])


def test_an_audit_that_begins_with_other_settings_meanwhile_is_refused(
    organs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look at a folder and its lock another audit can come and go."""
    folder, first = organs.parent.parent, []

    def late(path: Path, *, wait: bool) -> Any:
        if not first:
            first.append(path)
            audit(organs, folder / "audit", predictions=folder / "predictions", progress=False, pictures=0)
        return locked(path, wait=wait)

    monkeypatch.setattr("monai_iel.audit.run.locked", late)
    (folder / "others").symlink_to(folder / "predictions")
    with pytest.raises(FileExistsError, match=r"holds another run: predictions is"):
        audit(organs, folder / "audit", predictions=folder / "others", progress=False, pictures=0)


def test_the_lock_of_an_audit_that_was_killed_stops_no_other(organs: Path) -> None:
    out = organs.parent.parent / "audit"
    out.mkdir()
    (out / ".lock").touch()
    assert len(run(organs).cases) == 6


def test_predictions_are_looked_for_once(organs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find, calls = sources.find_predictions, []
    monkeypatch.setattr(sources, "find_predictions", lambda *given: calls.append(given) or find(*given))
    run(organs)
    assert len(calls) == 1
