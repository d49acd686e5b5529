"""Coarse mistakes: whole blocks of voxels lose their class."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_whole, check_within, reach_all
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised

__all__ = [
    "BlockLabelNoise",
    "BlockLabelNoiseD",
    "BlockLabelNoiseDict",
    "BlockLabelNoised",
    "block_grid",
    "fill_blocks",
]


def block_grid(shape: tuple[int, ...], scale: int) -> tuple[int, ...]:
    """Return how many blocks of ``scale`` voxels cover each axis; the last one may stick out."""
    return tuple(math.ceil(size / scale) for size in shape)


def fill_blocks(blocks: NDArray[np.bool_], scale: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the voxel map in which every voxel has the value of its block."""
    for axis in range(blocks.ndim):
        blocks = np.repeat(blocks, scale, axis=axis)
    return blocks[tuple(slice(size) for size in shape)]


class BlockLabelNoise(LabelNoise):
    """Blocks of voxels with random classes, fixed per case.

    A grid of ``ceil(n / scale)`` blocks covers each axis. Each block stays as it is with probability ``keep``; in the
    others every voxel gets a class drawn uniformly from all ``num_classes``, the true one included. So a fraction

        (1 - keep) * (num_classes - 1) / num_classes

    of the voxels changes. Lengths are in voxels, as published, not in mm. Not a model of human raters, whose mistakes
    follow outlines: see `MorphologyLabelNoise` and `BumpLabelNoise`. For classes that are redrawn at every access, as
    in two of the published experiments, see `RandBlockLabelNoise`.

    Args:
        scale: edge of a block in voxels; 1 to 3 in the published experiments.
        keep: probability that a block keeps its classes; 0.5 to 0.9 published.
        num_classes: number of classes, background included.
        seed: chooses another realisation.
        strength: factor on the share of blocks that are lost.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, or the label holds a class outside 0 to ``num_classes - 1``.

    References:
        Liu, Qiao, Li, Schönlieb, *Inverse Evolution Layers*, arXiv 2307.07344, the experiments with noisy annotations.

    Example::

        >>> import numpy as np
        >>> noise = BlockLabelNoise(scale=3, keep=0.5, num_classes=2)
        >>> image, volume = np.zeros((1, 7, 9), dtype="uint8"), np.zeros((1, 7, 9, 5), dtype="uint8")
        >>> noise(image, "case-1").shape, noise(volume, "case-1").shape
        ((1, 7, 9), (1, 7, 9, 5))
        >>> bool((noise(image, "case-1") == noise(image, "case-1")).all())
        True
    """

    model: ClassVar[str] = "block"

    def __init__(self, *, scale: int, keep: float, num_classes: int, seed: int = 0, strength: float = 1.0) -> None:
        super().__init__(seed=seed, strength=strength)
        self.scale = check_whole("scale", scale, minimum=1)
        self.keep = check_fraction("keep", keep)
        self.num_classes = check_whole("num_classes", num_classes, minimum=2)

    @property
    def max_strength(self) -> float:
        """All blocks are lost."""
        return reach_all(1 - self.keep)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Redraw the classes of the blocks that are not kept; ``spacing`` is not used."""
        check_within(label, self.num_classes)
        keep = 1 - self.strength * (1 - self.keep)
        lost = fill_blocks(rng.random(block_grid(label.shape, self.scale)) >= keep, self.scale, label.shape)
        label[lost] = rng.integers(self.num_classes, size=np.count_nonzero(lost))
        return label


class BlockLabelNoised(NamedLabelNoised):
    """Dictionary form of `BlockLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = BlockLabelNoised("label", scale=2, keep=0.9, num_classes=3)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = BlockLabelNoise


BlockLabelNoiseD = BlockLabelNoiseDict = BlockLabelNoised
