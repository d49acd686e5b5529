"""The page of the worklist, as a file; in a browser: test_browser.py."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_iel.audit.case import REASONS, AuditCase, CaseScores, Finding
from monai_iel.audit.page import PageCase, write_page
from monai_iel.audit.pictures import COLOURS, CasePicture, case_picture
from monai_iel.report import Worklist, WorklistColumn, WorklistRow, compact_uri

HOSTILE = '</script ><!--<script >alert(1)</script><img src=x onerror="alert(2)">&amp;\x1b[2J\u202e\udcff'
DOT = "data:image/png;base64,iVBORw0KGgo="


class Page(HTMLParser):
    """Tags with attributes, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(found, text.strip()) for (name, found), text in zip(self.tags, self.texts, strict=True) if name == tag]

    def block(self, name: str):
        return next(json.loads(text) for found, text in self.of("script") if found.get("id") == name)


def finding(reason: str = "component missing", text: str = "", weight: float = 1.0, index=(2, 3, 4)) -> Finding:
    place = tuple(float(i) for i in index)
    return Finding(reason, "nucleus", text or f"nucleus: {reason}", weight, 2 * weight, None, place, tuple(index))


def scores(name: str, findings=(), slices=(1.0,), **measures: float | None) -> CaseScores:
    return CaseScores(name, 0.5, measures, tuple(slices), tuple(findings))


def written(folder: Path, cases, **details: object) -> Page:
    html = write_page(folder, cases, details=details, title="Audit").read_text(encoding="utf-8")
    return Page(html)


def test_cases_findings_and_files_are_on_the_page(tmp_path):
    found = [
        finding("class swapped", "nucleus annotated as cell, 90 mm^3", 9.0),
        finding("slices missing", index=(0, 0, 1)),
    ]
    case = PageCase(
        1,
        scores("heart_07", found, (0.9, 0.4, 1.0), dice=0.7125, outline_mm=None, gap=0.25),
        (CasePicture(DOT, "slice 4: nucleus, class swapped"),),
        {"error map": "errors/heart_07.nii.gz"},
    )
    page = written(tmp_path, [case, PageCase(2, scores("heart_08", dice=0.9))], folds=3, overlay=None)
    cells = [text for _, text in page.of("td")]
    assert cells[:4] == ["1", "0.5000", "nucleus annotated as cell, 90 mm^3", "0.7125"]
    assert cells[3 + 3] == "–"  # no outline in both maps
    assert "2 cases: 1 with findings, 1 without" in [text for _, text in page.of("p")]
    block = page.block("case-0")
    assert [row[:2] for row in block["findings"]["rows"]] == [
        ["class swapped", "nucleus annotated as cell, 90 mm^3"],
        ["slices missing", "nucleus: slices missing"],
    ]
    assert (block["bars"], block["marked"]) == ([0.1, 0.6, 0.0], [1, 4])
    assert block["pictures"] == [[DOT, "slice 4: nucleus, class swapped"]]
    assert ["error map", "errors/heart_07.nii.gz"] in block["facts"]
    assert ["gap", "0.25"] in block["facts"]
    details = dict(zip([text for _, text in page.of("dt")], [text for _, text in page.of("dd")], strict=True))
    assert (details["folds"], details["overlay"]) == ("3", "–")
    assert details["suspicion"].startswith("What the list is sorted by")


def test_reasons_are_counted_once_per_case(tmp_path):
    cases = [
        PageCase(1, scores("a", [finding("class swapped"), finding("class swapped"), finding("slices missing")])),
        PageCase(2, scores("b", [finding("class swapped")])),
        PageCase(3, scores("c")),
    ]
    page = written(tmp_path, cases)
    buttons = [found for found, _ in page.of("button") if found.get("class") == "tag"]
    counts = [text for found, text in page.of("span") if found.get("class") == "count"]
    assert counts == ["0", "0", "2", "1", "0", "0", "1"]
    assert ["disabled" in found for found in buttons] == [True, True, False, False, True, True, False]
    assert page.block("index")["tags"] == [[REASONS.index("class swapped"), REASONS.index("slices missing")], [2], []]


def test_what_comes_from_the_data_is_text(tmp_path):
    case = PageCase(
        1,
        scores(HOSTILE, [finding(text=HOSTILE)], dice=0.1, **{HOSTILE: 0.5}),
        (CasePicture(DOT, HOSTILE),),
        {HOSTILE: HOSTILE},
    )
    path = write_page(tmp_path, [case], details={HOSTILE: HOSTILE}, title=HOSTILE)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    clean, (index, block, code) = HOSTILE.encode("unicode_escape").decode(), page.of("script")
    assert (index[0]["type"], block[0]["type"], code[0]) == ("application/json", "application/json", {})
    blocks = [line for line in html.splitlines() if line.startswith('<script type="application/json"')]
    assert [line.count("<") for line in blocks] == [2, 2]  # their own tags
    assert not page.of("img")
    assert "alert" not in code[1]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", html)
    assert page.block("case-0")["pictures"][0][1] == clean
    assert page.block("case-0")["findings"]["rows"][0][1] == clean
    assert page.of("h1")[0][1] == page.block("index")["values"][1][0] == clean


