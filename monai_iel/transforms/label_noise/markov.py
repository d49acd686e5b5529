"""A biased walk of the outline: many small steps outwards or inwards, each at a few places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_fraction, check_regions, check_strength, check_whole
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import Mask, box_around, foreground_classes, redraw_region

__all__ = ["MarkovLabelNoise", "MarkovLabelNoiseD", "MarkovLabelNoiseDict", "MarkovLabelNoised", "walk_outline"]

Classes = Sequence[int] | Literal["foreground"] | None

# A step moves the outline by one voxel at most, so a box with this margin holds as many steps.
STEPS_PER_BOX = 16


class MarkovLabelNoise(LabelNoise):
    """The Markov label noise of Yao et al. 2023: the outline walks outwards or inwards in many steps, fixed per case.

    For each region (a class, or the whole foreground), with the names of the paper:

        T = ``steps`` times:
            with probability theta1 = ``expand`` the step goes outwards, else inwards
            outwards: each voxel outside with a face neighbour inside joins with probability theta2 = ``flip``
            inwards:  each voxel inside with a face neighbour outside leaves with probability theta2
        then each voxel of the whole array changes sides with probability theta3 = ``random_flip``
        then the region is where a Gaussian of it exceeds 1/2

    So with ``expand`` above 1/2 the annotation becomes too large, below too small, and all errors of a case hang
    together. A rough outline moves faster than ``flip`` voxels a step: at ``flip=0.05`` steps outwards alone move it by
    0.08 voxels each in 2D and 0.11 in 3D, 180 steps of a disc with ``expand=0.8`` by about 11 pixels, with 0.2 by
    about -10, and with 0.5 by 3, not 0: a rough outline has more voxels outside than inside.

    All lengths are in voxels, as published: not for comparing volumes of different spacing, see `BumpLabelNoise` and
    `MorphologyLabelNoise` for lengths in mm. Not for structures a few voxels wide: the smoothing alone deletes them,
    and a region that vanished does not come back.

    **Where classes meet:** the classes are treated in ascending order, each on the result of the former. A class takes
    the voxels that it gains from any other; what it loses becomes the nearest class outside it, in mm. With
    ``classes="foreground"`` all foreground is one region: what is lost becomes background, and what is gained becomes
    the nearest foreground class. The border of the volume is no outline, and a region that fills the array stays as it
    is. Each region has random numbers of its own, whatever other classes the label holds.

    Published settings: ``steps=180, expand=0.8 or 0.2, flip=0.05, random_flip=0.2, smoothing=2, window=2`` (lung and
    heart of JSRT, 256 x 256), the same with 200 steps (ISIC 2017), and
    ``steps=80, expand=0.7 or 0.3, flip=0.05, smoothing=1, window=4`` (whole tumour of BraTS 2020, 3D).

    Args:
        steps: T, number of steps.
        expand: theta1, probability that a step goes outwards.
        flip: theta2, probability that a voxel at the outline takes part in a step.
        random_flip: theta3, probability that a voxel anywhere changes sides before the smoothing.
        smoothing: standard deviation of the Gaussian in voxels; 0 for none. Without it ``random_flip`` stays as salt
            and pepper.
        window: where the Gaussian is cut, in voxels from its centre; 2 is a window of 5 voxels.
        classes: foreground classes to treat one by one, None for all that the label holds, or "foreground" for their
            union.
        seed: chooses another realisation.
        strength: factor on the number of steps; the first steps are the same at every strength, and in a last step
            that is a fraction ``flip`` is multiplied by that fraction. Below 1 it is a factor on ``random_flip`` too.
            The smoothing is the same at every strength above 0, so a weak noise is a smoothed label. Where ``expand``
            is near 1/2 the outline wanders about, and more steps need not mean more damage.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range.

    References:
        Yao, Zhang, Zheng, Goswami, Prasanna, Chen, *Learning to Segment from Noisy Annotations: A Spatial Correction
        Approach*, ICLR 2023, arXiv 2308.02498, Definition 1; settings and smoothing (2D: window of 5 x 5 pixels,
        standard deviation 2; 3D: standard deviation 1, cut at 4) from the authors' published generator. In what this
        differs: several classes; the Gaussian is computed in floating point, not in 8 bits, and repeats the border
        voxel in 2D too.

    Example::

        >>> import numpy as np
        >>> noise = MarkovLabelNoise(steps=2, expand=1.0, flip=1.0, smoothing=0)
        >>> image, volume = np.zeros((1, 9, 9), dtype="uint8"), np.zeros((1, 9, 9, 9), dtype="uint8")
        >>> image[0, 4, 4] = volume[0, 4, 4, 4] = 1
        >>> int(noise(image, "case-1").sum()), int(noise(volume, "case-1").sum())
        (13, 25)
    """

    model: ClassVar[str] = "markov"

    def __init__(
        self,
        *,
        steps: int,
        expand: float,
        flip: float,
        random_flip: float = 0.0,
        smoothing: float = 1.0,
        window: int = 4,
        classes: Classes = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.steps = check_whole("steps", steps, minimum=0)
        self.expand = check_fraction("expand", expand)
        self.flip = check_fraction("flip", flip)
        self.random_flip = check_fraction("random_flip", random_flip)
        self.smoothing = check_strength("smoothing", smoothing)
        self.window = check_whole("window", window, minimum=1)
        self.classes = check_regions(classes)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Let each region walk, in ascending order of the classes."""
        key = int(rng.integers(2**63))
        if self.classes == "foreground":
            return self._redraw(label, label > 0, spacing, key, 0)
        for number in self.classes or foreground_classes(label):
            label = self._redraw(label, label == number, spacing, key, int(number))
        return label

    def _redraw(
        self, label: NDArray[np.int32], old: Mask, spacing: tuple[float, ...], key: int, number: int
    ) -> NDArray[np.int32]:
        """Return the label after the walk of one region; ``number`` is its class, 0 for the whole foreground."""
        if not old.any() or old.all():
            return label
        new = self._disturb(old, key, number)
        box = box_around(old | new, (1,) * old.ndim)
        return redraw_region(label, box, old[box], new[box], number, spacing)

    def _disturb(self, region: Mask, key: int, number: int) -> Mask:
        """Return the region after all steps, random flips and smoothing."""
        # Two sources of chance: the random flips do not depend on how many numbers the walk took.
        walking, flipping = (np.random.default_rng([key, number, part]) for part in range(2))
        new = walk_outline(region, self.strength * self.steps, self.expand, self.flip, walking)
        if self.random_flip:
            new ^= flipping.random(region.shape) < min(1.0, self.strength) * self.random_flip
        if not self.smoothing or not new.any():
            return new
        box = box_around(new, (self.window,) * new.ndim)
        blurred = ndimage.gaussian_filter(
            new[box].astype(np.float32), self.smoothing, radius=self.window, mode="nearest"
        )
        new[box] = blurred > 0.5
        return new


