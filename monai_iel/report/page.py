"""The one place that makes HTML: a page with tables, curves and pictures in a single file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from monai_iel.files import write_text

from ._format import MISSING, Best, lay_out
from ._pictures import Curve, colour_code, curves_uri, picture_uri
from ._templates import require, template

__all__ = ["Report"]


class Report:
    """A page that explains a result: sections with text, tables, curves, pictures and the settings behind them.

    The file is one self-contained HTML page: no script, nothing loaded from elsewhere, readable on light and dark
    screens and on paper. Everything given is escaped; nothing is taken for markup. Not meant for thousands of pictures:
    all are inside the file.

    Content goes into the section added last; before the first one, it stands at the top of the page. Nothing is written
    before :meth:`write`.

    Args:
        title: of the page.
        subtitle: a line below it.

    Raises:
        ImportError: where jinja2 or matplotlib is missing: ``pip install monai-iel[report]``.

    Example:
        >>> import tempfile
        >>> report = Report("Hippocampus", "noisy labels, 15 epochs")
        >>> report.add_section("Result")
        >>> report.add_table(
        ...     [{"method": "plain", "Dice": 0.8595}, {"method": "heat IEL", "Dice": 0.8616}], highlight={"Dice": "max"}
        ... )
        >>> report.add_curves({"plain": ([1, 2, 3], [0.7, 0.8, 0.85])}, xlabel="epoch", ylabel="Dice")
        >>> path = report.write(Path(tempfile.mkdtemp()) / "out" / "report.html")
        >>> page = path.read_text(encoding="utf-8")
        >>> "0.8616" in page, page.count('src="data:image/svg+xml;base64,')
        (True, 1)
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        require("jinja2", "matplotlib")
        self.title = title
        self.subtitle = subtitle
        self._sections: list[dict[str, Any]] = [{"title": "", "blocks": []}]

    def _add(self, kind: str, **content: Any) -> None:
        self._sections[-1]["blocks"].append({"kind": kind, **content})

    def add_section(self, title: str) -> None:
        """Begin a section; what follows goes into it."""
        self._sections.append({"title": title, "blocks": []})

    def add_text(self, text: str) -> None:
        """Add plain text; an empty line begins a new paragraph."""
        self._add("text", paragraphs=[p.strip() for p in text.split("\n\n") if p.strip()])

    def add_table(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        caption: str = "",
        note: str = "",
        highlight: Mapping[str, Best] | None = None,
        reference: Sequence[int] = (),
    ) -> None:
        """Add a table with a column per key, in order of first appearance.

        Columns that hold only numbers are right aligned, whole numbers as they are and others with as many decimals as
        give the largest four digits. ``None``, NaN and absent keys are dashes.

        Args:
            rows: one mapping per row.
            caption: above the table.
            note: below it, in small print.
            highlight: column -> ``"max"`` or ``"min"``: the best numbers are set in bold.
            reference: indices of rows that are shown, but take no part in the highlighting.

        Raises:
            ValueError: for a highlighted column that is absent or holds other things than numbers.
        """
        columns = lay_out(rows, highlight or {}, reference)
        body = [[column.cells[i] for column in columns] for i in range(len(rows))]
        self._add("table", columns=columns, body=body, caption=caption, note=note)

    def add_curves(self, curves: Mapping[str, Curve], *, xlabel: str, ylabel: str, caption: str = "") -> None:
        """Add a diagram of lines.

        Args:
            curves: name -> (x values, y values); NaN leaves a gap.
            xlabel: what x is, with its unit.
            ylabel: what y is, with its unit.
            caption: below the diagram.

        Raises:
            ValueError: for no curves, or one whose x and y differ in length.
        """
        alt = f"{ylabel} against {xlabel}: {', '.join(curves)}"
        self._add("picture", uri=curves_uri(curves, xlabel=xlabel, ylabel=ylabel), caption=caption, alt=alt, width=None)

    def add_picture(self, picture: NDArray[Any] | Any, *, caption: str) -> None:
        """Add a picture: a ``uint8`` array (``H W`` or ``H W 3``) or a matplotlib figure.

        Raises:
            TypeError: for another kind of object.
            ValueError: for an array of another type or shape.
        """
        uri, width = picture_uri(picture)
        self._add("picture", uri=uri, caption=caption, alt=caption, width=width)

    def add_gallery(
        self,
        pictures: Sequence[tuple[NDArray[Any] | Any, str]],
        *,
        legend: Mapping[str, str | Sequence[int]] | None = None,
    ) -> None:
        """Add pictures side by side, each with its caption, under a legend of outline colours.

        Args:
            pictures: (picture as in :meth:`add_picture`, caption) pairs.
            legend: name -> RGB in 0-255 or ``"#rrggbb"``.

        Raises:
            TypeError: for something that is no picture.
            ValueError: for an array of another type or shape, or a colour that is none.
        """
        tiles = [{"uri": picture_uri(picture)[0], "caption": caption} for picture, caption in pictures]
        colours = {name: colour_code(colour) for name, colour in (legend or {}).items()}
        self._add("gallery", tiles=tiles, legend=colours)

    def add_details(self, details: Mapping[str, object]) -> None:
        """Add names and values in small print: settings, versions, commands; what makes a result repeatable."""
        self._add("details", items={name: MISSING if value is None else str(value) for name, value in details.items()})

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all, making its folder.

        Returns:
            The path of the page.

        Raises:
            OSError: where it cannot be written.
        """
        sections = [s for s in self._sections if s["title"] or s["blocks"]]
        page = template("page.html.j2").render(title=self.title, subtitle=self.subtitle, sections=sections)
        return write_text(Path(path), page)
