"""Several noises as one: all of them in turn, or one of them for some of the cases; in mm or in voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_items, check_option, check_weights
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised

__all__ = [
    "ChoiceLabelNoise",
    "ChoiceLabelNoiseD",
    "ChoiceLabelNoiseDict",
    "ChoiceLabelNoised",
    "SequentialLabelNoise",
    "SequentialLabelNoiseD",
    "SequentialLabelNoiseDict",
    "SequentialLabelNoised",
]

Unit = Literal["mm", "voxel"]


class _Composed(LabelNoise):
    """What holds other noises; each of them draws its own random numbers, as it does alone."""

    noises: tuple[LabelNoise, ...]

    def __init__(self, noises: Sequence[LabelNoise], *, unit: Unit, seed: int, strength: float) -> None:
        super().__init__(seed=seed, strength=strength)
        expected = "one or more LabelNoise (fixed per case, array form)"
        self.noises = check_items("noises", noises, expected)
        if not self.noises or not all(isinstance(noise, LabelNoise) for noise in self.noises):
            raise ValueError(f"noises is {noises!r}, expected {expected}")
        self.unit: Unit = check_option("unit", unit, ("mm", "voxel"))

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of the constructor except seed and strength, the noises as they describe themselves."""
        described = [
            {"model": n.model, "parameters": n.parameters, "seed": n.seed, "strength": n.strength} for n in self.noises
        ]
        return {**super().parameters, "noises": described}

    @property
    def max_strength(self) -> float:
        """The strength from which on one of the noises can do no more."""
        return min(noise.max_strength / noise.strength if noise.strength else np.inf for noise in self.noises)

    def __repr__(self) -> str:
        others = {name: value for name, value in super().parameters.items() if name != "noises"}
        shown = {"noises": list(self.noises), **others, "seed": self.seed, "strength": self.strength}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def corrupt_case(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], case_id: str | int
    ) -> NDArray[np.int32]:
        """Return the class map after the noises that the case gets."""
        self.check_limit()  # of what was asked for, whichever parts the case gets
        sizes = spacing if self.unit == "mm" else (1.0,) * label.ndim
        for noise in self._parts(case_id):
            label = noise.corrupt_case(label, sizes, case_id)
        return label

    def _parts(self, case_id: str | int) -> Sequence[LabelNoise]:
        """Return the noises that a case gets, in order, at this noise's strength."""
        raise NotImplementedError

    def _part(self, index: int) -> LabelNoise:
        """One of the noises, at this noise's strength."""
        noise = self.noises[index]
        return noise.at_strength(self.strength * noise.strength)


class SequentialLabelNoise(_Composed):
    """Several noises one after the other, fixed per case: each works on what the former one left.

    The same as a chain of their dictionary forms, number for number, but one transform with one strength, which
    multiplies theirs: so a mixture can be calibrated. Give noises of one model and equal parameters different seeds.

    Args:
        noises: array forms, in order.
        unit: "mm", or "voxel" for a spacing of 1 whatever the label's is, as where a source has pixels.
        seed: not used; each noise has its own.
        strength: factor on the strengths of all noises.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if there is no noise, something else than a `LabelNoise` among them, or a unit is misspelt.

    Example::

        >>> import numpy as np
        >>> from monai_iel import BumpLabelNoise, VoxelLabelNoise
        >>> slips = [BumpLabelNoise(radius=2, count=2), VoxelLabelNoise(rate=0.1, num_classes=2)]
        >>> noise = SequentialLabelNoise(noises=slips)
        >>> image, volume = np.zeros((1, 9, 9), dtype="uint8"), np.zeros((1, 9, 9, 9), dtype="uint8")
        >>> noise(image, "case-1").shape, noise(volume, "case-1").shape
        ((1, 9, 9), (1, 9, 9, 9))
    """

    model: ClassVar[str] = "sequential"

    def __init__(
        self, *, noises: Sequence[LabelNoise], unit: Unit = "mm", seed: int = 0, strength: float = 1.0
    ) -> None:
        super().__init__(noises, unit=unit, seed=seed, strength=strength)

    def _parts(self, case_id: str | int) -> Sequence[LabelNoise]:
        return [self._part(index) for index in range(len(self.noises))]


