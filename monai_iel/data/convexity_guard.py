"""A guard in front of convex evolutions: are the structures convex, and do objects of one class keep their distance?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_iel.data.convexity_figures import RegionFigures, RegionTally
from monai_iel.regions import check_regions
from monai_iel.transforms.label_noise.base import name_case, read_label

__all__ = ["ConvexityWarning", "RegionFigures", "guard_convexity"]

_MOSTLY_CONVEX = 0.98  # solidity of a hand-drawn convex organ: 0.991 to 0.998 for whole white blood cells
_ALIKE = (
    0.03  # width of the solidities of an organ whose cases lack the same; two bites in every label gave 0.07 to 0.1
)
_ENOUGH = 8  # cases to speak of a width
_SHARE = 0.05  # of the cases in which objects may come within reach: noise may split an organ


class ConvexityWarning(UserWarning):
    """The training labels are not what a convex evolution expects."""


def guard_convexity(
    cases: Sequence[Mapping[str, Any]],
    load: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    regions: Sequence[Sequence[int]] | None = None,
    reach_mm: float | None = None,
    min_solidity: float = 0.95,
    min_case_solidity: float = 0.8,
    strict: bool = False,
    progress: bool = True,
) -> list[RegionFigures]:
    """Measure how convex each region is in the training labels, and warn where a convex evolution would do harm.

    The labels are read once, one at a time, as the training sees them. Labels with bites look as little convex, one by
    one, as an organ that is concave. What tells them apart is that errors lie elsewhere in every case: the labels are
    laid on one another (by the centroid and the width of their hulls, without turning them), and where most cases have
    the region is its mean shape. A region is found wanting if

    - the solidity of its mean shape is below ``min_solidity``: it is concave at the same place in most cases; or
    - the 90th percentile of the solidity of single cases is below ``min_case_solidity``: hardly a case is near convex;
      or
    - that percentile is above 0.98, but the 10th is below ``min_case_solidity``: it is convex in some cases and far
      from it in others, as lobed cells are, and clumps of objects that touch; or
    - that percentile is below 0.98, and the 10th less than 0.03 below it: every case lacks about the same, as kidneys
      do, and pairs of objects that touch in every case; or
    - in 5 % of the cases or more two objects of it are within ``reach_mm``: the flow would join them.

    Single cases are measured by their largest component. Measured solidities (percentiles 10 / 90, then mean shape):

    - convex: whole white blood cells 0.991 / 0.998, 1.000; the same with two bites of 8 to 18 pixels in every label
      0.841 / 0.937, 1.000; convex phantoms 1.000 / 1.000, 1.000, with bites of 3 to 6 mm 0.805 / 0.924, 1.000.
    - concave: whole hippocampus 0.563 / 0.678, 0.796; its posterior part 0.638 / 0.797, 0.859; cytoplasm of white blood
      cells 0.375 / 0.720, 0.559. Found by the third rule: their nuclei 0.743 / 0.992, 1.000, and DSB 2018 nuclei (one
      class for all) 0.781 / 1.000, 1.000.
    - between them, and not found wanting: the anterior hippocampus 0.831 / 0.928, 0.985.

    With fewer than about 16 cases the mean shape still holds the errors of each, and convex organs with bites may be
    found wanting; the same organ concave elsewhere in every case, or turned at random, is taken for one with errors.

    Args:
        cases: the entries of the training list.
        load: an entry to a dictionary with ``label``, at the grid and with the noise of the training. The size of a
            voxel in mm comes from the label's affine, 1 without one.
        class_names: names of all classes, background first.
        regions: lists of classes that are one structure together, None for every foreground class by itself.
        reach_mm: how far the flow reaches, None not to ask for gaps.
        min_solidity: of the mean shape.
        min_case_solidity: of single cases.
        strict: raise instead of warning.
        progress: show a progress bar.

    Shape:
        - ``load(case)["label"]``: ``1 H W [D]``, whole class numbers.

    Returns:
        The figures of every region, in the order of ``regions``.

    Raises:
        ValueError: no cases; regions with classes that have no name; a label that is no class map or holds a class
            without a name; with ``strict``, a region that is found wanting, or that no case has.

    Example::

        >>> import torch
        >>> disc, ball = (sum((torch.arange(9.0).reshape([-1 if a == b else 1 for b in range(n)]) - 4) ** 2
        ...     for a in range(n)) <= 9 for n in (2, 3))
        >>> for label in (disc, ball):
        ...     (found,) = guard_convexity([{"case_id": "a"}], lambda case: {"label": label[None].int()},
        ...         class_names=["background", "organ"], progress=False)
        ...     print(found.name, found.solidity, round(found.mean_solidity, 2))
        organ (1.0, 1.0, 1.0) 1.0
        organ (1.0, 1.0, 1.0) 1.0
    """
    if not cases:
        raise ValueError("cases is empty; give the entries of the training list")
    tallies = _tallies(class_names, regions)
    for index, case in enumerate(tqdm(cases, desc="measuring convexity", unit="case", disable=not progress)):
        case_id = str(case.get("case_id", index))
        label = load(case)["label"]
        with name_case(label, case_id):
            values, spacing = read_label(label)
            if values.min() < 0 or values.max() >= len(class_names):
                found = values.max() if values.max() >= len(class_names) else values.min()
                raise ValueError(
                    f"found class {found}, expected 0 .. {len(class_names) - 1} ({', '.join(class_names)}); renumber "
                    "the classes, or name them all in class_names"
                )
        for tally in tallies:
            tally.add(np.isin(values, tally.classes), spacing, case_id)
    missing = [tally.name for tally in tallies if tally.shapes is None]
    figures = [tally.figures(reach_mm) for tally in tallies if tally.shapes is not None]
    text = _report(figures, missing, len(cases), reach_mm, min_solidity, min_case_solidity)
    if text and strict:
        raise ValueError(text)
    if text:
        warnings.warn(text, ConvexityWarning, stacklevel=2)
    return figures


def _tallies(class_names: Sequence[str], regions: Sequence[Sequence[int]] | None) -> list[RegionTally]:
    checked = check_regions(regions) or tuple((number,) for number in range(1, len(class_names)))
    highest = max((number for region in checked for number in region), default=0)
    if not 0 < highest < len(class_names):
        raise ValueError(
            f"regions are {[list(region) for region in checked]} and class_names {list(class_names)}; expected classes "
            "of 1 and more that have a name, background being the first name"
        )
    return [RegionTally(" + ".join(class_names[number] for number in region), region) for region in checked]


def _report(
    figures: Sequence[RegionFigures],
    missing: Sequence[str],
    num_cases: int,
    reach_mm: float | None,
    min_solidity: float,
    min_case_solidity: float,
) -> str:
    """What is wrong, for a person; an empty text where nothing is."""
    lines = [f"  {name}:\n    - no case has it; check the class numbers, or leave it out" for name in missing]
    for found in figures:
        problems = [*_shape_problems(found, min_solidity, min_case_solidity), *_gap_problems(found, reach_mm)]
        if problems:
            lines += [f"  {found.name}:", *(f"    - {text}" for text in problems)]
            lines += [f"      {text}" for text in found.lines()]
    if not lines:
        return ""
    return "\n".join(
        [
            f"a convex evolution would harm these regions, by the labels of {num_cases} training cases:",
            *lines,
            "Leave them out of the convex regions, or take an evolution that does not fill (heat); where objects of "
            "one class are close, lower the reach or crop each object. Where a region should be convex, look at its "
            "labels.",
        ]
    )


def _shape_problems(found: RegionFigures, min_solidity: float, min_case_solidity: float) -> list[str]:
    low, _, high = found.solidity
    if found.mean_solidity < min_solidity:
        few = "; of so few cases this may be errors in the labels" if found.cases < 16 else ""
        return [
            f"it is concave at the same place in most cases: solidity of the mean shape {found.mean_solidity:.3f}, "
            f"expected at least {min_solidity:g}{few}"
        ]
    if high < min_case_solidity:
        return [
            f"hardly a case is near convex: 90th percentile of the solidity {high:.3f}, expected at least "
            f"{min_case_solidity:g}"
        ]
    if high < _MOSTLY_CONVEX and high - low < _ALIKE and found.cases >= _ENOUGH:
        return [
            f"it lacks about the same in every case, which errors of annotation would not: solidity {low:.3f} at the "
            f"10th percentile, {high:.3f} at the 90th"
        ]
    if high > _MOSTLY_CONVEX and low < min_case_solidity:
        return [
            f"it is convex in some cases and far from it in others (lobed, or objects that touch): solidity {low:.3f} "
            f"at the 10th percentile, {high:.3f} at the 90th"
        ]
    return []


def _gap_problems(found: RegionFigures, reach_mm: float | None) -> list[str]:
    if not found.within_reach or found.within_reach < _SHARE * found.cases:
        return []
    return [
        f"its objects may be joined: in {found.within_reach} of {found.cases} cases two of them are within the "
        f"flow's reach of {reach_mm:g} mm, the nearest {found.smallest_gap_mm:.1f} mm apart"
    ]
