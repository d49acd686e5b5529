"""Missed structures: whole lesions or cells that the annotator did not draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import (
    check_classes,
    check_fraction,
    check_number,
    check_option,
    reach_all,
)
from monai_iel.transforms.label_noise.components import Components, Connectivity, find_components
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised

__all__ = ["InstanceLabelNoise", "InstanceLabelNoiseD", "InstanceLabelNoiseDict", "InstanceLabelNoised"]


class InstanceLabelNoise(LabelNoise):
    """Connected components that the annotation lacks, fixed per case: missed lesions, missed cells.

    Each connected component of each class is dropped by itself, with probability

        p = min(1, fraction * (1 + size_preference * (1 - 2 r)))

    where r is the component's rank by its number of voxels among those of its class: 0 for the smallest, 1 for the
    largest, the mean of the ranks for equal sizes, and 1/2 for one that is alone. So a fraction ``fraction`` of the
    components is missed on average, as long as ``fraction * (1 + |size_preference|)`` is at most 1.

    **Where classes meet:** a dropped component becomes background, or with ``become="surrounding"`` the class that most
    of its face neighbours have in the clean label: a missed lesion in a liver becomes liver. A component that fills the
    array has no surroundings and stays as it is; equally frequent classes: the lowest.

    Not for labels of single organs, of which nothing is left: 1 - ``fraction`` of the cases stay as they are. Objects
    that touch are one component: in a map of cell nuclei, separate them first.

    Args:
        fraction: share of the components that is dropped; 0.1 to 0.5 is usual.
        size_preference: from -1 to 1; at 1 the smallest component of a class is dropped with probability
            ``2 * fraction`` and the largest never, at -1 the other way round, at 0 the size plays no part.
        become: "background" or "surrounding".
        classes: foreground classes whose components may be dropped; None means all that the label holds.
        connectivity: "faces", or "corners" if voxels that touch at an edge or a corner are of one component too.
        keep_one: whether the component of each class that would go last is kept.
        seed: chooses another realisation.
        strength: factor on the probability. A component that is dropped is dropped at every greater strength.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range or an option is misspelt.

    References:
        batchgenerators (MIC-DKFZ) removes random components of network outputs as an augmentation for cascades; here
        they are removed from annotations.

    Example::

        >>> import numpy as np
        >>> noise = InstanceLabelNoise(fraction=1.0, keep_one=True)
        >>> image, volume = np.zeros((1, 9, 9), dtype="uint8"), np.zeros((1, 9, 9, 9), dtype="uint8")
        >>> image[0, 1::4, 1::4] = volume[0, 1::4, 1::4, 1::4] = 1
        >>> int(noise(image, "case-1").sum()), int(noise(volume, "case-1").sum())
        (1, 1)
    """

    model: ClassVar[str] = "instances"

    def __init__(
        self,
        *,
        fraction: float,
        size_preference: float = 0.0,
        become: Literal["background", "surrounding"] = "background",
        classes: Sequence[int] | None = None,
        connectivity: Connectivity = "faces",
        keep_one: bool = False,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.fraction = check_fraction("fraction", fraction)
        self.size_preference = check_number(
            "size_preference", size_preference, lambda n: -1.0 <= n <= 1.0, "a number between -1 and 1"
        )
        self.become: Literal["background", "surrounding"] = check_option(
            "become", become, ("background", "surrounding")
        )
        self.classes = check_classes(classes)
        self.connectivity: Connectivity = check_option("connectivity", connectivity, ("faces", "corners"))
        self.keep_one = bool(keep_one)

    @property
    def max_strength(self) -> float:
        """All components are dropped, even those that the preference spares."""
        return reach_all(self.fraction * (1 - abs(self.size_preference)))

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Drop each component with its probability; ``spacing`` is not used."""
        components = find_components(label, self.classes, self.connectivity)
        if components is None:
            return label
        weights = self._weights(components)
        # A component goes once the strength has reached its turn, so the dropped ones at one strength are among those
        # at another. A weight of 0 never has its turn.
        draws = rng.random(len(components))
        turns = np.divide(draws, weights, out=np.full(len(draws), np.inf), where=weights > 0)
        dropped = turns < self.strength
        if self.keep_one:
            dropped[[_last_of(number, turns, components) for number in np.unique(components.classes)]] = False
        filling = np.zeros_like(components.classes)
        surroundings = components.surroundings(label)
        if self.become == "surrounding":
            filling = surroundings
        dropped &= surroundings != components.classes
        return components.replace(label, np.where(dropped, filling, components.classes))

    def _weights(self, components: Components) -> NDArray[np.float64]:
        """Return the probability of each component to be dropped at strength 1, before it is cut at 1."""
        sizes, ranks = components.sizes(), np.full(len(components), 0.5)
        for number in np.unique(components.classes):
            own = components.classes == number
            if np.count_nonzero(own) > 1:
                ranks[own] = (rankdata(sizes[own]) - 1) / (np.count_nonzero(own) - 1)
        weights: NDArray[np.float64] = self.fraction * (1 + self.size_preference * (1 - 2 * ranks))
        return weights


def _last_of(number: np.int32, turns: NDArray[np.float64], components: Components) -> int:
    """Return the component of one class whose turn comes last."""
    return int(np.where(components.classes == number, turns, -1.0).argmax())


class InstanceLabelNoised(NamedLabelNoised):
    """Dictionary form of `InstanceLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = InstanceLabelNoised("label", fraction=0.2, size_preference=1)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = InstanceLabelNoise


InstanceLabelNoiseD = InstanceLabelNoiseDict = InstanceLabelNoised
