"""Published annotation noises by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_iel.transforms.label_noise.area_ratio import AreaRatioLabelNoise
from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.block import BlockLabelNoise
from monai_iel.transforms.label_noise.bumps import BumpLabelNoise
from monai_iel.transforms.label_noise.checks import suggest
from monai_iel.transforms.label_noise.composed import ChoiceLabelNoise, SequentialLabelNoise
from monai_iel.transforms.label_noise.dictionary import LabelNoised
from monai_iel.transforms.label_noise.markov import MarkovLabelNoise
from monai_iel.transforms.label_noise.morphology import MorphologyLabelNoise
from monai_iel.transforms.label_noise.rand_block import RandBlockLabelNoise, RandBlockLabelNoised

__all__ = ["LABEL_NOISE_PRESETS", "label_noise_of_preset", "label_noise_preset"]

Preset = Callable[[int], LabelNoise | RandBlockLabelNoise]  # made from a seed


def _block(seed: int, *, scale: int, keep: float, num_classes: int) -> LabelNoise:
    return BlockLabelNoise(scale=scale, keep=keep, num_classes=num_classes, seed=seed)


def _rand_block(seed: int, *, scale: int, keep: float, num_classes: int, shared_mask: bool) -> RandBlockLabelNoise:
    return RandBlockLabelNoise(scale=scale, keep=keep, num_classes=num_classes, shared_mask=shared_mask, seed=seed)


def _alpha_beta(seed: int, *, alpha: float, beta: float) -> LabelNoise:
    return ChoiceLabelNoise(
        noises=[AreaRatioLabelNoise(ratio=beta, seed=seed)], fraction=alpha, unit="voxel", seed=seed
    )


def _cl_slsr(seed: int, *, alpha: float) -> LabelNoise:
    outline = MorphologyLabelNoise(radius=(10, 15), allow_vanish=True, seed=seed)
    circles = BumpLabelNoise(radius=(0.5, 14.5), fraction=0.5, seed=seed)  # whole numbers from 0 to 14
    return ChoiceLabelNoise(noises=[outline, circles], weights=[0.66, 0.34], fraction=alpha, unit="voxel", seed=seed)


def _pymic_jsrt(seed: int) -> LabelNoise:
    outline = MorphologyLabelNoise(radius=(6, 12), allow_vanish=True, seed=seed)
    add, remove = (BumpLabelNoise(radius=(6, 12), fraction=0.1, mode=mode, seed=seed) for mode in ("add", "remove"))
    circles = SequentialLabelNoise(noises=[add, remove], seed=seed)
    return ChoiceLabelNoise(noises=[outline, circles], weights=[0.7, 0.3], fraction=0.95, unit="voxel", seed=seed)


def _markov_2d(seed: int, *, steps: int, expand: float) -> LabelNoise:
    noise = MarkovLabelNoise(steps=steps, expand=expand, flip=0.05, random_flip=0.2, smoothing=2, window=2, seed=seed)
    return SequentialLabelNoise(noises=[noise], unit="voxel", seed=seed)


def _markov_3d(seed: int, *, expand: float) -> LabelNoise:
    noise = MarkovLabelNoise(steps=80, expand=expand, flip=0.05, random_flip=0, smoothing=1, window=4, seed=seed)
    return SequentialLabelNoise(noises=[noise], unit="voxel", seed=seed)


def _dilate_erode(seed: int, *, radius: tuple[int, int]) -> LabelNoise:
    noise = MorphologyLabelNoise(radius=radius, allow_vanish=True, seed=seed)
    return SequentialLabelNoise(noises=[noise], unit="voxel", seed=seed)


LABEL_NOISE_PRESETS: dict[str, Preset] = {
    "iel-wbc": partial(_rand_block, scale=2, keep=0.9, num_classes=3, shared_mask=True),
    "iel-dsb2018": partial(_block, scale=3, keep=0.8, num_classes=2),
    "iel-drive": partial(_rand_block, scale=1, keep=0.5, num_classes=2, shared_mask=False),
    **{
        f"alpha-beta-{alpha}-{beta}": partial(_alpha_beta, alpha=alpha, beta=beta)
        for alpha in (0.3, 0.5, 0.7)
        for beta in (0.5, 0.7)
    },
    **{f"cl-slsr-{alpha}": partial(_cl_slsr, alpha=alpha) for alpha in (0.3, 0.5, 0.7)},
    "pymic-jsrt": _pymic_jsrt,
    "markov-J1": partial(_markov_2d, steps=180, expand=0.8),
    "markov-J2": partial(_markov_2d, steps=180, expand=0.2),
    "markov-J3": partial(_dilate_erode, radius=(7, 9)),
    "markov-B1": partial(_markov_3d, expand=0.7),
    "markov-B2": partial(_markov_3d, expand=0.3),
    "markov-B3": partial(_dilate_erode, radius=(3, 5)),
    "markov-I1": partial(_markov_2d, steps=200, expand=0.2),
    "markov-I2": partial(_markov_2d, steps=200, expand=0.8),
    "markov-I3": partial(_dilate_erode, radius=(7, 9)),
}


def label_noise_preset(name: str, keys: KeysCollection, *, seed: int = 0, case_key: str = "case_id") -> MapTransform:
    """Return the dictionary transform of a published annotation noise.

    =============================  =============================================================================
    name                           definition
    =============================  =============================================================================
    iel-wbc                        blocks, scale 2, keep 0.9, 3 classes; one mask for all cases of a shape,
                                   classes redrawn at every access: 6.7 % of the voxels change
    iel-dsb2018                    blocks, scale 3, keep 0.8, 2 classes, fixed per case: 10 % change
    iel-drive                      blocks, scale 1, keep 0.5, 2 classes, redrawn: 25 % change
    alpha-beta-ALPHA-BETA          0.3, 0.5 or 0.7 of the cases are dilated, eroded or moved (one third each) until
                                   0.5 or 0.7 of the structure's size is wrong: alpha-beta-0.3-0.5, and so on
    cl-slsr-ALPHA                  0.3, 0.5 or 0.7 of the cases; by 0.33, 0.33 and 0.34 dilated or eroded by 10 to
                                   15, or discs of radius 0 to 14 on half of the edge, added or removed
    pymic-jsrt                     95 % of the cases; by 0.35, 0.35 and 0.30 dilated or eroded by 6 to 12, or discs
                                   of 6 to 12 on 10 % of the edge, first added, then removed
    markov-J1, markov-J2           Markov walk, T 180, theta1 0.8 and 0.2, theta2 0.05, theta3 0.2
    markov-I1, markov-I2           Markov walk, T 200, theta1 0.2 and 0.8, theta2 0.05, theta3 0.2
    markov-B1, markov-B2           Markov walk, T 80, theta1 0.7 and 0.3, theta2 0.05, theta3 0
    markov-J3, markov-I3           dilated or eroded (one half each) by 7 to 9
    markov-B3                      dilated or eroded (one half each) by 3 to 5
    =============================  =============================================================================

    **All lengths are in voxels, whatever the spacing,** as published in pixels. To compare noises on volumes take the
    models themselves, in mm, at equal damage. State the preset's name with every number: published variants differ in
    small ways.

    What differs from all sources: 3D as well as 2D; several classes, each treated by itself where the sources have
    binary masks; each case is noisy with its own probability where they take an exact share of a shuffled list; radii
    are uniform real numbers where they are whole ones (not in the Markov presets' dilation and erosion); a dilation or
    erosion is by Euclidean distance; the border of the image is no outline. As published, a structure that is thinner
    than twice the radius may vanish. Whether a case gets discs is drawn for the case, whether a class is dilated or
    eroded for the class.

    - iel: the experiments on WBC, DSB 2018 and DRIVE; see `BlockLabelNoise` and `RandBlockLabelNoise`.
    - alpha-beta: the definition of the published code of SP-guided, adapted by T-Loss, see `AreaRatioLabelNoise` for
      what differs; the code's largest angle of 30 degrees, not those of single organs (15 and 2).
    - cl-slsr: the published code, where the radii are arguments; 10 to 15 is the only pair that is named in it. It
      takes the discs' radii from 0 to below the larger one.
    - pymic: the noise script of the JSRT example in PyMIC_examples. It dilates by the city-block distance.
    - markov: the settings of the authors' table for lung and heart (J), whole tumour (B) and skin lesion (I); that for
      the clavicles differs (T 100, theta2 0.02; 3 to 5). J and I have the smoothing of their 2D form, B that of the 3D
      one; see `MarkovLabelNoise`.

    Args:
        name: a name of the table.
        keys: the label or labels, ``1 H W [D]``.
        seed: chooses another realisation; of a redrawn noise, the shared mask.
        case_key: where the case id stands in the dictionary; a redrawn noise needs none.

    Raises:
        ValueError: if the name is unknown; the message names the nearest.

    References:
        Liu, Qiao, Li, Schönlieb, *Inverse Evolution Layers*, arXiv 2307.07344 (iel).
        Li, Gao, He, *Superpixel-guided Iterative Learning from Noisy Labels for Medical Image Segmentation*, MICCAI
        2021, and Gonzalez-Jimenez et al., *Robust T-Loss for Medical Image Segmentation*, MICCAI 2023 (alpha-beta).
        Zhang et al., *Characterizing Label Errors: Confident Learning for Noisy-Labeled Image Segmentation*, MICCAI
        2020 (cl-slsr).
        Wang et al., *PyMIC: A deep learning toolkit for annotation-efficient medical image segmentation*, 2023 (pymic).
        Yao et al., *Learning to Segment from Noisy Annotations: A Spatial Correction Approach*, ICLR 2023 (markov).

    Example::

        >>> import numpy as np
        >>> noise = label_noise_preset("pymic-jsrt", "label")
        >>> noise({"label": np.zeros((1, 30, 30)), "case_id": "a"})["label"].shape
        (1, 30, 30)
        >>> noise({"label": np.zeros((1, 9, 9, 9)), "case_id": "a"})["label"].shape
        (1, 9, 9, 9)
    """
    noise = _look_up(name)(seed)
    if isinstance(noise, RandBlockLabelNoise):
        return RandBlockLabelNoised(keys, **noise.parameters, seed=seed)
    return LabelNoised(keys, noise, case_key=case_key)


def label_noise_of_preset(name: str, *, seed: int = 0) -> LabelNoise:
    """Return the array form of a published annotation noise that is fixed per case.

    Args:
        name: a name of the table in `label_noise_preset`.
        seed: chooses another realisation.

    Raises:
        ValueError: if the name is unknown (the message names the nearest), or the noise is redrawn at every access,
            so that no case has a noisy label of its own.

    Example::

        >>> import numpy as np
        >>> noise = label_noise_of_preset("markov-B1")
        >>> noise(np.zeros((1, 9, 9)), "case-1").shape, noise(np.zeros((1, 9, 9, 9)), "case-1").shape
        ((1, 9, 9), (1, 9, 9, 9))
    """
    noise = _look_up(name)(seed)
    if isinstance(noise, RandBlockLabelNoise):
        fixed = BlockLabelNoise(scale=noise.scale, keep=noise.keep, num_classes=noise.num_classes, seed=seed)
        raise ValueError(
            f"preset {name!r} redraws the classes at every access, so no case has a noisy label of its own; use it in "
            f"the training transforms (label_noise_preset({name!r}, keys)), or take the same blocks fixed per case, "
            f"{fixed!r}, on the command line --model block --set scale={noise.scale} --set keep={noise.keep}"
        )
    return noise


def _look_up(name: str) -> Preset:
    family = [known for known in LABEL_NOISE_PRESETS if known.lower().startswith(f"{name}-".lower())]
    if family:
        raise ValueError(f"{name!r} is a family of presets, expected one of {', '.join(family)}")
    if name not in LABEL_NOISE_PRESETS:
        raise ValueError(
            f"no preset {name!r}{suggest(name, LABEL_NOISE_PRESETS)}; there are {', '.join(LABEL_NOISE_PRESETS)}"
        )
    return LABEL_NOISE_PRESETS[name]
