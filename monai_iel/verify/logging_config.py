"""What ``logging.config.fileConfig`` evaluates in a bundle's ``logging.conf``."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LOGGING", "logging_options"]

LOGGING = "configs/logging.conf"

# A handler that prints, and the formatter that it has anyway. Others write files, or send to a server.
_HARMLESS = {
    "class": ("StreamHandler", "logging.StreamHandler", "logging.Formatter"),
    "args": ("()", "(sys.stdout,)", "(sys.stderr,)"),
    "kwargs": ("{}",),
    "defaults": (),
}


def logging_options(root: Path) -> Iterator[tuple[str, str, str]]:
    """Name, text, and why it is to be looked at, of each option that is evaluated.

    MONAI refuses calls in them; they are marked all the same.
    """
    if not (root / LOGGING).is_file():
        return
    parser = configparser.RawConfigParser()
    try:
        parser.read_string((root / LOGGING).read_text(encoding="utf-8"))
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        yield "", str(error), "cannot be read"
        return
    for section in parser.sections():
        for option, harmless in _HARMLESS.items():
            text = parser.get(section, option, fallback="")
            if text:
                why = "" if text in harmless else "is evaluated, and is more than a handler that prints"
                yield f"{section}::{option}", text, why
