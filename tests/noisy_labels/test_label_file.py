"""Label files that differ from their originals in the classes alone."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.transforms import EnsureChannelFirst, LoadImage
from PIL import Image

from monai_iel.data.files import CaseError
from monai_iel.noisy_labels import LabelFile
from monai_iel.noisy_labels.png import PngFile, _chunk
from monai_iel.transforms.label_noise.base import read_label

Save = Callable[..., Path]
VALUES = (np.arange(6 * 5 * 4).reshape(6, 5, 4) % 3).astype(np.uint8)


def rewritten(path: Path, classes: np.ndarray) -> Path:
    target = path.with_name(f"new_{path.name}")
    target.write_bytes(LabelFile(path).rewrite(classes))
    return target


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["label.nii.gz", "label.nii"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, ">i2", np.float32, np.float64, np.uint16], ids=str)
def test_a_nifti_label_keeps_header_extensions_and_number_type(save_nifti: Save, kind, name, dtype) -> None:
    path = save_nifti(VALUES.astype(dtype), name, kind, endianness=">" if dtype == ">i2" else "<")
    classes, spacing = LabelFile(path).read()
    assert np.array_equal(classes, VALUES)
    assert spacing == pytest.approx(nibabel.affines.voxel_sizes(nibabel.load(path).affine))
    new = rewritten(path, 2 - classes)
    assert np.array_equal(np.asanyarray(nibabel.load(new).dataobj), 2 - VALUES)
    before, after = nibabel.load(path), nibabel.load(new)
    assert before.header.binaryblock == after.header.binaryblock
    assert after.get_data_dtype() == np.dtype(dtype)
    assert after.header.extensions[0].get_content() == before.header.extensions[0].get_content()
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == (4, 1)
    plain = [gzip.decompress(p.read_bytes()) if name.endswith("gz") else p.read_bytes() for p in (path, new)]
    offset = int(before.dataobj.offset)
    assert plain[0][:offset] == plain[1][:offset]
    assert len(plain[0]) == len(plain[1])


def test_the_same_classes_give_the_same_content_and_gzip_holds_neither_time_nor_name(save_nifti: Save) -> None:
    path = save_nifti(VALUES)
    content = LabelFile(path).rewrite(VALUES)
    assert gzip.decompress(content) == gzip.decompress(path.read_bytes())
    assert content[3] & 0x08 == 0  # no name
    assert content[4:8] == bytes(4)  # no time


def test_a_scaled_label_keeps_its_scale(save_nifti: Save) -> None:
    path = save_nifti(VALUES, "scaled.nii")
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([2.0, -2.0], "<f4").tobytes()  # scl_slope and scl_inter: 0, 1, 2 become -2, 0, 2
    path.write_bytes(content)
    classes, _ = LabelFile(path).read()
    assert np.array_equal(classes, VALUES * 2.0 - 2)
    new = nibabel.load(rewritten(path, np.where(classes == 2, 4, classes)))
    assert (new.dataobj.slope, new.dataobj.inter) == (2, -2)
    assert set(np.unique(np.asanyarray(new.dataobj))) == {-2, 0, 4}
    with pytest.raises(CaseError, match=r"scaled.nii: class 3 cannot be stored as uint8 \(scl_slope 2, scl_inter -2\)"):
        LabelFile(path).rewrite(np.full(VALUES.shape, 3))


def test_a_class_beyond_the_number_type_is_refused(save_nifti: Save, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"label.nii.gz: class 256 cannot be stored as uint8"):
        LabelFile(save_nifti(VALUES)).rewrite(np.full(VALUES.shape, 256))
    Image.fromarray(VALUES[0]).save(tmp_path / "a.png")
    with pytest.raises(
        CaseError, match=r"a.png: class 256 cannot be stored in a grey PNG of 8 bits; save the label with more"
    ):
        LabelFile(tmp_path / "a.png").rewrite(np.full((4, 5), 256))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 1, 1), (6, 5, 4, 1)])
def test_axes_of_one_voxel_at_the_end_are_kept_in_the_file(save_nifti: Save, shape: tuple[int, ...]) -> None:
    path = save_nifti(np.ones(shape, np.uint8))
    classes, spacing = LabelFile(path).read()
    assert classes.shape == ((6, 5, 4) if 4 in shape else (6, 5))
    assert len(spacing) == classes.ndim
    assert nibabel.load(rewritten(path, classes)).shape == shape


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros((4, 4, 4, 2), np.uint8), r"found 4 axes \(shape \(4, 4, 4, 2\)\), expected a label of 2 or 3"),
        (np.full((4, 4, 4), 0.5, np.float32), "found the value 0.5, expected whole class numbers"),
        (np.full((4, 4, 4), np.nan, np.float32), "found the value nan"),
    ],
)
def test_what_is_no_class_map_is_refused(save_nifti: Save, values: np.ndarray, match: str) -> None:
    with pytest.raises(CaseError, match=match):
        LabelFile(save_nifti(values)).read()


def pictures() -> dict[str, Image.Image]:
    flat = VALUES[:, :, 0]
    palette = Image.fromarray(flat)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, *range(30)])
    palette_of_2 = Image.fromarray((flat == 1).astype(np.uint8))
    palette_of_2.putpalette([0, 0, 0, 255, 0, 0])
    return {
        "1": Image.fromarray(flat == 1),
        "L": Image.fromarray(flat),
        "L255": Image.fromarray(np.where(flat == 1, 255, 0).astype(np.uint8)),
        "P": palette,
        "P8": palette,
        "P1": palette_of_2,
        "I;16": Image.fromarray(flat.astype(np.uint16) * 300),
    }


@pytest.mark.parametrize("name", pictures())
def test_a_picture_keeps_mode_depth_palette_and_resolution(tmp_path: Path, name: str) -> None:
    original, path = pictures()[name], tmp_path / "a.png"
    original.save(path, dpi=(300, 300))
    depth = {"1": 1, "P": 4, "P1": 1, "I;16": 16}
    if name == "P8":  # Pillow takes the fewest bits
        grey, content = tmp_path / "grey.png", path.read_bytes()
        Image.fromarray(np.asarray(original)).save(grey)
        path.write_bytes(as_palette(grey.read_bytes(), content))
    assert path.read_bytes()[24] == depth.get(name, 8)
    classes, spacing = LabelFile(path).read()
    assert spacing == (1.0, 1.0)
    assert np.array_equal(classes, np.asarray(original).T)
    other = np.where(classes == classes.max(), 0, classes.max())
    new = rewritten(path, other)
    with Image.open(path) as before, Image.open(new) as after:
        assert before.mode == after.mode
        assert before.info.get("dpi") == after.info.get("dpi")
        assert before.getpalette() == after.getpalette()
        assert np.array_equal(np.asarray(after).T, other)
    assert chunks(path) == chunks(new)
    new.write_bytes(LabelFile(path).rewrite(classes))
    with Image.open(new) as same:
        assert np.array_equal(np.asarray(same), np.asarray(original))


def chunks(path: Path) -> list[bytes]:
    """All of a PNG file but its pixels."""
    return [bytes(kind + data) for kind, data in PngFile(path.read_bytes())._chunks() if kind != b"IDAT"]


def as_palette(grey: bytes, other: bytes) -> bytes:
    """A grey picture of 8 bits as a palette picture of as many, with the palette and resolution of another one."""
    parts = dict(PngFile(grey)._chunks())
    header = parts[b"IHDR"][:9] + b"\3" + parts[b"IHDR"][10:]
    order = [(kind, data) for kind, data in PngFile(other)._chunks() if kind in (b"PLTE", b"pHYs")]
    written = [(b"IHDR", header), *order, (b"IDAT", parts[b"IDAT"]), (b"IEND", b"")]
    return grey[:8] + b"".join(_chunk(kind, data) for kind, data in written)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("width", [7, 8, 9])
def test_few_bits_of_grey_are_kept(tmp_path: Path, bits: int, width: int) -> None:
    step = 255 // (2**bits - 1)
    values = (np.arange(5 * width).reshape(5, width) % 2**bits * step).astype(np.uint8)
    picture = Image.fromarray(values) if bits > 1 else Image.fromarray(values > 0)
    picture.save(tmp_path / "a.png", bits=bits)
    classes, _ = LabelFile(tmp_path / "a.png").read()
    assert classes.max() == (255 if bits > 1 else 1)
    new = rewritten(tmp_path / "a.png", classes.max() - classes)
    assert np.array_equal(LabelFile(new).read()[0], classes.max() - classes)
    assert chunks(new) == chunks(tmp_path / "a.png")
    with pytest.raises(
        CaseError, match=rf"a.png: class 7 cannot be stored in a grey PNG of {bits} bits?; save the label"
    ):
        LabelFile(tmp_path / "a.png").rewrite(np.full((width, 5), 7))


def test_an_interlaced_picture_is_written_line_by_line(tmp_path: Path) -> None:
    Image.fromarray(VALUES[:, :, 0]).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[28] = 1  # the header says so; its pixels are not read here
    new = PngFile(bytes(content)).with_samples(VALUES[:, :, 1].astype(np.int64))
    (tmp_path / "b.png").write_bytes(new)
    assert new[28] == 0
    assert np.array_equal(LabelFile(tmp_path / "b.png").read()[0].T, VALUES[:, :, 1])


def test_transparency_of_a_palette_is_kept(tmp_path: Path) -> None:
    pictures()["P"].save(tmp_path / "a.png", transparency=0)
    new = rewritten(tmp_path / "a.png", LabelFile(tmp_path / "a.png").read()[0])
    with Image.open(new) as picture:
        assert picture.info["transparency"] == 0


def test_the_class_map_is_what_monai_reads(save_nifti: Save, tmp_path: Path) -> None:
    Image.fromarray(VALUES[:, :, 0]).save(tmp_path / "a.png")
    for path in (save_nifti(VALUES), tmp_path / "a.png"):
        expected, spacing = read_label(EnsureChannelFirst()(LoadImage(image_only=True)(path)))
        classes, own = LabelFile(path).read()
        assert np.array_equal(classes, expected)
        assert own == pytest.approx(spacing)


@pytest.mark.parametrize(
    ("name", "picture", "match"),
    [
        ("a.png", Image.new("RGB", (4, 4)), "a.png: the picture has mode RGB, expected one class number per pixel"),
        ("a.png", Image.new("RGBA", (4, 4)), "mode RGBA, expected .* without transparency"),
        ("a.jpg", Image.new("L", (4, 4)), "a.jpg: is a JPEG picture, expected PNG or NIfTI"),
    ],
)
def test_pictures_that_hold_no_classes_are_refused(tmp_path: Path, name: str, picture, match: str) -> None:
    picture.save(tmp_path / name)
    with pytest.raises(CaseError, match=match):
        LabelFile(tmp_path / name).read()


def test_error_maps_tell_what_became_of_a_voxel(save_nifti: Save, tmp_path: Path) -> None:
    clean = np.array([[0, 1, 1], [2, 2, 0]])
    noisy = np.array([[2, 1, 0], [1, 9, 0]])
    path = save_nifti(clean.astype(np.uint8)[..., None], cal_max=2)
    (tmp_path / "error.nii.gz").write_bytes(LabelFile(path).error_map(noisy, clean, 9))
    error, label = nibabel.load(tmp_path / "error.nii.gz"), nibabel.load(path)
    assert np.asanyarray(error.dataobj)[..., 0].tolist() == [[2, 0, -1], [1, 9, 0]]
    assert error.get_data_dtype() == np.int16
    assert np.array_equal(error.affine, label.affine)
    for field in ("sform_code", "qform_code", "xyzt_units", "quatern_b", "srow_x"):
        assert np.array_equal(error.header[field], label.header[field])
    Image.fromarray(clean.T.astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "error.png").write_bytes(LabelFile(tmp_path / "a.png").error_map(noisy, clean, 9))
    with Image.open(tmp_path / "error.png") as picture:
        assert np.asarray(picture).T.tolist() == [[1, 0, 2], [3, 4, 0]]
        assert picture.convert("RGB").getpixel((0, 2)) == (213, 94, 0)
