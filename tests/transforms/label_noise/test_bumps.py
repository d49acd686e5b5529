"""Bumps and bites: balls in mm on outlines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from skimage.morphology import convex_hull_image

from monai_iel.transforms.label_noise import BumpLabelNoise


def disc(size: int = 64, radius: float = 22.0, dims: int = 2) -> np.ndarray:
    axes = np.ix_(*[np.arange(size) - (size - 1) / 2] * dims)
    return (sum(axis**2 for axis in axes) <= radius**2).astype(np.uint8)[None]


def cell() -> np.ndarray:
    """A disc of class 1 with a nucleus of class 2 that touches its outline."""
    label = disc()
    nucleus = np.roll(disc(radius=9.0), 14, axis=1).astype(bool)
    label[nucleus & (label > 0)] = 2
    return label


def solidity(mask: np.ndarray) -> float:
    return mask.sum() / convex_hull_image(mask, offset_coordinates=False).sum()


def bite(**changes) -> BumpLabelNoise:
    return BumpLabelNoise(**{"radius": (8, 14), "count": 2, "mode": "remove", "classes": "foreground", **changes})


@pytest.mark.parametrize("case", range(5))
def test_bites_make_a_disc_less_convex_and_take_only_foreground(case):
    label = disc()
    noisy = bite()(label, case)
    assert solidity(label[0]) > 0.99
    # A single bite of radius 8 whose centre lies on the outline takes about half its disc, 100 of 1520 voxels.
    assert solidity(noisy[0]) < 0.97
    assert not (noisy.astype(bool) & ~label.astype(bool)).any()


@pytest.mark.parametrize("case", range(5))
def test_a_bite_out_of_the_whole_foreground_leaves_background_and_inner_borders_alone(case):
    label = cell()
    noisy = bite()(label, case)
    changed = noisy != label
    assert changed.any()
    assert not noisy[changed].any()


@pytest.mark.parametrize("case", range(5))
def test_a_bump_on_the_whole_foreground_takes_the_nearest_class(case):
    label = cell()
    noisy = bite(mode="add", radius=(4, 8), count=6)(label, case)
    added = np.argwhere((noisy != label)[0])
    assert len(added)
    foreground = np.argwhere(label[0])
    classes = label[0][tuple(foreground.T)]
    for voxel in added[::7]:
        assert label[0][tuple(voxel)] == 0
        distance = np.linalg.norm(foreground - voxel, axis=1)
        assert noisy[0][tuple(voxel)] in classes[distance <= distance.min() + 1e-9]


def test_a_bite_out_of_one_class_is_filled_with_the_nearest_class_outside():
    label = np.zeros((1, 40, 40), dtype=np.uint8)
    label[0, :, 10:20], label[0, :, 20:30] = 1, 2
    noisy = BumpLabelNoise(radius=4, count=8, mode="remove", classes=[1])(label, "a")
    changed = noisy != label
    assert (label[changed] == 1).all()
    columns = np.broadcast_to(np.arange(40), (1, 40, 40))
    assert (noisy[changed & (columns < 15)] == 0).all()
    assert (noisy[changed & (columns >= 15)] == 2).all()
    assert changed[columns < 15].any()
    assert changed[columns >= 15].any()


@pytest.mark.parametrize(("spacing", "filling"), [((1.0, 4.0), 2), ((4.0, 1.0), 0)])
def test_the_nearest_class_outside_is_nearest_in_mm(spacing, filling):
    # A square of class 1 with class 2 above and below, and background to the left and right: what is bitten out of its
    # middle row becomes the one that is nearer in mm.
    label = np.zeros((5, 5), dtype=np.uint8)
    label[0], label[4], label[1:4, 1:4] = 2, 2, 1
    affine = np.diag([*spacing, 1.0, 1.0])
    meta = MetaTensor(torch.from_numpy(label)[None], affine=affine)
    noisy = BumpLabelNoise(radius=4.5, count=1, mode="remove", classes=[1])(meta, "a").numpy()[0]
    taken = (label == 1) & (noisy != 1)
    assert taken[2].any()
    assert set(noisy[2][taken[2]]) == {filling}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0), (2.0, 1.0, 0.25)])
def test_a_bump_on_a_single_voxel_is_a_ball_of_the_radius_in_mm(spacing):
    shape = [2 * round(6.0 / size) + 5 for size in spacing]
    label, centre = np.zeros(shape, dtype=np.uint8), [size // 2 for size in shape]
    label[tuple(centre)] = 1
    affine = np.diag([*spacing, 1.0])
    noisy = BumpLabelNoise(radius=6.0, count=1, mode="add")(
        MetaTensor(torch.from_numpy(label)[None], affine=affine), "a"
    )
    offsets = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    distance = np.sqrt((offsets**2 * np.reshape(spacing, (3, 1, 1, 1)) ** 2).sum(0))
    assert np.array_equal(noisy.numpy()[0] == 1, distance <= 6.0 + 1e-9)


@pytest.mark.parametrize(("mode", "sign"), [("add", 1), ("remove", -1)])
def test_bumps_change_the_same_volume_at_any_sampling(mode, sign):
    means = []
    for spacing in [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0)]:
        shape = [round(48 / size) for size in spacing]
        axes = np.ix_(*[(np.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, spacing, strict=True)])
        organ = torch.from_numpy((sum(axis**2 for axis in axes) <= 15**2).astype(np.uint8))[None]
        label = MetaTensor(organ, affine=np.diag([*spacing, 1.0]))
        noise = BumpLabelNoise(radius=6.0, count=1, mode=mode)
        changed = [float(noise(label, case).float().sum() - label.float().sum()) for case in range(12)]
        means.append(np.mean(changed) * np.prod(spacing))
    # A ball of 905 mm^3 around a point of the outline lies half inside; the centre sits up to half a voxel within.
    assert means[1] == pytest.approx(means[0], rel=0.15)
    assert sign * np.mean(means) == pytest.approx(905 / 2, rel=0.25)


def test_the_number_of_balls_is_drawn_from_its_range():
    # Balls of radius 0.5 are single voxels on the outline: each bite takes exactly one.
    label = disc()
    noise = bite(radius=0.5, count=(2, 5))
    taken = [int(label.sum()) - int(noise(label, case).sum()) for case in range(60)]
    assert set(taken) == {2, 3, 4, 5}
    assert int(label.sum()) - int(bite(radius=0.5, count=7)(label, "a").sum()) == 7


def test_a_fraction_counts_edge_voxels_and_gives_one_ball_at_least():
    label = np.zeros((1, 20, 20), dtype=np.uint8)
    label[0, 5:15, 5:15] = 1  # 36 edge voxels
    for fraction, number in ((0.25, 9), (1.0, 36), (0.001, 1)):
        noisy = bite(radius=0.5, count=None, fraction=fraction)(label, "a")
        assert int(label.sum()) - int(noisy.sum()) == number


def test_more_balls_than_edge_voxels_use_each_edge_voxel_once():
    label = np.zeros((1, 9, 9), dtype=np.uint8)
    label[0, 3:6, 3:6] = 1
    assert bite(radius=0.5, count=50)(label, "a").sum() == 1


def test_mode_both_adds_here_and_removes_there():
    label = disc()
    noise = BumpLabelNoise(radius=(1, 3), count=12, mode="both")
    added = [int((noise(label, case) > label).sum()) for case in range(5)]
    removed = [int((noise(label, case) < label).sum()) for case in range(5)]
    assert min(added) > 0
    assert min(removed) > 0


def test_a_region_never_vanishes_as_a_whole():
    label = np.zeros((1, 30, 30), dtype=np.uint8)
    label[0, 12:17, 12:17] = 1
    for case in range(10):
        assert bite(radius=(3, 30), count=5)(label, case).any()


def test_the_border_of_the_volume_is_no_edge():
    label = np.zeros((1, 30, 30), dtype=np.uint8)
    label[0, :15] = 1
    for case in range(10):
        noisy = bite(radius=2, count=3)(label, case)
        assert noisy[0, :12].all()  # the only edge is row 14


def test_each_class_is_bumped_and_missing_ones_are_skipped():
    label = np.zeros((1, 40, 40), dtype=np.uint8)
    label[0, 5:15, 5:15], label[0, 25:35, 25:35] = 1, 2
    both = BumpLabelNoise(radius=3, count=1, mode="remove")(label, "a")
    assert (both == 1).sum() < 100
    assert (both == 2).sum() < 100
    one = BumpLabelNoise(radius=3, count=1, mode="remove", classes=[2, 9])(label, "a")
    assert (one == 1).sum() == 100
    assert (one == 2).sum() < 100


def test_bumps_work_in_3d_as_in_2d():
    label = disc(30, 10.0, dims=3)
    noisy = bite(radius=(4, 6), count=3)(label, "a")
    assert noisy.sum() < label.sum()
    assert not noisy[label == 0].any()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"radius": (-1, 2)}, r"radius is \(-1, 2\), expected \(min, max\)"),
        ({"count": 0}, "count is 0, expected at least 1"),
        ({"count": (3, 2)}, r"count is \(3, 2\), expected a whole number or \(min, max\)"),
        ({"count": (1, 2, 3)}, r"count is \(1, 2, 3\), expected"),
        ({"count": 1.5}, "count is 1.5, expected a whole number"),
        ({"count": None}, "count is None and fraction is None, expected exactly one"),
        ({"fraction": 0.1}, "count is 2 and fraction is 0.1, expected exactly one"),
        ({"count": None, "fraction": 2.0}, "fraction is 2.0, expected a fraction"),
        ({"mode": "remov"}, "did you mean 'remove'"),
        ({"classes": "forground"}, "did you mean 'foreground'"),
        ({"classes": [-1]}, "classes is -1, expected at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        bite(**changes)
