"""Read the configs of a bundle as data: nothing in them is evaluated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

__all__ = ["LEFT_OUT", "WORKFLOWS", "config_file", "config_files", "configs_of", "leaves", "read_config"]

WORKFLOWS: dict[str, tuple[str, ...]] = {
    "training": ("train",),
    "evaluation": ("train", "evaluate"),
    "inference": ("inference",),
}
"""Workflow -> names of its configs, in order."""

LEFT_OUT = ("runs", "data")
"""Folders of a bundle in which its runs leave results and keep data."""

_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_BYTES = 5_000_000
_MAX_ITEMS = 100_000


def config_files(root: Path) -> list[Path]:
    """Every YAML and JSON file of the bundle, in whatever folder: a config can draw in any of them."""
    found = (path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    return sorted(path for path in found if path.relative_to(root).parts[0] not in LEFT_OUT)


def config_file(root: Path, name: str) -> Path | None:
    """``configs/NAME`` with one of the suffixes that MONAI reads."""
    return next((path for suffix in _SUFFIXES if (path := root / "configs" / f"{name}{suffix}").is_file()), None)


def configs_of(root: Path, workflow: str) -> list[str]:
    """Paths of the configs of a workflow.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    found = {name: config_file(root, name) for name in WORKFLOWS[workflow]}
    for name, path in found.items():
        if path is None:
            raise FileNotFoundError(f"there is no configs/{name}.yaml (or .json)")
    return [str(path) for path in found.values()]


def read_config(path: Path) -> Any:
    """The content of a config, through MONAI's reader, which makes plain data only.

    Raises:
        ValueError: it is no YAML or JSON, asks for objects of Python, or is too large to be a config.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes are too many for a config; expected at most {_MAX_BYTES}")
    try:
        with warnings.catch_warnings(action="ignore"):
            return ConfigParser.load_config_file(path)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())})") from error


def leaves(content: Any) -> Iterator[tuple[str, Any]]:
    """Id and value of everything in a config that is no list and no dictionary.

    Raises:
        ValueError: there are more than 100,000, as with YAML aliases that multiply or hold themselves.
    """
    waiting: list[tuple[str, Any]] = [("", content)]
    for _ in range(_MAX_ITEMS):
        if not waiting:
            return
        name, value = waiting.pop()
        if isinstance(value, (dict, list)):
            inner: Sequence[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
            waiting += [(f"{name}::{key}" if name else str(key), item) for key, item in reversed(inner)]
        else:
            yield name, value
    raise ValueError(f"holds more than {_MAX_ITEMS} items; look for aliases that multiply")
