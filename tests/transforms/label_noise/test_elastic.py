"""Elastic noise: outlines move as far as stated, in mm, at any sampling, and the map stays a map."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.data.organs import voxel_positions
from monai_iel.transforms.label_noise import ElasticLabelNoise

ISOTROPIC, ANISOTROPIC = (1.0, 1.0, 1.0), (0.5, 0.5, 3.0)
# So long a correlation that the displacement is one vector for the whole volume.
RIGID = ElasticLabelNoise(displacement=3.0, correlation=1e9)


def ball(spacing: tuple[float, ...], radius: float, extent: float) -> np.ndarray:
    shape = tuple(round(extent / size) for size in spacing)
    return (np.linalg.norm(voxel_positions(shape, spacing), axis=-1) <= radius).astype(np.int32)


def shift_of(noisy: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """By how many voxels a map was shifted; fails if that is not all that was done."""
    shift = np.argwhere(noisy).min(axis=0) - np.argwhere(clean).min(axis=0)
    assert np.array_equal(noisy, np.roll(clean, shift, axis=range(clean.ndim)))
    return shift


def test_with_an_endless_correlation_the_map_is_shifted_as_a_whole_in_mm():
    spacing = (0.5, 1.0, 2.0)
    label = np.zeros((90, 50, 30), dtype=np.int32)
    label[40:50, 20:26, 14:18], label[42:46, 22:25, 15:17] = 1, 2
    shifts = np.array([shift_of(RIGID.corrupt_case(label.copy(), spacing, case), label) for case in range(100)])
    measured = np.sqrt(np.mean((shifts * spacing) ** 2, axis=0))
    # Rounding to voxels adds h^2 / 12 to the mean square; four standard errors of the root mean square of 100 are 28 %.
    assert measured == pytest.approx(np.sqrt(3.0**2 + np.square(spacing) / 12), rel=0.28)
    assert np.abs(np.corrcoef(shifts.T)[np.triu_indices(3, k=1)]).max() < 4 / np.sqrt(100)


def test_the_displacement_grows_in_proportion_to_the_strength():
    label = np.zeros((120, 120), dtype=np.int32)
    label[55:65, 50:70] = 1
    spacing = (0.1, 0.1)  # so that rounding is small
    noise = ElasticLabelNoise(displacement=1.0, correlation=1e4)
    for case in range(5):
        full = shift_of(noise.corrupt_case(label.copy(), spacing, case), label)
        half = shift_of(noise.at_strength(0.5).corrupt_case(label.copy(), spacing, case), label)
        assert np.abs(full - 2 * half).max() <= 2


@pytest.mark.parametrize("spacing", [(0.25, 1.0), (0.25, 4.0)])
def test_an_outline_moves_by_the_stated_distance_and_stays_correlated_over_the_stated_length(spacing):
    sigma, length = 1.5, 8.0
    label = np.zeros((120, round(64 / spacing[1])), dtype=np.int32)
    label[60:] = 1
    noise = ElasticLabelNoise(displacement=sigma, correlation=length)
    edges = [60 - (120 - noise.corrupt_case(label.copy(), spacing, case).sum(axis=0)) for case in range(150)]
    moved = np.array(edges) * spacing[0]  # mm, case by column
    # 64 mm hold about 5 independent pieces: standard error of the mean square sqrt(2 / 750) = 5 %.
    assert np.mean(np.abs(moved)) == pytest.approx(sigma * np.sqrt(2 / np.pi), rel=0.12)
    assert np.mean(moved) == pytest.approx(0, abs=0.25)
    step = round(length / spacing[1])
    correlation = np.mean(moved[:, :-step] * moved[:, step:]) / np.mean(moved**2)
    # The outline also slides along itself, which makes it steeper: a little below exp(-1/2) = 0.61.
    assert correlation == pytest.approx(np.exp(-0.5), abs=0.1)


@pytest.mark.parametrize(("sigma", "length"), [(2.0, 8.0), (1.5, 4.5)])
def test_the_same_organ_gets_the_same_damage_at_any_sampling(sigma, length):
    noise = ElasticLabelNoise(displacement=sigma, correlation=length)
    radius = 15.0
    depths = []
    for spacing in (ISOTROPIC, ANISOTROPIC):
        label = ball(spacing, radius, 54.0)
        changed = [np.sum(noise.corrupt_case(label.copy(), spacing, case) != label) for case in range(20)]
        depths.append(np.mean(changed) * np.prod(spacing) / (4 * np.pi * radius**2))
    # The standard error of the mean of 20 cases is 2 to 4 %. Taking mm for voxels would be wrong by a factor.
    assert depths == pytest.approx([sigma * np.sqrt(2 / np.pi)] * 2, rel=0.12)


def test_all_classes_move_together_so_their_union_moves_as_one_class_would():
    noise = ElasticLabelNoise(displacement=2.0, correlation=6.0)
    label = ball(ISOTROPIC, 10.0, 30.0)
    label[:, 15:] *= 2
    label[12:18, 12:18, 12:18] = 3
    noisy = noise.corrupt_case(label.copy(), ISOTROPIC, "a")
    union = noise.corrupt_case((label > 0).astype(np.int32), ISOTROPIC, "a")
    assert np.array_equal(noisy > 0, union > 0)
    assert set(np.unique(noisy)) == {0, 1, 2, 3}


def test_the_noise_of_an_organ_does_not_depend_on_how_much_is_around_it():
    noise = ElasticLabelNoise(displacement=1.0, correlation=5.0)
    label = ball(ISOTROPIC, 8.0, 32.0)
    padded = np.pad(label, ((3, 0), (7, 2), (0, 5)))
    noisy = noise.corrupt_case(padded, ISOTROPIC, "a")[3:, 7:-2, :-5]
    assert np.array_equal(noisy, noise.corrupt_case(label.copy(), ISOTROPIC, "a"))


def test_only_the_outlines_of_the_chosen_classes_move():
    label = np.zeros((40, 60), dtype=np.int32)
    label[10:30, 5:20], label[10:30, 20:35], label[10:30, 45:55] = 1, 2, 3
    noisy = ElasticLabelNoise(displacement=2.0, correlation=6.0, classes=[1]).corrupt_case(label.copy(), (1, 1), "a")
    assert (noisy != label).any()
    touched = (noisy == 1) | (label == 1)
    assert np.array_equal(noisy[~touched], label[~touched])
    assert np.array_equal(noisy == 3, label == 3)
    assert {(1, 0), (0, 1), (1, 2), (2, 1)} == set(zip(label[noisy != label], noisy[noisy != label], strict=True))


def test_an_organ_that_is_cut_by_the_border_stays_cut_by_it():
    label = np.zeros((40, 30), dtype=np.int32)
    label[20:] = 1
    noise = ElasticLabelNoise(displacement=1.5, correlation=6.0)
    for case in range(10):
        noisy = noise.corrupt_case(label.copy(), (1.0, 1.0), case)
        assert noisy[30:].all()
        assert not noisy[:10].any()


def test_a_displacement_below_half_a_slice_moves_nothing_across_the_slices():
    label = np.zeros((30, 30, 8), dtype=np.int32)
    label[:, :, 3:5] = 1  # two whole slices: nothing within them can move
    noise = ElasticLabelNoise(displacement=0.5, correlation=10.0)
    assert np.array_equal(noise.corrupt_case(label.copy(), (1.0, 1.0, 8.0), "a"), label)
    assert not np.array_equal(noise.corrupt_case(label.copy(), (1.0, 1.0, 0.5), "a"), label)


def test_the_mean_damage_grows_with_the_strength():
    noise = ElasticLabelNoise(displacement=0.5, correlation=4.0)
    label = ball((1.0, 1.0), 12.0, 40.0)
    damage = [
        np.mean([np.sum(noise.at_strength(s).corrupt_case(label.copy(), (1.0, 1.0), c) != label) for c in range(10)])
        for s in (0.5, 1, 2, 4, 8)
    ]
    assert (np.diff(damage) > 0).all()


def test_the_displacement_may_not_exceed_the_correlation():
    noise = ElasticLabelNoise(displacement=2.0, correlation=5.0)
    assert noise.max_strength == 2.5
    with pytest.raises(ValueError, match=r"strength is 2.6, but ElasticLabelNoise.* no more than at 2.5"):
        noise.at_strength(2.6).corrupt_case(np.ones((4, 4), dtype=np.int32), (1.0, 1.0), "a")


def test_a_correlation_that_the_voxels_cannot_show_is_refused():
    noise = ElasticLabelNoise(displacement=0.2, correlation=0.4)
    label = np.ones((4, 4, 4), dtype=np.int32)
    with pytest.raises(ValueError, match=r"correlation is 0.4 mm, but the voxels are 0.5 x 0.5 x 3 mm; expected"):
        noise.corrupt_case(label, ANISOTROPIC, "a")
    assert noise.corrupt_case(label, (0.4, 0.4, 3.0), "a").all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"displacement": 0, "correlation": 1}, "displacement is 0, expected a positive length in mm"),
        ({"displacement": 1, "correlation": float("nan")}, "correlation is nan, expected a positive length in mm"),
        ({"displacement": 3, "correlation": 2}, "displacement is 3 mm, expected at most the correlation of 2 mm"),
        ({"displacement": 1, "correlation": 2, "classes": [0]}, "classes is 0, expected at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        ElasticLabelNoise(**arguments)
