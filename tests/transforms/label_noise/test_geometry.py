"""What the geometric models share: the size of outlines in mm, and volumes of one slice."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.transforms.label_noise.geometry import edge_voxels, face_areas, outline_size, without_flat_axes

RADIUS = 17.0


def size_of(mask: np.ndarray, spacing: tuple[float, ...]) -> float:
    return outline_size(face_areas(mask, edge_voxels(mask), spacing), mask.ndim)


@pytest.mark.parametrize(
    ("spacing", "exact"),
    [
        ((1.0, 1.0), 2 * np.pi * RADIUS),
        ((0.3, 2.0), 2 * np.pi * RADIUS),
        ((1.0, 1.0, 1.0), 4 * np.pi * RADIUS**2),
        ((0.5, 0.5, 3.0), 4 * np.pi * RADIUS**2),
        ((3.0, 0.7, 1.0), 4 * np.pi * RADIUS**2),
    ],
)
def test_the_outline_of_a_ball_has_its_exact_size_at_any_voxel_size(spacing, exact):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(8):  # at random places between the voxels
        shift = rng.uniform(-0.5, 0.5, len(spacing))
        reach = [int(20 / size) for size in spacing]
        axes = [(np.arange(-n, n + 1) + off) * size for n, off, size in zip(reach, shift, spacing, strict=True)]
        found.append(size_of(sum(axis**2 for axis in np.ix_(*axes)) < RADIUS**2, spacing))
    # Rounding to voxels averages out over places: three standard errors, a few tenths of a percent.
    assert np.mean(found) == pytest.approx(exact, abs=3 * np.std(found) / np.sqrt(8) + 0.002 * exact)
    assert np.mean(found) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("spacing", [(1.0, 2.0), (1.0, 2.0, 3.0)])
def test_a_box_along_the_axes_has_the_share_that_is_documented(spacing):
    mask = np.zeros([12] * len(spacing), dtype=bool)
    mask[(slice(3, 9),) * len(spacing)] = True
    sides = 6 * np.array(spacing)
    surface = 2 * sum(np.prod(np.delete(sides, axis)) for axis in range(len(sides)))
    assert size_of(mask, spacing) == pytest.approx(surface * {2: np.pi / 4, 3: 2 / 3}[len(spacing)])


def test_the_border_of_the_array_is_no_outline():
    mask = np.zeros((6, 5), dtype=bool)
    mask[:3] = True
    assert face_areas(mask, edge_voxels(mask), (2.0, 0.5)).tolist() == [0.5] * 5


@pytest.mark.parametrize(
    ("shape", "left", "spacing"),
    [
        ((4, 1, 5), (4, 5), (1.0, 3.0)),
        ((1, 5), (5,), (2.0,)),
        ((4, 5), (4, 5), (1.0, 2.0)),
        ((1, 1), (1, 1), (1.0, 2.0)),
    ],
)
def test_flat_axes_are_left_out_unless_all_are(shape, left, spacing):
    flat, sizes = without_flat_axes(
        np.arange(np.prod(shape), dtype=np.int32).reshape(shape), (1.0, 2.0, 3.0)[: len(shape)]
    )
    assert (flat.shape, sizes) == (left, spacing)
    assert flat.ravel().tolist() == list(range(np.prod(shape)))
