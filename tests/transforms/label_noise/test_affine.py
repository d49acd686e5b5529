"""Affine noise: exact turns and shifts in mm, the right change of volume, and what happens at the border."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.data.organs import voxel_positions
from monai_iel.transforms.label_noise import AffineLabelNoise, affine
from monai_iel.transforms.label_noise.affine import move, rotation_matrix

FIRST_TO_SECOND = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def ellipsoid(shape, spacing, radii) -> np.ndarray:
    positions = voxel_positions(tuple(shape), tuple(spacing)) / radii
    return (np.linalg.norm(positions, axis=-1) <= 1).astype(np.int32)


def organ(shape: tuple[int, ...]) -> np.ndarray:
    """An irregular map whose foreground's centre of mass is the middle of the array."""
    rng = np.random.default_rng(0)
    label = np.zeros(shape, dtype=np.int32)
    box = tuple(slice(size // 4, size - size // 4) for size in shape)
    half = rng.random(label[box].shape) > 0.5
    label[box] = half | np.flip(half)
    return label * rng.integers(1, 4, size=shape)


def test_a_quarter_turn_in_2d_is_one_of_the_arrays_either_way():
    for size in (17, 18):  # the centre is a voxel, or between voxels
        label = organ((size, size))
        noisy = [AffineLabelNoise(rotation=90).corrupt_case(label.copy(), (0.7, 0.7), case) for case in range(8)]
        turns = [np.rot90(label, k) for k in (1, 3)]
        found = {next(k for k, turn in enumerate(turns) if np.array_equal(turn, result)) for result in noisy}
        assert found == {0, 1}


@pytest.mark.parametrize("axes", [(0, 1), (1, 2), (2, 0)])
def test_a_quarter_turn_in_3d_is_one_of_the_arrays_about_each_axis(axes):
    label = organ((16, 16, 16))
    plane = np.roll(FIRST_TO_SECOND, axes[0], axis=1)
    noisy = move(label, rotation_matrix(np.pi / 2, plane), np.zeros(3), (1.0, 1.0, 1.0))
    assert np.array_equal(noisy, np.rot90(label, 1, axes=axes))


def test_a_turn_is_one_in_mm_so_a_rod_keeps_its_length_in_mm():
    label = np.zeros((60, 60, 20), dtype=np.int32)
    label[18:42, 28:32, 9:11] = 1  # 12 x 2 x 6 mm
    plane = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    noisy = move(label, rotation_matrix(np.pi / 2, plane), np.zeros(3), (0.5, 0.5, 3.0))
    expected = np.zeros_like(label)
    expected[24:36, 28:32, 8:12] = 1  # 6 x 2 x 12 mm
    assert np.array_equal(noisy, expected)


@pytest.mark.parametrize("steps", [(3, -2, 1), (-5, 0, 2), (0, 0, -3)])
def test_a_shift_by_whole_voxels_is_exact(steps):
    label, spacing = organ((20, 22, 14)), (0.7, 1.3, 3.0)
    noisy = move(label, np.eye(3), np.array(steps) * spacing, spacing)
    assert np.array_equal(noisy, np.roll(label, steps, axis=(0, 1, 2)))


def test_the_shift_has_its_length_in_mm_and_any_direction():
    label = np.zeros((60, 60, 60), dtype=np.int32)
    label[27:33, 27:33, 27:33] = 1
    spacing = (0.5, 1.0, 0.25)
    noise = AffineLabelNoise(shift=(4, 6))
    centres = [np.argwhere(noise.corrupt_case(label.copy(), spacing, c)).mean(axis=0) - 29.5 for c in range(80)]
    shifts = np.array(centres) * spacing
    lengths = np.linalg.norm(shifts, axis=1)
    assert lengths.min() > 4 - 0.6  # half the diagonal of a voxel
    assert lengths.max() < 6 + 0.6
    directions = shifts / lengths[:, None]
    # Uniform on the sphere: each component has mean 0 and mean square 1/3, standard errors 0.065 and 0.033.
    assert np.abs(directions.mean(axis=0)).max() < 0.26
    assert np.mean(directions**2, axis=0) == pytest.approx(1 / 3, abs=0.14)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25), (1.0, 1.0, 1.0), (0.5, 0.5, 3.0)])
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_the_volume_grows_by_the_factor_to_the_power_of_the_dimension(spacing, factor):
    shape = [round(40 / size) + 1 for size in spacing]
    label = ellipsoid(shape, spacing, 14.0)
    noisy = AffineLabelNoise(scale=factor).corrupt_case(label.copy(), spacing, "a")
    assert noisy.sum() / label.sum() == pytest.approx(factor ** len(spacing), rel=0.05)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)])
def test_the_angle_is_drawn_from_its_range_about_any_axis(spacing):
    shape = [round(50 / size) for size in spacing]
    label = ellipsoid(shape, spacing, (22.0, 6.0, 6.0))
    noise = AffineLabelNoise(rotation=(20, 40))
    angles, volumes = [], []
    for case in range(20):
        noisy = noise.corrupt_case(label.copy(), spacing, case)
        points = np.argwhere(noisy) * spacing
        direction = np.linalg.eigh(np.cov(points.T))[1][:, -1]
        angles.append(np.degrees(np.arccos(min(1.0, abs(direction[0])))))
        volumes.append(noisy.sum() / label.sum())
    # The long axis turns by the full angle if it is across the rotation's axis, by less otherwise.
    assert max(angles) <= 40 + 1
    assert max(angles) > 25
    assert min(angles) < 20
    assert volumes == pytest.approx([1] * 20, rel=0.06)


