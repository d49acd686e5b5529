"""What a noise did to a label, against shapes whose figures are known and against MONAI's metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from monai.networks import one_hot

from monai_iel.noisy_labels import label_damage
from monai_iel.noisy_labels.case_means import mean_dice, mean_distance


def box(shape: tuple[int, ...], *sides: tuple[int, int], number: int = 1) -> np.ndarray:
    label = np.zeros(shape, dtype=np.int32)
    label[tuple(slice(*side) for side in sides)] = number
    return label


def ball(size: int, radius_mm: float, spacing: tuple[float, ...]) -> np.ndarray:
    grid = np.indices((size,) * len(spacing)) - size // 2
    return (np.sqrt(sum((g * s) ** 2 for g, s in zip(grid, spacing, strict=True))) <= radius_mm).astype(np.int32)


def test_a_grown_square_has_the_figures_that_can_be_counted_by_hand() -> None:
    clean, noisy = box((14, 14), (4, 9), (4, 9)), box((14, 14), (3, 10), (3, 10))
    damage = label_damage(noisy, clean, (2.0, 2.0))
    (one,) = damage.classes
    # 24 voxels of the outer outline are 1 voxel away but the four corners sqrt 2; 16 of the inner one are 1 away.
    corners, outer, inner = 4, 24, 16
    diagonal = 2 * np.sqrt(2)
    assert one.dice == pytest.approx(2 * 25 / (25 + 49))
    assert one.bias_mm == pytest.approx(((outer - corners) * 2 + corners * diagonal) / outer)
    expected = ((outer - corners + inner) * 2 + corners * diagonal) / (outer + inner)
    assert one.distance_mm == pytest.approx(expected)
    assert (one.gained, one.lost, one.changed, one.voxels) == (24, 0, 24, 25)
    assert one.volume_ratio == pytest.approx(49 / 25)
    assert damage.changed_share == pytest.approx(24 / 14**2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plate_moved_by_a_voxel_is_off_by_the_spacing_of_that_axis(axis: int) -> None:
    spacing = (0.5, 1.0, 3.0)
    clean = np.moveaxis(box((8, 8, 8), (3, 4), (0, 8), (0, 8)), 0, axis)
    damage = label_damage(np.roll(clean, 2, axis), clean, spacing)
    assert damage.distance_mm == damage.distance95_mm == pytest.approx(2 * spacing[axis])
    assert damage.bias_mm == pytest.approx(2 * spacing[axis])
    assert damage.dice == 0
    assert damage.missed == damage.added == ()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.5, 1.5)])
def test_a_ball_too_large_is_biased_outwards_and_one_too_small_inwards(spacing: tuple[float, ...]) -> None:
    small, large = ball(61, 10, spacing), ball(61, 13, spacing)
    grown, shrunk = label_damage(large, small, spacing), label_damage(small, large, spacing)
    assert grown.bias_mm == pytest.approx(3, abs=0.35)
    assert shrunk.bias_mm == pytest.approx(-3, abs=0.35)
    assert grown.distance_mm == pytest.approx(shrunk.distance_mm)
    assert grown.distance_mm == pytest.approx(3, abs=0.35)


def test_a_moved_disc_has_a_distance_and_hardly_a_bias() -> None:
    clean = ball(41, 10, (1.0, 1.0))
    damage = label_damage(np.roll(clean, 3, 0), clean, (1.0, 1.0))
    assert damage.bias_mm == pytest.approx(3**2 / (4 * 10), abs=0.03)  # sqrt(R^2 + t^2 + 2 R t cos) - R
    assert damage.distance_mm == pytest.approx(3 * 2 / np.pi, rel=0.1)  # the mean of 3 |cos|


@pytest.mark.parametrize(("shape", "spacing"), [((20, 24), (0.7, 1.3)), ((12, 14, 10), (0.5, 1.0, 2.5))])
def test_dice_and_distances_are_those_of_monai_on_random_labels(
    shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(1)
    inner = tuple(slice(1, -1) for _ in shape)  # the border of the image is an outline for MONAI only
    for _ in range(4):
        maps = [np.zeros(shape, dtype=np.int32) for _ in range(2)]
        for label in maps:
            label[inner] = rng.integers(0, 4, label[inner].shape) * (rng.random(label[inner].shape) < 0.4)
        noisy, clean = maps
        damage = label_damage(noisy, clean, spacing)
        masks = [one_hot(torch.from_numpy(label)[None, None].float(), 4) for label in maps]
        dice = compute_dice(*masks, include_background=False)[0]
        mean = compute_average_surface_distance(*masks, symmetric=True, spacing=spacing)[0]
        hd95 = compute_hausdorff_distance(*masks, percentile=95, spacing=spacing)[0]
        assert [one.dice for one in damage.classes] == pytest.approx(dice.tolist(), abs=1e-6)
        assert [one.distance_mm for one in damage.classes] == pytest.approx(mean.tolist(), abs=1e-5)
        assert [one.distance95_mm for one in damage.classes] == pytest.approx(hd95.tolist(), abs=1e-5)
        assert damage.dice == pytest.approx(float(dice.mean()), abs=1e-6)


def test_a_missed_and_an_added_class_count_with_the_diagonal_and_are_named() -> None:
    clean, noisy = box((6, 8), (1, 4), (1, 4)), box((6, 8), (2, 4), (4, 6), number=2)
    damage = label_damage(noisy, clean, (0.5, 0.5))
    assert (damage.missed, damage.added) == ((1,), (2,))
    assert damage.dice == 0
    assert damage.distance_mm == damage.distance95_mm == pytest.approx(5.0)  # 3 x 4 mm
    assert damage.bias_mm is None
    assert damage.classes[1].volume_ratio is None


def test_the_border_of_the_image_is_no_outline() -> None:
    clean, noisy = box((9, 6), (0, 4), (0, 6)), box((9, 6), (0, 6), (0, 6))
    damage = label_damage(noisy, clean, (1.0, 1.0))
    assert damage.distance_mm == damage.bias_mm == 2.0
    same = np.ones((4, 4), dtype=int)
    assert label_damage(same, same, (1.0, 1.0)).distance_mm == 0
    filled = label_damage(same, box((4, 4), (1, 3), (1, 3)), (3.0, 4.0))
    assert filled.distance_mm == 20.0  # no outline is left: the diagonal
    assert filled.missed == filled.added == ()


def test_unknown_voxels_are_in_no_figure_but_their_share() -> None:
    clean = box((12, 12), (2, 10), (2, 10))
    noisy = clean.copy()
    noisy[2:10, 6:10] = 255
    damage = label_damage(noisy, clean, (1.0, 1.0), ignore_index=255)
    assert damage.unknown_share == pytest.approx(32 / 144)
    assert (damage.dice, damage.distance_mm, damage.bias_mm, damage.changed) == (1.0, 0.0, 0.0, 0)
    assert damage.classes[0].unknown == 32
    assert [one.number for one in damage.classes] == [1]
    wrong = noisy.copy()
    wrong[2, 2:6] = 0
    assert label_damage(wrong, clean, (1.0, 1.0), ignore_index=255).classes[0].lost == 4


def test_a_class_that_is_unknown_altogether_is_neither_missed_nor_measured() -> None:
    clean = box((8, 8), (2, 5), (2, 5))
    damage = label_damage(np.where(clean == 1, 9, 0), clean, (1.0, 1.0), ignore_index=9)
    assert damage.dice is damage.distance_mm is None
    assert damage.missed == ()
    assert damage.classes[0].unknown == 9


def test_components_are_counted_over_corners_too() -> None:
    clean = np.eye(6, dtype=int)
    noisy = clean.copy()
    noisy[3, 3] = 0
    (one,) = label_damage(noisy, clean, (1.0, 1.0)).classes
    assert (one.components, one.noisy_components) == (1, 2)
    assert one.as_dict()["component_change"] == 1


def test_empty_labels_have_no_damage() -> None:
    empty = np.zeros((5, 5, 5), dtype=int)
    damage = label_damage(empty, empty, (1.0, 1.0, 1.0))
    assert (damage.dice, damage.distance_mm, damage.changed, damage.classes) == (None, None, 0, ())


@pytest.mark.parametrize("ignore_index", [None, 3])
def test_the_means_alone_are_those_of_the_whole(ignore_index: int | None) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        noisy, clean = rng.integers(0, 4, (2, 9, 8, 7)) * rng.integers(0, 2, (2, 9, 8, 7))
        noisy, clean = noisy.astype(np.int32), clean.astype(np.int32)
        spacing = (1.0, 0.5, 2.0)
        whole = label_damage(noisy, clean, spacing, ignore_index=ignore_index)
        assert mean_dice(noisy, clean, spacing, ignore_index=ignore_index) == pytest.approx(whole.dice)
        assert mean_distance(noisy, clean, spacing, ignore_index=ignore_index) == pytest.approx(whole.distance_mm)


def test_class_numbers_may_be_large_and_far_apart() -> None:
    clean = box((8, 8), (1, 4), (1, 4), number=2_000_000_000) + box((8, 8), (5, 7), (5, 7), number=255)
    damage = label_damage(np.roll(clean, 1, 0), clean, (1.0, 1.0))
    assert [one.number for one in damage.classes] == [255, 2_000_000_000]
    assert damage.classes[1].dice == pytest.approx(2 / 3)


def test_the_dictionary_fits_into_json_and_is_rounded() -> None:
    clean = ball(15, 4, (1.0, 1.0))
    record = json.loads(json.dumps(label_damage(np.roll(clean, 1, 0), clean, (1.0, 1.0)).as_dict()))
    assert record["classes"]["1"]["changed"] == record["changed"] == 18
    assert record["dice"] == round(record["dice"], 6)


@pytest.mark.parametrize(
    ("noisy", "clean", "spacing", "match"),
    [
        (np.zeros((3, 3)), np.zeros((3, 4)), (1, 1), r"noisy has shape \(3, 3\), clean \(3, 4\)"),
        (np.zeros(3), np.zeros(3), (1,), r"expected two maps H W \[D\]"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1, 1, 1), r"spacing is \(1, 1, 1\), expected 2 positive lengths"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1, 0), r"spacing is \(1, 0\)"),
        (np.full((3, 3), 0.5), np.zeros((3, 3)), (1, 1), "noisy holds the value 0.5, expected whole class numbers"),
        (np.zeros((3, 3)), np.full((3, 3), np.nan), (1, 1), "clean holds the value nan"),
    ],
)
def test_maps_that_do_not_fit_are_refused(noisy, clean, spacing, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        label_damage(noisy, clean, spacing)