def test_the_policy_lets_in_the_style_and_the_script_of_the_page_alone(tmp_path):
    page = written(tmp_path, [PageCase(1, scores("a"))])
    policy = next(found["content"] for found, _ in page.of("meta") if "http-equiv" in found)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not [found for tag, found in page.tags if any(name == "style" or name.startswith("on") for name in found)]
    addresses = [found[name] for _, found in page.tags for name in ("src", "href") if name in found]
    assert addresses == ["data:,"]


def test_the_page_is_whole_without_pictures_cases_or_numbers(tmp_path):
    nan = float("nan")
    page = written(tmp_path / "a", [PageCase(1, CaseScores("a", nan, {"dice": nan}, (nan, 1.0), ()))])
    assert page.block("index")["values"][2] == [None]
    assert page.block("case-0")["bars"] == [0, 0.0]
    page = written(tmp_path / "b", [])
    assert "0 cases: 0 with findings, 0 without" in [text for _, text in page.of("p")]
    assert not page.of("td")


def test_many_findings_are_cut_and_their_number_stated(tmp_path):
    found = [finding(weight=100.0 - i) for i in range(60)]
    block = written(tmp_path, [PageCase(1, scores("a", found))]).block("case-0")
    assert len(block["findings"]["rows"]) == 50
    assert ["findings not listed", "10"] in block["facts"]


def test_cases_are_taken_one_by_one_and_a_failure_leaves_the_old_page(tmp_path):
    path = write_page(tmp_path, [PageCase(1, scores("old"))], details={}, title="t")

    def cases():
        yield PageCase(1, scores("new"))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_page(tmp_path, cases(), details={}, title="t")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert "old" in path.read_text(encoding="utf-8")


def test_rows_that_the_page_cannot_show_are_refused(tmp_path):
    worklist = Worklist("t", columns=[WorklistColumn("doubt")], tags=["a"])
    with pytest.raises(ValueError, match=r"case 'x' has the tags \['b'\]; expected some of \['a'\]"):
        worklist.write(tmp_path / "p.html", [WorklistRow(1, "x", {}, tags=["b"])])
    with pytest.raises(ValueError, match=r"case 'x' has a picture 'https://a\.example/b\.png'; expected a data URI"):
        worklist.write(tmp_path / "p.html", [WorklistRow(1, "x", {}, pictures=[("https://a.example/b.png", "")])])
    with pytest.raises(ValueError, match="colour is 'red'"):
        Worklist("t", columns=[], tags=[], legend={"a": "red"})
    assert not list(tmp_path.iterdir())


# Pictures


def case_of(label, seen, spacing=None, affine=None) -> AuditCase:
    """Two classes; the networks see ``seen``."""
    probabilities = np.stack([seen == 0, seen == 1]).astype(np.float32)
    return AuditCase("a", label.astype(np.int32), probabilities, spacing or (1.0,) * label.ndim, affine, ("bg", "cell"))


def pixels(picture: CasePicture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))).convert("RGB"))


def outlined(picture: CasePicture, name: str) -> np.ndarray:
    """Rows and columns, as shares of the picture, that an outline spans."""
    drawn = pixels(picture)
    where = np.argwhere((drawn == COLOURS[name]).all(axis=-1))
    return np.stack([where.min(axis=0), where.max(axis=0) + 1]) / drawn.shape[:2]


def test_the_slices_of_the_heaviest_findings_are_shown():
    label = np.zeros((30, 30, 12), int)
    label[10:20, 10:20] = 1
    found = [finding("slices missing", index=(15, 15, 7)), finding("class swapped", index=(12, 12, 2))]
    found += [finding("component surplus", index=(11, 18, 7)), finding("outline too far in", index=(1, 1, 11))]
    captions = [p.caption for p in case_picture(label, case_of(label, label), scores("a", found), 2)]
    assert captions == [
        "slice 7: nucleus, slices missing; nucleus, component surplus",
        "slice 2: nucleus, class swapped",
    ]
    assert case_picture(label, case_of(label, label), scores("a", found), 0) == ()
    lowest = case_picture(label, case_of(label, label), scores("a", slices=[1.0] * 9 + [0.5] + [1.0] * 2))
    assert [picture.caption for picture in lowest] == ["slice 9: nothing disputed"]


