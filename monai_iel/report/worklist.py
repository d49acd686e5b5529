"""A page to work through: a table of many cases that can be sorted and filtered, each with its pictures."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, Literal

from monai_iel.files import printable, writing

from ._format import lay_out
from ._pictures import colour_code
from ._templates import require, template

__all__ = ["Worklist", "WorklistColumn", "WorklistRow"]


@dataclass(frozen=True)
class WorklistColumn:
    """A column of the table.

    Args:
        name: its heading.
        worst: which end is looked at first: ``"max"`` sorts from the largest down at the first click, ``"min"`` from
            the smallest up.
        wide: holds text, and stays where a narrow window has no room for the others.
    """

    name: str
    worst: Literal["max", "min"] = "min"
    wide: bool = False


@dataclass(frozen=True)
class WorklistRow:
    """A case: what its line shows, and what is seen when it is opened.

    Args:
        place: in the list.
        name: of the case.
        values: column name -> number or text; None and NaN are dashes, and sorted last.
        tags: those of the worklist's tags that hold for it.
        findings: rows of a table, each with the same keys.
        bars: a number from 0 up per slice, drawn as bars.
        marked: which of the bars stand out.
        pictures: (data URI, caption) pairs.
        facts: names and values in small print, e.g. of files.
    """

    place: int
    name: str
    values: Mapping[str, float | str | None]
    tags: Sequence[str] = ()
    findings: Sequence[Mapping[str, object]] = ()
    bars: Sequence[float] = ()
    marked: Sequence[int] = ()
    pictures: Sequence[tuple[str, str]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


class Worklist:
    """A page with a table of cases, sorted by any column, filtered by tag and text, each opened by a click.

    One HTML file that loads nothing: its style and script are inside, and its content security policy allows no other,
    nor any address but data URIs. What a case shows when opened is kept as JSON, each case in a block of its own, and
    becomes part of the page only then. Everything given is taken for text; what a screen would obey or hide is written
    out. Without scripts the table remains. Not meant for tens of thousands of cases: the file would be a gigabyte.

    Args:
        title: of the page.
        columns: of the table, besides the place in the list and the name of the case.
        tags: what cases can be filtered by, in the order of the buttons.
        legend: name -> RGB or ``"#rrggbb"`` of the outlines in the pictures.
        shade: name -> colour of what is tinted in them.
        bars: what the bars of an opened case are.
        sections: heading -> text (an empty line begins a new paragraph) or names and values, each a part that is
            unfolded by a click, above the table.

    Raises:
        ImportError: where jinja2 is missing: ``pip install monai-iel[report]``.
        ValueError: for a colour that is none.

    Example:
        >>> import tempfile
        >>> worklist = Worklist("Two cases", columns=[WorklistColumn("doubt", "max")], tags=["too small", "too large"])
        >>> rows = [WorklistRow(1, "a", {"doubt": 0.9}, tags=["too large"]), WorklistRow(2, "b", {"doubt": 0.1})]
        >>> path = worklist.write(Path(tempfile.mkdtemp()) / "report.html", rows)
        >>> "2 cases: 1 with findings, 1 without" in path.read_text(encoding="utf-8")
        True
    """

    def __init__(
        self,
        title: str,
        *,
        columns: Sequence[WorklistColumn],
        tags: Sequence[str],
        legend: Mapping[str, str | Sequence[int]] | None = None,
        shade: Mapping[str, str | Sequence[int]] | None = None,
        bars: str = "",
        sections: Mapping[str, str | Mapping[str, object]] | None = None,
    ) -> None:
        require("jinja2")
        self.title = title
        self.columns = tuple(columns)
        self.tags = tuple(tags)
        self.bars = bars
        self._swatches = [(name, colour_code(colour), "line") for name, colour in (legend or {}).items()]
        self._swatches += [(name, colour_code(colour), "area") for name, colour in (shade or {}).items()]
        self._sections = [_section(heading, content) for heading, content in (sections or {}).items()]

    def write(self, path: Path, rows: Iterable[WorklistRow]) -> Path:
        """Write the page, whole or not at all, making its folder.

        The rows are taken one by one, the first being the first of the list; their pictures wait on the disk, so that
        they need not fit into memory.

        Returns:
            The path of the page.

        Raises:
            OSError: where it cannot be written.
            ValueError: for a tag that the worklist does not have, or a picture that is no data URI of an image.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile("w+", encoding="ascii", dir=path.parent) as waiting:
            lines = [self._set_aside(row, waiting) for row in rows]
            waiting.seek(0)
            pieces = template("worklist.html.j2").generate(**self._content(lines), blocks=_blocks(waiting))
            with writing(path) as stream:
                for piece in pieces:
                    stream.write(piece.encode("utf-8"))
        return path

    def _set_aside(self, row: WorklistRow, waiting: IO[str]) -> dict[str, Any]:
        """What the table needs of a row; the rest goes into the file, a line for each."""
        unknown = [tag for tag in row.tags if tag not in self.tags]
        if unknown:
            raise ValueError(f"case {row.name!r} has the tags {unknown}; expected some of {list(self.tags)}.")
        for uri, _ in row.pictures:
            if not uri.startswith("data:image/"):
                raise ValueError(f"case {row.name!r} has a picture {uri[:40]!r}; expected a data URI of an image.")
        findings = _table(row.findings)
        content = {
            "findings": findings,
            "bars": [round(bar, 4) if math.isfinite(bar) else 0 for bar in row.bars],
            "marked": list(row.marked),
            "pictures": [[uri, printable(caption)] for uri, caption in row.pictures],
            "facts": [[printable(name), printable(_text(value))] for name, value in row.facts.items()],
        }
        waiting.write(_json(content) + "\n")
        return {
            "place": row.place,
            "name": printable(row.name),
            "values": {column.name: _value(row.values.get(column.name)) for column in self.columns},
            "tags": sorted(self.tags.index(tag) for tag in set(row.tags)),
            "text": " ".join(cell for line in findings["rows"] for cell in line),
        }

    def _content(self, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What the template needs, but for the blocks."""
        laid_out = lay_out([line["values"] for line in lines], {}) if lines else []
        index = {
            "values": [
                *([line[key] for line in lines] for key in ("place", "name")),
                *([line["values"][column.name] for line in lines] for column in self.columns),
            ],
            "tags": [line["tags"] for line in lines],
            "texts": [line["text"] for line in lines],
            "legend": [[name, kind] for name, _, kind in self._swatches],
            "bars": self.bars,
        }
        counts = Counter(tag for line in lines for tag in line["tags"])
        style = template("worklist.css.j2").render(swatches=self._swatches)
        script = files("monai_iel.report").joinpath("worklist.js").read_text(encoding="utf-8")
        return {
            "title": printable(self.title),
            "columns": self.columns,
            "numeric": [column.numeric for column in laid_out] or [False] * len(self.columns),
            "rows": [
                {
                    "place": line["place"],
                    "name": line["name"],
                    "cells": [_cell_text(column.cells[i].text) for column in laid_out],
                }
                for i, line in enumerate(lines)
            ],
            "tags": [(number, tag, counts[number]) for number, tag in enumerate(self.tags)],
            "without": sum(not line["tags"] for line in lines),
            "sections": self._sections,
            "index": _json(index),
            "style": style,
            "script": script,
            "policy": f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
            "base-uri 'none'; form-action 'none'",
        }


def _section(heading: str, content: str | Mapping[str, object]) -> dict[str, Any]:
    if isinstance(content, str):
        return {"heading": heading, "paragraphs": [p.strip() for p in content.split("\n\n") if p.strip()], "items": {}}
    return {
        "heading": heading,
        "paragraphs": [],
        "items": {printable(name): printable(_text(value)) for name, value in content.items()},
    }


def _table(rows: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    columns = lay_out(rows, {})
    return {
        "head": [printable(column.name) for column in columns],
        "numeric": [column.numeric for column in columns],
        "rows": [[_cell_text(column.cells[i].text) for column in columns] for i in range(len(rows))],
    }


def _cell_text(text: str) -> str:
    """Text of a cell; the thin spaces between thousands stay."""
    return "\u202f".join(printable(part) for part in text.split("\u202f"))


def _value(value: float | str | None) -> float | str | None:
    if isinstance(value, str):
        return printable(value)
    return None if value is None or not math.isfinite(value) else value


def _text(value: object) -> str:
    return "–" if value is None else str(value)


def _json(content: object) -> str:
    """JSON that can stand in an HTML script element: nothing in it ends or begins a tag or comment."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _blocks(waiting: IO[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(waiting):
        yield number, line.rstrip("\n")


def _digest(text: str) -> str:
    """How a content security policy names an element by its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
