"""Label quality: how probable the annotated class is, per voxel, slice and case."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["require_cleanlab", "self_confidence", "slice_quality", "softmin", "surprise"]

_DOUBT = np.float32(1e-3)


def require_cleanlab() -> None:
    """Refuse to begin without cleanlab.

    Raises:
        ImportError: it is not installed.
    """
    if find_spec("cleanlab") is None:
        raise ImportError("the audit needs cleanlab, not installed here: pip install 'monai-iel[audit]'")


def self_confidence(probabilities: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.float32]:
    """Probability of the class that each voxel is given: of the annotated one, the label quality of that voxel.

    Shape: ``probabilities`` ``C H W [D]``, ``classes`` and result ``H W [D]``.

    >>> import numpy as np
    >>> probabilities = np.array([[[0.9, 0.2]], [[0.1, 0.8]]], dtype=np.float32)
    >>> self_confidence(probabilities, np.array([[1, 1]])).tolist() == probabilities[1].tolist()
    True
    """
    return np.take_along_axis(probabilities, classes[None].astype(np.intp, copy=False), axis=0)[0]


def surprise(probabilities: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.float32]:
    """How much less probable each annotated class y is than the probabilities themselves expect,

        -log p_y - sum_c p_c (-log p_c),

    whose mean is 0 for annotations drawn from p, be p sure or not. Probabilities below 1e-3 count as 1e-3: where the
    networks are surer than that, they are not to be believed.

    Shape: as `self_confidence`.
    """
    logs = np.log(np.maximum(probabilities, _DOUBT))
    return np.einsum("c...,c...->...", probabilities, logs) - self_confidence(logs, classes)


def softmin(quality: NDArray[Any]) -> float:
    """Label quality of a whole image or volume, from that of its voxels: near the lowest of them, but not one voxel's.

    With the qualities q and a temperature of 0.1,

        softmin = sum_i w_i q_i,   w_i = exp((1 - q_i) / 0.1) / sum_j exp((1 - q_j) / 0.1)

    by cleanlab's `get_label_quality_scores`, for which a volume is one long row of pixels; so for an image it is
    cleanlab's own score. In float64, five arrays of the size of ``quality`` at once.

    A share: the same wrong voxels weigh less in a larger image. Compare images of one size, or cut to the organ.

    >>> import numpy as np
    >>> round(softmin(np.full((4, 4, 4), 0.75)), 6)
    0.75
    """
    return float(_scores(quality.reshape(1, -1, 1))[0])


def slice_quality(quality: NDArray[Any]) -> tuple[float, ...]:
    """`softmin` of each slice along the last axis; of an image its one score."""
    if quality.ndim == 2:
        return (softmin(quality),)
    return tuple(float(score) for score in _scores(np.moveaxis(quality, -1, 0)))


def _scores(quality: NDArray[Any]) -> NDArray[np.float64]:
    """`quality` ``N H W``: as cleanlab's ``N K H W`` with the annotated class alone, which is all that it looks at."""
    require_cleanlab()
    from cleanlab.segmentation.rank import get_label_quality_scores  # with its imports it takes a second

    annotated = np.broadcast_to(np.intp(0), quality.shape)
    scores, _ = get_label_quality_scores(annotated, quality[:, None], verbose=False)
    return np.asarray(scores)
