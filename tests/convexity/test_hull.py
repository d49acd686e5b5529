"""The hull on the grid against shapes that are convex by construction and a hull found in another way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial import Delaunay

from monai_iel.convexity import convex_hull_mask


def ellipsoid(radii, centre=None):
    """All voxels with their centre in an ellipsoid; the array holds it and two voxels more on each side."""
    middle = np.array([int(r) + 2 for r in radii], dtype=float) + (0 if centre is None else np.asarray(centre))
    axes = np.indices([2 * int(r) + 6 for r in radii]) - middle.reshape(-1, *[1] * len(radii))
    return sum((x / r) ** 2 for x, r in zip(axes, radii, strict=True)) <= 1


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("radius", [*range(1, 31), 7.3, 19.9])
def test_a_digitised_ball_is_its_own_hull(radius, ndim):
    ball = ellipsoid([radius] * ndim)
    assert np.array_equal(convex_hull_mask(ball), ball)


@pytest.mark.parametrize("radii", [(3, 25), (2.5, 9, 30), (17, 4, 8), (1, 1, 30)])
def test_a_digitised_ellipsoid_off_the_grid_points_is_its_own_hull(radii):
    body = ellipsoid(radii, centre=[0.3, 0.41, 0.17][: len(radii)])
    assert np.array_equal(convex_hull_mask(body), body)


@pytest.mark.parametrize("shape", [(7,), (5, 9), (4, 7, 3), (1, 6, 1), (30, 2, 30)])
def test_a_box_is_its_own_hull_also_where_it_fills_the_array(shape):
    box = np.ones(shape, dtype=bool)
    assert convex_hull_mask(box).all()
    assert np.array_equal(convex_hull_mask(np.pad(box, 2)), np.pad(box, 2))


@pytest.mark.parametrize("shape", [(9,), (9, 4), (9, 4, 5)])
def test_the_empty_mask_one_voxel_and_a_pair_are_their_own_hulls(shape):
    mask = np.zeros(shape, dtype=bool)
    assert not convex_hull_mask(mask).any()
    for voxel in [(0,) * len(shape), (1,) * len(shape)]:
        mask[voxel] = True
        assert np.array_equal(convex_hull_mask(mask), mask)


def test_the_hull_of_two_distant_voxels_is_the_grid_points_between_them():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[1, 0, 8] = mask[7, 3, 5] = True
    assert np.argwhere(convex_hull_mask(mask)).tolist() == [[1, 0, 8], [3, 1, 7], [5, 2, 6], [7, 3, 5]]
    mask[7, 3, 5], mask[6, 3, 5] = False, True  # no grid point between
    assert convex_hull_mask(mask).sum() == 2


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 1, -1), (1, 1, 1), (2, -1, 3), (0, 3, 1)])
def test_the_hull_of_a_set_in_one_plane_stays_in_the_plane(normal):
    points = np.indices((17, 17, 17)) - 8
    plane = np.tensordot(normal, points, axes=1) == 0
    disc = plane & ((points**2).sum(axis=0) <= 64)
    assert np.array_equal(convex_hull_mask(disc), disc)
    ring = disc & ((points**2).sum(axis=0) >= 36)
    assert ring.sum() < disc.sum()
    assert np.array_equal(convex_hull_mask(ring), disc)


def by_triangulation(mask):
    """Another way for sets that span their space: a Delaunay triangulation covers the hull."""
    points = np.argwhere(mask)
    every = np.argwhere(np.ones(mask.shape, dtype=bool))
    return (Delaunay(points).find_simplex(every, tol=1e-9) >= 0).reshape(mask.shape)


@pytest.mark.parametrize("shape", [(12, 9), (25, 30), (7, 8, 6), (3, 14, 11), (20, 2, 5)])
def test_random_masks_have_the_hull_of_a_triangulation(shape):
    rng = np.random.default_rng(0)
    for count in (len(shape) + 3, 8, 15, 40):
        for _ in range(10):
            mask = np.zeros(shape, dtype=bool)
            mask[tuple(rng.integers(0, shape, (count, len(shape))).T)] = True
            mask[(0,) * len(shape)] = True
            for axis in range(len(shape)):  # a corner of the array, so that no set is flat
                mask[tuple(int(a == axis) for a in range(len(shape)))] = True
            assert np.array_equal(convex_hull_mask(mask), by_triangulation(mask))


def test_points_just_outside_an_oblique_facet_stay_outside():
    """A triangle of area 1/2 holds nothing but its corners; (n - 1, n - 2) misses its long side by less than 1 / n."""
    for n in (50, 400, 900):
        mask = np.zeros((n + 1, n + 1), dtype=bool)
        mask[0, 0] = mask[n, n - 1] = mask[1, 1] = True
        assert np.array_equal(convex_hull_mask(mask), mask)


def test_a_tetrahedron_of_unit_volume_and_long_edges_holds_nothing_else():
    mask = np.zeros((120, 113, 101), dtype=bool)
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [119, 112, 1]])
    mask[tuple(corners.T)] = True
    assert np.array_equal(convex_hull_mask(mask), mask)
    corners[3, 2] = 100  # volume 100 / 6: still no grid points but those found by the other way
    mask[...] = False
    mask[tuple(corners.T)] = True
    assert np.array_equal(convex_hull_mask(mask), by_triangulation(mask))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_axes_can_be_permuted_and_flipped(order):
    rng = np.random.default_rng(1)
    mask = rng.random((10, 16, 13)) > 0.98
    hull = convex_hull_mask(mask)
    turned = convex_hull_mask(mask.transpose(order)[::-1, :, ::-1])
    assert np.array_equal(turned, hull.transpose(order)[::-1, :, ::-1])


def test_the_hull_is_a_hull_and_the_mask_is_left_alone():
    mask = np.random.default_rng(2).random((9, 20, 15)) > 0.97
    before = mask.copy()
    mask.setflags(write=False)
    hull = convex_hull_mask(mask)
    assert np.array_equal(mask, before)
    assert not (mask & ~hull).any()
    assert np.array_equal(convex_hull_mask(hull), hull)


def test_the_block_over_facets_changes_nothing(monkeypatch):
    mask = ellipsoid((9, 12, 10)) & (np.random.default_rng(3).random((24, 30, 26)) > 0.9)
    whole = convex_hull_mask(mask)
    monkeypatch.setattr("monai_iel.convexity.hull._BLOCK", 1)
    assert np.array_equal(convex_hull_mask(mask), whole)


def test_what_is_no_mask_is_refused():
    with pytest.raises(TypeError, match=r"mask is a ndarray of uint8; expected a NumPy array of bool"):
        convex_hull_mask(np.ones((3, 3), dtype=np.uint8))
    with pytest.raises(TypeError, match="mask is a list"):
        convex_hull_mask([[True]])
    with pytest.raises(ValueError, match=r"mask has shape \(1, 1, 1, 1\); expected H, H W or H W D"):
        convex_hull_mask(np.ones((1, 1, 1, 1), dtype=bool))
