"""Swapped structures: the right outline under the wrong name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_items, check_option, check_within, reach_all
from monai_iel.transforms.label_noise.components import Connectivity, find_components
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised

__all__ = ["ClassLabelNoise", "ClassLabelNoiseD", "ClassLabelNoiseDict", "ClassLabelNoised"]

Matrix = tuple[tuple[float, ...], ...]


class ClassLabelNoise(LabelNoise):
    """Structures under the name of another class, fixed per case.

    Each structure of class i, a connected component or all that a case has of the class, becomes class j with
    probability ``confusion[i][j]``, by itself; its outline stays. All structures change at once, so two classes may
    swap. Class 0, the background, is no structure: its row is ``[1, 0, ...]``. A structure may become background.

    **Where classes meet:** components are those of the clean label; two that touch and get one class become one.

    Not for labels with one foreground class, which has nothing to be confused with but background: that is
    `InstanceLabelNoise`.

    Args:
        confusion: one row for each class, background included, of the probabilities of all classes; each row sums to 1.
        per: "component", or "case" for all voxels of a class together.
        connectivity: "faces", or "corners" if voxels that touch at an edge or a corner are of one component too.
        seed: chooses another realisation.
        strength: factor on the probabilities of the other classes. A structure that is confused is confused with the
            same class at every greater strength.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if the matrix is not square, holds a number outside 0 to 1, has a row that does not sum to 1, or
            changes the background; if the label holds a class beyond it; if an option is misspelt.

    References:
        COCO-N has ``flip_class``, a noise that changes the classes of instances; named as a model, not compared in
        detail.

    Example::

        >>> import numpy as np
        >>> noise = ClassLabelNoise(confusion=[[1, 0, 0], [0, 0, 1], [0, 1, 0]], per="case")
        >>> image = np.array([[[0, 1, 1], [2, 0, 1]]])
        >>> noise(image, "case-1").tolist()
        [[[0, 2, 2], [1, 0, 2]]]
        >>> noise(image[..., None], "case-1").shape
        (1, 2, 3, 1)
    """

    model: ClassVar[str] = "classes"

    def __init__(
        self,
        *,
        confusion: Sequence[Sequence[float]],
        per: Literal["component", "case"] = "component",
        connectivity: Connectivity = "faces",
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.confusion = _check_confusion(confusion)
        self.per: Literal["component", "case"] = check_option("per", per, ("component", "case"))
        self.connectivity: Connectivity = check_option("connectivity", connectivity, ("faces", "corners"))

    @property
    def max_strength(self) -> float:
        """The class that is confused most is never named rightly."""
        return reach_all(max(1 - row[number] for number, row in enumerate(self.confusion)))

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw a class for each structure; ``spacing`` is not used."""
        check_within(label, len(self.confusion))
        if self.per == "case":
            return self._draw(np.arange(len(self.confusion), dtype=np.int32), rng)[label]
        components = find_components(label, connectivity=self.connectivity)
        if components is None:
            return label
        return components.replace(label, self._draw(components.classes, rng))

    def _draw(self, classes: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
        """Return the class that each structure gets."""
        matrix = np.array(self.confusion)
        others = matrix * (1 - np.eye(len(matrix)))
        sums = others.sum(axis=1)
        # Whether a structure is confused depends on the strength, with what does not.
        hits, choices = rng.random((2, len(classes)))
        confused = hits < self.strength * sums[classes]
        limits = np.cumsum(others, axis=1)[classes]
        drawn = (choices[:, None] * sums[classes][:, None] >= limits).sum(axis=1)
        return np.where(confused, drawn, classes).astype(np.int32)


def _check_confusion(confusion: Sequence[Sequence[float]]) -> Matrix:
    """Return the matrix as tuples of Python floats, or raise a ValueError that names the row."""
    expected = "one row of probabilities for each class, background included, such as [[1, 0], [0.2, 0.8]]"
    rows = [
        check_items(f"confusion[{number}]", row, "a row of probabilities, one for each class")
        for number, row in enumerate(check_items("confusion", confusion, expected))
    ]
    if len(rows) < 2 or any(len(row) != len(rows) for row in rows):
        raise ValueError(
            f"confusion has rows of length {[len(row) for row in rows]}, expected a square matrix with one row and one "
            "column for each class, background included"
        )
    matrix = tuple(tuple(check_fraction("confusion", value) for value in row) for row in rows)
    for number, row in enumerate(matrix):
        if abs(sum(row) - 1) > 1e-6:
            raise ValueError(f"confusion[{number}] sums to {sum(row):g}, expected 1: the probabilities of all classes")
    if matrix[0][0] != 1.0:
        raise ValueError(f"confusion[0] is {list(matrix[0])}, expected [1, 0, ...]: the background is no structure")
    return matrix


class ClassLabelNoised(NamedLabelNoised):
    """Dictionary form of `ClassLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = ClassLabelNoised("label", confusion=[[1, 0, 0], [0, 0.9, 0.1], [0, 0.1, 0.9]])
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = ClassLabelNoise


ClassLabelNoiseD = ClassLabelNoiseDict = ClassLabelNoised
