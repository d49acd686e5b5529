from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_iel.metrics import (
    MissCountMetric,
    PhysicalHausdorffDistanceMetric,
    PhysicalSurfaceDiceMetric,
    compute_misses,
    compute_physical_hausdorff_distance,
    compute_physical_surface_dice,
)


def one_hot(shape: tuple[int, ...], box: tuple[slice, ...] | None, classes: int = 2) -> torch.Tensor:
    """``classes H W [D]`` with class 1 in the box and background elsewhere."""
    mask = torch.zeros(classes, *shape)
    mask[0] = 1
    if box is not None:
        mask[(1, *box)] = 1
        mask[(0, *box)] = 0
    return mask


def placed(mask: torch.Tensor, spacing: tuple[float, ...]) -> MetaTensor:
    return MetaTensor(mask, affine=np.diag([*spacing, *[1.0] * (4 - len(spacing))]))


@pytest.mark.parametrize(
    ("shape", "spacing"), [((20, 24), (1.5, 0.7)), ((20, 18, 16), (1.5, 0.7, 3.0)), ((20, 18, 16), (1.5, 1.5, 1.5))]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_shifted_along_an_axis_are_apart_by_the_shift_in_mm(shape, spacing, axis):
    start = tuple(slice(4, 9) for _ in shape)
    moved = tuple(slice(6, 11) if a == axis else s for a, s in enumerate(start))
    ref, pred = one_hot(shape, start), one_hot(shape, moved)
    metric = PhysicalHausdorffDistanceMetric(percentile=100)
    value = metric([placed(pred, spacing)], [placed(ref, spacing)])
    assert value.shape == (1, 1)
    assert value.item() == pytest.approx(2 * spacing[axis], rel=1e-6)


def test_hd95_leaves_out_the_most_distant_twentieth_of_the_boundary():
    # A bar of 100 boundary voxels and the same bar with four specks: of the 104 distances from pred 96 % are 0.
    ref = one_hot((100, 20), (slice(None), slice(2, 3)))
    pred = ref.clone()
    pred[1, :40:10, 12] = 1
    both = pred[None], ref[None]
    assert compute_physical_hausdorff_distance(*both, percentile=100).item() == 10
    assert compute_physical_hausdorff_distance(*both).item() == 0
    pred[1, 45:95:10, 12] = 1  # nine specks of 109: more than a twentieth
    assert compute_physical_hausdorff_distance(*both).item() == 10


def test_each_item_of_a_list_is_measured_in_its_own_spacing():
    ref, pred = one_hot((9, 9), (slice(2, 3), slice(None))), one_hot((9, 9), (slice(4, 5), slice(None)))
    spacings = [(1.0, 1.0), (2.5, 1.0), (0.5, 4.0)]
    values = PhysicalHausdorffDistanceMetric()([placed(pred, s) for s in spacings], [placed(ref, s) for s in spacings])
    assert values.flatten().tolist() == [2.0, 5.0, 1.0]


def test_a_collated_batch_gives_what_its_items_give():
    ref, pred = one_hot((9, 9, 5), (slice(2, 3),)), one_hot((9, 9, 5), (slice(4, 5),))
    spacings = [(1.0, 1.0, 2.0), (2.5, 1.0, 2.0)]
    preds, refs = [placed(pred, s) for s in spacings], [placed(ref, s) for s in spacings]
    together = compute_physical_hausdorff_distance(list_data_collate(preds), list_data_collate(refs))
    assert together.flatten().tolist() == [2.0, 5.0]
    assert torch.equal(together, PhysicalHausdorffDistanceMetric()(preds, refs))


def test_an_oblique_2d_image_has_the_spacing_of_whole_affine_columns():
    c = s = math.sqrt(0.5)
    affine = np.eye(4)
    affine[:3, :2] = [[2 * c, 0], [0, 1], [2 * s, 0]]  # first axis: 2 mm, at 45 degrees out of the xy plane
    ref, pred = one_hot((9, 9), (slice(2, 3), slice(None))), one_hot((9, 9), (slice(4, 5), slice(None)))
    value = PhysicalHausdorffDistanceMetric()([MetaTensor(pred, affine=affine)], [MetaTensor(ref, affine=affine)])
    assert value.item() == pytest.approx(4.0)


def test_spacing_given_by_hand_wins_over_the_header():
    ref, pred = one_hot((9, 9), (slice(2, 3), slice(None))), one_hot((9, 9), (slice(4, 5), slice(None)))
    metric = PhysicalHausdorffDistanceMetric(spacing=3.0)
    assert metric([placed(pred, (1.0, 1.0))], [placed(ref, (1.0, 1.0))]).item() == 6.0
    assert metric(pred[None], ref[None], spacing=(0.5, 1.0)).item() == 1.0
    surface = PhysicalSurfaceDiceMetric(tolerance_mm=2.0, spacing=(0.5, 1.0))
    assert surface([placed(pred, (3.0, 1.0))], [placed(ref, (3.0, 1.0))]).item() == 1.0


@pytest.mark.parametrize("missing", ["pred", "ref"])
@pytest.mark.parametrize(("shape", "spacing"), [((6, 8), (0.5, 0.5)), ((6, 8, 10), (0.5, 1.0, 2.0))])
def test_a_miss_and_an_invention_count_as_the_diagonal_in_mm(shape, spacing, missing):
    full, empty = one_hot(shape, tuple(slice(2, 4) for _ in shape)), one_hot(shape, None)
    pred, ref = (empty, full) if missing == "pred" else (full, empty)
    pair = [placed(pred, spacing)], [placed(ref, spacing)]
    diagonal = math.sqrt(sum((n * h) ** 2 for n, h in zip(shape, spacing, strict=True)))
    assert PhysicalHausdorffDistanceMetric()(*pair).item() == pytest.approx(diagonal, rel=1e-6)
    assert PhysicalSurfaceDiceMetric()(*pair).item() == 0
    assert MissCountMetric()(*pair).item() == 1


def test_a_structure_that_neither_mask_has_leaves_every_mean():
    empty, full = one_hot((6, 8), None, classes=3)[None], one_hot((6, 8), (slice(2, 4), slice(2, 4)), classes=3)[None]
    for metric in (PhysicalHausdorffDistanceMetric(), PhysicalSurfaceDiceMetric(), MissCountMetric()):
        assert metric(empty, empty).isnan().all()
        assert metric(full, full)[0].isnan().tolist() == [False, True]
    assert PhysicalSurfaceDiceMetric()(full, full)[0, 0] == 1


def test_the_mean_of_nothing_is_nan_and_not_a_perfect_distance():
    empty = one_hot((6, 8), None)[None]
    metric = PhysicalHausdorffDistanceMetric(get_not_nans=True)
    metric(empty, empty)
    value, count = metric.aggregate()
    assert value.isnan().all()
    assert count.item() == 0
    misses = MissCountMetric()
    misses(empty, empty)
    assert misses.aggregate().item() == 0


def test_misses_are_summed_over_cases_and_classes():
    box = (slice(2, 4), slice(2, 4))
    found, empty = one_hot((6, 8), box, classes=3), one_hot((6, 8), None, classes=3)
    metric = MissCountMetric()
    metric([found, empty, empty], [found, found, empty])
    assert metric.aggregate().item() == 1
    assert metric.aggregate("sum_batch").tolist() == [1, 0]
    metric.reset()
    metric([empty], [found])
    assert metric.aggregate().item() == 1


def test_surface_dice_counts_boundary_voxels_within_the_tolerance():
    # Bars of 10 boundary voxels at a distance of 1.5 mm, and half of the predicted bar in its right place.
    ref = one_hot((10, 9), (slice(None), slice(2, 3)))[None]
    pred = torch.zeros_like(ref)
    pred[0, 1, :5, 2] = 1
    pred[0, 1, 5:, 3] = 1
    pred[0, 0] = 1 - pred[0, 1]
    at = {t: compute_physical_surface_dice(pred, ref, tolerance_mm=t, spacing=(1.0, 1.5)).item() for t in (0, 1, 1.5)}
    # From pred 5 of 10 are exact. From ref 5 of 10 are exact and row 5 is 1 mm from row 4.
    assert at == pytest.approx({0: 10 / 20, 1: 11 / 20, 1.5: 1.0})


@pytest.mark.parametrize("shape", [(12, 14), (12, 14, 10)])
def test_permuting_the_axes_with_their_spacing_changes_nothing(shape):
    rng = np.random.default_rng(0)
    pred, ref = (torch.from_numpy(rng.random((1, 2, *shape)) > 0.9).float() for _ in range(2))
    spacing = (0.8, 1.7, 2.9)[: len(shape)]
    order = list(reversed(range(len(shape))))
    turn = [0, 1, *(2 + a for a in order)]
    for compute in (compute_physical_hausdorff_distance, compute_physical_surface_dice):
        straight = compute(pred, ref, spacing=spacing, include_background=True)
        turned = compute(
            pred.permute(turn), ref.permute(turn), spacing=[spacing[a] for a in order], include_background=True
        )
        assert torch.allclose(straight, turned)
        assert straight.shape == (1, 2)


def test_a_single_channel_is_measured_and_arguments_stay_as_they_are():
    ref = torch.zeros(2, 1, 8, 8, dtype=torch.int64)
    ref[:, :, 2:5, 2:5] = 1
    pred = ref.clone().bool()
    before = ref.clone()
    assert compute_physical_hausdorff_distance(pred, ref).tolist() == [[0.0], [0.0]]
    assert torch.equal(before, ref)
    assert type(compute_misses(placed(ref[0], (1.0, 1.0))[None], ref[:1])) is torch.Tensor


def test_two_grids_are_refused_and_rounded_headers_are_not():
    mask = one_hot((6, 8), (slice(2, 4), slice(2, 4)))
    metric = PhysicalHausdorffDistanceMetric()
    assert metric([placed(mask, (1.0, 2.0))], [placed(mask, (1.0, 2.001))]).item() == 0
    with pytest.raises(ValueError, match=r"y has a spacing of 2 x 1 mm and y_pred of 1 x 2 mm"):
        metric([placed(mask, (1.0, 2.0))], [placed(mask, (2.0, 1.0))])


@pytest.mark.parametrize(
    "compute", [compute_physical_hausdorff_distance, compute_physical_surface_dice, compute_misses]
)
def test_inputs_that_say_nothing_are_refused_with_the_mend(compute):
    mask = one_hot((6, 8), (slice(2, 4), slice(2, 4)))[None]
    with pytest.raises(ValueError, match=r"y_pred holds values other than 0 and 1.*AsDiscrete"):
        compute(mask * 0.7, mask)
    with pytest.raises(ValueError, match="y holds values other than 0 and 1"):
        compute(mask, mask * 2)
    with pytest.raises(ValueError, match=r"y_pred has shape \(1, 2, 6, 8\) and y has \(1, 1, 6, 8\).*one-hot"):
        compute(mask, mask[:, :1])
    with pytest.raises(ValueError, match=r"expected B C H W \(2D\)"):
        compute(mask[0], mask[0])
    with pytest.raises(TypeError, match="y is a ndarray"):
        compute(mask, mask.numpy())


def test_parameters_out_of_range_are_refused():
    mask = one_hot((6, 8), None)[None]
    with pytest.raises(ValueError, match="percentile is 0"):
        PhysicalHausdorffDistanceMetric(percentile=0)
    with pytest.raises(ValueError, match="tolerance_mm is -1"):
        PhysicalSurfaceDiceMetric(tolerance_mm=-1)
    for spacing in ((1.0, 1.0, 1.0), 0.0, (1.0, float("nan"))):
        with pytest.raises(ValueError, match=r"spacing is .*expected one positive number in mm, or 2 of them"):
            compute_physical_hausdorff_distance(mask, mask, spacing=spacing)
    with pytest.raises(ValueError, match="MissCountMetric has no values to aggregate"):
        MissCountMetric().aggregate()
    with pytest.raises(TypeError, match="y is missing"):
        MissCountMetric()(mask)
