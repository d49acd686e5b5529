"""What the worklist is sorted by."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["suspicion_of"]


def suspicion_of(measures: Mapping[str, float | None]) -> float:
    """How suspicious a case is, from the measures that `score_case` takes of it.

    The gap between the Dice that the calibrated probabilities expect of a right annotation and the Dice that this
    annotation has, of the class where it is largest; the mean of the gap as it is and of that beyond jitter, see
    `monai_iel.audit.dice`. Sorting by Dice alone puts the hard cases first, where the networks are bad at what may be
    annotated well; here their own doubt is taken off.

    About 0 for a right annotation, up to 1; slightly negative where the annotation agrees better than expected. A
    ranking within a data set, no probability.

    Args:
        measures: with ``worst_gap`` and ``worst_gap_beyond``; None where there is nothing to compare, and nothing
            suspicious.

    >>> suspicion_of({"worst_gap": 0.25, "worst_gap_beyond": 0.75})
    0.5
    """
    gap, beyond = measures["worst_gap"], measures["worst_gap_beyond"]
    return 0.0 if gap is None or beyond is None else (gap + beyond) / 2