def test_a_random_plane_makes_a_rotation_by_the_angle():
    rng = np.random.default_rng(0)
    for dims in (2, 3):
        matrix = rotation_matrix(0.3, rng.standard_normal((2, dims)))
        assert np.allclose(matrix @ matrix.T, np.eye(dims), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert np.trace(matrix) == pytest.approx(2 * np.cos(0.3) + dims - 2)


def test_strength_multiplies_the_angle_the_shift_and_the_logarithm_of_the_scale():
    noise = AffineLabelNoise(rotation=(10, 40), shift=(2, 8), scale=(1.1, 1.5))
    full, half = (n._draw(2, np.random.default_rng(3)) for n in (noise, noise.at_strength(0.5)))
    assert np.allclose(half[0] @ half[0], full[0])  # twice half the turn, twice half the growth
    assert np.allclose(2 * half[1], full[1])


def test_all_classes_move_as_one_piece_and_leave_background():
    label = np.zeros((30, 30), dtype=np.int32)
    label[8:20, 8:20], label[12:16, 12:16] = 1, 2
    noisy = move(label, np.eye(2), np.array([6.0, -3.0]), (1.0, 1.0))
    assert np.array_equal(noisy, np.roll(label, (6, -3), axis=(0, 1)))


def test_what_leaves_the_volume_is_lost():
    label = np.zeros((20, 20), dtype=np.int32)
    label[8:12, 8:12] = 1
    assert move(label, np.eye(2), np.array([10.0, 0.0]), (1.0, 1.0)).sum() == 8
    assert not move(label, np.eye(2), np.array([14.0, 0.0]), (1.0, 1.0)).any()


def test_an_organ_that_is_cut_by_the_border_goes_on_beyond_it():
    label = np.zeros((20, 20), dtype=np.int32)
    label[12:, 5:15] = 1
    expected = np.zeros_like(label)
    expected[8:, 5:15] = 1
    assert np.array_equal(move(label, np.eye(2), np.array([-4.0, 0.0]), (1.0, 1.0)), expected)
    smaller = move(label, 0.5 * np.eye(2), np.zeros(2), (1.0, 1.0))
    assert smaller[15:, 8:12].all()
    assert smaller[:, :6].sum() == 0


def test_the_work_in_a_box_gives_what_work_in_the_whole_volume_gives(monkeypatch):
    rng = np.random.default_rng(1)
    noise = AffineLabelNoise(rotation=(5, 60), shift=(0, 12), scale=(0.5, 1.8))
    labels = []
    for place in [np.s_[14:25, 12:22, 13:20], np.s_[36:, 4:9, 13:20], np.s_[:3, :4, 20:], np.s_[17:19, :, 3:6]]:
        label = np.zeros((40, 36, 32), dtype=np.int32)
        label[place] = rng.integers(0, 3, size=label[place].shape)
        labels.append(label)
    cases = [(label, case) for label in labels for case in range(6)]
    boxed = [noise.corrupt_case(label.copy(), (1.0, 1.5, 0.8), case) for label, case in cases]
    monkeypatch.setattr(affine, "_reached", lambda mask, *rest: (slice(0, 40), slice(0, 36), slice(0, 32)))
    for (label, case), noisy in zip(cases, boxed, strict=True):
        assert np.array_equal(noise.corrupt_case(label.copy(), (1.0, 1.5, 0.8), case), noisy)


def test_a_volume_of_one_slice_is_moved_within_its_plane():
    label = np.zeros((30, 30), dtype=np.int32)
    label[10:20, 12:18] = 1
    noise = AffineLabelNoise(rotation=(10, 30), shift=(2, 4))
    flat = noise.corrupt_case(label.copy(), (1.0, 1.0), "a")
    solid = noise.corrupt_case(label[:, :, None].copy(), (1.0, 1.0, 0.5), "a")
    assert np.array_equal(solid[:, :, 0], flat)
    assert not np.array_equal(flat, label)
    assert noise.corrupt_case(np.ones((1, 1), dtype=np.int32), (1.0, 1.0), "a").all()


def test_the_mean_damage_grows_with_the_strength():
    noise = AffineLabelNoise(rotation=(2, 10), shift=(1, 2), scale=(0.9, 1.1))
    label = ellipsoid((50, 50), (1.0, 1.0), (18.0, 9.0))
    damage = [
        np.mean([np.sum(noise.at_strength(s).corrupt_case(label.copy(), (1.0, 1.0), c) != label) for c in range(10)])
        for s in (0.3, 0.6, 1, 2, 4)
    ]
    assert (np.diff(damage) > 0).all()


def test_half_a_turn_is_the_most():
    assert AffineLabelNoise(rotation=(10, 45)).max_strength == 4
    assert AffineLabelNoise(shift=3).max_strength == np.inf


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "rotation and shift are 0 and scale is 1, which moves nothing"),
        ({"rotation": (-5, 5)}, r"rotation is \(-5, 5\), expected \(min, max\) with 0 <= min <= max"),
        ({"rotation": 200}, "rotation is 200, expected at most 180 degrees"),
        ({"shift": float("nan")}, "shift is nan, expected"),
        ({"scale": (0, 1)}, r"scale is \(0, 1\), expected \(min, max\) with 0 < min <= max"),
    ],
)
def test_parameters_out_of_range_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        AffineLabelNoise(**arguments)
