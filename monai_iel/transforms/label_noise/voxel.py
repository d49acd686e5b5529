"""Salt and pepper: single voxels of another class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_whole, check_within, reach_all
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised

__all__ = ["VoxelLabelNoise", "VoxelLabelNoiseD", "VoxelLabelNoiseDict", "VoxelLabelNoised"]


class VoxelLabelNoise(LabelNoise):
    """Single voxels of another class, fixed per case.

    Each voxel by itself becomes, with probability ``rate``, one of the ``num_classes - 1`` other classes, each equally
    likely; so a fraction ``rate`` of the voxels changes. The rate is per voxel, not per mm^3. The mildest of all
    models, and not one of human raters: neighbouring voxels disagree independently, which any network averages out.

    Args:
        rate: probability that a voxel changes; 0.05 to 0.3 is usual.
        num_classes: number of classes, background included.
        seed: chooses another realisation.
        strength: factor on the rate.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, or the label holds a class outside 0 to ``num_classes - 1``.

    References:
        Luo et al., arXiv 2103.11594 (2021).

    Example::

        >>> import numpy as np
        >>> noise = VoxelLabelNoise(rate=1.0, num_classes=2)
        >>> int(noise(np.zeros((1, 5, 5), dtype="uint8"), "case-1").sum())
        25
        >>> int(noise(np.ones((1, 5, 5, 5), dtype="uint8"), "case-1").sum())
        0
    """

    model: ClassVar[str] = "voxel"

    def __init__(self, *, rate: float, num_classes: int, seed: int = 0, strength: float = 1.0) -> None:
        super().__init__(seed=seed, strength=strength)
        self.rate = check_fraction("rate", rate)
        self.num_classes = check_whole("num_classes", num_classes, minimum=2)

    @property
    def max_strength(self) -> float:
        """All voxels change."""
        return reach_all(self.rate)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Change each voxel with probability ``rate``; ``spacing`` is not used."""
        check_within(label, self.num_classes)
        hit = rng.random(label.shape) < self.strength * self.rate
        # A step of 1 .. num_classes - 1 around the ring of classes never returns to the true one.
        steps = rng.integers(1, self.num_classes, size=np.count_nonzero(hit))
        label[hit] = (label[hit] + steps) % self.num_classes
        return label


class VoxelLabelNoised(NamedLabelNoised):
    """Dictionary form of `VoxelLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = VoxelLabelNoised("label", rate=1.0, num_classes=2)
        >>> int(noise({"label": np.zeros((1, 4, 4)), "case_id": "a"})["label"].sum())
        16
        >>> int(noise({"label": np.zeros((1, 4, 4, 4)), "case_id": "a"})["label"].sum())
        64
    """

    noise_type = VoxelLabelNoise


VoxelLabelNoiseD = VoxelLabelNoiseDict = VoxelLabelNoised