def walk_outline(region: Mask, steps: float, expand: float, flip: float, rng: np.random.Generator) -> Mask:
    """Return the region after ``steps`` steps of its outline; the last one is a fraction where ``steps`` is none.

    The numbers that are drawn depend neither on the number of steps to come nor on the box in which the work is done.
    """
    region = region.copy()
    rates = [min(1.0, steps - number) * flip for number in range(math.ceil(steps))]
    for start in range(0, len(rates), STEPS_PER_BOX):
        if not region.any():
            break
        box = box_around(region, (STEPS_PER_BOX,) * region.ndim)
        part = np.ascontiguousarray(region[box])
        for rate in rates[start : start + STEPS_PER_BOX]:
            outwards = bool(rng.random() < expand)
            places = np.flatnonzero(_outline(part if outwards else ~part))
            part.reshape(-1)[places[rng.random(len(places)) < rate]] = outwards
        region[box] = part
    return region


def _outline(mask: Mask) -> Mask:
    """Return the voxels outside the mask that have a face neighbour in it."""
    near = np.zeros_like(mask)
    for axis in range(mask.ndim):
        low, high = ((slice(None),) * axis + (side,) for side in (slice(None, -1), slice(1, None)))
        near[low] |= mask[high]
        near[high] |= mask[low]
    return near & ~mask


class MarkovLabelNoised(NamedLabelNoised):
    """Dictionary form of `MarkovLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = MarkovLabelNoised("label", steps=10, expand=0.7, flip=0.1)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = MarkovLabelNoise


MarkovLabelNoiseD = MarkovLabelNoiseDict = MarkovLabelNoised
