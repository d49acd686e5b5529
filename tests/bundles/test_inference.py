"""Inference: label maps on the grid of the image, from stock MONAI alone, and errors that name the file."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image
from scipy.ndimage import label

from monai_iel.resources import BUNDLES
from monai_iel.study import root_cause

Run = Callable[..., ConfigWorkflow]


@pytest.fixture
def threshold(tmp_path: Path) -> Callable[[int, int], dict[str, Any]]:
    """Settings that replace the network: class 1 wherever the first channel, as it is prepared, is above ``at``."""

    def settings(spatial_dims: int, channels: int = 1, at: float = 0.0) -> dict[str, Any]:
        kind = {2: "Conv2d", 3: "Conv3d"}[spatial_dims]
        weight = torch.zeros(2, channels, *[1] * spatial_dims)
        weight[1, 0] = 1.0
        torch.save({"weight": weight, "bias": torch.tensor([at, 0.0])}, tmp_path / "threshold.pt")
        network = {"_target_": f"torch.nn.{kind}", "in_channels": channels, "out_channels": 2, "kernel_size": 1}
        return {"network_def": network, "checkpoint": str(tmp_path / "threshold.pt"), "patch_size": [32] * spatial_dims}

    return settings


def rotation(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.eye(4)
    i, j = [a for a in range(3) if a != axis]
    turn[[i, i, j, j], [i, j, i, j]] = [c, -s, s, c]
    return turn


def oriented(codes: str, spacing: tuple[float, float, float]) -> np.ndarray:
    """An affine of these axes and spacings, with an origin that is not zero."""
    ornt = axcodes2ornt(codes)
    affine = np.zeros((4, 4))
    for column, (axis, sign) in enumerate(ornt):
        affine[int(axis), column] = sign * spacing[column]
    affine[:, 3] = [-31.7, 12.3, 1004.9, 1]
    assert nibabel.aff2axcodes(affine) == tuple(codes)
    return affine


AFFINES = {
    "oblique": rotation(17, 0) @ rotation(-12, 2) @ oriented("RAS", (1.0, 1.0, 1.0)),
    "anisotropic": oriented("RAS", (0.7, 1.3, 2.9)),
    "oblique and anisotropic": rotation(9, 1) @ oriented("LPS", (0.8, 0.8, 3.1)),
    "LPS": oriented("LPS", (1.0, 1.0, 1.0)),
    "axes in another order": oriented("SLP", (1.0, 1.0, 1.0)),
}
SHAPE = (33, 27, 19)  # odd, and each another


def ball(affine: np.ndarray) -> np.ndarray:
    """A bright ball of 9 mm, off the centre, with a mark that no flip or change of axes leaves in place."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    mm = index @ affine[:3, :3].T
    middle = np.array([14, 11, 8]) @ affine[:3, :3].T
    return (np.linalg.norm(mm - middle, axis=-1) < 9).astype(np.int16)


