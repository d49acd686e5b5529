"""Outlines too far out, too far in or displaced, until a given share of the structure is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.affine import rotation_matrix
from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import (
    check_classes,
    check_fraction,
    check_number,
    check_weights,
    reach_all,
)
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import (
    ROUNDING,
    Box,
    Mask,
    box_around,
    foreground_classes,
    nearest_class,
    voxels_within,
    without_flat_axes,
)

__all__ = ["AreaRatioLabelNoise", "AreaRatioLabelNoiseD", "AreaRatioLabelNoiseDict", "AreaRatioLabelNoised"]


class _Draw(NamedTuple):
    """The random numbers of one class."""

    action: float
    angle: float
    plane: NDArray[np.float64]  # two vectors, which span the plane of the rotation
    direction: NDArray[np.float64]


class AreaRatioLabelNoise(LabelNoise):
    """Classes dilated, eroded or moved until a given share of them is wrong, fixed per case.

    For each case and class one of the three is drawn. With A the clean and B the noisy voxels of the class, it is
    carried so far that

        |A xor B| = ratio * |A|

    so a dilation reaches ``1 + ratio`` times the size, an erosion ``1 - ratio`` times, and a displacement, which leaves
    the size as it is, shares ``1 - ratio / 2`` of A with it. Dilation and erosion stop at the layer of voxels (all at
    one Euclidean distance in mm from the outline) that comes nearest to the ratio. A displacement turns the class about
    its centre and shifts it in a random direction, the angle growing with the shift up to the one drawn, until the
    ratio is reached to a fraction of a voxel. As the ratio is one of sizes, a large organ gets a larger error in mm
    than a small one.

    **Where classes meet:** each class is changed by itself, out of the clean label, and the ratio holds for it by
    itself. What a class gives up becomes the nearest other class; then all are painted in ascending order, so that the
    higher number wins. Between neighbours the ratio that is left is therefore another one. The border of the volume is
    no outline: nothing is eroded from there; what is moved out is lost, and nothing comes in; a class that can grow no
    further stays below the ratio. An erosion leaves the deepest layer in any case. A volume of one slice is treated as
    an image.

    A systematic mistake within a case, as `MorphologyLabelNoise`, whose radius in mm suits a study of raters better; a
    ratio is what published comparisons state.

    Args:
        ratio: wrong voxels as a share of the class's clean voxels, 0 to 1; 0.5 and 0.7 are published.
        dilate_weight: how often a class is dilated, as a weight against the other two.
        erode_weight: how often it is eroded.
        move_weight: how often it is moved.
        max_angle: largest angle of a displacement, in degrees; 2 to 30 published.
        classes: foreground classes to treat; None means all that the label holds. A class that a label lacks is
            skipped.
        seed: chooses another realisation.
        strength: factor on the ratio.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range.

    References:
        Li, Gao, He, *Superpixel-guided Iterative Learning from Noisy Labels for Medical Image Segmentation*, MICCAI
        2021, and Gonzalez-Jimenez et al., *Robust T-Loss for Medical Image Segmentation*, MICCAI 2023, whose published
        code has this ratio as beta. There in 2D and in pixels; dilation and erosion go by layers of the city-block
        distance; the rotation is in full, about the centre of the image, and the shift in one of eight directions.

    Example::

        >>> import numpy as np
        >>> noise = AreaRatioLabelNoise(ratio=0.5, dilate_weight=1, erode_weight=0, move_weight=0)
        >>> image, volume = np.zeros((1, 24, 24), dtype="uint8"), np.zeros((1, 24, 24, 24), dtype="uint8")
        >>> image[0, 7:17, 7:17] = volume[0, 7:17, 7:17, 7:17] = 1
        >>> int(noise(image, "case-1").sum()), int(noise(volume, "case-1").sum())
        (144, 1600)
    """

    model: ClassVar[str] = "area_ratio"

    def __init__(
        self,
        *,
        ratio: float,
        dilate_weight: float = 1.0,
        erode_weight: float = 1.0,
        move_weight: float = 1.0,
        max_angle: float = 30.0,
        classes: Sequence[int] | None = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.ratio = check_fraction("ratio", ratio)
        self.dilate_weight, self.erode_weight, self.move_weight = check_weights(
            "dilate_weight, erode_weight, move_weight", (dilate_weight, erode_weight, move_weight), 3
        )
        self.max_angle = check_number("max_angle", max_angle, lambda n: 0 <= n <= 180, "degrees between 0 and 180")
        self.classes = check_classes(classes)

    @property
    def max_strength(self) -> float:
        """As many voxels are wrong as the class has."""
        return reach_all(self.ratio)

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Change the classes within the axes that are longer than a voxel."""
        flat, sizes = without_flat_axes(label, spacing)
        return self._change_all(flat, sizes, rng).reshape(label.shape)

    def _change_all(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Change each class by itself, then paint them in ascending order."""
        changed: list[tuple[int, Box, Mask]] = []
        noisy = label.copy()
        for number in self.classes or foreground_classes(label):
            draw = self._draw(rng, label.ndim)
            old = label == number
            if not old.any() or old.all():
                continue
            box, new = self._change(old, draw, spacing)
            changed.append((number, box, new))
            left = old[box] & ~new
            if left.any():
                noisy[box][left] = nearest_class(label[box], left, ~old[box], spacing)
        for number, box, new in changed:
            noisy[box][new] = number
        return noisy

    def _draw(self, rng: np.random.Generator, axes: int) -> _Draw:
        angle = rng.uniform(-1, 1)
        return _Draw(
            rng.random(), math.radians(angle * self.max_angle), rng.normal(size=(2, axes)), rng.normal(size=axes)
        )

    def _change(self, mask: Mask, draw: _Draw, spacing: tuple[float, ...]) -> tuple[Box, Mask]:
        """Return the class after its change, in a box that holds it before and after."""
        wrong = round(self.strength * self.ratio * np.count_nonzero(mask))
        dilate, erode, move = np.cumsum([self.dilate_weight, self.erode_weight, self.move_weight])
        if draw.action * move < dilate:
            return _dilate(mask, wrong, spacing)
        return _erode(mask, wrong, spacing) if draw.action * move < erode else _move(mask, wrong, spacing, draw)


def _nearest_layers(distances: NDArray[np.float64], number: int) -> NDArray[np.bool_]:
    """Return which of the distances are in those nearest layers that hold ``number`` of them as exactly as can be."""
    number = min(number, len(distances))
    if not number:
        return np.zeros(len(distances), dtype=bool)
    last = np.partition(distances, number - 1)[number - 1]
    with_it, without = distances <= last * ROUNDING, distances * ROUNDING < last
    closer = np.count_nonzero(with_it) - number <= number - np.count_nonzero(without)
    return with_it if closer else without


def _dilate(mask: Mask, number: int, spacing: tuple[float, ...]) -> tuple[Box, Mask]:
    """Return the mask with the layers around it that hold ``number`` voxels."""
    # By the inequality of Brunn and Minkowski no shape has to grow further than the ball of its volume. What the border
    # of the array cuts off has to be made up for elsewhere: then the box is enlarged.
    radius, axes = _ball_radius(mask, spacing), mask.ndim
    margin = radius * ((1 + number / np.count_nonzero(mask)) ** (1 / axes) - 1) + math.hypot(*spacing)
    while True:
        box = box_around(mask, tuple(reach + 1 for reach in voxels_within(margin, spacing)))
        distance = ndimage.distance_transform_edt(~mask[box], sampling=spacing)
        near = (distance > 0) & (distance <= margin * ROUNDING)
        whole = all(side.start == 0 and side.stop == size for side, size in zip(box, mask.shape, strict=True))
        if whole or np.count_nonzero(near) >= number:
            break
        margin *= 2
    outside = distance > 0 if whole else near
    new = mask[box].copy()
    new[outside] = _nearest_layers(distance[outside], number)
    return box, new


def _erode(mask: Mask, number: int, spacing: tuple[float, ...]) -> tuple[Box, Mask]:
    """Return the mask without its outer layers that hold ``number`` voxels, and never without its deepest one."""
    box = box_around(mask, (1,) * mask.ndim)
    inside = mask[box]
    depth = ndimage.distance_transform_edt(inside, sampling=spacing)[inside]
    lost = _nearest_layers(depth, number)
    new = inside.copy()
    new[inside] = ~lost if not lost.all() else depth * ROUNDING >= depth.max()
    return box, new


def _move(mask: Mask, number: int, spacing: tuple[float, ...], draw: _Draw) -> tuple[Box, Mask]:
    """Return the mask turned and shifted so far that ``number`` voxels differ."""
    radius = _ball_radius(mask, spacing)
    furthest = math.hypot(*(size * step for size, step in zip(mask.shape, spacing, strict=True))) / radius
    low, high = 0.0, 0.25
    while high < furthest and _difference(mask, *_moved(mask, high, radius, spacing, draw)) < number:
        low, high = high, 2 * high
    while (high - low) * radius > 0.01 * min(spacing):
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if _difference(mask, *_moved(mask, middle, radius, spacing, draw)) < number
            else (low, middle)
        )
    ends = [_moved(mask, far, radius, spacing, draw) for far in (low, high)]
    return min(ends, key=lambda end: abs(_difference(mask, *end) - number))


def _difference(mask: Mask, box: Box, new: Mask) -> int:
    return int(np.count_nonzero(mask[box] ^ new))


def _moved(mask: Mask, far: float, radius: float, spacing: tuple[float, ...], draw: _Draw) -> tuple[Box, Mask]:
    """Return the mask shifted by ``far`` times ``radius`` mm and turned by ``far`` times the angle, at most by it."""
    sizes, axes = np.asarray(spacing), mask.ndim
    tight = box_around(mask, (0,) * axes)
    extent = math.hypot(*((side.stop - side.start) * size for side, size in zip(tight, spacing, strict=True))) / 2
    angle = draw.angle * min(far, 1.0)
    reach = far * radius + 2 * math.sin(abs(angle) / 2) * extent
    box = box_around(mask, tuple(voxels + 1 for voxels in voxels_within(reach, spacing)))
    centre = np.array([(t.start + t.stop - 1) / 2 - b.start for t, b in zip(tight, box, strict=True)])
    shift = far * radius * draw.direction / np.linalg.norm(draw.direction)  # mm
    # Voxel x of the result is voxel matrix @ x + offset of the mask: the displacement backwards, in mm in between.
    matrix = rotation_matrix(-angle, draw.plane) * sizes / sizes[:, None]
    offset = centre - matrix @ (centre + shift / sizes)
    new = ndimage.affine_transform(mask[box].astype(np.uint8), matrix, offset, order=0, mode="constant")
    return box, new.astype(bool)


def _ball_radius(mask: Mask, spacing: tuple[float, ...]) -> float:
    """Return the radius in mm of the disc or ball that is as large as the mask."""
    axes = mask.ndim
    unit_ball = math.pi ** (axes / 2) / math.gamma(axes / 2 + 1)
    return float((np.count_nonzero(mask) * math.prod(spacing) / unit_ball) ** (1 / axes))


class AreaRatioLabelNoised(NamedLabelNoised):
    """Dictionary form of `AreaRatioLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = AreaRatioLabelNoised("label", ratio=0.5)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = AreaRatioLabelNoise


AreaRatioLabelNoiseD = AreaRatioLabelNoiseDict = AreaRatioLabelNoised
