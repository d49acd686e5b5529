from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from monai_iel.report import Report


class Page(HTMLParser):
    """What a browser would make of the file: tags with attributes, cells, text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text, self.rows = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([dict(attributes).get("class", ""), ""])
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1][1] += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def images(self):
        return [a for tag, a in self.tags if tag == "img"]


def read(report, tmp_path):
    page = Page(report.write(tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def table(tmp_path, rows, **kwargs):
    report = Report("t")
    report.add_table(rows, **kwargs)
    return read(report, tmp_path).rows


def decoded(uri):
    kind, content = re.fullmatch(r"data:([a-z/+]+);base64,(.+)", uri).groups()
    return kind, base64.b64decode(content)


def full_report():
    report = Report("Title & <more>", "sub")
    report.add_text("first\n\nsecond <script>alert(1)</script>")
    for name in ("One", "Two", "Three"):
        report.add_section(name)
    report.add_table([{"a": 1, "b": "x"}], caption="cap", note="small")
    report.add_curves({"c": ([1, 2], [3, 4])}, xlabel="epoch", ylabel="Dice", caption="curves")
    report.add_gallery([(np.zeros((4, 5, 3), np.uint8), "black"), (np.full((4, 4), 255, np.uint8), "white")])
    report.add_details({"torch": "2.13", "none": None})
    return report


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing(tmp_path):
    path = full_report().write(tmp_path / "new" / "folder" / "page.html")
    assert path == tmp_path / "new" / "folder" / "page.html"
    html = path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"}
    links = [a.get("src") or a.get("href") for _, a in page.tags if a.get("src") or a.get("href")]
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"url\(|@import", html)
    svg = next(content for kind, content in map(decoded, (i["src"] for i in page.images())) if kind == "image/svg+xml")
    assert set(re.findall(rb"https?://[^\s\"'<>]+", svg)) == {
        b"http://www.w3.org/2000/svg",
        b"http://www.w3.org/1999/xlink",
    }


def test_everything_given_is_escaped(tmp_path):
    report = Report("<i>t</i>", "<i>s</i>")
    report.add_section("<i>h</i>")
    report.add_text("<i>p</i>")
    report.add_table([{"<i>k</i>": "<i>v</i>"}], caption="<i>c</i>", note="<i>n</i>")
    report.add_picture(np.zeros((2, 2), np.uint8), caption='"><i>a</i>')
    report.add_gallery([(np.zeros((2, 2), np.uint8), "<i>g</i>")], legend={"<i>l</i>": "#ff0000"})
    report.add_details({"<i>d</i>": "<i>e</i>"})
    assert "i" not in {tag for tag, _ in read(report, tmp_path).tags}


def test_the_same_report_gives_the_same_bytes(tmp_path):
    assert full_report().write(tmp_path / "a").read_bytes() == full_report().write(tmp_path / "b").read_bytes()


def test_sections_are_linked_from_the_top_and_text_stands_where_it_was_put(tmp_path):
    page = read(full_report(), tmp_path)
    targets = [a["id"] for tag, a in page.tags if tag == "h2"]
    assert [a["href"] for tag, a in page.tags if tag == "a"] == [f"#{i}" for i in targets]
    words = [t for t in page.text if t.strip()]
    assert (
        words.index("first") < words.index("second <script>alert(1)</script>") < len(words) - words[::-1].index("One")
    )


def test_numbers_are_right_aligned_with_the_same_decimals_and_text_is_not(tmp_path):
    head, *body = table(
        tmp_path,
        [
            {"name": "plain", "Dice": 0.94771, "HD": 12.3456, "n": 1234567, "ok": True},
            {"name": "IEL", "Dice": np.float32(0.9), "HD": torch.tensor(3.0), "n": np.int64(-5), "ok": False},
        ],
    )
    assert head == [["", "name"], ["number", "Dice"], ["number", "HD"], ["number", "n"], ["", "ok"]]
    assert [text for _, text in body[0]] == ["plain", "0.9477", "12.35", "1\u202f234\u202f567", "yes"]
    assert [text for _, text in body[1]] == ["IEL", "0.9000", "3.00", "−5", "no"]


def test_missing_values_are_dashes_and_extremes_stay_visible(tmp_path):
    rows = [{"a": 1.5, "b": 0.5}, {"a": None, "b": 1e-9, "c": float("inf")}, {"a": float("nan"), "b": 0.0}, {}]
    columns = list(zip(*[[text for _, text in row] for row in table(tmp_path, rows)], strict=True))
    assert columns == [
        ("a", "1.500", "–", "–", "–"),
        ("b", "0.5000", "1.0e−09", "0.0000", "–"),
        ("c", "–", "∞", "–", "–"),
    ]


def test_the_best_of_a_column_is_highlighted_with_ties_as_printed(tmp_path):
    rows = [{"Dice": 0.91234, "HD": 2.0}, {"Dice": 0.91231, "HD": None}, {"Dice": 0.8, "HD": 3.0}]
    _, *body = table(tmp_path, rows, highlight={"Dice": "max", "HD": "min"})
    assert [[kind for kind, _ in row] for row in body] == [
        ["number best", "number best"],
        ["number best", "number"],
        ["number", "number"],
    ]


def test_a_reference_row_is_shown_but_is_never_the_best(tmp_path):
    rows = [{"Dice": 0.8}, {"Dice": 0.7}, {"Dice": 0.9}]
    _, *body = table(tmp_path, rows, highlight={"Dice": "max"}, reference=[2])
    assert [kind for ((kind, _),) in body] == ["number best", "number", "number"]


def test_an_empty_table_and_a_report_without_content_are_pages_too(tmp_path):
    report = Report("empty")
    report.add_table([], caption="nothing yet")
    assert "nothing yet" in "".join(read(report, tmp_path).text)


def test_arrays_come_back_as_they_were_put_in(tmp_path):
    rng = np.random.default_rng(0)
    colour, grey = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8), rng.integers(0, 256, (5, 4), dtype=np.uint8)
    report = Report("t")
    report.add_picture(colour[:, ::-1], caption="flipped view")
    report.add_gallery([(grey, "grey")], legend={"label": (86, 180, 233)})
    page = read(report, tmp_path)
    kinds, contents = zip(*(decoded(i["src"]) for i in page.images()), strict=True)
    assert kinds == ("image/png", "image/png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(contents[0]))), colour[:, ::-1])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(contents[1]))), grey)
    assert [i["alt"] for i in page.images()] == ["flipped view", "grey"]
    assert {"class": "swatch", "style": "background: #56b4e9"} in [a for tag, a in page.tags if tag == "span"]


def test_curves_and_figures_become_drawings(tmp_path):
    figure = Figure()
    figure.subplots().plot([0, 1])
    report = Report("t")
    report.add_curves({"one": ([1], [0.5]), "gap": ([1, 2, 3], [1.0, float("nan"), 2.0])}, xlabel="x", ylabel="y")
    report.add_picture(figure, caption="own figure")
    page = read(report, tmp_path)
    assert [decoded(i["src"])[0] for i in page.images()] == ["image/svg+xml"] * 2
    assert page.images()[0]["alt"] == "y against x: one, gap"


def test_what_cannot_be_shown_is_refused(tmp_path):
    report = Report("t")
    with pytest.raises(ValueError, match=r"picture is float64 of shape \(4, 4\); expected uint8"):
        report.add_picture(np.zeros((4, 4)), caption="")
    with pytest.raises(TypeError, match="picture is a str"):
        report.add_gallery([("file.png", "")])
    with pytest.raises(ValueError, match="curve 'a' has 2 x values and 1 y values"):
        report.add_curves({"a": ([1, 2], [1])}, xlabel="", ylabel="")
    with pytest.raises(ValueError, match="curves is empty"):
        report.add_curves({}, xlabel="", ylabel="")
    for colour in ("red", "#12345", (0, 0), (0, 0, 256)):
        with pytest.raises(ValueError, match=r"colour is .* expected three numbers"):
            report.add_gallery([], legend={"a": colour})
    with pytest.raises(ValueError, match=r"highlight is .* expected 'max' or 'min'"):
        report.add_table([{"a": 1}], highlight={"b": "max"})
    with pytest.raises(ValueError, match="column 'a', which holds something else than numbers"):
        report.add_table([{"a": "x"}], highlight={"a": "max"})


def test_a_missing_extra_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr("monai_iel.report._templates.find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(ImportError, match=r"a report needs jinja2.*pip install monai-iel\[report\]"):
        Report("t")


def test_a_failed_write_keeps_the_old_page(tmp_path, monkeypatch):
    path = Report("old").write(tmp_path / "page.html")

    def full_disk(*_):
        raise OSError("disk full")

    monkeypatch.setattr("monai_iel.files.os.replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        Report("new").write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert "old" in path.read_text(encoding="utf-8")
