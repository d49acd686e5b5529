"""Published annotation noises by name."""

from __future__ import annotations

from collections.abc import Callable

from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import look_up_option

from monai_iel.transforms.label_noise.block import BlockLabelNoised
from monai_iel.transforms.label_noise.rand_block import RandBlockLabelNoised

__all__ = ["LABEL_NOISE_PRESETS", "label_noise_preset"]

Preset = Callable[[KeysCollection, int, str], MapTransform]


def _iel_wbc(keys: KeysCollection, seed: int, case_key: str) -> MapTransform:
    return RandBlockLabelNoised(keys, scale=2, keep=0.9, num_classes=3, shared_mask=True, seed=seed)


def _iel_dsb2018(keys: KeysCollection, seed: int, case_key: str) -> MapTransform:
    return BlockLabelNoised(keys, scale=3, keep=0.8, num_classes=2, seed=seed, case_key=case_key)


def _iel_drive(keys: KeysCollection, seed: int, case_key: str) -> MapTransform:
    return RandBlockLabelNoised(keys, scale=1, keep=0.5, num_classes=2, shared_mask=False, seed=seed)


LABEL_NOISE_PRESETS: dict[str, Preset] = {"iel-wbc": _iel_wbc, "iel-dsb2018": _iel_dsb2018, "iel-drive": _iel_drive}


def label_noise_preset(name: str, keys: KeysCollection, *, seed: int = 0, case_key: str = "case_id") -> MapTransform:
    """Return the dictionary transform of a published annotation noise.

    =============  ==========================================================  ==============
    name           definition                                                  voxels changed
    =============  ==========================================================  ==============
    iel-wbc        blocks, scale 2, keep 0.9, 3 classes; one mask for all      6.7 %
                   cases of a shape, classes redrawn at every access
    iel-dsb2018    blocks, scale 3, keep 0.8, 2 classes; fixed per case        10 %
    iel-drive      blocks, scale 1, keep 0.5, 2 classes; redrawn               25 %
    =============  ==========================================================  ==============

    State the preset's name with every number: published variants differ in small ways.

    Args:
        name: a name of the table.
        keys: the label or labels, ``1 H W [D]``.
        seed: chooses another realisation; of a redrawn noise, the shared mask.
        case_key: where the case id stands in the dictionary; a redrawn noise needs none.

    Raises:
        ValueError: if the name is unknown; the message names the nearest.

    References:
        Liu, Qiao, Li, Schönlieb, *Inverse Evolution Layers*, arXiv 2307.07344, the experiments on WBC, DSB 2018 and
        DRIVE.

    Example::

        >>> import numpy as np
        >>> noise = label_noise_preset("iel-dsb2018", "label")
        >>> noise({"label": np.zeros((1, 30, 30)), "case_id": "a"})["label"].shape
        (1, 30, 30)
        >>> noise({"label": np.zeros((1, 9, 9, 9)), "case_id": "a"})["label"].shape
        (1, 9, 9, 9)
    """
    preset: Preset = look_up_option(name, LABEL_NOISE_PRESETS)
    return preset(keys, seed, case_key)
