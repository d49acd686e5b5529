"""Disagreement between raters: outlines that wander smoothly about the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.checks import check_classes, check_length
from monai_iel.transforms.label_noise.dictionary import NamedLabelNoised
from monai_iel.transforms.label_noise.fields import draw_field
from monai_iel.transforms.label_noise.geometry import ROUNDING, Box, box_around, voxels_within, without_flat_axes

__all__ = ["ElasticLabelNoise", "ElasticLabelNoiseD", "ElasticLabelNoiseDict", "ElasticLabelNoised"]

# A component of the displacement exceeds this many root mean squares at one in two million points.
REACH = 5.0


class ElasticLabelNoise(LabelNoise):
    """The class map warped by a smooth random displacement field, fixed per case.

    The voxel at x mm takes the class that the clean map has at x + u(x), nearest neighbour. Each component of u is
    Gaussian white noise, filtered by a Gaussian with a standard deviation of L / sqrt(2), so that with the
    ``displacement`` sigma and the ``correlation`` L

        <u_i(x)> = 0    <u_i(x) u_j(y)> = sigma^2 exp(-|x - y|^2 / (2 L^2)) if i = j, else 0

    An outline moves along its normal by a normal deviate of root mean square sigma, in the mean by 0.8 sigma; at a
    distance of L along the outline the deviates are correlated by 0.61, at 2 L by 0.14. The average is over cases: an
    organ that is not much larger than L moves by about the same vector everywhere.

    The white noise lives on a lattice with a pitch of L / sqrt(2) in mm, and the filter is evaluated at the voxels'
    centres and normalised at each of them. So the field does not know the voxels: its statistics are the same for
    every spacing, also where L is below the voxel size along a coarse axis, and at the border of the volume. The
    lattice ignores correlations below 1e-4. A displacement below half a voxel moves nothing along an axis.

    **Where classes meet:** the map is warped as a whole and stays a partition; all outlines move with the same field,
    so that inner structures move with outer ones. With ``classes``, only the outlines of these move: a voxel keeps its
    class unless its old or its new one is among them. Nothing new comes in from outside: beyond its border the map
    goes on as it is at the border. A volume of one slice is treated as an image.

    **Folding:** du_i / dx_i is a normal deviate of root mean square sigma / L, and where it is below -1 the field
    folds: along each axis at 0.1 % of the points for sigma / L = 1/3, at 2 % for 1/2, at 16 % for 1. There outlines
    tear and islands appear, which no rater draws. So sigma must not exceed L, and should stay below L / 3. Structures
    thinner than sigma may vanish.

    Args:
        displacement: sigma in mm, root mean square of each component. 0.5 to 3 mm between raters.
        correlation: L in mm, at least as long as the shortest side of a voxel. 5 to 20 mm is usual, three times the
            displacement or more.
        classes: foreground classes whose outlines move; None means all.
        seed: chooses another realisation.
        strength: factor on the displacement.

    Shape:
        - label and output: ``1 H W [D]``, see `LabelNoise`.

    Raises:
        ValueError: if a length is not positive and finite, the displacement exceeds the correlation, or the
            correlation is shorter than the shortest side of a voxel.

    References:
        What COCO-N (Kimhi et al., arXiv 2406.10891) calls ``localization``; there each vertex of the outline's polygon
        is displaced by itself, in pixels, which makes spikes; here neighbours move together, in mm.

    Example::

        >>> import numpy as np
        >>> noise = ElasticLabelNoise(displacement=1.5, correlation=5)
        >>> image, volume = np.zeros((1, 24, 24), dtype="uint8"), np.zeros((1, 24, 24, 24), dtype="uint8")
        >>> image[0, 6:18, 6:18] = volume[0, 6:18, 6:18, 6:18] = 1
        >>> bool((noise(image, "case-1") != image).any()), bool((noise(volume, "case-1") != volume).any())
        (True, True)
    """

    model: ClassVar[str] = "elastic"

    def __init__(
        self,
        *,
        displacement: float,
        correlation: float,
        classes: Sequence[int] | None = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(seed=seed, strength=strength)
        self.displacement = check_length("displacement", displacement)
        self.correlation = check_length("correlation", correlation)
        if self.displacement > self.correlation * ROUNDING:
            raise ValueError(
                f"displacement is {displacement} mm, expected at most the correlation of {correlation} mm: beyond that "
                "the field tears the map to pieces"
            )
        self.classes = check_classes(classes)

    @property
    def max_strength(self) -> float:
        """The displacement is as long as the correlation."""
        return self.correlation / self.displacement

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Warp the annotation within the axes that are longer than a voxel."""
        flat, sizes = without_flat_axes(label, spacing)
        self._check_spacing(sizes)
        return self._warp(flat, sizes, rng).reshape(label.shape)

    def _warp(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Warp all that is within the field's reach of the chosen classes."""
        chosen = label > 0 if self.classes is None else np.isin(label, self.classes)
        if not chosen.any():
            return label
        # The field covers what the strongest one reaches, so that the numbers drawn do not depend on the strength.
        organ = box_around(chosen, (0,) * label.ndim)
        field = draw_field(label.ndim, organ, REACH * self.correlation, spacing, self.correlation, rng)
        rms = self.strength * self.displacement
        box = box_around(chosen, voxels_within(REACH * rms, spacing))
        noisy = label.copy()
        steps = rms / np.reshape(spacing, (-1, *[1] * (label.ndim - 1)))
        for number, row in enumerate(field.rows(box, spacing)):
            _warp_row(noisy[box][number], label, box, number, steps * row)
        if self.classes is not None:
            kept = ~chosen & ~np.isin(noisy, self.classes)
            noisy[kept] = label[kept]
        return noisy

    def _check_spacing(self, spacing: tuple[float, ...]) -> None:
        """Refuse a correlation that the voxels cannot show, which would need a lattice much finer than they are."""
        if self.correlation * ROUNDING < min(spacing):
            sides = " x ".join(f"{size:g}" for size in spacing)
            raise ValueError(
                f"correlation is {self.correlation} mm, but the voxels are {sides} mm; expected at least the shortest "
                "side, as a shorter one makes salt and pepper (VoxelLabelNoise)"
            )


def _warp_row(
    row: NDArray[np.int32], label: NDArray[np.int32], box: Box, number: int, steps: NDArray[np.float64]
) -> None:
    """Write into a row of the box the classes of the voxels that are ``steps`` voxels away along each axis."""
    origin = np.ix_([box[0].start + number], *[np.arange(side.start, side.stop) for side in box[1:]])
    sources = [
        np.clip(np.floor(start[0] + step + 0.5).astype(np.intp), 0, size - 1)
        for start, step, size in zip(origin, steps, label.shape, strict=True)
    ]
    row[...] = label[tuple(sources)]


class ElasticLabelNoised(NamedLabelNoised):
    """Dictionary form of `ElasticLabelNoise`, whose parameters it takes; the other arguments: `LabelNoised`.

    Example::

        >>> import numpy as np
        >>> noise = ElasticLabelNoised("label", displacement=1, correlation=6)
        >>> noise({"label": np.zeros((1, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6)
        >>> noise({"label": np.zeros((1, 6, 6, 6)), "case_id": "a"})["label"].shape
        (1, 6, 6, 6)
    """

    noise_type = ElasticLabelNoise


ElasticLabelNoiseD = ElasticLabelNoiseDict = ElasticLabelNoised
