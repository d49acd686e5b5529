"""What an annotation noise did to a label: overlap, distances, bias, volumes and components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.noisy_labels.outlines import (
    Pair,
    check_maps,
    diagonal_of,
    mean_of_known,
    pairs_of,
    signed_distance,
    surface_distances,
)

__all__ = ["ClassDamage", "LabelDamage", "label_damage"]

_DIGITS = 6  # in `as_dict`: what lies behind depends on the order in which a processor adds


@dataclass(frozen=True)
class ClassDamage:
    """Damage to one class; see `label_damage` for the definitions. None is what cannot be said.

    Args:
        number: the class.
        dice: overlap of the noisy and the clean mask.
        distance_mm: mean distance between the outlines, both ways.
        distance95_mm: the larger of the two 95th percentiles.
        bias_mm: mean signed distance of the noisy outline from the clean one, positive outwards.
        voxels: of the clean mask.
        gained: voxels that only the noisy mask has.
        lost: voxels that only the clean mask has.
        components: of the clean mask.
        noisy_components: of the noisy mask.
        unknown: voxels of the class that the noisy map leaves unknown; in no other number.
    """

    number: int
    dice: float | None
    distance_mm: float | None
    distance95_mm: float | None
    bias_mm: float | None
    voxels: int
    gained: int
    lost: int
    components: int
    noisy_components: int
    unknown: int

    @property
    def changed(self) -> int:
        """Voxels that only one of the masks has."""
        return self.gained + self.lost

    @property
    def volume_ratio(self) -> float | None:
        """Noisy volume divided by clean volume."""
        return (self.voxels + self.gained - self.lost) / self.voxels if self.voxels else None

    @property
    def missed(self) -> bool:
        """Whether only the clean map has the class."""
        return 0 < self.voxels == self.lost and not self.gained

    @property
    def added(self) -> bool:
        """Whether only the noisy map has the class."""
        return self.voxels == 0 < self.gained

    def as_dict(self) -> dict[str, Any]:
        """Return all figures; ``json.dumps`` takes them."""
        return {
            "dice": _rounded(self.dice),
            "distance_mm": _rounded(self.distance_mm),
            "distance95_mm": _rounded(self.distance95_mm),
            "bias_mm": _rounded(self.bias_mm),
            "voxels": self.voxels,
            "changed": self.changed,
            "gained": self.gained,
            "lost": self.lost,
            "volume_ratio": _rounded(self.volume_ratio),
            "components": self.components,
            "component_change": self.noisy_components - self.components,
            "unknown": self.unknown,
        }


@dataclass(frozen=True)
class LabelDamage:
    """Damage to a label as a whole; see `label_damage`.

    Args:
        classes: each foreground class that one of the maps has, in ascending order.
        dice: mean over the classes; None where there is none.
        distance_mm: mean over the classes.
        distance95_mm: mean over the classes.
        bias_mm: mean over the classes that have an outline in both maps.
        changed: voxels with another class, background included.
        changed_share: the same as a share of the known voxels.
        unknown_share: share of the voxels that are unknown.
    """

    classes: tuple[ClassDamage, ...]
    dice: float | None
    distance_mm: float | None
    distance95_mm: float | None
    bias_mm: float | None
    changed: int
    changed_share: float
    unknown_share: float

    @property
    def missed(self) -> tuple[int, ...]:
        """Classes that only the clean map has."""
        return tuple(one.number for one in self.classes if one.missed)

    @property
    def added(self) -> tuple[int, ...]:
        """Classes that only the noisy map has."""
        return tuple(one.number for one in self.classes if one.added)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, lengths and shares with six decimals; ``json.dumps`` takes them."""
        means = {name: _rounded(getattr(self, name)) for name in ("dice", "distance_mm", "distance95_mm", "bias_mm")}
        return {
            **means,
            "changed": self.changed,
            "changed_share": _rounded(self.changed_share),
            "unknown_share": _rounded(self.unknown_share),
            "missed": list(self.missed),
            "added": list(self.added),
            "classes": {str(one.number): one.as_dict() for one in self.classes},
        }