@pytest.mark.parametrize("name", AFFINES)
def test_label_maps_lie_on_the_grid_of_their_images(
    name: str, run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    affine = AFFINES[name]
    truth = ball(affine)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(truth * 900 + 100, affine), tmp_path / "in" / "case.v2.nii.gz")
    share = truth.mean()
    half = (0.5 - share) / np.sqrt(share * (1 - share))  # halfway between dark and bright, after normalisation
    settings = {**threshold(3, at=half), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    run("inference", **settings)
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["case.v2_seg.nii.gz"]
    found = nibabel.load(tmp_path / "out" / "case.v2_seg.nii.gz")
    assert found.shape == SHAPE
    assert found.get_data_dtype() == np.uint8
    assert np.abs(found.affine - affine).max() < 1e-4
    assert np.abs(found.get_sform() - affine).max() < 1e-4
    pred = np.asarray(found.dataobj)
    assert set(np.unique(pred)) == {0, 1}
    if np.allclose(np.linalg.norm(affine[:3, :3], axis=0), 1):  # the bundle's grid is the file's: nothing is resampled
        assert np.array_equal(pred, truth)
    else:  # resampling there and back moves the outline by part of a voxel; a flip would leave less than half
        assert 2 * (pred & truth).sum() / (pred.sum() + truth.sum()) > 0.9


def test_the_ball_tells_orientations_apart() -> None:
    """Guards the test above: the truth changes under every flip and transposition."""
    truth = ball(np.eye(4))
    assert not any(np.array_equal(truth, np.flip(truth, axis)) for axis in range(3))
    ornt = ornt_transform(io_orientation(AFFINES["axes in another order"]), axcodes2ornt("RAS"))
    assert nibabel.apply_orientation(truth, ornt).shape != truth.shape


def test_smoothing_removes_a_speck_and_keeps_the_organ(
    run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    truth = ball(affine)
    image = truth.copy()
    image[30, 3, 16] = 1
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "in" / "case.nii.gz")
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in")}
    found = {}
    for name, configs in {"plain": ["inference"], "smooth": ["inference", "inference_smooth"]}.items():
        run(*configs, **settings, output_dir=str(tmp_path / name))
        found[name] = np.asarray(nibabel.load(tmp_path / name / "case_seg.nii.gz").dataobj)
    assert found["plain"][30, 3, 16] == 1
    assert found["smooth"][30, 3, 16] == 0
    assert found["smooth"][14, 11, 8] == 1


WITHOUT_US = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "monai_iel":
            raise ImportError("monai_iel is blocked")

sys.meta_path.insert(0, Refuse())
from monai.bundle import run
for configs, out in zip(eval(sys.argv[1]), sys.argv[2:4]):
    run(config_file=configs, output_dir=out, **eval(sys.argv[4]))
try:
    import monai_iel
except ImportError:
    print("not importable, not imported:", "monai_iel" not in sys.modules)
"""


@pytest.mark.parametrize("bundle", BUNDLES, indirect=True, scope="session")
def test_inference_needs_stock_monai_only(
    trained: Path, files: Callable[..., list[str]], root: Path, tmp_path: Path, small: dict[str, Any], kind: Any
) -> None:
    names = ("bundle_root", "features", "patch_size", "device", "amp")
    known = {**small, "bundle_root": str(root)}
    settings = {name: known[name] for name in names}
    volumes = kind.suffix == ".nii.gz"
    settings.update(num_classes=kind.network["out_channels"], checkpoint=str(trained / "model.pt"))
    settings.update({"spacing": [1.0, 1.0, 1.5]} if volumes else {"pattern": "image_[56].png", "smoothing_mm": 5.0})
    settings.update(dataset_dir=str(kind.list_path.parent / ("imagesTs" if volumes else "")))
    configs = [files("inference"), files("inference", "inference_smooth")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_US, repr(configs), "plain", "smooth", repr(settings)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "not importable, not imported: True" in done.stdout
    plain, smooth = (sorted((tmp_path / name).glob("[!.]*")) for name in ("plain", "smooth"))
    assert len(plain) == len(smooth) == 2
    a, b = (np.asarray(nibabel.load(p[0]).dataobj if volumes else Image.open(p[0])) for p in (plain, smooth))
    assert a.max() < kind.network["out_channels"]
    assert not np.array_equal(a, b), "smoothing had no effect"


@pytest.mark.parametrize(
    ("bundle", "overlays", "channels"),
    [(BUNDLES[0], ("data/wbc",), 3), (BUNDLES[0], ("data/dsb2018",), 1), ("convex_organ_segmentation", (), 3)],
    indirect=["bundle"],
    scope="session",
)
def test_pictures_give_pictures_of_their_size(
    overlays: tuple[str, ...], channels: int, run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    height, width = 130, 90
    picture = np.zeros((height, width, channels), np.uint8)
    picture[:50, :60, 0] = 200
    picture[:50, :60, 1:] = 90
    (tmp_path / "in").mkdir()
    Image.fromarray(picture if channels == 3 else picture[..., 0]).save(tmp_path / "in" / "a.png")
    # In wbc.yaml intensities are between 0 and 1, in dsb2018.yaml they are centred.
    settings = threshold(2, channels, at=0.5 if channels == 3 else 0.0)
    settings.update(dataset_dir=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    run("inference", *overlays, **settings)
    with Image.open(tmp_path / "out" / "a_seg.png") as found:
        assert found.size == (width, height)
        assert found.mode == "L"
        pred = np.asarray(found)
    truth = np.zeros((height, width), bool)
    truth[:50, :60] = True
    assert set(np.unique(pred)) == {0, 1}
    assert (pred.astype(bool) != truth).mean() < 0.02  # resizing moves the outline by part of a pixel


def test_real_pictures_and_volumes_are_segmented(run: Run, shared_data: Path, tmp_path: Path) -> None:
    """Random weights: only the way through the configs and the grid of the output are in question."""
    cells = [shared_data / "wbc" / "images" / name for name in sorted(os.listdir(shared_data / "wbc" / "images"))[:2]]
    nuclei = sorted((shared_data / "dsb2018" / "images").iterdir())[:1]
    volumes = sorted((shared_data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:2]
    for overlay, images in {"data/wbc": cells, "data/dsb2018": nuclei, "data/hippocampus": volumes}.items():
        out = tmp_path / Path(overlay).name
        data = [{"image": str(path)} for path in images]
        settings = {"dataset#data": data, "output_dir": str(out), "handlers": [], "features": [4, 4, 4, 4, 8, 4]}
        run("inference", overlay, **settings)
        for path in images:
            name = f"{path.name.removesuffix('.gz').rsplit('.', 1)[0]}_seg"
            if path.suffix == ".png":
                with Image.open(path) as image, Image.open(out / f"{name}.png") as label:
                    assert label.size == image.size
            else:
                image, label = nibabel.load(path), nibabel.load(out / f"{name}.nii.gz")
                assert label.shape == image.shape
                assert np.abs(label.affine - image.affine).max() < 1e-4


def test_the_weights_that_come_with_the_bundle_segment_real_volumes(
    run: Run, root: Path, shared_data: Path, tmp_path: Path
) -> None:
    """With the defaults throughout; a mean Dice of about 0.8 is stated, what is tested is that they fit at all."""
    folder = shared_data / "hippocampus"
    volumes = sorted((folder / "imagesTr").glob("*.nii.gz"))[:3]
    (tmp_path / "in").mkdir()
    for path in volumes:
        (tmp_path / "in" / path.name).symlink_to(path)
    run("inference", dataset_dir=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    for path in volumes:
        pred = np.asarray(nibabel.load(tmp_path / "out" / path.name.replace(".nii.gz", "_seg.nii.gz")).dataobj)
        truth = np.asarray(nibabel.load(folder / "labelsTr" / path.name).dataobj).round()
        for index in (1, 2):
            a, b = pred == index, truth == index
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.5


@pytest.mark.parametrize("bundle", ["convex_organ_segmentation"], indirect=True, scope="session")
def test_the_weights_of_the_convex_bundle_segment_real_cells_in_one_piece(
    run: Run, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "wbc"
    pictures = sorted((folder / "images").glob("*.png"))[:3]
    (tmp_path / "in").mkdir()
    for path in pictures:
        (tmp_path / "in" / path.name).symlink_to(path)
    run("inference", "inference_largest", dataset_dir=str(tmp_path / "in"), output_dir=str(tmp_path / "out"))
    for path in pictures:
        pred = np.asarray(Image.open(tmp_path / "out" / path.name.replace(".png", "_seg.png"))) > 0
        truth = np.asarray(Image.open(folder / "labels" / path.name)) > 0
        assert 2 * (pred & truth).sum() / (pred.sum() + truth.sum()) > 0.8
        assert label(pred, np.ones((3, 3)))[1] == 1


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def cut(path: Path, values: np.ndarray) -> None:
    save(path, values)
    path.write_bytes(path.read_bytes()[:-2000])


def contradict(path: Path, values: np.ndarray) -> None:
    """MONAI reads such a file on another grid than its affine says."""
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.set_sform(np.diag([2.0, 2.0, 3.0, 1.0]), 1)
    image.header.set_zooms((1.0, 1.0, 1.0))
    nibabel.save(image, path)


SOUND = np.random.default_rng(0).normal(size=(16, 14, 12)).astype(np.float32)
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "2D file": (
        lambda path: save(path, SOUND[..., 0]),
        r"x\.nii\.gz: has 2 spatial axes, expected 3; set the data overlay",
    ),
    "two channels": (
        lambda path: save(path, np.stack([SOUND] * 2, -1)),
        r"x\.nii\.gz: has 2 channels, expected 1; correct the file",
    ),
    "NaN": (
        lambda path: save(path, np.where(SOUND > 3, np.nan, SOUND)),
        r"x\.nii\.gz: holds NaN or infinite values; replace them",
    ),
    "affine": (
        lambda path: contradict(path, SOUND),
        r"x\.nii\.gz: the voxel size in its header contradicts its affine",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_nothing_is_written(
    name: str, run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    make, message = BAD[name]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "x.nii.gz")
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings)
    with pytest.raises(AssertionError, match=message):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_cut_off_is_named_in_the_log(
    run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in").mkdir()
    cut(tmp_path / "in" / "x.nii.gz", SOUND)
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings)
    with pytest.raises(EOFError, match="Compressed file ended"):
        raise root_cause(caught.value)
    reading = [record.getMessage() for record in caplog.records if record.getMessage().startswith("reading")]
    assert reading == [f"reading {tmp_path / 'in' / 'x.nii.gz'}"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_volumes_is_an_error(
    exists: bool, run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    if exists:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x.mha").write_bytes(b"")
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings)
    with pytest.raises(AssertionError, match=r"no file .*/in/\*\.nii\.gz; set --dataset_dir and --pattern"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()


def test_images_of_one_name_are_refused_or_kept_apart(
    run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for name in ("a", "b [v2]"):
        (tmp_path / "in" / name).mkdir(parents=True)
        save(tmp_path / "in" / name / "image.nii.gz", SOUND)
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    settings["pattern"] = "*/image.nii.gz"
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings)
    with pytest.raises(AssertionError, match=r"a/image\.nii\.gz: another image has the same name.*set --data_root_dir"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings, data_root_dir=str(tmp_path / "in" / "a"))
    with pytest.raises(AssertionError, match=r"data_root_dir .*/in/a is not above .*/b \[v2\]/image\.nii\.gz"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()
    run("inference", **settings, data_root_dir=str(tmp_path / "in"))
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.nii.gz"))
    assert written == ["a/image_seg.nii.gz", "b [v2]/image_seg.nii.gz"]


def test_images_that_differ_in_their_ending_alone_are_refused(
    run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for ending in (".nii", ".nii.gz"):
        save(tmp_path / "in" / f"a{ending}", SOUND)
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **settings, pattern="*.nii*", data_root_dir=str(tmp_path / "in"))
    with pytest.raises(AssertionError, match=r"a\.nii: another image has the same name.*--pattern \(other ending\)"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_named(run: Run, threshold: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "x.nii.gz", SOUND)
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **{**settings, "checkpoint": "nope.pt"})
    with pytest.raises(AssertionError, match=r"nope\.pt is no file; set --checkpoint"):
        raise root_cause(caught.value)


def test_weights_of_another_network_are_refused(
    run: Run, trained: Path, threshold: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "x.nii.gz", SOUND)
    settings = {**threshold(3), "dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "out")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        run("inference", **{**settings, "checkpoint": str(trained / "model.pt")})
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict"):
        raise root_cause(caught.value)
    assert not (tmp_path / "out").exists()
