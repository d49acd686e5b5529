"""Misregistration: the whole annotation turned, shifted and scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_range
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.geometry import Box, box_around, without_flat_axes

__all__ = ["AffineLabelNoise", "AffineLabelNoiseD", "AffineLabelNoiseDict", "AffineLabelNoised"]


class AffineLabelNoise(LabelNoise):
    """The whole annotation turned, shifted and scaled as one piece, fixed per case.

    With c the centre of mass of the foreground in mm, a point x of the annotation goes to

        c + q R (x - c) + s

    R turns by an angle uniform in ``rotation``, clockwise or not with equal chance in 2D, about an axis uniform on the
    sphere in 3D. s has a length uniform in ``shift`` and a direction uniform on the circle or sphere. q is uniform in
    ``scale`` on a logarithmic scale. All is done in mm, so an organ keeps its shape in voxels of any form; then the
    voxel takes the class at the point that it comes from, nearest neighbour. A shift below half a voxel moves nothing
    along an axis.

    **Where classes meet:** all classes move together, as when image and annotation were registered badly; what was
    foreground and is no longer becomes what was beside it, in general background. Structures do not move against each
    other: take `ElasticLabelNoise`.

    **At the border of the volume:** what leaves the volume is lost, up to the whole annotation if the shift is long.
    What comes in goes on as the map is at the border, so that an organ that was cut by the border still is. Along an
    axis that is one voxel long nothing moves: a volume of one slice is treated as an image.

    A mistake that hangs together over the whole case, with smooth outlines: no smoothness prior corrects it.

    Args:
        rotation: (min, max) of the angle in degrees, or one number; 5 to 30 is usual.
        shift: (min, max) of the length in mm, or one number.
        scale: (min, max) of the factor on all lengths, or one number; (0.9, 1.1) is usual. 1 leaves the size.
        seed: chooses another realisation.
        strength: factor on the angle, the length of the shift and the logarithm of the scale.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a parameter is out of range, or nothing would be moved.

    References:
        Li, Gao and He, *Superpixel-guided Iterative Learning from Noisy Labels for Medical Image Segmentation*, MICCAI
        2021 (arXiv 2107.10100): rotations up to 30 degrees, then a shift in one of eight directions until a given share
        of the pixels is wrong; 2D, in pixels, about the centre of the image.
        Gonzalez-Jimenez et al., *Robust T-Loss for Medical Image Segmentation*, MICCAI 2023 (arXiv 2306.00753).

    Example::

        >>> import numpy as np
        >>> noise = AffineLabelNoise(rotation=(5, 20), shift=(2, 4), scale=(0.9, 1.1))
        >>> image, volume = np.zeros((1, 24, 24), dtype="uint8"), np.zeros((1, 24, 24, 24), dtype="uint8")
        >>> image[0, 6:18, 8:16] = volume[0, 6:18, 8:16, 8:16] = 1
        >>> bool((noise(image, "case-1") != image).any()), bool((noise(volume, "case-1") != volume).any())
        (True, True)
    """

    model: ClassVar[str] = "affine"

    def __init__(
        self,
        *,
        rotation: float | Sequence[float] = 0.0,
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.rotation = check_range("rotation", rotation, allow_zero=True)
        if self.rotation[1] > 180:
            raise ValueError(f"rotation is {rotation!r}, expected at most 180 degrees")
        self.shift = check_range("shift", shift, allow_zero=True)
        self.scale = check_range("scale", scale)
        if self.rotation[1] == 0 and self.shift[1] == 0 and self.scale == (1.0, 1.0):
            raise ValueError("rotation and shift are 0 and scale is 1, which moves nothing; give at least one of them")

    @property
    def max_strength(self) -> float:
        """The widest angle is half a turn."""
        return 180 / self.rotation[1] if self.rotation[1] else math.inf

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Move the annotation within the axes that are longer than a voxel."""
        if not (label > 0).any():
            return label
        flat, sizes = without_flat_axes(label, spacing)
        matrix, shift = self._draw(flat.ndim, rng)
        return move(flat, matrix, shift, sizes).reshape(label.shape)

    def _draw(self, dims: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the matrix q R and the shift in mm at this strength."""
        angle = self.strength * math.radians(rng.uniform(*self.rotation))
        matrix = rotation_matrix(angle, rng.standard_normal((2, dims)))
        direction = rng.standard_normal(dims)
        length = self.strength * rng.uniform(*self.shift)
        factor = math.exp(self.strength * rng.uniform(*np.log(self.scale)))
        return factor * matrix, length * direction / np.linalg.norm(direction)


def rotation_matrix(angle: float, plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation by ``angle`` (radians) from the first row of ``plane`` towards the second one.

    Two random rows give a random sense in 2D and an axis uniform on the sphere in 3D. There is none in 1D.
    """
    dims = plane.shape[1]
    if dims < 2:
        return np.eye(dims)
    u = plane[0] / np.linalg.norm(plane[0])
    v = plane[1] - (plane[1] @ u) * u
    v /= np.linalg.norm(v)
    turned = np.outer(v, u) - np.outer(u, v)
    within = np.outer(u, u) + np.outer(v, v)
    matrix: NDArray[np.float64] = np.eye(dims) + math.sin(angle) * turned + (math.cos(angle) - 1) * within
    return matrix


def move(
    label: NDArray[np.int32], matrix: NDArray[np.float64], shift: NDArray[np.float64], spacing: tuple[float, ...]
) -> NDArray[np.int32]:
    """Return the map moved by x -> c + matrix (x - c) + shift, in mm, with c the centre of mass of the foreground."""
    sizes = np.asarray(spacing)
    foreground = label > 0
    centre = _centre_of_mass(foreground)
    # In voxels: y = centre + forward (x - centre) + step, and back.
    forward = matrix * sizes / sizes[:, None]
    backward = np.linalg.inv(forward)
    step = shift / sizes
    box = _reached(foreground, centre, forward, step)
    start = np.array([side.start for side in box])
    noisy = label.copy()
    noisy[box] = ndimage.affine_transform(
        label,
        backward,
        offset=centre + backward @ (start - centre - step),
        output_shape=noisy[box].shape,
        order=0,
        mode="nearest",
    )
    return noisy


def _centre_of_mass(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean index of the mask's voxels, exact for a symmetric mask."""
    axes = range(mask.ndim)
    counts = [np.count_nonzero(mask, axis=tuple(other for other in axes if other != axis)) for axis in axes]
    return np.array([np.arange(len(count)) @ count / count.sum() for count in counts])


def _reached(
    mask: NDArray[np.bool_], centre: NDArray[np.float64], forward: NDArray[np.float64], step: NDArray[np.float64]
) -> Box:
    """Return a box that holds the mask, where it was and where it goes to."""
    box = box_around(mask, (1,) * mask.ndim)
    # A mask at the border goes on beyond it, as far as the volume could come in; the box of an inner one ends there.
    far = (np.sum(mask.shape) + np.abs(step).sum()) * max(1.0, np.abs(np.linalg.inv(forward)).max()) * mask.ndim
    low = np.array([side.start if side.start > 0 else -far for side in box])
    high = np.array([side.stop - 1.0 if side.stop < size else far for side, size in zip(box, mask.shape, strict=True)])
    corners = np.stack(np.meshgrid(*np.stack([low, high], axis=1), indexing="ij")).reshape(mask.ndim, -1)
    moved = (centre + step)[:, None] + forward @ (corners - centre[:, None])
    return tuple(
        slice(max(0, min(side.start, math.floor(lowest))), min(size, max(side.stop, math.ceil(highest) + 1)))
        for side, size, lowest, highest in zip(box, mask.shape, moved.min(axis=1), moved.max(axis=1), strict=True)
    )


class AffineLabelNoised(NamedLabelNoised):
    """Dictionary form of `AffineLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = AffineLabelNoised("label", rotation=10)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = AffineLabelNoise


AffineLabelNoiseD = AffineLabelNoiseDict = AffineLabelNoised
