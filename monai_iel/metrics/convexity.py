"""How convex the predicted structures are: solidity, deepest concavity, non-convex fraction, number of components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from monai.utils import MetricReduction, look_up_option

from monai_iel.convexity import MEASURES, measure_convexity
from monai_iel.convexity.measures import Measure
from monai_iel.regions import check_regions

from ._casewise import CasewiseMetric
from ._inputs import Spacing, binary_pair, check_shapes, spacing_per_item

__all__ = ["ConvexityMetric", "compute_convexity"]

Regions = Sequence[Sequence[int]] | None


def compute_convexity(
    y_pred: torch.Tensor,
    *,
    measure: Measure | str = "solidity",
    include_background: bool = False,
    regions: Regions = None,
    spacing: Spacing = None,
) -> torch.Tensor:
    """One measure of convexity for each case and structure; NaN where there is none.

    See :class:`ConvexityMetric` for the measures and the arguments.

    Shape: ``y_pred``: ``B C H W [D]``; result: ``B C`` (``B C-1`` without background, ``B R`` for R regions), float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: for an unknown measure, values other than 0 and 1, a spacing that does not fit, or regions with
            classes that ``y_pred`` does not have.

    Example: a square of 25 pixels with a hole in the middle, then the same with pixels of 3 mm.

        >>> square = torch.ones(1, 1, 5, 5)
        >>> square[0, 0, 2, 2] = 0
        >>> compute_convexity(square)
        tensor([[0.9600]])
        >>> compute_convexity(square, measure="concavity_depth", spacing=3.0)
        tensor([[6.]])
    """
    check_shapes(y_pred, y_pred)
    spacings = spacing_per_item(y_pred, y_pred, spacing)
    return _measured(y_pred, _measure(measure), include_background, check_regions(regions), spacings)


def _measure(measure: str) -> Measure:
    return cast("Measure", look_up_option(measure, MEASURES))


def _measured(
    y_pred: torch.Tensor,
    measure: Measure,
    include_background: bool,
    regions: tuple[tuple[int, ...], ...] | None,
    spacings: Sequence[tuple[float, ...]],
) -> torch.Tensor:
    masks, _ = binary_pair(y_pred, y_pred, include_background=include_background or regions is not None)
    if regions is not None:
        masks = torch.stack([masks[:, _channels(region, masks.shape[1])].any(dim=1) for region in regions], dim=1)
    values = torch.full(masks.shape[:2], float("nan"), dtype=torch.float32)
    for b, (item, mm) in enumerate(zip(masks.cpu().numpy(), spacings, strict=True)):
        for c, mask in enumerate(item):
            if mask.any():
                values[b, c] = measure_convexity(mask, measure, mm)
    return values.to(masks.device)


def _channels(region: tuple[int, ...], num_channels: int) -> list[int]:
    """Where the classes of a region are; a single channel is class 1."""
    channels = [c - 1 for c in region] if num_channels == 1 else list(region)
    if not all(0 <= c < num_channels for c in channels):
        held = "class 1" if num_channels == 1 else f"classes 0 to {num_channels - 1}"
        raise ValueError(f"regions name the classes {list(region)}, but y_pred has {held} ({num_channels} channels).")
    return channels


class ConvexityMetric(CasewiseMetric):
    r"""How convex each segmented structure is; with the structure S of a case and its hull H(S) on the voxel grid:

    - ``"solidity"``: :math:`|S| / |H(S)|`, in (0, 1], 1 for a convex structure. The hull is that of the whole
      structure, so a satellite far away lowers it much.
    - ``"concavity_depth"``: :math:`\max_{x \in H(S) \setminus S} d(x, \partial H(S))` in mm, 0 for a convex structure:
      how deep the deepest notch or hole is. From voxel centre to the plane through voxel centres, so a slit of k voxels
      in a flat face reads k - 1 voxel sizes.
    - ``"nonconvex_fraction"``: :math:`\sum_i |H(S_i) \setminus S_i| / |S|` over the connected components
      :math:`S_i`: notches and holes count, satellites do not.
    - ``"components"``: number of connected components, by faces, edges or corners.

    The hull holds the voxels with their centre in the hull of the voxels' centres, so that a digitised convex body of
    any size has a solidity of exactly 1: see :func:`~monai_iel.convexity.convex_hull_mask`.

    It looks at the prediction alone: ``y`` may be given, as MONAI's evaluators do, and serves for its spacing. Give the
    label as ``y_pred`` to measure labels. A structure that is absent is NaN in every measure (its number of
    components too) and is left out of means: :class:`MissCountMetric` counts those. Convex is not right: a Dice belongs
    beside it. Not for organs that are concave by nature.

    Args:
        measure: ``"solidity"``, ``"concavity_depth"``, ``"nonconvex_fraction"`` or ``"components"``.
        include_background: whether channel 0 is measured too.
        regions: what to measure instead of each class by itself: a list of lists of classes (channel numbers; a single
            channel is class 1), each of which is united and is one column. ``[[1, 2], [2]]`` for a disc of rim (1) and
            cup (2), then the cup. :class:`~monai_iel.handlers.CaseTableHandler` knows no regions but only classes: it
            takes as many regions as there are foreground classes, and writes them in the rows of the classes in order;
            it takes a single region as a value of the case. For any other number, give these metrics a
            ``CaseTableHandler`` of their own, with ``class_names=["background", ...]`` and the regions' names.
        spacing: mm per voxel, a number or one per axis, instead of what the MetaTensors say. Plain tensors without it
            have 1 mm.
        reduction: MONAI's; ``"mean"`` averages over the structures of a case, then over cases.
        get_not_nans: whether ``aggregate`` returns ``(value, number of values behind it)``.

    Shape: ``y_pred`` one-hot or binary, ``B C H W [D]`` or a list of ``C H W [D]``; per call ``B C`` (``B R`` for R
        regions), float32.

    Raises:
        TypeError: for an input that is no tensor.
        ValueError: see :func:`compute_convexity`; also for a spacing of ``y`` that is not that of ``y_pred``.

    References:
        Zunic, Rosin, "A new convexity measure for polygons", IEEE TPAMI 26 (2004): ratios of areas such as solidity
        notice thin and deep defects less than measures of the boundary; the depth is for those.

    Example (2D, then 3D with anisotropic voxels):

        >>> plus = torch.zeros(1, 2, 7, 7)
        >>> plus[0, 1, 3, :] = plus[0, 1, :, 3] = 1
        >>> metric = ConvexityMetric()
        >>> metric(plus)  # 13 pixels of 25
        tensor([[0.5200]])
        >>> from monai.data import MetaTensor
        >>> box = MetaTensor(torch.zeros(2, 9, 9, 8), affine=torch.diag(torch.tensor([1.0, 1.0, 2.5, 1.0])))
        >>> box[1] = 1
        >>> box[1, 4, 4, :4] = 0  # a slit along the third axis, 3 slices of 2.5 mm below the face
        >>> ConvexityMetric("concavity_depth")([box])
        tensor([[4.]])
    """

    def __init__(
        self,
        measure: Measure | str = "solidity",
        include_background: bool = False,
        *,
        regions: Regions = None,
        spacing: Spacing = None,
        reduction: MetricReduction | str = MetricReduction.MEAN,
        get_not_nans: bool = False,
    ) -> None:
        super().__init__(reduction=reduction, get_not_nans=get_not_nans)
        self.measure = _measure(measure)
        self.include_background = include_background
        self.regions = check_regions(regions)
        self.spacing = spacing

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        """``spacing`` in ``kwargs`` (MONAI's convention) wins over the one given at construction."""
        check_shapes(y_pred, y_pred)
        if y is not None and (y.shape[0], *y.shape[2:]) != (y_pred.shape[0], *y_pred.shape[2:]):
            raise ValueError(
                f"y_pred has shape {tuple(y_pred.shape)} and y has {tuple(y.shape)}; bring both to one grid, or leave "
                "y out: it serves for nothing but its spacing."
            )
        spacings = spacing_per_item(y_pred, y_pred if y is None else y, kwargs.get("spacing", self.spacing))
        return _measured(y_pred, self.measure, self.include_background, self.regions, spacings)
