"""Solidity, depth, fraction and components of shapes whose values follow from their drawing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from monai_iel.convexity import MEASURES, Convexity, convex_hull_mask, convexity_of, measure_convexity
from monai_iel.regions import check_regions


def box(shape, *slices):
    mask = np.zeros(shape, dtype=bool)
    mask[slices] = True
    return mask


def disc(size, radius, ndim=2):
    return ((np.indices((size,) * ndim) - size // 2) ** 2).sum(axis=0) <= radius**2


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("radius", [1, 2, 5, 10, 17])
def test_a_ball_is_convex_in_every_measure(ndim, radius):
    ball = disc(2 * radius + 3, radius, ndim)
    assert convexity_of(ball, (0.7, 2.0, 1.3)[:ndim]) == Convexity(1.0, 0.0, 0.0, 1)


@pytest.mark.parametrize("thickness", [1, 4])
def test_an_l_has_the_solidity_and_depth_of_its_drawing(thickness):
    """An L of arms n long and 1 wide: its hull is a triangle with n (n + 1) / 2 grid points."""
    n = 13
    flat = box((n, n), 0) | box((n, n), slice(None), 0)
    mask = np.repeat(flat[..., None], thickness, axis=2)
    shape = convexity_of(mask)
    assert shape.solidity == (2 * n - 1) / (n * (n + 1) / 2)
    assert shape.nonconvex_fraction == pytest.approx((n * (n + 1) / 2 - (2 * n - 1)) / (2 * n - 1))
    # In 2D the deepest voxel is (k, k), in the middle between the arms and the slanted side x + y = n - 1.
    depth = {1: max(min(i, j, (n - 1 - i - j) / math.sqrt(2)) for i in range(n) for j in range(n)), 4: 1.0}
    assert shape.concavity_depth == pytest.approx(depth[thickness])  # thick: voxels of slices 1 and 2 are 1 deep


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 3.0), (2.0, 0.25)])
def test_a_c_is_as_deep_as_its_opening_in_mm(spacing):
    mask = box((21, 30), slice(None), slice(None))
    mask[6:15, 8:] = False  # open at the last column; the hull's surface is there
    shape = convexity_of(mask, spacing)
    expected = max(
        min(i * spacing[0], (20 - i) * spacing[0], j * spacing[1], (29 - j) * spacing[1])
        for i in range(6, 15)
        for j in range(8, 30)
    )
    assert shape.concavity_depth == pytest.approx(expected)
    assert shape.solidity == (21 * 30 - 9 * 22) / (21 * 30)


@pytest.mark.parametrize(("shape", "spacing"), [((31, 31), (0.8, 1.7)), ((31, 31, 25), (0.8, 1.7, 2.5))])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_slit_one_voxel_wide_reads_its_depth_in_mm(shape, spacing, axis):
    mask = np.ones(shape, dtype=bool)
    slit = [n // 2 for n in shape]
    for k in range(1, 7):
        slit[axis] = k - 1
        mask[tuple(slit)] = False
        shape_ = convexity_of(mask, spacing)
        assert shape_.concavity_depth == pytest.approx((k - 1) * spacing[axis])
        assert shape_.nonconvex_fraction == pytest.approx(k / (mask.size - k))


def test_a_bite_out_of_a_disc_reads_what_was_bitten():
    """A circle of radius 14 around a point of the rim takes all that is up to 14 below the rim."""
    size, radius = 121, 50
    x, y = np.indices((size, size)) - size // 2
    mask = disc(size, radius) & ((x - radius) ** 2 + y**2 > 14**2)
    depth = convexity_of(mask, 0.5).concavity_depth / 0.5
    # The hull closes the bite by a chord, which lies 14^2 / (2 * 50) below the rim.
    assert depth == pytest.approx(14 - 14**2 / (2 * radius), abs=0.6)


def test_a_hole_reads_its_distance_from_the_surface():
    mask = np.ones((21, 17, 19), dtype=bool)
    mask[8, 6, 9] = False
    assert convexity_of(mask).concavity_depth == 6
    assert convexity_of(mask, (0.5, 1.0, 2.0)).concavity_depth == pytest.approx(4.0)
    assert convexity_of(mask).components == 1


@pytest.mark.parametrize("block", [1, 500, 2**18])
def test_the_depth_is_that_to_the_nearest_of_all_facets_in_blocks_of_any_size(monkeypatch, block):
    """Against all voxels and all facets at once, in a shape with many of both."""
    monkeypatch.setattr("monai_iel.convexity.hull._BLOCK", block)
    rng = np.random.default_rng(0)
    spacing = np.array([0.7, 1.0, 2.2])
    for ndim, number in ((2, 12), (3, 30)):
        mask = np.zeros((24, 30, 18)[:ndim], dtype=bool)
        mask[tuple(rng.integers(0, mask.shape, (number, ndim)).T)] = True
        hull = ConvexHull(np.argwhere(mask) * spacing[:ndim])
        lacking = np.argwhere(convex_hull_mask(mask) & ~mask) * spacing[:ndim]
        depths = -(lacking @ hull.equations[:, :-1].T + hull.equations[:, -1]).max(axis=1)
        assert convexity_of(mask, spacing[:ndim]).concavity_depth == pytest.approx(depths.max(), rel=1e-9)


def test_satellites_lower_solidity_and_count_as_components_but_are_no_notches():
    mask = box((40, 60), slice(5, 15), slice(5, 15))
    mask[30, 50] = mask[31, 51] = True  # joined by a corner
    shape = convexity_of(mask)
    assert shape.components == 2
    assert shape.nonconvex_fraction == 0
    assert shape.solidity < 0.4
    mask[5:10, 9] = False
    assert convexity_of(mask).nonconvex_fraction == pytest.approx(5 / 97)


def test_every_component_is_measured_against_its_own_hull():
    """A ring around a square: the ring lacks all of its inside, of which the square is a part."""
    ring = disc(41, 18) & ~disc(41, 12)
    mask = ring | box((41, 41), slice(18, 23), slice(18, 23))
    shape = convexity_of(mask)
    assert shape.components == 2
    assert shape.nonconvex_fraction == pytest.approx(disc(41, 12).sum() / mask.sum())
    assert shape.solidity == mask.sum() / disc(41, 18).sum()


@pytest.mark.parametrize("shape", [(8,), (8, 6), (8, 6, 5)])
def test_the_empty_mask_is_nan_and_one_voxel_is_convex(shape):
    empty = convexity_of(np.zeros(shape, dtype=bool))
    assert math.isnan(empty.solidity)
    assert math.isnan(empty.concavity_depth)
    assert math.isnan(empty.nonconvex_fraction)
    assert empty.components == 0
    assert convexity_of(box(shape, *[2] * len(shape))) == Convexity(1.0, 0.0, 0.0, 1)


def test_a_gap_in_a_row_of_voxels_is_as_deep_as_it_is_far_from_the_ends():
    row = np.ones(20, dtype=bool)
    row[4:7] = False
    for mask in (row, row[:, None], np.pad(row[None, :, None], 1)):
        shape = convexity_of(mask, 0.5)
        assert (shape.solidity, shape.concavity_depth, shape.components) == (17 / 20, 3.0, 2)
    diagonal = np.diag(row)
    assert convexity_of(diagonal, (3.0, 4.0)).concavity_depth == pytest.approx(6 * 5.0)


def test_a_slice_in_a_volume_is_measured_within_its_plane():
    flat = box((25, 25), slice(5, 20), slice(5, 20))
    flat[5:11, 12] = False
    expected = convexity_of(flat, (0.5, 2.0))
    volume = np.zeros((25, 9, 25), dtype=bool)
    volume[:, 4] = flat
    assert convexity_of(volume, (0.5, 7.0, 2.0)) == expected
    assert expected.concavity_depth == pytest.approx(2.5)


def test_an_oblique_slice_has_lengths_in_its_plane():
    """Plane x = z: a step along both axes is sqrt(3^2 + 4^2) = 5 mm long."""
    flat = box((15, 30), slice(None), slice(None))
    flat[:5, 15] = False
    oblique = np.zeros((15, 30, 15), dtype=bool)
    for i in range(15):
        oblique[i, :, i] = flat[i]
    found, expected = convexity_of(oblique, (3.0, 1.0, 4.0)), convexity_of(flat, (5.0, 1.0))
    assert found.concavity_depth == pytest.approx(expected.concavity_depth)
    assert (found.solidity, found.components) == (expected.solidity, 1)


def test_a_mask_on_the_border_reads_as_in_the_middle():
    rng = np.random.default_rng(4)
    mask = rng.random((12, 9, 10)) > 0.6
    assert mask.any(axis=(1, 2)).all()
    assert convexity_of(mask, (1, 2, 3)) == convexity_of(np.pad(mask, 5), (1, 2, 3))


def test_permuting_the_axes_with_their_spacing_changes_nothing():
    mask = np.random.default_rng(5).random((12, 9, 10)) > 0.9
    straight, turned = convexity_of(mask, (1, 2, 3)), convexity_of(mask.transpose(2, 0, 1), (3, 1, 2))
    assert straight.concavity_depth == pytest.approx(turned.concavity_depth)
    assert straight.solidity == turned.solidity
    assert straight.nonconvex_fraction == turned.nonconvex_fraction


def test_one_measure_is_what_all_of_them_say():
    mask = np.random.default_rng(6).random((12, 9, 10)) > 0.9
    every = convexity_of(mask, 2.0)
    assert {m: measure_convexity(mask, m, 2.0) for m in MEASURES} == {m: getattr(every, m) for m in MEASURES}


def test_wrong_arguments_are_refused():
    mask = np.ones((3, 3), dtype=bool)
    for spacing in ((1.0,), (1, 1, 1), 0.0, (1.0, -1.0), math.nan):
        with pytest.raises(ValueError, match=r"spacing is .*; expected one positive number in mm, or 2 of them"):
            convexity_of(mask, spacing)
    with pytest.raises(ValueError, match="measure is 'solid'; expected one of solidity, concavity_depth"):
        measure_convexity(mask, "solid")
    with pytest.raises(TypeError, match="mask is a ndarray of float64"):
        convexity_of(mask.astype(float))


def test_regions_are_lists_of_classes():
    assert check_regions([[2, 1, 2], (3,)]) == ((1, 2), (3,))
    assert check_regions(None) is None
    for wrong in ([], [1, 2], [[]], [[1.5]], [[-1]], 3):
        with pytest.raises(ValueError, match="expected a list of lists of class numbers"):
            check_regions(wrong)
