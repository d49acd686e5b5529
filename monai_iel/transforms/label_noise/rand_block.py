"""The published block noise whose classes are redrawn at every access."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import NoiseModel, derive_generator, name_case, read_label, write_label
from monai_iel.transforms.label_noise.block import block_grid, fill_blocks
from monai_iel.transforms.label_noise.checks import check_fraction, check_whole, check_within

__all__ = ["RandBlockLabelNoise", "RandBlockLabelNoiseD", "RandBlockLabelNoiseDict", "RandBlockLabelNoised"]


class RandBlockLabelNoise(NoiseModel, RandomizableTransform):
    """Blocks of voxels with random classes, redrawn at every access.

    As `BlockLabelNoise`: a fraction ``(1 - keep) * (num_classes - 1) / num_classes`` of the voxels changes, but the
    classes in the lost blocks are drawn anew at each call. The positions of the lost blocks are either drawn anew too,
    or (``shared_mask=True``) once for all cases, from ``seed`` and the label's shape. Redrawn noise averages out over
    the epochs and is milder than noise that stays; a shared mask lets a network with zero padding learn the positions.
    For reproducing published numbers; for a study of wrong annotations take the fixed `BlockLabelNoise`. `CacheDataset`
    caches up to this transform and applies it at every access.

    The draws follow MONAI's `Randomizable`: `Compose`, `set_determinism` and the workers of a `DataLoader` set the
    state. Outside of these it starts from ``seed``.

    Args:
        scale: edge of a block in voxels.
        keep: probability that a block keeps its classes.
        num_classes: number of classes, background included.
        shared_mask: whether all cases of one shape lose the same blocks at all times.
        seed: chooses the shared mask, and the state before MONAI sets another.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, the label is no class map or holds a class outside 0 to
            ``num_classes - 1``, or ``randomize=False`` comes before a draw for the label's shape.

    References:
        Liu, Qiao, Li, Schönlieb, *Inverse Evolution Layers*, arXiv 2307.07344, the experiments with noisy annotations.

    Example::

        >>> import numpy as np
        >>> noise = RandBlockLabelNoise(scale=2, keep=0.5, num_classes=3, shared_mask=True)
        >>> image, volume = np.zeros((1, 8, 8), dtype="uint8"), np.zeros((1, 8, 8, 8), dtype="uint8")
        >>> noise(image).shape, noise(volume).shape
        ((1, 8, 8), (1, 8, 8, 8))
        >>> bool((noise(image) == noise(image)).all())
        False
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  (MONAI's own class attribute)
    model: ClassVar[str] = "rand_block"

    def __init__(self, *, scale: int, keep: float, num_classes: int, shared_mask: bool, seed: int = 0) -> None:
        super().__init__(prob=1.0)
        self.scale = check_whole("scale", scale, minimum=1)
        self.keep = check_fraction("keep", keep)
        self.num_classes = check_whole("num_classes", num_classes, minimum=2)
        self.shared_mask = bool(shared_mask)
        self.seed = check_whole("seed", seed)
        self.set_random_state(seed=self.seed)
        self._draw: tuple[NDArray[np.bool_], NDArray[np.int64]] | None = None

    def randomize(self, data: tuple[int, ...]) -> None:
        """Draw lost blocks and their classes for labels of the spatial shape ``data``."""
        shape = tuple(int(size) for size in data)
        source = derive_generator(self.model, self.parameters, self.seed, shape) if self.shared_mask else self.R
        lost = fill_blocks(source.random(block_grid(shape, self.scale)) >= self.keep, self.scale, shape)
        self._draw = lost, self.R.randint(self.num_classes, size=np.count_nonzero(lost), dtype=np.int64)

    def __call__(self, label: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Return a noisy copy; ``randomize=False`` applies the last draw again."""
        noisy, _ = read_label(label)
        check_within(noisy, self.num_classes)
        if randomize:
            self.randomize(noisy.shape)
        if self._draw is None or self._draw[0].shape != noisy.shape:
            drawn = None if self._draw is None else self._draw[0].shape
            raise ValueError(
                f"the last draw was for shape {drawn}, the label has {noisy.shape}; call with randomize=True"
            )
        lost, classes = self._draw
        noisy[lost] = classes
        return write_label(noisy, label)


class RandBlockLabelNoised(RandomizableTransform, MapTransform):
    """Dictionary form of `RandBlockLabelNoise`; all keys share one draw and hence must have one shape.

    Args:
        keys: the label or labels.
        scale: edge of a block in voxels.
        keep: probability that a block keeps its classes.
        num_classes: number of classes, background included.
        shared_mask: whether all cases of one shape lose the same blocks at all times.
        seed: chooses the shared mask, and the state before MONAI sets another.
        allow_missing_keys: whether a missing label is skipped.

    Shape:
        - ``data[key]``: ``1 H W [D]``.

    Raises:
        ValueError: if a parameter is out of range, a label does not fit, or two keys differ in shape; an error about a
            label names the case (``data["case_id"]``) and its file, where known.

    Example::

        >>> import numpy as np
        >>> noise = RandBlockLabelNoised("label", scale=1, keep=0.5, num_classes=2, shared_mask=False)
        >>> noise({"label": np.zeros((1, 6, 6))})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6))})["label"].shape
        (1, 6, 6, 6)
    """

    backend = RandBlockLabelNoise.backend

    def __init__(
        self,
        keys: KeysCollection,
        *,
        scale: int,
        keep: float,
        num_classes: int,
        shared_mask: bool,
        seed: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.noise = RandBlockLabelNoise(
            scale=scale, keep=keep, num_classes=num_classes, shared_mask=shared_mask, seed=seed
        )

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandBlockLabelNoised:
        """Set the state that the draws come from."""
        super().set_random_state(seed, state)
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of ``data`` with noisy labels."""
        result = dict(data)
        for number, key in enumerate(self.key_iterator(result)):
            with name_case(result[key], result.get("case_id")):
                result[key] = self.noise(result[key], randomize=number == 0)
        return result

    def describe(self, case_id: str | int) -> dict[str, Any]:
        """Return what a manifest records of this noise for one case."""
        return self.noise.describe(case_id)


RandBlockLabelNoiseD = RandBlockLabelNoiseDict = RandBlockLabelNoised
