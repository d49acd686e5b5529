from __future__ import annotations

import numpy as np
import pytest

from monai_iel.visualize import OKABE_ITO, best_slice, outline_overlay, take_slice

RED, GREEN = (255, 0, 0), (0, 255, 0)


def where(picture, colour):
    return (picture == colour).all(axis=-1)


def test_the_outline_is_one_pixel_wide_and_inside_the_structure():
    label = np.zeros((12, 12), dtype=np.uint8)
    label[3:9, 2:10] = 1
    drawn = where(outline_overlay(np.zeros((12, 12)), {"label": label}, colours={"label": RED}), RED)
    inner = np.zeros_like(drawn)
    inner[4:8, 3:9] = True
    assert np.array_equal(drawn, (label == 1) & ~inner)


def test_magnified_outlines_stay_one_pixel_wide():
    label = np.zeros((12, 12), dtype=np.int16)
    label[3:9, 2:10] = 1
    picture = outline_overlay(np.zeros((12, 12)), {"label": label}, colours={"label": RED}, scale=5)
    assert picture.shape == (60, 60, 3)
    assert where(picture, RED).sum() == 2 * (30 + 40) - 4


def test_large_scales_darken_the_pixels_beside_an_outline_and_small_ones_none():
    image, label = np.ones((8, 8)), np.zeros((8, 8), dtype=int)
    image[0, 0], label[2:6, 2:6] = 0, 1
    # At scale 4 the square has sides of 16 pixels: 4 * 16 neighbours outside, a ring of side 14 inside.
    for scale, darkened in ((2, 0), (4, 4 * 16 + 4 * 13)):
        picture = outline_overlay(image, {"label": label}, colours={"label": RED}, scale=scale)
        assert (picture == 127).all(axis=-1).sum() == darkened


def test_touching_classes_share_one_line():
    label = np.ones((6, 10), dtype=np.int64)
    label[:, 5:] = 2
    drawn = where(outline_overlay(np.zeros((6, 10)), {"label": label}, colours={"label": RED}), RED)
    assert np.array_equal(np.flatnonzero(drawn.any(axis=0)), [5])
    assert drawn[:, 5].all()


def test_a_structure_cut_by_the_border_is_not_outlined_there():
    label = np.zeros((6, 6), dtype=np.int64)
    label[:3] = 1
    drawn = where(outline_overlay(np.zeros((6, 6)), {"label": label}, colours={"label": RED}), RED)
    assert np.array_equal(drawn.any(axis=1), [False, False, True, False, False, False])


def test_later_masks_cover_earlier_ones_and_each_has_its_colour():
    a, b = np.zeros((9, 9), dtype=int), np.zeros((9, 9), dtype=int)
    a[1:4, 1:4], b[3:8, 3:8] = 1, 1
    picture = outline_overlay(np.zeros((9, 9)), {"a": a, "b": b}, colours={"a": RED, "b": GREEN})
    assert where(picture, RED).sum() == 8 - 1
    assert where(picture, GREEN).sum() == 16
    default = outline_overlay(np.zeros((9, 9)), {"a": a, "b": b})
    assert where(default, OKABE_ITO["sky blue"]).sum() == 16


def test_the_window_ignores_one_percent_of_outliers():
    image = np.linspace(100, 200, 10_000).reshape(100, 100)
    image[0, 0], image[-1, -1] = -1e6, 1e6
    picture = outline_overlay(image, {})
    low, high = np.percentile(image, (1, 99))
    assert picture[50, 0, 0] == pytest.approx(255 * (image[50, 0] - low) / (high - low), abs=1)
    assert picture.min() == 0
    assert picture.max() == 255


def test_rgb_is_stretched_with_all_channels_together():
    image = np.zeros((10, 10, 3), dtype=np.uint8)
    image[..., 0], image[:5, :, 1] = 100, 50
    picture = outline_overlay(image, {})
    assert picture[0, 0].tolist() == [255, 128, 0]
    assert picture[9, 0].tolist() == [255, 0, 0]


def test_nan_and_constant_images_are_drawn_without_a_warning(recwarn):
    image = np.full((4, 4), np.nan)
    assert outline_overlay(image, {}).max() == 0
    image[0] = 3.0
    assert outline_overlay(image, {}).max() == 0
    spot = np.zeros((40, 40))
    spot[3, 3] = 1
    assert outline_overlay(spot, {})[3, 3].tolist() == [255, 255, 255]
    assert not recwarn.list


def test_arguments_are_left_as_they_are():
    image, label = np.arange(16.0).reshape(4, 4), np.eye(4, dtype=int)
    before = image.copy(), label.copy()
    outline_overlay(image, {"label": label})
    assert np.array_equal(image, before[0])
    assert np.array_equal(label, before[1])


def test_pictures_that_make_no_sense_are_refused():
    image, label = np.zeros((4, 4)), np.zeros((4, 4), dtype=int)
    with pytest.raises(ValueError, match=r"image has shape \(4, 4, 2\)"):
        outline_overlay(np.zeros((4, 4, 2)), {})
    with pytest.raises(ValueError, match=r"mask 'label' has shape \(3, 4\), the image has \(4, 4\)"):
        outline_overlay(image, {"label": label[:3]})
    with pytest.raises(ValueError, match="mask 'label' holds values that are no class numbers"):
        outline_overlay(image, {"label": label + 0.5})
    with pytest.raises(ValueError, match="colours has no entry for"):
        outline_overlay(image, {"label": label}, colours={"pred": RED})
    with pytest.raises(ValueError, match="scale is 0"):
        outline_overlay(image, {}, scale=0)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_best_slice_has_the_most_foreground_and_is_central_among_equals(axis):
    label = np.zeros((11, 11, 11), dtype=int)
    label[2:9, 2:9, 2:9] = 1
    assert best_slice(label, axis=axis) == 5
    label[(*[slice(None)] * (axis % 3), 8)] = 2
    assert best_slice(label, axis=axis) == 8


@pytest.mark.parametrize(("axis", "right", "up"), [(2, 0, 1), (1, 0, 2), (0, 1, 2)])
def test_ras_volumes_stand_upright_in_all_three_planes(axis, right, up):
    volume = np.zeros((3, 4, 5))
    corner = [0, 0, 0]
    corner[right], corner[up], corner[axis] = volume.shape[right] - 1, volume.shape[up] - 1, 1
    volume[tuple(corner)] = 1
    picture = take_slice(volume, axis=axis, index=1)
    assert picture.shape == (volume.shape[up], volume.shape[right])
    assert np.argwhere(picture).tolist() == [[0, volume.shape[right] - 1]]


def test_2d_images_are_turned_from_x_first_to_rows():
    image = np.arange(6).reshape(2, 3)
    assert np.array_equal(take_slice(image), image.T)
    assert np.array_equal(take_slice(image, orientation="rows"), image)


def test_slices_outside_the_volume_and_unknown_orientations_are_refused():
    with pytest.raises(ValueError, match=r"index is 5, but the volume .* has 5 slices"):
        take_slice(np.zeros((3, 4, 5)), index=5)
    with pytest.raises(ValueError, match="take one channel first"):
        take_slice(np.zeros((1, 3, 4, 5)))
    with pytest.raises(ValueError, match="orientation is 'lps'"):
        take_slice(np.zeros((3, 4, 5)), orientation="lps")
