"""Outline noise: polygons on the true outline, within the tolerance in mm, with their holes, slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import find_contours

from monai_iel.data.organs import voxel_positions
from monai_iel.transforms.label_noise import OutlineLabelNoise
from monai_iel.transforms.label_noise.outline import leave_out, space_evenly, through_plane


def disc(shape, spacing, radius) -> np.ndarray:
    return (np.linalg.norm(voxel_positions(tuple(shape), tuple(spacing)), axis=-1) <= radius).astype(np.int32)


def blob(seed: int, shape: tuple[int, int] = (70, 60)) -> np.ndarray:
    """A wiggly region in one or more pieces, with holes; up to the border."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 5)
    return (smooth > 0).astype(np.int32)


def distance_to(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance of each point to a closed polygon."""
    start, along = polygon[:-1, None], np.diff(polygon, axis=0)[:, None]
    share = np.clip(((points - start) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    return np.linalg.norm(points - start - share[..., None] * along, axis=-1).min(axis=0)


@pytest.mark.parametrize("side", [4, 7, 20])
@pytest.mark.parametrize("tolerance", [0.1, 0.5, 1.0])
def test_a_square_stays_a_square(side, tolerance):
    label = np.zeros((30, 30), dtype=np.int32)
    label[5 : 5 + side, 4 : 4 + side] = 1
    for case in range(10):
        noisy = OutlineLabelNoise(tolerance=tolerance).corrupt_case(label.copy(), (1.0, 1.0), case)
        assert np.array_equal(noisy, label)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("tolerance", [0.7, 2.0, 6.0])
def test_vertices_lie_on_the_outline_and_none_that_was_left_out_is_further_than_the_tolerance(spacing, tolerance):
    rings = [ring * spacing for ring in find_contours(np.pad(blob(0), 1).astype(float), 0.5)]
    assert len(rings) > 3
    for ring in rings:
        polygon = leave_out(ring, tolerance)
        assert (polygon[:, None] == ring).all(-1).any(1).all()
        assert np.array_equal(polygon[0], polygon[-1])
        assert len(polygon) >= 4
        assert distance_to(polygon, ring).max() <= tolerance + 1e-9


def test_vertices_at_equal_distances_lie_on_the_outline():
    ring = np.array([[0.0, 0], [0, 4], [2, 4], [2, 0], [0, 0]])  # 12 around
    polygon = space_evenly(ring, 3)
    assert np.allclose(polygon, [[0, 0], [0, 4], [2, 2], [0, 0]])
    assert space_evenly(ring, 4) is ring
    (ring,) = find_contours(disc((40, 40), (1, 1), 15).astype(float), 0.5)
    polygon = space_evenly(ring, 9)
    assert len(polygon) == 10
    assert np.allclose(distance_to(ring, polygon), 0, atol=1e-9)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.5)])
@pytest.mark.parametrize("tolerance", [1.0, 3.0])
def test_no_voxel_changes_that_is_further_from_the_outline_than_the_tolerance_in_mm(spacing, tolerance):
    for seed in range(5):
        label = blob(seed)
        noisy = OutlineLabelNoise(tolerance=tolerance).corrupt_case(label.copy(), spacing, seed)
        depth = ndimage.distance_transform_edt(label, sampling=spacing)
        depth += ndimage.distance_transform_edt(1 - label, sampling=spacing)
        assert (noisy != label).any()
        # The depth is measured between centres, the outline runs between them: half a voxel.
        assert depth[noisy != label].max() <= tolerance + 0.5 * max(spacing) + 1e-9


def test_a_tolerance_below_the_staircase_leaves_every_outline_as_it_is():
    for seed in range(5):
        label = blob(seed)
        noisy = OutlineLabelNoise(tolerance=1e-3).corrupt_case(label.copy(), (1.0, 1.0), seed)
        assert np.array_equal(noisy, label)


def test_a_disc_becomes_the_polygon_that_is_inscribed_in_it():
    radius = 40.0
    label = disc((100, 100), (1.0, 1.0), radius)
    for number in (3, 4, 6, 12):
        noise = OutlineLabelNoise(vertices=number)
        share = np.mean([noise.corrupt_case(label.copy(), (1.0, 1.0), case).sum() for case in range(6)]) / label.sum()
        assert share == pytest.approx(number / (2 * np.pi) * np.sin(2 * np.pi / number), abs=0.02)


@pytest.mark.parametrize(
    ("noise", "tolerated"), [(OutlineLabelNoise(vertices=10), 0.06), (OutlineLabelNoise(tolerance=4.0), 0.25)]
)
def test_the_same_organ_gets_the_same_damage_at_any_sampling(noise, tolerated):
    volumes = []
    for spacing in [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)]:
        positions = voxel_positions(tuple(round(54 / size) for size in spacing), spacing) + 0.3
        label = (np.linalg.norm(positions / (20.0, 24.0, 16.0), axis=-1) <= 1).astype(np.int32)
        changed = [np.sum(noise.corrupt_case(label.copy(), spacing, case) != label) for case in range(2)]
        volumes.append(np.mean(changed) * np.prod(spacing))
    # With a tolerance the coarser outline, whose corners lie further out, loses less: see the docstring.
    assert volumes[0] == pytest.approx(volumes[1], rel=tolerated)


def test_holes_are_kept_and_islands_in_them():
    label = disc((80, 80), (1, 1), 36) - disc((80, 80), (1, 1), 24) + disc((80, 80), (1, 1), 12)
    noisy = OutlineLabelNoise(tolerance=2.0).corrupt_case(label.copy(), (1.0, 1.0), "a")
    assert ndimage.label(noisy)[1] == 2
    assert ndimage.label(1 - noisy)[1] == 2
    assert noisy[40, 40] == 1
    assert noisy[40, 22] == 0
    assert noisy[40, 10] == 1
    assert (noisy != label).any()


def test_a_bigger_tolerance_does_more_damage_and_fewer_vertices_too():
    labels = [blob(seed) for seed in range(6)]

    def damage(noise, strength):
        return sum(
            np.sum(noise.at_strength(strength).corrupt_case(label.copy(), (1.0, 1.0), case) != label)
            for case, label in enumerate(labels)
        )

    for noise in (OutlineLabelNoise(tolerance=1.0), OutlineLabelNoise(vertices=24)):
        values = [damage(noise, strength) for strength in (0.1, 1, 2, 4, 8)]
        assert values == sorted(values)
        assert values[0] < values[-1] / 8
    assert OutlineLabelNoise(vertices=24).max_strength == 8
    assert OutlineLabelNoise(tolerance=1.0).max_strength == np.inf


def test_slices_are_drawn_across_the_coarsest_axis_and_by_themselves():
    assert through_plane((9, 9, 9), (1.0, 3.0, 1.0)) == 1
    assert through_plane((9, 9, 9), (1.0, 1.0, 0.9999999)) == 2
    assert through_plane((9, 9), (1.0, 1.0)) == 1
    assert through_plane((9, 1, 9), (1.0, 1.0, 5.0)) == 1
    label = np.stack([blob(seed) for seed in range(4)], axis=1)
    noise = OutlineLabelNoise(vertices=9)
    noisy = noise.corrupt_case(label.copy(), (1.0, 3.0, 1.0), "a")
    first = noise.corrupt_case(label[:, 0].copy(), (1.0, 1.0), "a")  # the same numbers, as far as they go
    assert np.array_equal(noisy[:, 0], first)
    assert (noisy != label).any(axis=(0, 2)).all()
    across = OutlineLabelNoise(vertices=9, axis=1).corrupt_case(label.copy(), (1.0, 1.0, 3.0), "a")
    assert (across != label).any()
    # Each slice has its own random start: equal slices are drawn differently.
    equal = noise.corrupt_case(np.repeat(disc((40, 40), (1, 1), 15)[:, :, None], 3, axis=2), (1.0, 1.0, 1.0), "a")
    assert not np.array_equal(equal[..., 0], equal[..., 1])


def test_no_gap_opens_between_classes_that_meet_and_the_higher_one_is_drawn_on_top():
    label = disc((80, 80), (1, 1), 34)
    label[:, 40:] *= 2
    label[disc((80, 80), (1, 1), 14) > 0] = 3
    inside = disc((80, 80), (1, 1), 28) > 0
    for case in range(5):
        noisy = OutlineLabelNoise(tolerance=2.5).corrupt_case(label.copy(), (1.0, 1.0), case)
        assert noisy[inside].all()
        assert set(np.unique(noisy)) == {0, 1, 2, 3}
        # The inner structure is what it would be alone: nothing is drawn over it.
        alone = OutlineLabelNoise(tolerance=2.5, classes=[3]).corrupt_case(label.copy(), (1.0, 1.0), case)
        assert (alone == 3).sum() < (label == 3).sum()
        assert not ((alone == 0) & (label > 0)).any()


def test_a_class_that_is_not_chosen_stays_where_nothing_is_drawn_over_it():
    label = np.zeros((60, 60), dtype=np.int32)
    label[disc((60, 60), (1, 1), 25) > 0] = 1
    label[disc((60, 60), (1, 1), 10) > 0] = 2
    noisy = OutlineLabelNoise(tolerance=2.0, classes=[2]).corrupt_case(label.copy(), (1.0, 1.0), "a")
    assert np.array_equal(noisy > 0, label > 0)
    assert (noisy == 2).sum() < (label == 2).sum()


@pytest.mark.parametrize("noise", [OutlineLabelNoise(tolerance=4.0), OutlineLabelNoise(vertices=30)])
def test_the_border_of_the_slice_is_no_outline(noise):
    label = np.zeros((40, 40), dtype=np.int32)
    label[15:] = 1
    for case in range(10):
        noisy = noise.corrupt_case(label.copy(), (1.0, 1.0), case)
        assert noisy[21:].all()
        assert not noisy[:9].any()


def test_a_structure_that_is_small_for_the_tolerance_keeps_three_vertices():
    label = np.zeros((30, 30), dtype=np.int32)
    label[5, 5] = label[10:12, 20:22] = 1
    label[20, 3:25] = 1
    for case in range(20):
        noisy = OutlineLabelNoise(tolerance=20.0).corrupt_case(label.copy(), (1.0, 1.0), case)
        pieces = ndimage.label(label)[0]
        assert set(np.unique(pieces[noisy > 0])) >= {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "tolerance is None and vertices is None, expected exactly one"),
        ({"tolerance": 1, "vertices": 5}, "tolerance is 1 and vertices is 5, expected exactly one"),
        ({"tolerance": 0}, "tolerance is 0, expected"),
        ({"vertices": 2}, "vertices is 2, expected at least 3"),
        ({"vertices": 5, "axis": 3}, "axis is 3, expected 0, 1 or 2"),
        ({"vertices": 5, "classes": []}, "classes is empty"),
    ],
)
def test_parameters_out_of_range_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        OutlineLabelNoise(**arguments)
