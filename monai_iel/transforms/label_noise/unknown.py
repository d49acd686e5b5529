"""Regions that nobody annotated, marked with an ignore index."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.block import block_grid, fill_blocks
from monai_iel.transforms.label_noise.checks import check_fraction, check_option, check_whole, reach_all
from monai_iel.transforms.label_noise.components import find_components
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.slices import check_axis, slice_axis

__all__ = ["UnknownLabelNoise", "UnknownLabelNoiseD", "UnknownLabelNoiseDict", "UnknownLabelNoised"]


class UnknownLabelNoise(LabelNoise):
    """Regions that are not annotated, set to an ignore index, fixed per case.

    Each region by itself is unknown with probability ``fraction``:

        block:      a cube (2D: a square) of ``scale`` voxels; the whole array is covered by blocks, the background too
        slice:      a slice of a volume, background and all
        component:  a connected component (over faces) of a foreground class; what is around it stays known

    Voxels that have the ignore index already keep it. Blocks are in voxels, and slices are those of the array. Unknown
    is not wrong: a loss must leave the index out (``ignore_index``, or a mask), else it is a class like any other. For
    slices that are empty by mistake, or interpolated, see `SliceLabelNoise`; for missed objects `InstanceLabelNoise`.

    Args:
        fraction: probability that a region is unknown.
        per: "block", "slice" or "component".
        scale: edge of a block in voxels; 1 for single voxels. Used by "block" alone.
        axis: spatial axis across the slices, 0 to 2; None for the axis with the coarsest spacing, the last one of
            several. Used by "slice" alone.
        ignore_index: what stands for unknown; the label's dtype must hold it. 255 is usual in images; nnU-Net's ignore
            label is the number after the last class.
        seed: chooses another realisation.
        strength: factor on the fraction. A region that is unknown is unknown at every greater strength.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`; ``1 H W D`` for slices.

    Raises:
        ValueError: if a parameter is out of range, an option is misspelt, slices of an image are asked for, or the
            label's dtype cannot hold the index.

    References:
        The ignore label of nnU-Net, for partly annotated training cases.

    Example::

        >>> import numpy as np
        >>> noise = UnknownLabelNoise(fraction=0.5, scale=4)
        >>> image, volume = np.zeros((1, 8, 8), dtype="uint8"), np.zeros((1, 8, 8, 8), dtype="uint8")
        >>> [int((noise(label, "case-1") == 255).sum()) for label in (image, volume)]
        [32, 320]
    """

    model: ClassVar[str] = "unknown"

    def __init__(
        self,
        *,
        fraction: float,
        per: Literal["block", "slice", "component"] = "block",
        scale: int = 8,
        axis: int | None = None,
        ignore_index: int = 255,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.fraction = check_fraction("fraction", fraction)
        self.per: Literal["block", "slice", "component"] = check_option("per", per, ("block", "slice", "component"))
        self.scale = check_whole("scale", scale, minimum=1)
        self.axis = check_axis(axis)
        self.ignore_index = check_whole("ignore_index", ignore_index, minimum=1)

    @property
    def max_strength(self) -> float:
        """All regions are unknown."""
        return reach_all(self.fraction)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Set the regions that are drawn to the ignore index."""
        share = self.strength * self.fraction
        if self.per == "block":
            blocks = rng.random(block_grid(label.shape, self.scale)) < share
            label[fill_blocks(blocks, self.scale, label.shape)] = self.ignore_index
            return label
        if self.per == "slice":
            slices = np.moveaxis(label, slice_axis(self.axis, spacing), 0)
            slices[rng.random(len(slices)) < share] = self.ignore_index
            return label
        components = find_components(label)
        if components is None:
            return label
        unknown = rng.random(len(components)) < share
        return components.replace(label, np.where(unknown, np.int32(self.ignore_index), components.classes))


class UnknownLabelNoised(NamedLabelNoised):
    """Dictionary form of `UnknownLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = UnknownLabelNoised("label", fraction=1.0, ignore_index=2)
        >>> int(noise({"label": np.zeros((1, 4, 4)), "case_id": "a"})["label"].min())
        2
        >>> int(noise({"label": np.zeros((1, 4, 4, 4)), "case_id": "a"})["label"].min())
        2
    """

    noise_type = UnknownLabelNoise


UnknownLabelNoiseD = UnknownLabelNoiseDict = UnknownLabelNoised
