"""The phantom: determinism, geometry in mm, contrasts, and its data set on disc."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.ndimage import label as components

from monai_iel.data import load_datalist, make_phantom_case, make_phantom_dataset, phantom
from monai_iel.data.organs import Ellipsoid, SmoothField, random_rotation, voxel_positions
from monai_iel.data.phantom_case import NOISE

SMALL = {"shape": (20, 24, 16), "spacing": (2.0, 2.0, 3.0)}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_every_organ_is_there_in_every_case(spatial_dims: int) -> None:
    for case in range(12):
        image, label, affine = make_phantom_case(case, spatial_dims=spatial_dims)
        assert image.shape == label.shape == ((96, 96) if spatial_dims == 2 else (40, 48, 32))
        assert (image.dtype, label.dtype, affine.shape) == (np.int16, np.uint8, (4, 4))
        counts = np.bincount(label.ravel(), minlength=5)
        assert (counts[1:] >= 50).all()
        assert counts[0] > counts[1:].sum()
        # Each organ is one piece, and none touches the border of the volume.
        for number in range(1, 5):
            assert components(label == number)[1] == 1
        assert (np.pad(label[(slice(1, -1),) * spatial_dims], 1) == label).all()


def test_no_organ_vanishes_on_a_coarse_grid() -> None:
    for case in range(5):
        label = make_phantom_case(case, shape=(8, 8, 8), spacing=(6.0, 6.0, 6.0))[1]
        assert set(np.unique(label)) == {0, 1, 2, 3, 4}


def test_the_small_organ_touches_the_smooth_one() -> None:
    for case in range(8):
        label = make_phantom_case(case)[1]
        assert (binary_dilation(label == 1) & (label == 4)).any()


def test_cases_differ_and_seeds_differ_but_a_case_is_itself() -> None:
    image, label, affine = make_phantom_case(3, **SMALL)
    again = make_phantom_case("phantom_003", **SMALL)
    assert all((a == b).all() for a, b in zip((image, label, affine), again, strict=True))
    for other in (make_phantom_case(4, **SMALL), make_phantom_case(3, seed=1, **SMALL)):
        assert (other[1] != label).any()
        assert (other[2] != affine).any()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_organs_are_the_same_in_mm_at_another_spacing(spatial_dims: int) -> None:
    fine = {"shape": (96, 120, 96)[:spatial_dims], "spacing": (0.5, 0.4, 0.5)[:spatial_dims]}
    coarse = {"shape": (48, 48, 32)[:spatial_dims], "spacing": (1.0, 1.0, 1.5)[:spatial_dims]}
    a = make_phantom_case(0, spatial_dims=spatial_dims, **fine)[1]
    b = make_phantom_case(0, spatial_dims=spatial_dims, **coarse)[1]
    for number in range(1, 5):
        size_a = (a == number).sum() * np.prod(fine["spacing"])
        size_b = (b == number).sum() * np.prod(coarse["spacing"])
        # A voxel centre falls in or out at random along the outline: the error of the count is about the square root of
        # the number of boundary voxels (3 standard deviations allowed).
        edge = (b == number) & ~binary_erosion(b == number)
        assert abs(size_a - size_b) < 3 * np.sqrt(edge.sum()) * np.prod(coarse["spacing"])
        centres = [
            np.mean(voxel_positions(g["shape"], g["spacing"])[m == number], axis=0) for g, m in ((fine, a), (coarse, b))
        ]
        assert np.abs(centres[0] - centres[1]).max() < 0.5


def test_anisotropic_voxels_do_not_stretch_an_organ() -> None:
    """Second moments in mm of the smooth organ agree; in voxels they differ by the ratio of the spacings."""
    spread = []
    for shape, spacing in (((48, 48, 48), (1.0, 1.0, 1.0)), ((48, 48, 24), (1.0, 1.0, 2.0))):
        label = make_phantom_case(1, shape=shape, spacing=spacing)[1]
        spread.append(np.std(voxel_positions(shape, spacing)[label == 1], axis=0))
    assert np.allclose(spread[0], spread[1], rtol=0.06)


def test_roughness_makes_only_the_second_organ_rough() -> None:
    rough = make_phantom_case(2, roughness_mm=1.2)[1]
    smooth = make_phantom_case(2, roughness_mm=0.0)[1]
    assert ((rough == 2) != (smooth == 2)).sum() > 100
    for number in (1, 3, 4):
        assert ((rough == number) == (smooth == number))[(rough != 2) & (smooth != 2)].all()

    def surface(mask: np.ndarray) -> int:
        return int((mask & ~binary_erosion(mask)).sum())

    relative = [surface(m == 2) / (m == 2).sum() ** (2 / 3) for m in (rough, smooth)]
    assert relative[0] > 1.1 * relative[1]


def test_contrasts_follow_the_noise() -> None:
    """Mean of an organ against the body around it, in noise standard deviations, over cases (bias averages out)."""
    contrasts: dict[int, list[float]] = {1: [], 3: []}
    for case in range(16):
        image, label, _ = make_phantom_case(case)
        air = image[:3, :3].astype(float)
        # Far from the body the signal is 0.02, much below the noise: the mean square is 2 noise^2 + 0.02^2.
        sigma = np.sqrt((air**2).mean() / (2 + (0.02 / NOISE) ** 2))
        for number, found in contrasts.items():
            inside = binary_erosion(label == number)
            around = binary_dilation(label == number, iterations=4) & ~binary_dilation(label > 0, iterations=1)
            found.append((image[inside].mean() - image[around].mean()) / sigma)
    assert 0.6 < np.mean(contrasts[3]) < 1.5
    assert np.mean(contrasts[1]) > 3


def test_gain_varies_between_cases_by_up_to_ten() -> None:
    levels = [np.median(make_phantom_case(case, **SMALL)[0][6:14, 8:16, 5:11]) for case in range(30)]
    assert 4 < max(levels) / min(levels) < 20


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_affine_is_a_rotation_of_the_spacing(spatial_dims: int) -> None:
    spacing = (0.7, 1.3, 2.0)[:spatial_dims]
    shape = (16, 18, 20)[:spatial_dims]
    for case in range(5):
        affine = make_phantom_case(case, spatial_dims=spatial_dims, shape=shape, spacing=spacing)[2]
        rotation = affine[:3, :3] / np.array([*spacing, 1.0][:3])
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.isclose(np.linalg.det(rotation), 1.0)
        # In 2D one rotation in the plane; in 3D two, so axis 0 and axis 2 are each tilted by 10 to 20 degrees.
        tilts = np.degrees(np.arccos(np.diag(rotation)[[0] if spatial_dims == 2 else [0, 2]]))
        assert ((tilts >= 10) & (tilts <= 20)).all()
    straight = make_phantom_case(0, spatial_dims=spatial_dims, shape=shape, spacing=spacing, oblique=False)[2]
    assert np.allclose(straight[:spatial_dims, :spatial_dims], np.diag(spacing))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims is 4"),
        ({"shape": (20, 20)}, "expected 3 numbers of at least 8"),
        ({"shape": (20, 20, 4)}, "expected 3 numbers of at least 8"),
        ({"spacing": (1.0, 1.0)}, "expected 3 positive numbers in mm"),
        ({"spacing": (1.0, 1.0, -1.0)}, "expected 3 positive numbers in mm"),
        ({"roughness_mm": -1.0}, "roughness_mm is -1.0"),
    ],
)
def test_impossible_phantoms_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_phantom_case(0, **arguments)


def test_ellipsoid_depth_is_exact_for_a_sphere_and_along_the_axes() -> None:
    rng = np.random.default_rng(0)
    positions = rng.normal(scale=4.0, size=(50, 3))
    sphere = Ellipsoid(centre=np.ones(3), radii=np.full(3, 2.5), rotation=random_rotation(rng, 3, 30.0))
    assert np.allclose(sphere.depth(positions), 2.5 - np.linalg.norm(positions - 1.0, axis=-1), atol=1e-12)
    long = Ellipsoid(centre=np.zeros(2), radii=np.array([1.0, 3.0]), rotation=np.eye(2))
    assert np.allclose(long.radius_along(np.eye(2)), [1.0, 3.0])
    assert np.allclose(long.outline_points(np.array([[0.0, 7.0]])), [[0.0, 3.0]])
    assert long.depth(np.zeros((1, 2))) == pytest.approx(1.0)


def test_a_smooth_field_has_unit_variance_and_the_stated_correlation() -> None:
    """Averaged over 400 fields, the correlation at distance r is exp(-r^2 / (2 length^2))."""
    rng = np.random.default_rng(0)
    positions = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 3.0]])
    values = np.stack([SmoothField(rng, dims=2, length=1.5)(positions) for _ in range(4000)])
    expected = [1.0, np.exp(-0.5), np.exp(-2.0)]
    # The standard error of a correlation over 4000 draws is below 1.5 / sqrt(4000) = 0.024.
    assert np.allclose((values * values[:, :1]).mean(axis=0), expected, atol=0.08)
    assert np.allclose(values.mean(axis=0), 0.0, atol=0.06)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "set"
    return make_phantom_dataset(folder, num_training=4, num_validation=1, num_test=2, **SMALL)


def test_the_data_set_is_a_valid_decathlon_folder(dataset: Path) -> None:
    for section, count in (("training", 4), ("validation", 1), ("test", 2)):
        entries = load_datalist(dataset, section, spatial_dims=3, num_classes=5, in_channels=1, progress=False)
        assert len(entries) == count
        ending = "Ts" if section == "test" else "Tr"
        assert all(Path(entry["image"]).parent == dataset.parent / f"images{ending}" for entry in entries)
        assert all(Path(entry["label"]).parent == dataset.parent / f"labels{ending}" for entry in entries)
    content = json.loads(dataset.read_text())
    assert content["phantom"]["shape"] == [20, 24, 16]
    assert len(content["labels"]) == 5


def test_the_files_hold_the_case_and_its_oblique_affine(dataset: Path) -> None:
    for entry in load_datalist(dataset, "test", spatial_dims=3, check="off"):
        image, label, affine = make_phantom_case(entry["case_id"], **SMALL)
        on_disc = nibabel.load(entry["image"])
        assert (np.asanyarray(on_disc.dataobj) == image).all()
        assert (np.asanyarray(nibabel.load(entry["label"]).dataobj) == label).all()
        assert np.abs(on_disc.affine - affine).max() < 1e-5
        assert np.abs(on_disc.get_qform() - affine).max() < 1e-4
        assert abs(on_disc.affine[0, 1]) > 0.1
        assert np.allclose(on_disc.header.get_zooms(), SMALL["spacing"])
        assert nibabel.load(entry["label"]).get_data_dtype() == np.uint8


def test_the_bytes_follow_from_the_seed(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.0)  # a gzip header with a time would differ
    again = make_phantom_dataset(tmp_path / "again", num_training=4, num_validation=1, num_test=2, **SMALL)
    assert digests(again.parent) == digests(dataset.parent)
    other = make_phantom_dataset(tmp_path / "o", num_training=4, num_validation=1, num_test=2, seed=1, **SMALL)
    assert set(digests(other.parent).values()).isdisjoint(digests(dataset.parent).values())


def test_2d_files_have_two_axes(tmp_path: Path) -> None:
    path = make_phantom_dataset(tmp_path, spatial_dims=2, num_training=1, num_validation=1, num_test=1, shape=(32, 40))
    (entry,) = load_datalist(path, "training", spatial_dims=2, num_classes=5, progress=False)
    assert nibabel.load(entry["image"]).shape == (32, 40)


def test_the_same_data_set_is_reused_and_another_is_refused(tmp_path: Path) -> None:
    few = {"num_training": 1, "num_validation": 0, "num_test": 1, **SMALL}
    path = make_phantom_dataset(tmp_path / "set", **few)
    before = path.stat().st_mtime_ns
    assert make_phantom_dataset(tmp_path / "set", **few) == path
    assert path.stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match=r"other parameters \(seed\).*overwrite"):
        make_phantom_dataset(tmp_path / "set", seed=5, **few)
    make_phantom_dataset(tmp_path / "set", seed=5, overwrite=True, **few)
    assert json.loads(path.read_text())["phantom"]["seed"] == 5
    (tmp_path / "set" / "imagesTs").rename(tmp_path / "gone")
    with pytest.raises(FileExistsError, match=r"no such file.*make the data set again with overwrite"):
        make_phantom_dataset(tmp_path / "set", seed=5, **few)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["gone", "set"]


@pytest.mark.parametrize("same", [True, False])
def test_the_slower_of_two_processes_takes_what_the_faster_has_made(
    same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"num_training": 1, "num_validation": 0, "num_test": 1, **SMALL}
    build = phantom._build

    def overtaken(folder: Path, parameters: dict, *, overwrite: bool) -> None:
        build(folder, {**parameters, "seed": 0 if same else 1}, overwrite=overwrite)
        build(folder, parameters, overwrite=overwrite)

    monkeypatch.setattr(phantom, "_build", overtaken)
    if same:
        assert make_phantom_dataset(tmp_path / "p", **few).is_file()
    else:
        with pytest.raises(FileExistsError, match="other parameters"):
            make_phantom_dataset(tmp_path / "p", **few)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"exists already|not made here"):
            make_phantom_dataset(tmp_path, overwrite=overwrite, **SMALL)
    assert [item.name for item in tmp_path.iterdir()] == ["notes.txt"]


def test_impossible_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one training case"):
        make_phantom_dataset(tmp_path / "set", num_training=0)
    assert not (tmp_path / "set").exists()
