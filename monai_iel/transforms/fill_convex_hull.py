"""Structures filled up to their convex hulls: the plainest way to a convex segmentation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy
from numpy.typing import NDArray

from monai_iel.convexity import convex_hull_mask
from monai_iel.regions import check_regions
from monai_iel.transforms.label_noise.base import read_label, read_spacing
from monai_iel.transforms.label_noise.geometry import box_around, foreground_classes, nearest_class

__all__ = ["FillConvexHull", "FillConvexHullD", "FillConvexHullDict", "FillConvexHulld"]

Regions = Sequence[Sequence[int]] | None


class FillConvexHull(Transform):
    r"""Fills each structure of a segmentation up to its convex hull.

    With R the voxels of a region (one or more classes) and H(R) its hull, see
    :func:`~monai_iel.convexity.convex_hull_mask`,

    .. math:: s(x) := s(\arg\min_{y \in R} |x - y|) \quad \text{for } x \in H(R) \setminus R,\; s(x) \in F,

    distances in mm. F holds the background and the classes of regions that include this one. So a region grows into the
    background, and a cup into the disc around it, but never into another structure, and where one lies in the hull the
    result is not convex. Regions with more classes come first, those with as many in the order given.

    As post-processing of a segmentation it costs no training, so a convex evolution layer has to be compared with it.
    The hull spans **all** components of a region: a false satellite far away is joined to the organ by a wedge of wrong
    voxels, so keep the largest component first (``KeepLargestConnectedComponentd``). Not for structures that come in
    several pieces (cells, two kidneys of one class), nor for concave ones.

    Args:
        regions: lists of classes that are one structure each, in any order, such as ``[[1, 2], [2]]`` for a disc of rim
            (1) and cup (2), and the cup. None takes every foreground class that is there by itself, in ascending order.

    Shape:
        - ``label``: class map ``1 H W [D]`` of whole numbers (0 is background; 0 and 1 for a binary segmentation), or
          one-hot ``C H W [D]`` with the background as channel 0. NumPy array, tensor or MetaTensor, any dtype; the
          result has the same, and the metadata. Lengths are in mm by a MetaTensor's affine, else in voxels.

    Raises:
        TypeError: for an input that is no array or tensor.
        ValueError: for regions that are no lists of foreground classes, a class map of fractions, or channels of which
            not exactly one is 1 in each voxel.

    Example (2D, then 3D one-hot):

        >>> square = np.ones((1, 7, 7), dtype=np.uint8)
        >>> square[0, :3, 3] = 0
        >>> bool(FillConvexHull()(square).all())
        True
        >>> from monai.networks import one_hot
        >>> cup_in_disc = np.ones((1, 9, 9, 9), dtype=np.int64)
        >>> cup_in_disc[0, 2:7, 2:7, 2:7] = 2
        >>> cup_in_disc[0, 4, 4, :4] = 0  # a slit through rim and cup
        >>> import torch
        >>> filled = FillConvexHull([[1, 2], [2]])(one_hot(torch.from_numpy(cup_in_disc), 3, dim=0))
        >>> filled.flatten(1).sum(1).tolist()  # 9^3 - 5^3 and 5^3
        [0.0, 604.0, 125.0]
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  (MONAI's own class attribute)

    def __init__(self, regions: Regions = None) -> None:
        checked = check_regions(regions)
        if checked is not None and any(0 in region for region in checked):
            raise ValueError(f"regions is {regions!r}; expected foreground classes, from 1 upwards.")
        self.regions = checked

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Fill the structures of one segmentation."""
        several = getattr(label, "ndim", 0) > 1 and label.shape[0] > 1
        classes, spacing = (_from_one_hot(label), read_spacing(label)) if several else read_label(label)
        highest = max((c for region in self.regions or () for c in region), default=0)
        if several and highest >= label.shape[0]:
            raise ValueError(f"regions name the class {highest}, but the label has {label.shape[0]} channels.")
        regions = self.regions or tuple((c,) for c in foreground_classes(classes))
        for region in sorted(regions, key=len, reverse=True):
            outer = {c for other in regions if set(other) > set(region) for c in other} - set(region)
            _fill(classes, region, (0, *sorted(outer)), spacing)
        channels = np.arange(label.shape[0]).reshape(-1, *[1] * classes.ndim)
        filled = classes == channels if several else classes[None]
        result: NdarrayOrTensor = convert_to_dst_type(filled, label)[0]
        return result


def _from_one_hot(label: NdarrayOrTensor) -> NDArray[np.int32]:
    values = convert_to_numpy(label)
    if values.ndim not in (3, 4):
        raise ValueError(f"label has shape {values.shape}; expected C H W or C H W D.")
    on = values == 1
    if not (on == (values != 0)).all() or not (on.sum(axis=0) == 1).all():
        raise ValueError(
            f"label has {len(values)} channels (shape {values.shape}) that are not one-hot: expected exactly one 1 in "
            "each voxel, and 0 elsewhere; use AsDiscrete(argmax=True) on logits or probabilities, and fill overlapping "
            "(multi-label) channels one by one."
        )
    return on.argmax(axis=0).astype(np.int32)


def _fill(
    classes: NDArray[np.int32], region: Sequence[int], may_change: Sequence[int], spacing: tuple[float, ...]
) -> None:
    """Fill one region, in place."""
    mask = np.isin(classes, region)
    if not mask.any():
        return
    box = box_around(mask, (0,) * mask.ndim)
    inside, part = mask[box], classes[box]
    added = convex_hull_mask(inside) & ~inside & np.isin(part, may_change)
    if added.any():
        part[added] = nearest_class(part, added, inside, spacing)


class FillConvexHulld(MapTransform):
    """Dictionary form of :class:`FillConvexHull`.

    Args:
        keys: keys of the segmentations.
        regions: lists of classes that are one structure each; None takes every foreground class by itself.
        allow_missing_keys: pass over keys that are absent.

    Shape:
        - ``data[key]``: ``1 H W [D]`` or one-hot ``C H W [D]``.

    Raises:
        TypeError, ValueError: as :class:`FillConvexHull`.

    Example (2D, then 3D):

        >>> fill = FillConvexHulld("pred")
        >>> slit = np.ones((1, 7, 7))
        >>> slit[0, :3, 3] = 0
        >>> bool(fill({"pred": slit})["pred"].all()), bool(fill({"pred": slit[..., None]})["pred"].all())
        (True, True)
    """

    backend = FillConvexHull.backend

    def __init__(self, keys: KeysCollection, regions: Regions = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = FillConvexHull(regions)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Fill the segmentations under the keys."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key])
        return out


FillConvexHullD = FillConvexHullDict = FillConvexHulld
