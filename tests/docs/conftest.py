"""What is taken out of the pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def fenced() -> Callable[[str, str], list[str]]:
    """The fenced blocks of a page that are in a language: ``fenced("evolutions.md", "python")``."""

    def blocks(page: str, language: str) -> list[str]:
        text = (DOCS / page).read_text(encoding="utf-8")
        return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)

    return blocks
