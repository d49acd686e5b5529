"""What several subcommands take by ``--set``."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["setting"]


def setting(text: str) -> tuple[str, Any]:
    """Config id and value of ``ID=VALUE``, the value read as YAML.

    Raises:
        ValueError: for a text of another form.
    """
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"--set takes ID=VALUE, e.g. max_epochs=5; got {text!r}")
    # YAML 1.1 reads 1e-3 as a text, because it has no dot.
    if re.fullmatch(r"[-+]?\d+e[-+]?\d+", value, flags=re.IGNORECASE):
        return name, float(value)
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--set {name}: {value!r} is no YAML value ({reason}); correct or quote it") from None
