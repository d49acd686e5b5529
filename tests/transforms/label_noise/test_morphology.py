"""Morphology: exact distances in mm, what happens where classes meet, and nothing vanishes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel.transforms.label_noise import MorphologyLabelNoise

ANISOTROPIC = (0.5, 0.5, 3.0)


def dilation(radius, **arguments):
    return MorphologyLabelNoise(radius=radius, dilate_probability=1, erode_probability=0, **arguments)


def erosion(radius, **arguments):
    return MorphologyLabelNoise(radius=radius, dilate_probability=0, erode_probability=1, **arguments)


def with_spacing(label: np.ndarray, spacing: tuple[float, ...]) -> MetaTensor:
    affine = np.diag([*spacing, *[1.0] * (4 - len(spacing))])
    return MetaTensor(torch.from_numpy(label)[None], affine=affine)


def ball(spacing: tuple[float, ...], radius: float, extent: float) -> MetaTensor:
    """A ball of class 1 in a cube (square) of ``extent`` mm, its centre at the cube's."""
    shape = [round(extent / size) for size in spacing]
    axes = np.ix_(*[(np.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, spacing, strict=True)])
    return with_spacing((sum(axis**2 for axis in axes) <= radius**2).astype(np.uint8), spacing)


def volume(label: MetaTensor, spacing: tuple[float, ...]) -> float:
    return float(label.sum()) * float(np.prod(spacing))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.3), (1.0, 1.0, 1.0), (0.5, 0.5, 3.0)])
