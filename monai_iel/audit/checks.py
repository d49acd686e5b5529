"""Whether an annotation and probabilities belong together."""

from __future__ import annotations

import numpy as np

from monai_iel.audit.case import AuditCase

__all__ = ["check_case"]


def check_case(case: AuditCase) -> None:
    """Refuse a case whose arrays do not fit together.

    Raises:
        ValueError: naming the case, what was found and what was expected.
    """
    name, shape, found = f"case {case.case_id}", case.label.shape, case.probabilities.shape
    if case.label.ndim not in (2, 3) or found[1:] != shape:
        raise ValueError(f"{name}: probabilities have shape {found}, label {shape}; expected C H W [D] and H W [D]")
    if found[0] < 2 or found[0] != len(case.class_names):
        raise ValueError(
            f"{name}: probabilities of {found[0]} classes, {len(case.class_names)} class names; expected as many of "
            "both, the background first and at least one class more (of a sigmoid p take 1 - p and p)"
        )
    if len(case.spacing) != len(shape) or not all(0 < size < np.inf for size in case.spacing):
        raise ValueError(f"{name}: spacing is {case.spacing}, expected {len(shape)} positive lengths, one per axis")
    least, most = int(case.label.min(initial=0)), int(case.label.max(initial=0))
    if least < 0 or most >= found[0]:
        raise ValueError(
            f"{name}: the label holds class {least if least < 0 else most}, the probabilities 0 to {found[0] - 1}; "
            "give probabilities of all classes, and unknown voxels a class (0)"
        )