def test_annotation_prediction_and_what_differs_are_drawn():
    label, seen = np.zeros((20, 40), int), np.zeros((20, 40), int)
    label[2:10, 4:16] = 1
    seen[2:10, 24:36] = 1  # the second axis is y
    (picture,) = case_picture(np.zeros((20, 40)), case_of(label, seen), scores("a", [finding(index=(3, 5))]))
    assert np.allclose(outlined(picture, "annotation"), [[0.1, 0.1], [0.4, 0.5]])
    assert np.allclose(outlined(picture, "prediction (on top)"), [[0.6, 0.1], [0.9, 0.5]])
    inside = pixels(picture)[int(0.2 * 480), int(0.3 * 240)]
    assert tuple(inside) == (53, 24, 0)  # a quarter of (213, 94, 0) on black
    assert not pixels(picture)[-5, -5].any()


@pytest.mark.parametrize(
    ("spacing", "shape"), [((1.0, 1.0, 1.0), (1, 1)), ((0.5, 2.0, 1.0), (4, 1)), ((3.0, 1.0, 9.0), (1, 3))]
)
def test_voxels_have_their_proportions(spacing, shape):
    label = np.ones((20, 20, 3), int)
    case = case_of(label, label, spacing, np.diag([*spacing, 1.0]))
    (picture,) = case_picture(label, case, scores("a", [finding(index=(1, 1, 1))]))
    rows, columns = pixels(picture).shape[:2]
    assert rows / columns == shape[0] / shape[1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)])
def test_volumes_stand_upright_however_they_are_stored(order, signs):
    """A structure at the patient's right and front is on the right and at the top."""
    label = np.zeros((20, 20, 3), int)
    label[12:18, 15:19] = 1  # right, front
    affine = np.eye(4)
    affine[:2, :2] = np.diag(signs)
    stored = label[:: signs[0], :: signs[1]].transpose(*order, 2)
    affine[:, :2] = affine[:, list(order)]
    case = case_of(stored, stored, affine=affine)
    (picture,) = case_picture(stored, case, scores("a", slices=(1.0, 0.1, 1.0)))
    (top, left), (bottom, right) = outlined(picture, "prediction (on top)")
    box = pixels(picture).shape
    assert np.isclose((bottom - top) * box[0] / ((right - left) * box[1]), 4 / 6, rtol=0.02)
    # Cut out with three voxels around it, of which the volume has two on the right and one at the front.
    assert top < 1 - bottom
    assert 1 - right < left


def test_the_organ_is_cut_out_and_of_a_large_one_the_part_around_the_finding():
    label = np.zeros((200, 200, 3), int)
    label[50:70, 60:90] = 1
    (picture,) = case_picture(label, case_of(label, label), scores("a", [finding(index=(55, 65, 1))]))
    (top, left), (bottom, right) = outlined(picture, "prediction (on top)")
    assert 0.05 < top < 0.3 < 0.7 < bottom < 0.95
    assert 0.05 < left < 0.3 < 0.7 < right < 0.95
    label = np.ones((1000, 1000), int)
    found = [finding(index=(10, 10)), finding(index=(990, 990)), finding(index=(20, 20))]
    image = np.arange(1000)[:, None] + np.zeros((1, 1000))
    pictures = case_picture(image, case_of(label, label), scores("a", found))
    assert len(pictures) == 2
    assert [pixels(picture).shape for picture in pictures] == [(640, 640, 3)] * 2


def test_colour_pictures_keep_their_colours_and_channels_come_first():
    label = np.zeros((16, 12), int)
    image = np.zeros((3, 16, 12))
    image[1, 8:] = 1.0
    (picture,) = case_picture(image, case_of(label, label), scores("a"))
    assert tuple(pixels(picture)[0, -1]) == (0, 255, 0)
    (transparent,) = case_picture(np.concatenate([image, image[:1]]), case_of(label, label), scores("a"))
    assert np.array_equal(pixels(transparent), pixels(picture))
    (picture,) = case_picture(np.stack([image[1], image[0]]), case_of(label, label), scores("a"))
    assert tuple(pixels(picture)[0, -1]) == (255, 255, 255)
    with pytest.raises(ValueError, match=r"image of case 'a' has shape \(12, 16\), its label \(16, 12\)"):
        case_picture(label.T, case_of(label, label), scores("a"))


def test_pictures_are_stored_small(monkeypatch):
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (400, 400, 3), np.uint8)
    flat = np.zeros((400, 400, 3), np.uint8)
    assert compact_uri(flat).startswith("data:image/webp;base64,")
    assert np.array_equal(pixels(CasePicture(compact_uri(flat), "")), flat)
    assert len(compact_uri(noise)) < noise.size / 2  # no longer without loss
    monkeypatch.setattr("monai_iel.report._pictures.features.check", lambda _: False)
    assert compact_uri(flat).startswith("data:image/png;base64,")
