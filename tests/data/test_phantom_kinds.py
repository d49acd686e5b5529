"""Phantoms with convex organs: convexity, nesting, places that are hard to see, and their data sets on disc."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.ndimage import label as components

from monai_iel.convexity import convexity_of
from monai_iel.data import load_datalist, make_phantom_case, make_phantom_dataset
from monai_iel.data.organs import Ellipsoid, bent_tube, random_direction, random_rotation, spot_on, voxel_positions
from monai_iel.data.phantom_case import KINDS

REGIONS = {"convex_organs": [[1], [2]], "cup_in_disc": [[1, 2], [2]]}
EACH = pytest.mark.parametrize(("kind", "spatial_dims"), [(kind, dims) for kind in REGIONS for dims in (2, 3)])
SMALL = {"shape": (20, 24, 16), "spacing": (2.0, 2.0, 3.0)}


@EACH
def test_every_region_is_convex_and_one_piece_in_every_case(kind: str, spatial_dims: int) -> None:
    for case in range(6):
        image, label, affine = make_phantom_case(case, kind=kind, spatial_dims=spatial_dims)
        assert image.shape == label.shape == ((96, 96) if spatial_dims == 2 else (48, 48, 40))
        assert (image.dtype, label.dtype, affine.shape) == (np.int16, np.uint8, (4, 4))
        assert set(np.unique(label)) == {0, 1, 2}
        assert (np.bincount(label.ravel()) >= 300).all()
        assert (np.pad(label[(slice(1, -1),) * spatial_dims], 1) == label).all(), "touches the border"
        for region in REGIONS[kind]:
            mask = np.isin(label, region)
            assert convexity_of(mask).solidity == pytest.approx(1.0, abs=0.005)
            assert components(mask)[1] == 1


@EACH
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
def test_convexity_does_not_depend_on_the_spacing(kind: str, spatial_dims: int, spacing: tuple[float, ...]) -> None:
    shape, sizes = (48, 24, 16)[:spatial_dims], spacing[:spatial_dims]
    for case in range(4):
        label = make_phantom_case(case, kind=kind, spatial_dims=spatial_dims, shape=shape, spacing=sizes)[1]
        for region in REGIONS[kind]:
            assert convexity_of(np.isin(label, region), sizes).solidity == pytest.approx(1.0, abs=0.005)


@EACH
def test_organs_are_the_same_in_mm_at_another_spacing(kind: str, spatial_dims: int) -> None:
    grids = [((72, 60, 60), (48 / 72, 0.8, 0.8)), ((48, 48, 40), (1.0, 1.0, 1.2))]
    for number in (1, 2):
        volumes, centres = [], []
        for shape, spacing in ((g[0][:spatial_dims], g[1][:spatial_dims]) for g in grids):
            label = make_phantom_case(0, kind=kind, spatial_dims=spatial_dims, shape=shape, spacing=spacing)[1]
            volumes.append((label == number).sum() * np.prod(spacing))
            centres.append(voxel_positions(shape, spacing)[label == number].mean(axis=0))
        assert volumes[0] == pytest.approx(volumes[1], rel=0.05)
        assert np.abs(centres[0] - centres[1]).max() < 0.5


def test_some_organs_touch_and_some_do_not() -> None:
    touching = 0
    for case in range(20):
        label = make_phantom_case(case, kind="convex_organs", spatial_dims=2)[1]
        touching += bool((binary_dilation(label == 1) & (label == 2)).any())
    assert 5 <= touching <= 18  # 12 expected


def test_the_rim_is_at_least_two_mm_wide() -> None:
    """From the outermost voxels of the cup to the nearest one outside the disc."""
    narrowest = []
    for case in range(30):
        label = make_phantom_case(case, kind="cup_in_disc", spatial_dims=2)[1]
        narrowest.append(distance_transform_edt(label > 0)[label == 2].min())
    # A 16th of 48 mm is 3 mm between the outlines; between voxel centres a part of a voxel less.
    assert min(narrowest) >= 2.5
    assert max(narrowest) > 1.5 * min(narrowest)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_an_organ_fades_into_the_body_on_one_side(spatial_dims: int) -> None:
    """Of the darker organ, an eighth of the voxels or more looks like the body: brighter than midway (0.40)."""
    shares = []
    for case in range(8):
        image, label, _ = make_phantom_case(case, kind="convex_organs", spatial_dims=spatial_dims)
        around = binary_dilation(label > 0, iterations=6) & ~binary_dilation(label > 0, iterations=2)
        shares.append((image[label == 2] > 0.8 * np.median(image[around])).mean())
    assert np.mean(shares) > 0.125
    assert np.mean(shares) < 0.5


@EACH
def test_no_class_vanishes_on_a_coarse_grid(kind: str, spatial_dims: int) -> None:
    for case in range(5):
        shape, spacing = (8,) * spatial_dims, (6.0,) * spatial_dims
        label = make_phantom_case(case, kind=kind, spatial_dims=spatial_dims, shape=shape, spacing=spacing)[1]
        assert set(np.unique(label)) == {0, 1, 2}


@pytest.mark.parametrize("kind", list(KINDS))
def test_cases_seeds_and_kinds_differ_but_a_case_is_itself(kind: str) -> None:
    case = make_phantom_case(3, kind=kind, **SMALL)
    again = make_phantom_case("phantom_003", kind=kind, **SMALL)
    assert all((a == b).all() for a, b in zip(case, again, strict=True))
    others = [make_phantom_case(4, kind=kind, **SMALL), make_phantom_case(3, kind=kind, seed=1, **SMALL)]
    others += [make_phantom_case(3, kind=other, **SMALL) for other in KINDS if other != kind]
    for image, label, affine in others:
        assert (image != case[0]).any()
        assert (label != case[1]).any()
        assert (affine != case[2]).any()


def test_the_first_kind_is_still_that_of_the_first_release(tmp_path: Path) -> None:
    """A data set on disc is reused by its parameters, so neither they nor what they make may change."""
    path = make_phantom_dataset(tmp_path / "p", num_training=1, num_validation=0, num_test=1, **SMALL)
    assert list(json.loads(path.read_text())["phantom"]) == [
        *("version", "spatial_dims", "shape", "spacing", "num_training", "num_validation", "num_test", "seed"),
        "oblique",
    ]
    labels = [make_phantom_case(case, seed=3, **SMALL)[1] for case in range(2)]
    counts = [np.bincount(label.ravel()).tolist() for label in labels]
    assert counts == [[7477, 67, 78, 49, 9], [7501, 65, 72, 38, 4]]


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="convex_organs"):
        make_phantom_case(0, kind="convex_organ")


def test_roughness_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"roughness_mm is 1.0 for kind 'cup_in_disc'"):
        make_phantom_case(0, kind="cup_in_disc", roughness_mm=1.0)


@pytest.mark.parametrize("kind", list(REGIONS))
def test_the_data_set_of_a_kind_is_written_with_its_classes_and_reused(kind: str, tmp_path: Path) -> None:
    few = {"num_training": 2, "num_validation": 0, "num_test": 1, **SMALL}
    path = make_phantom_dataset(tmp_path / "set", kind=kind, **few)
    before = path.stat().st_mtime_ns
    assert make_phantom_dataset(tmp_path / "set", kind=kind, **few) == path
    assert path.stat().st_mtime_ns == before
    content = json.loads(path.read_text())
    assert tuple(content["labels"].values()) == KINDS[kind].classes
    assert content["phantom"]["kind"] == kind
    assert len(load_datalist(path, "training", spatial_dims=3, num_classes=3, progress=False)) == 2
    for other in [name for name in KINDS if name != kind]:
        with pytest.raises(FileExistsError, match=r"other parameters \(kind\)"):
            make_phantom_dataset(tmp_path / "set", kind=other, **few)


@pytest.mark.parametrize("exponent", [1.5, 2.0, 4.0])
def test_support_is_the_farthest_that_the_outline_reaches(exponent: float) -> None:
    rng = np.random.default_rng(0)
    box = Ellipsoid(np.array([1.0, -2.0, 0.5]), np.array([3.0, 4.0, 5.0]), random_rotation(rng, 3, 40.0), exponent)
    rays = rng.normal(size=(20000, 3))
    points = box.outline_points(box.centre + rays)
    assert np.allclose(box.depth(points), 0.0, atol=1e-9)
    for _ in range(5):
        direction = random_direction(rng, 3)
        reached = ((points - box.centre) @ direction).max()
        assert reached <= box.support(direction) + 1e-9
        assert reached == pytest.approx(box.support(direction), rel=0.03)


def test_a_spot_lies_on_the_outline_and_a_tube_along_its_curve() -> None:
    ball = Ellipsoid(np.zeros(2), np.full(2, 5.0), np.eye(2))
    side = np.array([1.0, 0.0])
    places = np.array([[5.0, 0.0], [5.0, 2.0], [-5.0, 0.0]])
    assert np.allclose(spot_on(ball, side, places, 2.0), [1.0, np.exp(-1), 0.0], atol=1e-12)
    tube = bent_tube(np.random.default_rng(0), np.zeros(2), side, 10.0, 1.0, np.array([[0.0, 0.0], [-4.0, 0.0]]))
    assert tube[0] == pytest.approx(1.0)
    assert tube[1] < 1e-9
