"""The strength at which an annotation noise does a given damage to a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from monai_iel.noisy_labels.case_means import mean_dice, mean_distance
from monai_iel.noisy_labels.named import ignore_index_of
from monai_iel.noisy_labels.search import UNDAMAGED, Evaluation, Measure, StrengthSearch, harm
from monai_iel.transforms.label_noise import LabelNoise

__all__ = [
    "NOT_MONOTONE",
    "Calibration",
    "Case",
    "Evaluation",
    "LabelSource",
    "UnreachableTargetError",
    "calibrate",
    "check_target",
    "read_source",
]

Label = tuple[NDArray[Any], Sequence[float]]
LabelSource = Label | Callable[[], Label]
Case = tuple[str, LabelSource]
MapCases = Callable[[Callable[[Case], float | None], Sequence[Case]], Iterable[float | None]]

NOT_MONOTONE = (
    "More strength did not always do more damage: other strengths may do the same. The one taken is on the first rise "
    "that was seen."
)
"""What is said where `Calibration.is_monotone` is false."""

_MEASURES = {"dice": mean_dice, "distance_mm": mean_distance}


@dataclass(frozen=True)
class Calibration:
    """A noise at the strength that was looked for.

    Args:
        noise: at this strength.
        strength: the same, as a number.
        measure: ``"dice"`` or ``"distance_mm"``.
        target: what was asked for.
        reached: what the noise does at the strength.
        evaluations: all strengths that were looked at, in that order.
    """

    noise: LabelNoise
    strength: float
    measure: Measure
    target: float
    reached: float
    evaluations: tuple[Evaluation, ...]

    @property
    def is_monotone(self) -> bool:
        """Whether more strength did more damage among all that was looked at.

        If not, other strengths may do the same damage; the one found is on the first rise that was seen.
        """
        damages = [harm(self.measure, e.value) for e in sorted(self.evaluations, key=lambda e: e.strength)]
        return all(later >= earlier - 1e-9 for earlier, later in pairwise(damages))

    def as_dict(self) -> dict[str, Any]:
        """Return all but the noise; ``json.dumps`` takes it."""
        return {
            "measure": self.measure,
            "target": self.target,
            "reached": self.reached,
            "strength": self.strength,
            "is_monotone": self.is_monotone,
            "evaluations": [[one.strength, one.value] for one in self.evaluations],
        }


class UnreachableTargetError(ValueError):
    """No strength of a noise does the damage that was asked for; the message says what can be reached.

    Args:
        message: in words.
        nearest: the evaluation that came nearest to the target.
        evaluations: all strengths that were looked at.
    """

    def __init__(self, message: str, nearest: Evaluation, evaluations: Sequence[Evaluation]) -> None:
        super().__init__(message)
        self.nearest = nearest
        self.evaluations = tuple(evaluations)


def calibrate(
    noise: LabelNoise,
    cases: Sequence[Case],
    *,
    target_dice: float | None = None,
    target_distance_mm: float | None = None,
    tolerance: float | None = None,
    ignore_index: int | None = None,
    progress: bool = False,
    known: Iterable[Evaluation] = (),
    on_evaluation: Callable[[Evaluation], object] | None = None,
    map_cases: MapCases = map,
) -> Calibration:
    """Find the strength at which a noise does a given mean damage, so that noises can be compared at equal damage.

    The damage is the mean over the cases of the case's mean over its foreground classes (`label_damage`). A case that
    has no foreground before and after the noise is left out.

    The strength takes no part in a noise's random numbers, so the same places are hit, harder, and the damage of most
    models grows with the strength. It is doubled until it does too much (or the noise can do no more), then bisected.
    Where the damage stops growing before that, the strengths around the largest damage are searched for more. So of
    a noise whose damage falls off again the first rise is used; `Calibration.is_monotone` tells.

    A noise that hits a few whole things (blocks, components) grows in steps, and may pass over the target.

    **Which target:** Dice, unless all labels have one voxel size. A surface distance depends on the sampling where the
    errors are not much larger than the voxels (`label_damage` has an example), a Dice hardly. Voxels that a noise
    leaves unknown are in neither, so a noise that only hides reaches no target.

    Args:
        noise: any noise that is fixed per case; the search starts at its strength.
        cases: ``(case id, source)``. A source is a class map ``H W [D]`` with its spacing in mm, or a function without
            arguments that gives both; functions are called once per strength, so that one label at a time is in memory.
        target_dice: mean Dice between noisy and clean labels, between 0 and 1.
        target_distance_mm: or mean surface distance in mm.
        tolerance: how far from the target is near enough; 0.002 of Dice, or 1 % of the distance, if None.
        ignore_index: value of unknown voxels; that of the noise, if it has one.
        progress: show a progress bar over the cases.
        known: evaluations of a former call with the same noise and cases; they are not done again.
        on_evaluation: is called after each evaluation, for instance to keep it.
        map_cases: what maps a function over the cases in order; that of a process pool shares them out.

    Raises:
        UnreachableTargetError: if no strength comes within the tolerance; a `ValueError` that says what can be reached.
        ValueError: if not exactly one target is given or it is out of range, there is no case with foreground, or the
            noise refuses a label; the case is named.

    Example::

        >>> from monai_iel import MorphologyLabelNoise
        >>> disc = (np.hypot(*(np.indices((60, 60)) - 30)) < 20).astype("int32")
        >>> noise = MorphologyLabelNoise(radius=(1, 2))
        >>> found = calibrate(noise, [(str(n), (disc, (1.0, 1.0))) for n in range(8)], target_dice=0.9, tolerance=0.01)
        >>> abs(found.reached - 0.9) <= 0.01, found.noise.strength == found.strength > 0
        (True, True)
    """
    measure, target, tolerance = check_target(target_dice, target_distance_mm, tolerance)
    ignore_index = ignore_index_of(noise) if ignore_index is None else ignore_index
    hidden = "" if ignore_index is None else "; voxels that are unknown are in no Dice and no distance"
    if not cases:
        raise ValueError("cases is empty, expected at least one (case id, source)")

    def evaluate(strength: float) -> float:
        work = partial(_value_of, noise.at_strength(strength), measure, ignore_index)
        bar = tqdm(map_cases(work, cases), f"strength {strength:.4g}", len(cases), leave=False, disable=not progress)
        values = [value for value in bar if value is not None]
        if not values and not search.evaluations:
            raise ValueError(
                f"none of the {len(cases)} cases has any known foreground, so no damage can be measured{hidden}"
            )
        return fmean(values) if values else UNDAMAGED[measure]  # a stronger noise may leave all of it unknown

    before = {one.strength: one.value for one in known}
    search = StrengthSearch(evaluate, measure, target, tolerance, before, on_evaluation)
    found = search.run(noise.strength or 1.0, noise.max_strength)
    if abs(found.value - target) > tolerance:
        raise UnreachableTargetError(search.explain(noise, found) + hidden, found, search.evaluations)
    return Calibration(
        noise.at_strength(found.strength), found.strength, measure, target, found.value, tuple(search.evaluations)
    )


def read_source(source: LabelSource) -> tuple[NDArray[np.int32], tuple[float, ...]]:
    """Return a class map of its own, which may be written into, and its spacing."""
    label, spacing = source() if callable(source) else source
    return np.array(label, dtype=np.int32), tuple(float(size) for size in spacing)


def check_target(dice: float | None, distance: float | None, tolerance: float | None) -> tuple[Measure, float, float]:
    """Return what is measured, the target, and the tolerance; see `calibrate`.

    Raises:
        ValueError: not exactly one target, or a number out of range.
    """
    if (dice is None) == (distance is None):
        raise ValueError(f"target_dice is {dice}, target_distance_mm {distance}; give exactly one of them")
    if dice is not None and not 0 < dice < 1:
        raise ValueError(f"target_dice is {dice}, expected a number between 0 and 1 (80 % is 0.8)")
    if distance is not None and not 0 < distance < math.inf:
        raise ValueError(f"target_distance_mm is {distance}, expected a positive length in mm")
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance is {tolerance}, expected a positive number; leave it out for the default")
    if dice is not None:
        return "dice", float(dice), 0.002 if tolerance is None else tolerance
    target = float(cast(float, distance))
    return "distance_mm", target, 0.01 * target if tolerance is None else tolerance


def _value_of(noise: LabelNoise, measure: Measure, ignore_index: int | None, case: Case) -> float | None:
    case_id, source = case
    clean, spacing = read_source(source)
    try:
        noisy = noise.corrupt_case(clean.copy(), spacing, case_id)
    except ValueError as error:
        raise ValueError(f"case {case_id!r}: {error}") from error
    return _MEASURES[measure](noisy, clean, spacing, ignore_index=ignore_index)