def test_a_point_dilates_to_all_voxels_within_the_radius_in_mm(spacing):
    radius = 3 * max(spacing)  # a whole number of voxels along the coarse axis, where rounding would lose the last one
    shape = [2 * round(radius / size) + 5 for size in spacing]
    label = np.zeros(shape, dtype=np.uint8)
    centre = tuple(size // 2 for size in shape)
    label[centre] = 1
    distance = np.sqrt(
        sum((index - c) ** 2 * h**2 for index, c, h in zip(np.indices(shape), centre, spacing, strict=True))
    )
    noisy = dilation(radius)(with_spacing(label, spacing), "a").numpy()[0]
    assert np.array_equal(noisy == 1, distance <= radius + 1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("radius", [0.9, 1.0, 3.0, 6.4])
def test_a_half_space_moves_by_the_radius_along_each_axis(axis, radius):
    spacing = (1.0, 0.5, 3.0)
    label = np.zeros((20, 30, 8), dtype=np.uint8)
    label[tuple(slice(size // 2) if number == axis else slice(None) for number, size in enumerate(label.shape))] = 1
    half = label.shape[axis] // 2
    steps = int(radius / spacing[axis] + 1e-9)
    for noise, sign in ((dilation(radius), 1), (erosion(radius), -1)):
        noisy = noise(with_spacing(label, spacing), "a").numpy()[0]
        expected = np.zeros_like(label)
        edge = half + sign * steps
        expected[tuple(slice(edge) if number == axis else slice(None) for number in range(3))] = 1
        assert np.array_equal(noisy, expected)


@pytest.mark.parametrize(("noise", "end"), [(dilation(6.0), 18.0), (erosion(6.0), 6.0)], ids=["dilate", "erode"])
def test_the_same_organ_changes_by_the_same_volume_at_any_sampling(noise, end):
    changes = []
    for spacing in [(1.0, 1.0, 1.0), ANISOTROPIC]:
        label = ball(spacing, 12.0, 45.0)
        changes.append(volume(noise(label, "a"), spacing) - volume(label, spacing))
    exact = 4 / 3 * np.pi * (end**3 - 12.0**3)
    # A voxel counts by its centre: surfaces are off by up to half a slice (1.5 mm) here and there, in the mean much
    # less. Taking mm for voxels would be wrong by a factor.
    assert changes == pytest.approx([exact, exact], rel=0.12)
    assert changes[1] == pytest.approx(changes[0], rel=0.12)


def test_the_radius_is_drawn_from_its_range():
    noise, label = dilation((1, 5)), np.zeros((1, 21), dtype=np.uint8)
    label[0, 10] = 1
    widths = {int(noise(label[None], f"case-{number}").sum()) for number in range(60)}
    assert widths == {3, 5, 7, 9}  # floor(r) voxels to each side; r = 5 exactly has probability 0


def test_dilations_erosions_and_nothing_come_in_the_given_proportions():
    noise = MorphologyLabelNoise(radius=2, dilate_probability=0.5, erode_probability=0.3)
    label = np.zeros((1, 15, 15), dtype=np.uint8)
    label[0, 4:11, 4:11] = 1
    signs = [np.sign(int(noise(label, number).sum()) - int(label.sum())) for number in range(400)]
    # Binomial (400, p): four standard deviations are at most 4 * sqrt(400 / 4) = 40.
    for sign, probability in ((1, 0.5), (-1, 0.3), (0, 0.2)):
        assert abs(signs.count(sign) - 400 * probability) < 40


def test_classes_that_meet_are_treated_in_ascending_order():
    label = np.array([[0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0]], dtype=np.uint8)[None]
    # 1 takes a voxel on both sides, then 2 takes one back, and one of the background.
    assert dilation(1)(label, "a").tolist() == [[[0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]]]
    # 1 loses its ends to 0 and 2; 2, now four wide, loses its ends to 1 and 0.
    assert erosion(1)(label, "a").tolist() == [[[0, 0, 0, 0, 1, 1, 2, 2, 0, 0, 0, 0]]]


def test_an_eroded_voxel_takes_the_nearest_other_class_in_mm():
    label = np.zeros((5, 3), dtype=np.uint8)
    label[:, 1], label[:, 2] = 1, 2
    label[0], label[4] = 3, 3
    noise = erosion(2.0, classes=[1], allow_vanish=True)
    # The two outer voxels of class 1 are 1 mm from class 3 and the neighbours across are 2 or 5 mm away.
    noisy = noise(with_spacing(label, (1.0, 5.0)), "a").numpy()[0]
    assert noisy[:, 1].tolist() == [3, 3, 3, 3, 3]
    noisy = noise(with_spacing(label, (5.0, 2.0)), "a").numpy()[0]
    assert set(noisy[1:4, 1]) <= {0, 2}


def test_an_erosion_leaves_the_deepest_layer_rather_than_deleting_the_class():
    label = np.zeros((1, 15, 17), dtype=np.uint8)
    label[0, 3:12, 3:14] = 1  # 9 x 11: the greatest depth of 5 is that of three voxels in the middle
    noisy = erosion(50.0)(label, "a")
    assert np.argwhere(noisy[0]).tolist() == [[7, 7], [7, 8], [7, 9]]
    assert not erosion(50.0, allow_vanish=True)(label, "a").any()


@pytest.mark.parametrize("noise", [erosion((1, 3)), dilation((1, 3))], ids=["erode", "dilate"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), ANISOTROPIC])
def test_more_strength_is_more_of_the_same_damage_up_to_the_deepest_layer(noise, spacing):
    clean = ball(spacing, 7.0, 30.0)
    for case in range(4):
        former = clean.numpy() < 0
        for strength in np.linspace(0, 6, 25):
            noisy = noise.at_strength(strength)(clean, case)
            changed = (noisy != clean).numpy()
            assert not (former & ~changed).any()
            assert noisy.any()
            former = changed


def test_an_erosion_leaves_a_class_that_is_one_voxel_thick():
    label = np.zeros((1, 9, 9, 9), dtype=np.uint8)
    label[0, 4, :, 2] = 1
    assert np.array_equal(erosion(3.0)(label, "a"), label)


def test_the_border_of_the_volume_is_no_outline():
    label = np.zeros((1, 10, 6), dtype=np.uint8)
    label[0, 5:] = 1
    noisy = erosion(2.0)(label, "a")
    assert np.array_equal(noisy[0, 7:], label[0, 7:])
    assert not noisy[0, :7].any()


def test_only_the_chosen_classes_are_treated_and_a_missing_one_is_skipped():
    label = np.zeros((1, 20, 20), dtype=np.uint8)
    label[0, 3:8, 3:8], label[0, 12:17, 12:17] = 1, 2
    noisy = dilation(1, classes=[2, 5])(label, "a")
    assert np.array_equal(noisy == 1, label == 1)
    assert (noisy == 2).sum() == 25 + 20


def test_an_organ_at_the_border_and_one_at_any_place_change_alike():
    # The work is done in a box around the class; a wrong box would show here.
    rng = np.random.default_rng(0)
    shape = rng.random((5, 6, 4)) > 0.4
    for corner in [(0, 0, 0), (7, 9, 5), (15, 14, 16)]:
        label = np.zeros((1, 20, 20, 20), dtype=np.uint8)
        box = tuple(slice(start, start + size) for start, size in zip(corner, shape.shape, strict=True))
        label[(0, *box)] = shape
        index = np.argwhere(label[0])
        distance = np.linalg.norm(np.indices((20, 20, 20))[:, None] - index.T[:, :, None, None, None], axis=0).min(
            axis=0
        )
        assert np.array_equal(dilation(2.5)(label, "a")[0] == 1, distance <= 2.5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"radius": (3, 1)}, r"radius is \(3, 1\), expected \(min, max\) with 0 < min <= max"),
        ({"radius": 0}, "radius is 0, expected"),
        ({"radius": (1, 2, 3)}, r"radius is \(1, 2, 3\), expected"),
        ({"radius": (1, float("inf"))}, "radius is .*inf"),
        ({"radius": 1, "dilate_probability": 1.5}, "dilate_probability is 1.5, expected a fraction"),
        ({"radius": 1, "erode_probability": -1}, "erode_probability is -1, expected a fraction"),
        ({"radius": 1, "dilate_probability": 0.8}, "dilate_probability 0.8 and erode_probability 0.5 add up to more"),
        ({"radius": "abc"}, r"radius is 'abc', expected \(min, max\)"),
        ({"radius": 1, "dilate_probability": "x"}, "dilate_probability is 'x', expected a fraction between 0 and 1"),
        ({"radius": 1, "erode_probability": None}, "erode_probability is None, expected a fraction"),
        ({"radius": 1, "classes": 1}, r"classes is 1, expected foreground class numbers such as \[1, 2\], or None"),
        ({"radius": 1, "classes": "foreground"}, "classes is 'foreground', expected foreground class numbers"),
        ({"radius": 1, "classes": [0]}, "classes is 0, expected at least 1"),
        ({"radius": 1, "classes": []}, "classes is empty, expected foreground class numbers"),
    ],
)
def test_parameters_out_of_range_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        MorphologyLabelNoise(**arguments)
