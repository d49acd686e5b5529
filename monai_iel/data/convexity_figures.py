"""How convex the structures of a data set are, from their labels one after the other: figures for the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.convexity import convex_hull_mask, convexity_of

__all__ = ["RegionFigures", "RegionTally", "mean_shape_map", "smallest_gap"]

Mask = NDArray[np.bool_]

_CELLS = 24  # of the mean shape, per axis
_REACH = 2.5  # of the mean shape to both sides, in standard deviations of the hull; a ball has 2.24
_SPECK = 0.05  # a component smaller than this share of the largest is no object of its own


@dataclass(frozen=True)
class RegionFigures:
    """What `guard_convexity` found about one region over all cases.

    Args:
        name: the names of its classes.
        classes: their numbers.
        cases: number of cases that have it.
        solidity: of its largest component: 10th percentile, median, 90th percentile.
        mean_solidity: solidity of the mean shape of all cases.
        depth_mm: of the deepest concavity of the largest component, the median over the cases.
        deepest_mm: the same, the largest of all cases.
        deepest_case: where it is.
        several: number of cases in which it has several components. Specks below a 20th of the largest do not count.
        smallest_gap_mm: between the nearest voxel centres of two components; None where no case has several.
        within_reach: number of cases with a gap within the flow's reach; None where no reach was given.
    """

    name: str
    classes: tuple[int, ...]
    cases: int
    solidity: tuple[float, float, float]
    mean_solidity: float
    depth_mm: float
    deepest_mm: float
    deepest_case: str
    several: int
    smallest_gap_mm: float | None
    within_reach: int | None

    def lines(self) -> list[str]:
        """The figures for a person, two lines."""
        low, middle, high = self.solidity
        pieces = f"several objects in {self.several} of {self.cases} cases"
        if self.smallest_gap_mm is not None:
            pieces += f", smallest gap {self.smallest_gap_mm:.1f} mm"
        return [
            f"solidity {low:.3f} / {middle:.3f} / {high:.3f} (10th percentile, median, 90th), of the mean shape "
            f"{self.mean_solidity:.3f}",
            f"deepest concavity {self.depth_mm:.1f} mm in the median, {self.deepest_mm:.1f} mm in case "
            f"{self.deepest_case!r}; {pieces}",
        ]


class RegionTally:
    """Takes the masks of one region case by case and keeps a few numbers of each."""

    def __init__(self, name: str, classes: tuple[int, ...]) -> None:
        self.name = name
        self.classes = classes
        self.solidities: list[float] = []
        self.depths: list[tuple[float, str]] = []
        self.gaps: list[float] = []
        self.shapes: NDArray[np.float64] | None = None

    def add(self, mask: Mask, spacing: Sequence[float], case_id: str) -> None:
        """Measure one case; one without the region counts nothing."""
        if not mask.any():
            return
        (box,) = ndimage.find_objects(mask.astype(np.uint8))
        pieces, count = ndimage.label(mask[box], structure=np.ones((3,) * mask.ndim))
        sizes = np.bincount(pieces.ravel())[1:]
        largest = pieces == 1 + sizes.argmax()
        shape = convexity_of(largest, spacing)
        self.solidities.append(shape.solidity)
        self.depths.append((shape.concavity_depth, case_id))
        mean = mean_shape_map(largest)
        self.shapes = mean if self.shapes is None else self.shapes + mean
        objects = np.concatenate([[0], np.where(sizes >= _SPECK * sizes.max(), np.arange(1, count + 1), 0)])[pieces]
        gap = smallest_gap(objects, spacing)
        if gap is not None:
            self.gaps.append(gap)

    def figures(self, reach_mm: float | None) -> RegionFigures:
        """The figures of all cases so far, of which one at least has the region."""
        assert self.shapes is not None
        low, middle, high = (float(q) for q in np.quantile(self.solidities, (0.1, 0.5, 0.9)))
        deepest, where = max(self.depths)
        return RegionFigures(
            name=self.name,
            classes=self.classes,
            cases=len(self.solidities),
            solidity=(low, middle, high),
            mean_solidity=_solidity_of_mean(self.shapes / len(self.solidities)),
            depth_mm=float(np.median([depth for depth, _ in self.depths])),
            deepest_mm=deepest,
            deepest_case=where,
            several=len(self.gaps),
            smallest_gap_mm=min(self.gaps, default=None),
            within_reach=None if reach_mm is None else sum(gap <= reach_mm for gap in self.gaps),
        )


def mean_shape_map(mask: Mask) -> NDArray[np.float64]:
    """A mask on a small grid of its own, on which the masks of all cases lie alike.

    The grid has its middle in the centroid of the mask's hull, and its axes, those of the image, are as long as the
    hull is wide: of the hull, which a bite hardly changes, and not of the mask.
    """
    inside = np.argwhere(convex_hull_mask(mask))
    middle, spread = inside.mean(axis=0), inside.std(axis=0)
    steps = np.linspace(-_REACH, _REACH, _CELLS)
    places = [c + s * steps for c, s in zip(middle, spread, strict=True)]
    sampled = ndimage.map_coordinates(mask.astype(np.float64), np.meshgrid(*places, indexing="ij"), order=1)
    return np.asarray(sampled)


def _solidity_of_mean(mean: NDArray[np.float64]) -> float:
    """Solidity of the cells that most cases have, smoothed by a cell: with few cases single cells are chance."""
    common = ndimage.gaussian_filter(mean, 1.0) > 0.5
    pieces, count = ndimage.label(common, structure=np.ones((3,) * common.ndim))
    if not count:
        return 0.0
    return convexity_of(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()).solidity


def smallest_gap(objects: NDArray[Any], spacing: Sequence[float]) -> float | None:
    """The smallest distance in mm between voxel centres of two objects; None where there are not two.

    Every background voxel is given to the nearest object. The shortest line between two objects crosses from the share
    of the one to that of the other in its middle, so only neighbours in different shares have to be looked at.

    Args:
        objects: number of the object at each voxel, 0 for the background.
        spacing: mm per axis.
    """
    if np.unique(objects[objects > 0]).size < 2:
        return None
    nearest = ndimage.distance_transform_edt(
        objects == 0, sampling=spacing, return_distances=False, return_indices=True
    )
    owner = objects[tuple(nearest)]
    sizes = np.reshape(spacing, (-1, 1))
    smallest = np.inf
    for axis in range(objects.ndim):
        here = tuple(slice(None, -1) if a == axis else slice(None) for a in range(objects.ndim))
        there = tuple(slice(1, None) if a == axis else slice(None) for a in range(objects.ndim))
        border = owner[here] != owner[there]
        if border.any():
            between = (nearest[(slice(None), *here)] - nearest[(slice(None), *there)])[:, border]
            smallest = min(smallest, float(np.linalg.norm(between * sizes, axis=0).min()))
    return smallest
