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


@pytest.mark.parametrize(
    ("spacing", "density", "expected"),
    [((1.0, 1.0), 0.05, 0.05 * 2 * np.pi * 16.5), ((0.5, 2.0, 1.0), 0.003, 0.003 * 4 * np.pi * 16.5**2)],
)
def test_a_density_gives_so_many_balls_per_mm_or_square_mm_in_the_mean(spacing, density, expected):
    reach = [int(18 / size) for size in spacing]
    axes = np.ix_(*[np.arange(-n, n + 1) * size for n, size in zip(reach, spacing, strict=True)])
    label = (sum(axis**2 for axis in axes) < 16.5**2).astype(np.int32)
    # Balls shorter than a voxel: each bite takes exactly one.
    noise = BumpLabelNoise(radius=0.1, density=density, mode="remove")
    taken = [np.count_nonzero(noise.corrupt_case(label.copy(), spacing, case) != label) for case in range(60)]
    assert set(taken) == {int(expected), int(expected) + 1}  # rounded up or down by chance
    assert np.mean(taken) == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(60) + 0.02 * expected)


def test_with_a_density_an_outline_is_hit_evenly_whatever_its_voxels():
    spacing, radius = (0.5, 0.5, 3.0), 16.5
    axes = np.ix_(*[np.arange(-n, n + 1) * size for n, size in zip((36, 36, 6), spacing, strict=True)])
    label = (sum(axis**2 for axis in axes) < radius**2).astype(np.int32)
    away = np.abs(np.broadcast_to(axes[2], label.shape))

    def share_of_the_caps(**number):
        noise = BumpLabelNoise(radius=0.1, mode="remove", **number)
        hit = [noise.corrupt_case(label.copy(), spacing, case) != label for case in range(8)]
        return np.mean(np.concatenate([away[places] for places in hit]) > radius / 2)

    # By Archimedes, half of a sphere's surface is further than half the radius from the middle plane. 8 cases of 68
    # balls: a standard deviation of 0.021; and a slice of 3 mm begins 0.75 mm beside the half radius.
    assert share_of_the_caps(density=0.02) == pytest.approx(0.5, abs=0.1)
    assert share_of_the_caps(count=68) > 0.65  # each edge voxel alike: there are more of them on top and bottom


def test_noises_without_a_density_keep_the_parameters_that_their_random_numbers_come_from():
    assert list(bite().parameters) == ["radius", "count", "fraction", "mode", "classes"]
    assert bite(count=None, density=0.1).parameters["density"] == 0.1


def test_the_same_places_are_hit_at_every_strength_in_all_classes():
    # Two halves of a square. What class 1 loses at the border between them becomes class 2, whose outline moves.
    label = np.zeros((1, 40, 40), dtype=np.uint8)
    label[0, 5:35, 5:20], label[0, 5:35, 20:35] = 1, 2
    noise = BumpLabelNoise(radius=1.0, count=12, mode="remove")
    for case in range(5):
        centres = (label == 2) & (noise.at_strength(0.1)(label, case) != 2)
        assert np.count_nonzero(centres) == 12
        for strength in (1, 2, 3):
            assert not (noise.at_strength(strength)(label, case)[centres] == 2).any()


def test_a_class_that_a_lower_one_has_covered_stays_gone():
    label = np.zeros((1, 20, 20), dtype=np.uint8)
    label[0, 5:15, 5:15], label[0, 9:11, 9:11] = 1, 2
    noisy = BumpLabelNoise(radius=12, count=30, mode="add")(label, "a")
    assert set(np.unique(noisy)) == {1}


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
        ({"count": None}, "count is None, fraction is None and density is None, expected exactly one"),
        ({"fraction": 0.1}, "count is 2, fraction is 0.1 and density is None, expected exactly one"),
        ({"density": 0.1}, "count is 2, fraction is None and density is 0.1, expected exactly one"),
        ({"count": None, "density": 0}, r"density is 0, expected a positive number of balls per mm of outline"),
        ({"count": None, "density": "x"}, r"density is 'x', expected a positive number"),
        ({"radius": "abc"}, r"radius is 'abc', expected \(min, max\) with 0 < min <= max, or one positive number"),
        ({"radius": [[1], [1, 2]]}, r"radius is \[\[1\], \[1, 2\]\], expected"),
        ({"radius": None}, "radius is None, expected"),
        ({"count": None, "fraction": 2.0}, "fraction is 2.0, expected a fraction"),
        ({"mode": "ad"}, r"^mode is 'ad', expected 'add', 'remove' or 'both'; did you mean 'add'\?$"),
        ({"mode": 3}, "^mode is 3, expected 'add', 'remove' or 'both'$"),
        (
            {"classes": "forground"},
            r"^classes is 'forground', expected 'foreground', class numbers such as \[1, 2\], or None for all; did you "
            r"mean 'foreground'\?$",
        ),
        ({"classes": 1}, r"classes is 1, expected foreground class numbers such as \[1, 2\], or None for all"),
        ({"classes": [-1]}, "classes is -1, expected at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        bite(**changes)
