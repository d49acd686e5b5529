"""The dictionary form of every annotation noise that is fixed per case."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_iel.transforms.label_noise.base import LabelNoise, name_case

__all__ = ["LabelNoiseD", "LabelNoiseDict", "LabelNoised", "NamedLabelNoised"]


class LabelNoised(MapTransform):
    """Apply a `LabelNoise` to the labels of a data dictionary; all keys of a case share the case's random numbers.

    Put it into the training transforms only, after the label has its final classes and geometry (`Orientationd`,
    `Spacingd`) and before random transforms, so that `CacheDataset` caches it. `PersistentDataset` names its files
    after the input and, only where told, after the transforms: give it
    ``hash_transform=monai.data.utils.pickle_hashing``, else it goes on with the labels of a former seed or strength.

    Args:
        keys: the label or labels.
        noise: any `LabelNoise` instance.
        case_key: where the case id stands in the dictionary.
        allow_missing_keys: whether a missing label is skipped. A missing case id never is.

    Shape:
        - ``data[key]``: ``1 H W [D]``, as in `LabelNoise`.

    Raises:
        KeyError: if ``data`` has no case id.
        ValueError: if a label is no class map, or the noise refuses it; the case and its file, if known, are named.

    Example::

        >>> import numpy as np
        >>> from monai_iel.transforms.label_noise import VoxelLabelNoise
        >>> transform = LabelNoised("label", VoxelLabelNoise(rate=0.2, num_classes=2))
        >>> flat, solid = np.zeros((1, 10, 10), "uint8"), np.zeros((1, 10, 10, 10), "uint8")
        >>> bool(10 <= transform({"label": flat, "case_id": "a"})["label"].sum() <= 30)
        True
        >>> bool(150 <= transform({"label": solid, "case_id": "a"})["label"].sum() <= 250)
        True
    """

    def __init__(
        self, keys: KeysCollection, noise: LabelNoise, *, case_key: str = "case_id", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.noise = noise
        self.case_key = case_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of ``data`` with noisy labels."""
        result = dict(data)
        if self.case_key not in result:
            raise KeyError(
                f"no {self.case_key!r} in the data (keys: {list(result)}), but the noise of an annotation is fixed per "
                "case: load the list with monai_iel.data.load_datalist, which names each case, or add "
                f"{self.case_key!r} to each entry, or name another entry with case_key"
            )
        for key in self.key_iterator(result):
            with name_case(result[key], result[self.case_key]):
                result[key] = self.noise(result[key], result[self.case_key])
        return result

    def describe(self, case_id: str | int) -> dict[str, Any]:
        """Return what a manifest records of this noise for one case."""
        return self.noise.describe(case_id)


LabelNoiseD = LabelNoiseDict = LabelNoised


class NamedLabelNoised(LabelNoised):
    """Base of the dictionary forms that have a name of their own: a `LabelNoised` that makes its noise itself.

    A subclass sets ``noise_type``.

    Args:
        keys: the label or labels.
        case_key: where the case id stands in the dictionary.
        allow_missing_keys: whether a missing label is skipped.
        **parameters: those of the noise.

    Shape:
        - ``data[key]``: ``1 H W [D]``.

    Raises:
        KeyError: if ``data`` has no case id.
        ValueError: if a parameter is out of range or a label does not fit.
    """

    noise_type: ClassVar[type[LabelNoise]]

    def __init__(
        self,
        keys: KeysCollection,
        *,
        case_key: str = "case_id",
        allow_missing_keys: bool = False,
        **parameters: Any,
    ) -> None:
        noise = self.noise_type(**parameters)
        super().__init__(keys, noise, case_key=case_key, allow_missing_keys=allow_missing_keys)
