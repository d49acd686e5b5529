"""The overlay configs that a choice ends in."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_iel.files import write_text
from monai_iel.resources import overlay
from monai_iel.tune.candidates import Candidate

__all__ = ["write_answer"]

_TRAIN, _INFERENCE, _EVALUATE = "tuned.yaml", "tuned_inference.yaml", "tuned_evaluate.yaml"
_BEHIND = {
    _TRAIN: "Behind train.yaml and the data overlay",
    _INFERENCE: "Behind inference.yaml and the data overlay",
    _EVALUATE: "Behind train.yaml, the data overlay and evaluate.yaml",
}


def write_answer(folder: Path, candidate: Candidate, reasons: Sequence[str]) -> list[Path]:
    """Write ``tuned.yaml``, and where the candidate smooths at inference ``tuned_inference.yaml`` and
    ``tuned_evaluate.yaml``; those of another choice are removed.

    The files hold all that they need: no other overlay stands behind or before them. Existing overlays are copied, with
    the candidate's settings in them.

    Args:
        folder: where they are written.
        candidate: the choice.
        reasons: sentences, which stand in the files as comments.

    Returns:
        The files.
    """
    contents = {_TRAIN: _merged(candidate.overlays, candidate.settings) or {"loss": "@base_loss"}}
    if candidate.after:
        evaluate = _merged(candidate.after, candidate.after_settings)
        contents[_INFERENCE] = {_at_inference(key): value for key, value in evaluate.items()}
        contents[_EVALUATE] = evaluate
    for name in _BEHIND.keys() - contents.keys():
        (folder / name).unlink(missing_ok=True)
    return [write_text(folder / name, _text(name, candidate, reasons, found)) for name, found in contents.items()]


def _text(name: str, candidate: Candidate, reasons: Sequence[str], content: dict[str, Any]) -> str:
    said = [f"{_BEHIND[name]}: what monai-iel tune chose, {candidate.name!r}."]
    if name == _TRAIN and candidate.after:
        said.append(f"It is for inference alone: {_INFERENCE} and {_EVALUATE}. The training is plain.")
    lines = [line for one in (*said, *reasons) for line in textwrap.wrap(one, 118)]
    body = yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    return "".join(f"# {line}\n" for line in lines) + body


def _merged(overlays: Sequence[str], settings: dict[str, Any] | Any) -> dict[str, Any]:
    """The ids of some overlays and settings in one mapping; an id that stands twice is that of the later one."""
    merged: dict[str, Any] = {}
    for name in overlays:
        for key, value in ConfigParser.load_config_file(overlay(name)).items():
            if key in merged and key.startswith("+"):
                raise ValueError(f"overlays {', '.join(overlays)}: two of them have {key!r}; write them into one file")
            merged[key] = value
    return {**merged, **settings}


def _at_inference(key: str) -> str:
    """``inference.yaml`` has the id ``smoothing`` where ``train.yaml`` has it in ``validate``."""
    return "smoothing" if key.lstrip("+").startswith("validate") else key
