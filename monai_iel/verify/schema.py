"""The metadata of a bundle against a schema that is shipped with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

try:
    from jsonschema import Draft202012Validator
except ImportError as error:
    raise ImportError("verify needs the extra 'cli': pip install 'monai-iel[cli]'") from error

from monai_iel.verify.check import Check

__all__ = ["check_metadata", "load_schema", "read_metadata"]


def load_schema() -> dict[str, Any]:
    """The schema: written for this package after the MONAI Bundle Specification.

    It requires the keys that MONAI's published one requires (``meta_schema_20240725.json``, which MONAI's
    ``verify_metadata`` downloads), and says more of what they hold: shapes, channels and versions.
    """
    text = files("monai_iel.verify").joinpath("metadata.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def read_metadata(root: Path) -> dict[str, Any]:
    """``configs/metadata.json``.

    Raises:
        ValueError: it is missing, no JSON, or no object.
    """
    path = root / "configs" / "metadata.json"
    if not path.is_file():
        raise ValueError("configs/metadata.json cannot be read: it is missing, or no file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"configs/metadata.json cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"configs/metadata.json holds a {type(content).__name__}, expected an object")
    return content


def check_metadata(root: Path) -> Check:
    """Metadata that can be read, fits the schema, and names its version in the changelog."""
    try:
        metadata = read_metadata(root)
    except ValueError as error:
        return Check("metadata", (str(error),))
    found = sorted(Draft202012Validator(load_schema()).iter_errors(metadata), key=lambda e: list(map(str, e.path)))
    problems = [f"{'/'.join(map(str, e.absolute_path)) or 'metadata.json'}: {_short(e.message)}" for e in found]
    changelog, version = metadata.get("changelog"), metadata.get("version")
    if isinstance(changelog, dict) and isinstance(version, str) and version not in changelog:
        problems.append(f"changelog: says nothing of version {version!r}")
    return Check("metadata", tuple(problems))


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:140]} ... {message[-140:]}"
