"""The worklist as a page, for annotators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_iel.audit.case import REASONS, CaseScores, Finding
from monai_iel.audit.pictures import COLOURS, TINT
from monai_iel.report import Worklist, WorklistColumn, WorklistRow

__all__ = ["PAGE", "PageCase", "write_page"]

PAGE = "report.html"

_FINDINGS = 50  # of a case that are listed
# Measures that are columns: heading, and which end is worse.
_COLUMNS = {
    "dice": WorklistColumn("Dice", "min"),
    "expected_dice": WorklistColumn("expected Dice", "min"),
    "self_confidence": WorklistColumn("self-confidence", "min"),
    "softmin": WorklistColumn("soft-min", "min"),
    "outline_mm": WorklistColumn("outline, mm", "max"),
    "disputed": WorklistColumn("disputed", "max"),
}
_MEANINGS = {
    "suspicion": "What the list is sorted by, in mm (pixels): what the networks dispute, doubt counting little, per "
    "area of outline, as if a layer that thick were wrong along the whole outline. 0 for an annotation that is the "
    "prediction, without an upper bound; a ranking within this data set, no probability. A case is not suspicious for "
    "being hard.",
    "reason": "The heaviest finding; open the case for the others, its pictures, its slices and all measures. The "
    "buttons show the cases with such a finding, the heaviest or not.",
    "Dice": "Overlap of the annotation with the prediction of networks that never saw it, mean over the classes; 1 is "
    "the same.",
    "expected Dice": "What the calibrated probabilities of these networks expect of a right annotation; low in a hard "
    "case.",
    "self-confidence": "Mean calibrated probability of the annotated classes around the foreground, from 0 to 1; low "
    "is bad.",
    "soft-min": "The same with the worst voxels counting most.",
    "outline, mm": "Signed mean distance of the annotated outline from the predicted one; positive: the annotation "
    "reaches too far out, negative: not far enough.",
    "disputed": "Share of the foreground in which annotation and prediction differ by more than jitter of a voxel.",
    "weight": "Of a finding: its size times how sure the networks are there, on the mean.",
    "size": "Of a finding: disputed volume in mm³ (2D: mm², in pictures without geometry pixels).",
    "position": "In mm (RAS, as NIfTI has it), in pictures without geometry in pixels, x before y. Voxel and slice "
    "numbers count from 0, along the axes of the file; ITK-SNAP counts from 1.",
}
_NEXT = """\
The networks can be wrong where the annotation is right, so look before you correct. Begin at the top: open a case, \
look at its pictures, and stop where most of what you open is right.

Volumes: in 3D Slicer, add the image, the label and the error map (Add Data; with "Show Options" the label can be \
loaded as a segmentation), and go to the position of a finding. In ITK-SNAP, open the image as the main image, the \
error map as an additional one, and the label as the segmentation.

A proposal is the label as the networks would have it, in a file of its own; the label itself is never changed. Load \
it beside the label and take over what is right, or correct the label by hand. Save what you correct as the label: no \
label is made from a proposal, and the next audit writes proposals anew. One that you have edited in its place is kept \
then, under a name with ".edited" in it.

Then run the audit again with the same folder: what did not change is not computed again."""


@dataclass(frozen=True)
class PageCase:
    """A case as the page shows it.

    Args:
        rank: place in the worklist, from 1.
        scores: of the case.
        pictures: address and caption of each, see `case_picture`; may be empty.
        files: what it is -> path as it is shown, e.g. ``{"error map": "errors/a.nii.gz"}``.
    """

    rank: int
    scores: CaseScores
    pictures: Sequence[tuple[str, str]] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def write_page(out: Path, cases: Iterable[PageCase], *, details: Mapping[str, object], title: str) -> Path:
    """Write ``report.html``: the worklist with pictures, in one file that needs no other.

    Args:
        out: the folder.
        cases: in the order of the list; taken one by one, so that a generator needs the memory of one case.
        details: how the networks were trained, settings and versions, by name.
        title: of the page.

    Returns:
        The path of the page.

    Raises:
        ImportError: where jinja2 is missing: ``pip install monai-iel[report]``.
        OSError: where it cannot be written.

    Example:
        >>> import tempfile
        >>> scores = CaseScores("heart_07", 0.83, {"dice": 0.71}, (0.9,), ())
        >>> page = write_page(Path(tempfile.mkdtemp()), [PageCase(1, scores)], details={"folds": 3}, title="Audit")
        >>> page.name, "heart_07" in page.read_text(encoding="utf-8")
        ('report.html', True)
    """
    worklist = Worklist(
        title,
        columns=[
            WorklistColumn("suspicion", "max", wide=True),
            WorklistColumn("reason", wide=True),
            *_COLUMNS.values(),
        ],
        tags=REASONS,
        legend=COLOURS,
        shade=TINT,
        bars="Doubt about each slice (1 − label quality)",
        sections={
            "What to do next": _NEXT,
            "What the scores mean": _MEANINGS,
            "How the networks were trained": details,
        },
    )
    return worklist.write(out / PAGE, (_row(case) for case in cases))


def _row(case: PageCase) -> WorklistRow:
    scores = case.scores
    measured = {column.name: scores.measures.get(name) for name, column in _COLUMNS.items()}
    more = {name: value for name, value in scores.measures.items() if name not in _COLUMNS}
    left = len(scores.findings) - _FINDINGS
    return WorklistRow(
        place=case.rank,
        name=scores.case_id,
        values={"suspicion": scores.suspicion, "reason": scores.reason, **measured},
        tags=tuple(dict.fromkeys(finding.reason for finding in scores.findings)),
        findings=[_line(finding) for finding in scores.findings[:_FINDINGS]],
        bars=[1 - quality for quality in scores.slices],
        marked=sorted({finding.index[-1] for finding in scores.findings}),
        pictures=case.pictures,
        facts={
            **case.files,
            **{name: value if value is None else f"{value:.4g}" for name, value in {**measured, **more}.items()},
            **({"findings not listed": left} if left > 0 else {}),
        },
    )


def _line(finding: Finding) -> dict[str, object]:
    return {
        "reason": finding.reason,
        "in words": finding.text,
        "weight": finding.weight,
        "size": finding.size,
        "distance, mm": finding.distance_mm,
        "position": ", ".join(f"{x:.1f}" for x in finding.position),
        "voxel": ", ".join(str(i) for i in finding.index),
    }
