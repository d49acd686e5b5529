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
from monai_iel.transforms import label_noise
from monai_iel.transforms.label_noise.presets import LABEL_NOISE_PRESETS

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

# Tables and commands.
WITHOUT_PYTHON = {
    "annotation_noise_measured.md",
    "check.md",
    "compare.md",
    "label_audit_measured.md",
    "measured.md",
    "running.md",
    "study_measured.md",
    "tune.md",
    "verify.md",
}
WITH_TESTS_OF_THEIR_OWN = {"export.md", "your_own_evolution.md"}
LINKING = [REPO / "README.md", REPO / "CHANGELOG.md", *DOCS.rglob("*.md"), *REPO.glob("bundles/*/docs/README.md")]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(LINKING), ids=lambda page: str(page.relative_to(REPO)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not link.startswith(("http:", "https:"))]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(REPO), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme_or_from_the_overview_of_the_evolutions() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    linked = {*re.findall(r"\]\((\w+\.md)", OVERVIEW), *re.findall(r"\]\(docs/(\w+\.md)", readme)}
    assert linked == {*PAGES}


def test_every_annotation_noise_and_every_preset_is_in_its_page() -> None:
    page = (DOCS / "annotation_noise.md").read_text(encoding="utf-8")
    noises = [kind for kind in map(label_noise.__dict__.get, label_noise.__all__) if isinstance(kind, type)]
    models = [
        kind for kind in noises if issubclass(kind, label_noise.LabelNoise) and kind is not label_noise.LabelNoise
    ]
    assert len(models) > 10
    for kind in models:
        file = Path(inspect.getfile(kind)).name
        row = f"[`{kind.__name__}`](../monai_iel/transforms/label_noise/{file})"
        assert row in page or file == "composed.py", kind
        assert kind.__name__ in page
    presets = set(re.findall(r"`([a-z]+-[\w.-]+)`", page.partition("## Published settings")[2].partition("In what")[0]))
    assert presets == {*LABEL_NOISE_PRESETS}


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


@pytest.mark.parametrize("page", sorted({*PAGES} - WITH_TESTS_OF_THEIR_OWN - WITHOUT_PYTHON))
def test_what_the_python_of_a_page_prints_stands_in_it(page: str, fenced: Fenced) -> None:
    blocks = fenced(page, "python")
    assert blocks
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block, {})
        assert printed.getvalue().strip() in (DOCS / page).read_text(encoding="utf-8")
