"""The pages: every link leads somewhere, every evolution has a page, and every figure is what its lines print."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_iel import EvolutionTerm, SumTerm, terms

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
OVERVIEW = (DOCS / "evolutions.md").read_text(encoding="utf-8")
EVOLUTIONS = [
    kind
    for kind in (getattr(terms, name) for name in terms.__all__)
    if issubclass(kind, EvolutionTerm) and not inspect.isabstract(kind)
]
Fenced = Callable[[str, str], list[str]]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [REPO / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not link.startswith(("http:", "https:"))]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(REPO), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_overview_or_is_it() -> None:
    assert set(re.findall(r"\]\((\w+\.md)", OVERVIEW)) == {*PAGES} - {"evolutions.md"}


@pytest.mark.parametrize("kind", EVOLUTIONS, ids=lambda kind: kind.__name__)
def test_every_evolution_has_a_page_and_a_row_of_the_overview(kind: type[EvolutionTerm]) -> None:
    file = f"../monai_iel/terms/{Path(inspect.getfile(kind)).name}"
    assert re.search(rf"^\|.*\({re.escape(file)}\)", OVERVIEW, flags=re.MULTILINE)
    introduced = f"`{kind.__name__}` ([{Path(file).name}]({file}))"
    pages = [page for page in PAGES if introduced in (DOCS / page).read_text(encoding="utf-8")]
    assert len(pages) == (0 if kind is SumTerm else 1)  # a sum has a section of the overview
    if pages:
        assert f"]({pages[0]})" in OVERVIEW


def test_every_overlay_of_an_iel_is_in_the_overview() -> None:
    overlays = {path.stem for path in (REPO / "configs" / "iel").glob("*.yaml")} - {"none"}
    assert overlays == set(re.findall(r"^\| `iel/(\w+)`", OVERVIEW, flags=re.MULTILINE))


@pytest.mark.parametrize("page", [page for page in PAGES if page != "your_own_evolution.md"])  # which has its own tests
def test_what_the_python_of_a_page_prints_stands_in_it(page: str, fenced: Fenced) -> None:
    blocks = fenced(page, "python")
    assert blocks
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block, {})
        assert printed.getvalue().strip() in (DOCS / page).read_text(encoding="utf-8")
