"""Over- and under-drawing: whole outlines too far out or too far in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_classes, check_fraction, check_range
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import ROUNDING, box_around, foreground_classes, voxels_within

__all__ = [
    "MorphologyLabelNoise",
    "MorphologyLabelNoiseD",
    "MorphologyLabelNoiseDict",
    "MorphologyLabelNoised",
]


class MorphologyLabelNoise(LabelNoise):
    """Classes dilated or eroded by a random distance in mm, fixed per case.

    For each case and class one of dilation, erosion and nothing is drawn, and a radius r, uniform in ``radius``. With
    the Euclidean distance d between voxel centres in mm,

        dilation of c:  every voxel with d(voxel, c) <= r becomes c
        erosion of c:   every voxel of c with d(voxel, not c) <= r becomes the nearest class that is not c

    **Where classes meet:** the classes are treated in ascending order, each on the result of the former. A dilation
    takes voxels from every class, background or not; so an inner structure with a higher number regains what the outer
    one took from its rim, and a small one within reach may vanish. An erosion gives voxels to the neighbours, so an
    eroded ring moves inwards at its inner outline too. The border of the volume is no outline: nothing is eroded from
    there. A radius below the voxel size changes nothing along that axis.

    An erosion leaves the class's deepest layer (the voxels at its largest d), however long the radius, unless
    ``allow_vanish``; a class one voxel thick stays as it is. Shallower components of the class may vanish all the same.

    This is a systematic mistake within a case. No smoothness prior corrects it, as the outline stays smooth; take
    `BumpLabelNoise` for local slips.

    Args:
        radius: (min, max) of the distance in mm, or one number. 1 to 5 mm is usual in volumes, 2 to 12 pixels in images
            without geometry.
        dilate_probability: probability that a class is dilated.
        erode_probability: probability that a class is eroded; what is left of 1 is the probability that nothing
            happens.
        classes: foreground classes to treat; None means all that the label holds. A class that a label lacks is
            skipped.
        allow_vanish: whether an erosion may delete a class.
        seed: chooses another realisation.
        strength: factor on the radius.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range or the probabilities exceed 1.

    References:
        Zhang et al., *Characterizing Label Errors: Confident Learning for Noisy-Labeled Image Segmentation* (CL-SLSR),
        MICCAI 2020. There in pixels, here in mm.

    Example::

        >>> import numpy as np
        >>> noise = MorphologyLabelNoise(radius=2.0, dilate_probability=1.0, erode_probability=0.0)
        >>> image, volume = np.zeros((1, 9, 9), dtype="uint8"), np.zeros((1, 9, 9, 9), dtype="uint8")
        >>> image[0, 4, 4] = volume[0, 4, 4, 4] = 1
        >>> int(noise(image, "case-1").sum()), int(noise(volume, "case-1").sum())
        (13, 33)
    """

    model: ClassVar[str] = "morphology"

    def __init__(
        self,
        *,
        radius: float | Sequence[float],
        dilate_probability: float = 0.5,
        erode_probability: float = 0.5,
        classes: Sequence[int] | None = None,
        allow_vanish: bool = False,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.radius = check_range("radius", radius)
        self.dilate_probability = check_fraction("dilate_probability", dilate_probability)
        self.erode_probability = check_fraction("erode_probability", erode_probability)
        if self.dilate_probability + self.erode_probability > ROUNDING:
            raise ValueError(
                f"dilate_probability {dilate_probability} and erode_probability {erode_probability} add up to more "
                "than 1; lower one of them"
            )
        self.classes = check_classes(classes)
        self.allow_vanish = bool(allow_vanish)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Dilate, erode or leave each class, in ascending order."""
        for number in self.classes or foreground_classes(label):
            # Both numbers are drawn in any case, so that a class's radius does not depend on what became of the others.
            action, radius = rng.random(), self.strength * rng.uniform(*self.radius)
            if action < self.dilate_probability:
                label = dilate(label, number, radius, spacing)
            elif action < self.dilate_probability + self.erode_probability:
                label = erode(label, number, radius, spacing, allow_vanish=self.allow_vanish)
        return label


def dilate(label: NDArray[np.int32], number: int, radius: float, spacing: tuple[float, ...]) -> NDArray[np.int32]:
    """Return the label with class ``number`` grown by ``radius`` mm over all others."""
    mask = label == number
    if not mask.any():
        return label
    box = box_around(mask, voxels_within(radius, spacing))
    claimed = ndimage.distance_transform_edt(~mask[box], sampling=spacing) <= radius * ROUNDING
    noisy = label.copy()
    noisy[box][claimed] = number
    return noisy


def erode(
    label: NDArray[np.int32], number: int, radius: float, spacing: tuple[float, ...], *, allow_vanish: bool
) -> NDArray[np.int32]:
    """Return the label with the outer ``radius`` mm of class ``number`` given to the nearest other classes."""
    mask = label == number
    if not mask.any() or mask.all():
        return label
    # One voxel around the class is enough: on the way to any other voxel that is not of the class one of these is
    # passed.
    box = box_around(mask, (1,) * mask.ndim)
    depth, nearest = ndimage.distance_transform_edt(mask[box], sampling=spacing, return_indices=True)
    lost = mask[box] & (depth <= radius * ROUNDING)
    if not allow_vanish:
        lost &= depth * ROUNDING < depth.max()
    noisy = label.copy()
    noisy[box][lost] = label[box][tuple(nearest[:, lost])]
    return noisy


class MorphologyLabelNoised(NamedLabelNoised):
    """Dictionary form of `MorphologyLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = MorphologyLabelNoised("label", radius=(1, 2))
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = MorphologyLabelNoise


MorphologyLabelNoiseD = MorphologyLabelNoiseDict = MorphologyLabelNoised