def label_damage(
    noisy: NDArray[Any], clean: NDArray[Any], spacing: Sequence[float], *, ignore_index: int | None = None
) -> LabelDamage:
    """Measure what a noise did to a label, for each foreground class that one of the two maps has.

    The outline of a class is the set of its voxels with a face neighbour that is not of it; the border of the image is
    no outline. With the distances in mm between voxel centres,

        distance    mean over the points of both outlines of the distance to the nearest point of the other
        distance95  the larger of the two 95th percentiles of these distances (HD95)
        bias        mean over the points of the noisy outline of the distance to the clean one, negative inside

    The bias is seen from the clean outline: a disc of radius R that is merely moved by t has one of about t^2 / (4 R).
    Components are connected over faces, edges and corners.

    **Distances are comparable within one sampling only.** They are taken between voxel centres, each outline voxel
    counting alike, so errors near the voxel size come out smaller where it is smaller: for the same volume of error on
    one ellipsoid (outlines of 8 vertices) the mean distance is 0.66 mm on voxels of 1 x 1 x 1 mm, and 0.25 mm on
    0.5 x 0.5 x 3 mm. Weighing the voxels by their surface brings the two to 0.64 and 0.43 mm, not to one figure, and
    is left out. To compare across samplings take the Dice (0.946 on both).

    **A class that only one map has** has a Dice of 0, and its distances are the diagonal of the image; `missed` and
    `added` name it, so that a noise never looks milder for deleting a structure. So does a class of which one mask has
    no outline because it fills the image. Such a class has no bias.

    **Unknown voxels** (``ignore_index`` in either map) are in no figure but their own share, and the rim of an unknown
    region is no outline. A class that is unknown altogether has neither Dice nor distances.

    Dice and distances are MONAI's (`compute_dice`, symmetric `compute_average_surface_distance`,
    `compute_hausdorff_distance`) but at the border of the image, which counts as an outline there.

    Args:
        noisy: class map ``H W [D]``.
        clean: class map of the same shape.
        spacing: voxel size in mm per axis.
        ignore_index: value of unknown voxels.

    Raises:
        ValueError: if the maps differ in shape, hold fractions, or the spacing does not fit.

    Example::

        >>> clean = np.zeros((12, 12, 6), dtype=int)
        >>> clean[3:8, 3:8, 2:5] = 1
        >>> damage = label_damage(np.roll(clean, 1, axis=2), clean, (1.0, 1.0, 2.5))
        >>> round(damage.dice, 4), damage.distance95_mm, damage.changed
        (0.6667, 2.5, 50)
        >>> label_damage(0 * clean[..., 3], clean[..., 3], (1.0, 1.0)).missed
        (1,)
    """
    noisy, clean = check_maps(noisy, clean, spacing)
    diagonal = diagonal_of(clean.shape, spacing)
    classes = tuple(_damage_of(pair, spacing, diagonal) for pair in pairs_of(noisy, clean, ignore_index))
    differs = noisy != clean
    unknown = 0
    if ignore_index is not None:
        hidden = (noisy == ignore_index) | (clean == ignore_index)
        unknown = int(np.count_nonzero(hidden))
        differs &= ~hidden
    changed = int(np.count_nonzero(differs))
    return LabelDamage(
        classes=classes,
        dice=mean_of_known(one.dice for one in classes),
        distance_mm=mean_of_known(one.distance_mm for one in classes),
        distance95_mm=mean_of_known(one.distance95_mm for one in classes),
        bias_mm=mean_of_known(one.bias_mm for one in classes),
        changed=changed,
        changed_share=changed / max(1, clean.size - unknown),
        unknown_share=unknown / max(1, clean.size),
    )


def _damage_of(pair: Pair, spacing: Sequence[float], diagonal: float) -> ClassDamage:
    noisy, clean = int(np.count_nonzero(pair.noisy)), int(np.count_nonzero(pair.clean))
    both = int(np.count_nonzero(pair.noisy & pair.clean))
    counts = {"voxels": clean, "gained": noisy - both, "lost": clean - both, "unknown": pair.unknown}
    if not noisy and not clean:
        return ClassDamage(pair.number, None, None, None, None, **counts, components=0, noisy_components=0)
    one, other = pair.outlines(spacing)
    distance, distance95 = surface_distances(one, other, diagonal)
    bias = float(signed_distance(one, other, pair.clean).mean()) if len(one) and len(other) else None
    corners = np.ones((3,) * pair.clean.ndim)
    return ClassDamage(
        pair.number,
        dice=2 * both / (noisy + clean),
        distance_mm=distance,
        distance95_mm=distance95,
        bias_mm=bias,
        **counts,
        components=ndimage.label(pair.clean, corners)[1],
        noisy_components=ndimage.label(pair.noisy, corners)[1],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS) + 0.0  # no -0.0