class ChoiceLabelNoise(_Composed):
    """One of several noises for each case, drawn by weight, and none for the other cases; fixed per case.

    Each case is noisy with probability ``fraction``; if so, noise i is taken with probability
    ``weights[i] / sum(weights)``, and does what it does alone. Whether a case is noisy does not depend on the other
    cases: of n cases about ``fraction * n`` are.

    Args:
        noises: array forms.
        weights: one number of 0 or more per noise; equal ones if None.
        fraction: share of the cases that are noisy.
        unit: "mm", or "voxel" for a spacing of 1 whatever the label's is, as where a source has pixels.
        seed: chooses other cases and other noises for them; what a noise does comes from its own seed.
        strength: factor on the strengths of all noises; it does not change which case gets which noise.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if there is no noise, something else than a `LabelNoise` among them, weights or fraction are out of
            range, or a unit is misspelt.

    Example::

        >>> import numpy as np
        >>> from monai_iel import MorphologyLabelNoise
        >>> grown = MorphologyLabelNoise(radius=2, dilate_probability=1, erode_probability=0)
        >>> noise = ChoiceLabelNoise(noises=[grown], fraction=0.5)
        >>> image, volume = np.zeros((1, 9, 9), dtype="uint8"), np.zeros((1, 9, 9, 9), dtype="uint8")
        >>> image[0, 4, 4] = volume[0, 4, 4, 4] = 1
        >>> sorted({int(noise(image, case).sum()) for case in range(20)})
        [1, 13]
        >>> sorted({int(noise(volume, case).sum()) for case in range(20)})
        [1, 33]
    """

    model: ClassVar[str] = "choice"

    def __init__(
        self,
        *,
        noises: Sequence[LabelNoise],
        weights: Sequence[float] | None = None,
        fraction: float = 1.0,
        unit: Unit = "mm",
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(noises, unit=unit, seed=seed, strength=strength)
        self.weights = None if weights is None else check_weights("weights", weights, len(self.noises))
        self.fraction = check_fraction("fraction", fraction)

    def _parts(self, case_id: str | int) -> Sequence[LabelNoise]:
        chosen = self.chosen(case_id)
        return [] if chosen is None else [chosen]

    def chosen(self, case_id: str | int) -> LabelNoise | None:
        """Return the noise that a case gets; None for a case that stays clean."""
        rng = self.generator(case_id)
        noisy, which = rng.random(2)
        if noisy >= self.fraction:
            return None
        bounds = np.cumsum(self.weights or np.ones(len(self.noises)))
        return self._part(int(np.searchsorted(bounds, which * bounds[-1], side="right")))

    def describe(self, case_id: str | int) -> dict[str, Any]:
        """Return what a manifest records, with the noise that was drawn for the case as ``chosen``."""
        chosen = self.chosen(case_id)
        return {**super().describe(case_id), "chosen": None if chosen is None else chosen.describe(case_id)}


class SequentialLabelNoised(NamedLabelNoised):
    """Dictionary form of `SequentialLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> from monai_iel import BumpLabelNoise
        >>> noise = SequentialLabelNoised("label", noises=[BumpLabelNoise(radius=2, count=2)])
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = SequentialLabelNoise


class ChoiceLabelNoised(NamedLabelNoised):
    """Dictionary form of `ChoiceLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> from monai_iel import BumpLabelNoise
        >>> noise = ChoiceLabelNoised("label", noises=[BumpLabelNoise(radius=2, count=2)], fraction=0.3)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = ChoiceLabelNoise


SequentialLabelNoiseD = SequentialLabelNoiseDict = SequentialLabelNoised
ChoiceLabelNoiseD = ChoiceLabelNoiseDict = ChoiceLabelNoised
