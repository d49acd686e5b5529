"""Noise up to a share of the structure: it is reached by the shortest way, and classes keep out of each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_iel.transforms.label_noise import AreaRatioLabelNoise

ACTIONS = ("dilate", "erode", "move")


def noise(action: str, ratio: float = 0.5, **others) -> AreaRatioLabelNoise:
    return AreaRatioLabelNoise(ratio=ratio, **{f"{name}_weight": float(name == action) for name in ACTIONS}, **others)


def ellipsoid(shape: tuple[int, ...], radius: tuple[float, ...], centre: tuple[float, ...]) -> np.ndarray:
    """One of class 1; a centre between the voxels leaves few of them at equal distances."""
    grid = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return ((grid / np.reshape(radius, grid.shape[:1] + (1,) * len(shape))) ** 2).sum(0)[None] < 1


def with_spacing(label: np.ndarray, spacing: tuple[float, ...]) -> MetaTensor:
    affine = torch.eye(4, dtype=torch.float64)
    affine[range(len(spacing)), range(len(spacing))] = torch.tensor(spacing, dtype=torch.float64)
    return MetaTensor(torch.from_numpy(label.astype(np.uint8)), affine=affine)


IMAGE = ellipsoid((120, 110), (31, 22), (58.3, 51.6)).astype(np.uint8)
VOLUME = ellipsoid((44, 40, 36), (12, 9, 7), (21.3, 18.6, 17.2)).astype(np.uint8)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("ratio", [0.5, 0.7])
@pytest.mark.parametrize(("label", "spacing"), [(IMAGE, (1, 1)), (VOLUME, (1, 1, 1)), (VOLUME, (0.7, 1.1, 1.9))])
def test_the_ratio_is_reached_to_a_layer_of_voxels(action, ratio, label, spacing):
    noisy = noise(action, ratio)(with_spacing(label, spacing), "case-1").numpy()
    size = np.count_nonzero(label)
    assert np.count_nonzero(noisy != label) / size == pytest.approx(ratio, abs=0.01)
    expected = {"dilate": 1 + ratio, "erode": 1 - ratio, "move": 1}[action]
    assert np.count_nonzero(noisy) / size == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("strength", [0.4, 0.8, 1.3])
@pytest.mark.parametrize("action", ACTIONS)
def test_strength_is_a_factor_on_the_ratio(action, strength):
    noisy = noise(action).at_strength(strength)(IMAGE, "case-1")
    assert np.count_nonzero(noisy != IMAGE) / IMAGE.sum() == pytest.approx(0.5 * strength, abs=0.02)


def test_more_than_all_of_the_structure_is_refused():
    assert noise("move", 0.4).max_strength == pytest.approx(2.5)
    with pytest.raises(ValueError, match=r"strength is 3.0, but AreaRatioLabelNoise.* can do no more than at 2.5"):
        noise("move", 0.4, strength=3)(IMAGE, "a")


@pytest.mark.parametrize("action", ["dilate", "erode"])
def test_nearer_voxels_change_first_in_mm(action):
    spacing = (0.7, 1.1, 1.9)
    old = VOLUME[0].astype(bool)
    new = noise(action)(with_spacing(VOLUME, spacing), "a").numpy()[0].astype(bool)
    candidates = ~old if action == "dilate" else old
    distance = ndimage.distance_transform_edt(candidates, sampling=spacing)
    changed = new != old
    assert changed.any()
    assert not (changed & ~candidates).any()
    assert distance[changed].max() < distance[candidates & ~changed].min()


def test_a_displacement_without_rotation_keeps_the_shape():
    new = noise("move", max_angle=0)(VOLUME, "case-1")[0]
    (before,), (after,) = ndimage.find_objects(VOLUME[0]), ndimage.find_objects(new)
    assert np.array_equal(new[after], VOLUME[0][before])


def test_a_displacement_turns_elongated_structures():
    # The long axis of the ellipse, from the second moments, before and after; another angle for each case.
    def axis(mask: np.ndarray) -> float:
        vector = np.linalg.eigh(np.cov(np.argwhere(mask).T))[1][:, -1]
        return np.degrees(np.arctan2(vector[1], vector[0])) % 180

    stick = ellipsoid((120, 110), (45, 12), (58.3, 51.6))[0]
    angles = [(axis(noise("move")(stick[None], case)[0]) - axis(stick) + 90) % 180 - 90 for case in range(12)]
    assert 3 < np.abs(angles).max() < 30
    assert min(angles) < 0 < max(angles)


def test_each_change_has_its_weight():
    model = AreaRatioLabelNoise(ratio=0.5, dilate_weight=1, erode_weight=2, move_weight=1)
    square = np.zeros((1, 24, 24), dtype=np.uint8)
    square[0, 8:16, 8:16] = 1
    sizes = np.array([model(square, case).sum() for case in range(400)]) / square.sum()
    for found, share in ((sizes > 1.2, 0.25), (sizes < 0.8, 0.5), (abs(sizes - 1) < 0.2, 0.25)):
        assert abs(found.mean() - share) < 4 * np.sqrt(share * (1 - share) / 400)


def test_every_class_is_changed_as_if_it_were_alone_and_gets_what_a_neighbour_gives_up():
    both = IMAGE.copy()
    both[0, 40:60, 45:65] = 2
    alone = np.where(both == 2, both, 0)
    model = AreaRatioLabelNoise(ratio=0.4, classes=(1, 2))
    same = 0
    for case in range(8):
        beside, by_itself = model(both, case) == 2, model(alone, case) == 2
        assert not (by_itself & ~beside).any()
        assert set(np.unique(both[beside & ~by_itself])) <= {1}
        same += np.array_equal(beside, by_itself)
    assert 0 < same < 8


def test_what_a_class_gives_up_becomes_the_nearest_other_class():
    nested = IMAGE.copy()
    nested[0, 40:60, 45:65] = 2
    noisy = noise("erode", classes=(2,))(nested, "a")
    assert set(np.unique(noisy[(noisy != nested)])) == {1}
    halves = np.ones((1, 20, 20), dtype=np.uint8)
    halves[0, :, 10:] = 3
    assert set(np.unique(noise("erode", classes=(3,))(halves, "a"))) == {1, 3}


@pytest.mark.parametrize("depth", [1, 5])
def test_a_structure_at_the_border_grows_inwards_up_to_the_ratio(depth):
    slab = np.zeros((1, 40, 30), dtype=np.uint8)
    slab[0, :depth] = 1
    noisy = noise("dilate", 1.0)(slab, "a")
    assert np.array_equal(noisy[0].any(axis=1), np.arange(40) < 2 * depth)


def test_nothing_is_eroded_from_the_border():
    half = np.zeros((1, 40, 30), dtype=np.uint8)
    half[0, :20] = 1
    noisy = noise("erode")(half, "a")
    assert np.array_equal(noisy[0].all(axis=1), np.arange(40) < 10)


def test_what_can_grow_no_further_fills_the_array():
    nearly = np.ones((1, 9, 9), dtype=np.uint8)
    nearly[0, 0] = 0
    assert noise("dilate")(nearly, "a").all()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_volume_of_one_slice_is_treated_as_an_image(action):
    assert np.array_equal(noise(action)(IMAGE[..., None], "a")[..., 0], noise(action)(IMAGE, "a"))
    dot = np.ones((1, 1, 1, 1), dtype=np.uint8)
    assert np.array_equal(noise(action)(dot, "a"), dot)


@pytest.mark.parametrize("thick", [1, 2, 5])
def test_an_erosion_leaves_the_deepest_layer(thick):
    bar = np.zeros((1, 12, 20), dtype=np.uint8)
    bar[0, 3 : 3 + thick, 4:16] = 1
    noisy = noise("erode", 1.0)(bar, "a")
    assert 0 < noisy.sum() <= bar.sum()
    assert noisy[0, 3 + thick // 2].any()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ratio": 1.5}, r"ratio is 1.5, expected a fraction between 0 and 1"),
        ({"ratio": 0.5, "move_weight": -1}, r"erode_weight, move_weight is \(1.0, 1.0, -1\), expected 3 numbers"),
        ({"ratio": 0.5, "max_angle": 200}, r"max_angle is 200, expected degrees between 0 and 180"),
        ({"ratio": 0.5, "classes": []}, r"classes is empty"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        AreaRatioLabelNoise(**parameters)
