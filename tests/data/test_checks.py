"""Every kind of bad input is refused, with the file's name and the mend."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image

from monai_iel.data import CaseError, MissingCaseFileError, check_case, check_cases
from monai_iel.data.files import HeaderError, open_image

SHAPE = (6, 7, 5)


def volume(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def classes(dtype: str = "uint8") -> np.ndarray:
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3).astype(dtype)


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> str:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return str(path)


def png(path: Path, values: np.ndarray) -> str:
    Image.fromarray(values).save(path)
    return str(path)


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, str]:
    return {
        "image": save(tmp_path / "image.nii.gz", volume()),
        "label": save(tmp_path / "label.nii.gz", classes()),
    }


def header_only(dims: list[int]) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype("int16")
    header["dim"][: len(dims)] = dims
    header["vox_offset"] = 352
    return header.binaryblock + bytes(4)


def flat_affine() -> bytes:
    image = nibabel.Nifti1Image(volume(), np.eye(4))
    image.header["srow_z"] = 0  # nibabel itself refuses to set such an affine
    image.header["vox_offset"] = 352
    return image.header.binaryblock + bytes(4) + volume().tobytes(order="F")


def moved(dx: float) -> np.ndarray:
    affine = np.eye(4)
    affine[0, 3] = dx
    return affine


def test_a_sound_case_passes(entry: dict[str, str]) -> None:
    check_case(entry, spatial_dims=3, num_classes=3, in_channels=1)
    check_case({"image": entry["image"]}, spatial_dims=3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_label_may_hold_whole_numbers_as_floats(entry: dict[str, str], dtype: str) -> None:
    save(Path(entry["label"]), classes(dtype))
    check_case(entry, spatial_dims=3, num_classes=3)


def test_an_affine_that_differs_by_rounding_passes(entry: dict[str, str]) -> None:
    save(Path(entry["label"]), classes(), moved(0.0009))
    check_case(entry, spatial_dims=3)


def damaged(which: str) -> Callable[[dict[str, str]], Any]:
    """How to break the file ``which``."""

    def cut_off(entry: dict[str, str]) -> None:
        path = Path(entry[which])
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut_off


def raw(which: str, content: bytes) -> Callable[[dict[str, str]], Any]:
    return lambda entry: Path(entry[which]).write_bytes(content)


def nifti(which: str, values: np.ndarray, affine: np.ndarray | None = None) -> Callable[[dict[str, str]], Any]:
    return lambda entry: save(Path(entry[which]), values, affine)


def with_nan(value: float) -> np.ndarray:
    values = volume()
    values[1, 2, 3] = value
    return values


def flipped_bit(entry: dict[str, str]) -> None:
    path = Path(entry["image"])
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # inside the checksum at the end
    path.write_bytes(bytes(content))


def fraction() -> np.ndarray:
    values = classes("float32")
    values[0, 0, 0] = 0.5
    return values


def nearly_whole() -> np.ndarray:
    values = classes("float32")
    values[0, 0, 0] = np.nextafter(np.float32(2), np.float32(3))
    return values


def negative() -> np.ndarray:
    values = classes("int16")
    values[0, 0, 0] = -1
    return values


def with_nan_label() -> np.ndarray:
    values = classes("float32")
    values[0, 0, 0] = np.nan
    return values


BAD = {
    "truncated gzip": (damaged("image"), "image", "cannot be read .*copy or download it again"),
    "truncated gzip label": (damaged("label"), "label", "cannot be read .*copy or download it again"),
    "wrong checksum": (flipped_bit, "image", "CRC check failed"),
    "junk": (raw("image", b"no image at all" * 50), "image", "cannot be read"),
    "junk in gzip": (raw("image", gzip.compress(b"no image at all" * 50)), "image", "cannot be read"),
    "empty": (raw("label", b""), "label", r"the file is empty \(0 bytes\)"),
    "negative shape": (raw("image", gzip.compress(header_only([3, -5, 5, 5]))), "image", "declares the shape"),
    "no voxels": (raw("image", gzip.compress(header_only([3, 0, 5, 5]))), "image", "declares the shape"),
    "too many voxels": (
        raw("image", gzip.compress(header_only([3, 20000, 20000, 20000]))),
        "image",
        "more than 2147483648 voxels",
    ),
    "other shape": (nifti("label", classes()[:-1]), "label", r"found the shape \(5, 7, 5\), expected \(6, 7, 5\)"),
    "swapped axes": (nifti("label", classes().transpose(1, 0, 2)), "label", "resample the label"),
    "other affine": (nifti("label", classes(), moved(0.01)), "label", "the affine differs by 0.01"),
    "other spacing": (nifti("label", classes(), np.diag([1, 1, 1.5, 1])), "label", "the affine differs by 0.5"),
    "class too high": (nifti("label", classes() + np.uint8(1)), "label", "found class 3, expected 0 .. 2"),
    "negative class": (nifti("label", negative()), "label", "found class -1, expected 0 or more"),
    "fractions": (nifti("label", fraction()), "label", "found the value 0.5, expected whole class numbers"),
    "nearly whole": (nifti("label", nearly_whole()), "label", "found the value 2.00000024, expected whole"),
    "NaN label": (nifti("label", with_nan_label()), "label", "found the value nan"),
    "NaN": (nifti("image", with_nan(np.nan)), "image", "found 1 values that are NaN or infinite"),
    "Inf": (nifti("image", with_nan(-np.inf)), "image", "found 1 values that are NaN or infinite"),
    "2D file": (nifti("image", volume()[..., 0]), "image", r"found a 2D image of shape \(6, 7\)"),
    "one slice": (nifti("image", volume()[..., :1]), "image", r"found a 2D image of shape \(6, 7, 1\)"),
    "4D": (nifti("image", np.stack([volume()] * 4, axis=-1)), "image", "found 4 channels .*set in_channels to 4"),
    "5D": (nifti("image", volume()[..., None, None] + np.zeros(2)), "image", "found 5 axes"),
    "singular affine": (
        raw("image", gzip.compress(flat_affine())),
        "image",
        r"cannot be inverted; write the file anew with nibabel.Nifti1Image\(data, affine\)",
    ),
    "complex": (nifti("image", volume().astype(np.complex64)), "image", "expected plain numbers"),
    "not gzip": (raw("image", nibabel.Nifti1Image(volume(), np.eye(4)).to_bytes()), "image", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_nifti_input_is_refused_with_file_and_mend(entry: dict[str, str], name: str) -> None:
    spoil, file, message = BAD[name]
    spoil(entry)
    with pytest.raises(CaseError, match=message) as caught:
        check_case(entry, spatial_dims=3, num_classes=3)
    assert str(caught.value).startswith(entry[file])


SCALED = np.diag([2.0, 2.0, 3.0, 1.0])
SIDEWAYS = np.array([[0, 0, 3.0, 5], [2, 0, 0, 6], [0, 2, 0, 7], [0, 0, 0, 1]])  # in-plane axes are y and z


def with_sform_alone(values: np.ndarray) -> nibabel.Nifti1Image:
    """The sform says 2 x 2 x 3 mm, pixdim and qform still 1 mm."""
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.set_sform(SCALED, 1)
    return image


def with_both_forms(values: np.ndarray, affine: np.ndarray) -> nibabel.Nifti1Image:
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, 1)
    return image


def with_qform_alone(values: np.ndarray, affine: np.ndarray) -> nibabel.Nifti1Image:
    image = with_both_forms(values, affine)
    image.set_sform(None, 0)
    return image


@pytest.mark.parametrize("values", [volume(), volume()[..., 0], volume()[..., :1]], ids=["3D", "2D", "one slice"])
def test_a_header_for_which_monai_would_use_another_affine_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    path = str(tmp_path / "image.nii.gz")
    spatial_dims = 3 if values.shape == SHAPE else 2
    nibabel.save(with_sform_alone(values), path)
    assert np.array_equal(LoadImage(image_only=True)(path).affine, np.eye(4))
    assert np.array_equal(nibabel.load(path).affine, SCALED)
    found = r"voxel size \(pixdim\) of \[1.0, 1.0.*\] mm, but the affine \[\[2.0, 0.0, 0.0, 0.0\].*would use \[\[1.0,"
    with pytest.raises(CaseError, match=rf"{found}.* write the file anew with nibabel.Nifti1Image") as caught:
        check_case({"image": path}, spatial_dims=spatial_dims)
    assert str(caught.value).startswith(path)
    nibabel.save(nibabel.Nifti1Image(values, SCALED), path)
    check_case({"image": path}, spatial_dims=spatial_dims)


def test_a_header_in_which_monai_finds_no_valid_qform_is_refused(entry: dict[str, str]) -> None:
    image = with_sform_alone(volume())
    image.header["quatern_b"] = 2  # a unit quaternion has no part above 1
    image.header["vox_offset"] = 352
    Path(entry["image"]).write_bytes(gzip.compress(image.header.binaryblock + bytes(4) + volume().tobytes(order="F")))
    with pytest.raises(CaseError, match=r"no valid qform \(.*\); expected that they agree; write the file anew"):
        check_case(entry, spatial_dims=3)


@pytest.mark.parametrize("affine", [SCALED, SIDEWAYS], ids=["scaled", "sideways"])
@pytest.mark.parametrize("make", [nibabel.Nifti1Image, with_both_forms, with_qform_alone])
@pytest.mark.parametrize(
    ("values", "options"),
    [
        (volume(), {"spatial_dims": 3}),
        (volume()[..., 0], {"spatial_dims": 2}),
        (volume()[..., :1], {"spatial_dims": 2}),
        (np.stack([volume()] * 4, axis=-1), {"spatial_dims": 3, "in_channels": 4}),
    ],
    ids=["3D", "2D", "one slice", "channels"],
)
def test_a_sound_header_passes_and_monai_uses_its_affine(
    tmp_path: Path, values: np.ndarray, options: dict[str, int], make: Callable[..., Any], affine: np.ndarray
) -> None:
    path = str(tmp_path / "image.nii.gz")
    nibabel.save(make(values, affine), path)
    check_case({"image": path}, **options)
    assert np.allclose(LoadImage(image_only=True)(path).affine, affine, atol=1e-5)


@pytest.mark.parametrize("key", ["image", "label"])
def test_a_missing_file_is_a_file_not_found_error_too(entry: dict[str, str], key: str) -> None:
    Path(entry[key]).unlink()
    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        check_case(entry, spatial_dims=3)
    assert isinstance(caught.value, CaseError)
    assert str(caught.value).startswith(entry[key])


def test_what_is_no_file_is_said(entry: dict[str, str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    (tmp_path / "dangling.nii").symlink_to("gone.nii")
    told = {
        ".": "is a folder; expected a file",
        "pipe.nii": "is a named pipe; expected a file",
        "loop.nii": "is a link that leads back to itself",
        "dangling.nii": "is a link to gone.nii, which is not there",
        "image.nii/inside.nii": "no such file",
    }
    for name, message in told.items():
        with pytest.raises(MissingCaseFileError, match=message):
            check_case({"image": str(tmp_path / name)}, spatial_dims=3)


def test_a_file_that_the_system_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 300 + ".nii")
    with pytest.raises(CaseError, match=r"xxx.nii: cannot be read \(OSError: File name too long\)"):
        check_case({"image": str(long)}, spatial_dims=3)
    path = save(tmp_path / "image.nii", volume())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    message = r"image.nii: cannot be read \(PermissionError: Permission denied\); allow this user to read the file"
    for call in ("stat", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, call, refuse)
            with pytest.raises(CaseError, match=message) as caught:
                check_case({"image": path}, spatial_dims=3)
            assert not isinstance(caught.value, MissingCaseFileError)


@pytest.mark.parametrize("offset", [0, 1, 348, 351])
def test_voxels_that_are_said_to_begin_in_the_header_are_refused(tmp_path: Path, offset: int) -> None:
    path = Path(save(tmp_path / "image.nii", volume()))
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    path.write_bytes(content)
    with pytest.raises(HeaderError, match=rf"at byte {offset}, .* expected 352 or more; set vox_offset to where"):
        check_case({"image": str(path)}, spatial_dims=3)
    content[108:112] = np.float32(352).tobytes()
    path.write_bytes(content)
    check_case({"image": str(path)}, spatial_dims=3)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("dtype", "read_as"), [("uint8", "float32"), ("int16", "float32"), ("int32", "float64")])
def test_scaled_integers_take_no_more_memory_than_they_need(
    tmp_path: Path, suffix: str, dtype: str, read_as: str
) -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=dtype).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.3, -7)
    nibabel.save(image, tmp_path / f"image{suffix}")
    values = open_image(tmp_path / f"image{suffix}").read()
    assert values.dtype == read_as
    assert np.array_equal(values, nibabel.load(tmp_path / f"image{suffix}").get_fdata().astype(read_as))
    assert values.std() > 1


def test_an_uncompressed_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = Path(save(tmp_path / "image.nii", volume()))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(CaseError, match="cannot be read"):
        check_case({"image": str(path)}, spatial_dims=3)


def test_a_channel_axis_passes_where_it_is_expected(entry: dict[str, str]) -> None:
    save(Path(entry["image"]), np.stack([volume()] * 4, axis=-1))
    check_case(entry, spatial_dims=3, in_channels=4)
    with pytest.raises(CaseError, match=r"found 4 channels .* expected 2"):
        check_case(entry, spatial_dims=3, in_channels=2)


@pytest.mark.parametrize("trailing", [(), (1,)])
def test_a_2d_nifti_file_may_have_one_slice(tmp_path: Path, trailing: tuple[int, ...]) -> None:
    image = save(tmp_path / "image.nii.gz", volume()[..., 0].reshape(6, 7, *trailing))
    label = save(tmp_path / "label.nii.gz", classes()[..., 0])
    check_case({"image": image, "label": label}, spatial_dims=2, num_classes=3)


def test_a_2d_nifti_file_may_have_channels(tmp_path: Path) -> None:
    image = save(tmp_path / "image.nii.gz", volume()[..., :3])
    check_case({"image": image}, spatial_dims=2, in_channels=3)
    with pytest.raises(CaseError, match=r"found 3 channels .* expected 2"):
        check_case({"image": image}, spatial_dims=2, in_channels=2)


def test_a_volume_in_a_2d_bundle_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(CaseError, match=r"found a volume of shape \(6, 7, 5\), expected one 2D image"):
        check_case(entry, spatial_dims=2)


def test_sound_pictures_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = png(tmp_path / "label.png", rng.integers(0, 3, (8, 9), dtype=np.uint8))
    for name, values in {
        "grey.png": rng.integers(0, 255, (8, 9), dtype=np.uint8),
        "grey16.png": rng.integers(0, 65535, (8, 9), dtype=np.uint16),
        "rgb.png": rng.integers(0, 255, (8, 9, 3), dtype=np.uint8),
    }.items():
        check_case({"image": png(tmp_path / name, values), "label": label}, spatial_dims=2, num_classes=3)
    check_case({"image": str(tmp_path / "rgb.png")}, spatial_dims=2, in_channels=3)


BAD_PICTURES = {
    "alpha": ("image.png", np.zeros((8, 9, 4), np.uint8), "has an alpha channel .*save it without transparency"),
    "other shape": ("label.png", np.zeros((9, 8), np.uint8), r"found the shape \(9, 8\), expected \(8, 9\)"),
    "colour label": ("label.png", np.zeros((8, 9, 3), np.uint8), "has mode RGB; a label holds one class number"),
    "class": ("label.png", np.full((8, 9), 5, np.uint8), "found class 5, expected 0 .. 2"),
    "class in 16 bits": ("label.png", np.full((8, 9), 500, np.uint16), "found class 500, expected 0 .. 2"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_bad_pictures_are_refused(tmp_path: Path, name: str) -> None:
    entry = {"image": png(tmp_path / "image.png", np.zeros((8, 9), np.uint8))}
    entry["label"] = png(tmp_path / "label.png", np.zeros((8, 9), np.uint8))
    file, values, message = BAD_PICTURES[name]
    png(tmp_path / file, values)
    with pytest.raises(CaseError, match=message) as caught:
        check_case(entry, spatial_dims=2, num_classes=3)
    assert str(caught.value).startswith(str(tmp_path / file))


def test_a_damaged_picture_is_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    path = Path(png(tmp_path / "image.png", values))
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:20], b"junk" * 100):
        path.write_bytes(content)
        with pytest.raises(CaseError, match="cannot be read"):
            check_case({"image": str(path)}, spatial_dims=2)


def test_a_picture_in_a_3d_bundle_is_refused(tmp_path: Path) -> None:
    for values in (np.zeros((8, 9), np.uint8), np.zeros((8, 9, 3), np.uint8)):
        with pytest.raises(CaseError, match="found a 2D image"):
            check_case({"image": png(tmp_path / "image.png", values)}, spatial_dims=3)


def test_grey_where_rgb_is_expected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"found 1 channels .* expected 3"):
        check_case({"image": png(tmp_path / "image.png", np.zeros((8, 9), np.uint8))}, spatial_dims=2, in_channels=3)


def test_nifti_with_a_picture_is_refused(tmp_path: Path) -> None:
    image = save(tmp_path / "image.nii.gz", volume()[..., 0])
    with pytest.raises(CaseError, match="not of one kind"):
        check_case({"image": image, "label": png(tmp_path / "l.png", np.zeros((6, 7), np.uint8))}, spatial_dims=2)


def test_spatial_dims_is_checked(entry: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="spatial_dims is 4; expected 2 or 3"):
        check_case(entry, spatial_dims=4)


def test_check_cases_lists_every_problem_on_its_line(entry: dict[str, str], tmp_path: Path) -> None:
    nan = save(tmp_path / "nan.nii.gz", with_nan(np.nan))
    entries = [
        {**entry, "case_id": "good"},
        {"image": nan, "case_id": "bad"},
        {"image": str(tmp_path / "absent.nii.gz"), "case_id": "gone"},
    ]
    with pytest.raises(CaseError, match="2 of 3 cases cannot be used") as caught:
        check_cases(entries, spatial_dims=3, progress=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1].strip().startswith(nan)
    assert lines[1].endswith("(case 'bad')")
    assert "absent.nii.gz: no such file" in lines[2]
    assert not isinstance(caught.value, FileNotFoundError)


def test_check_cases_stops_after_twenty_problems(tmp_path: Path) -> None:
    entries = [{"image": str(tmp_path / f"{index}.nii.gz")} for index in range(50)]
    with pytest.raises(MissingCaseFileError, match="the first 20 cases") as caught:
        check_cases(entries, spatial_dims=3, progress=False)
    assert len(str(caught.value).splitlines()) == 21


def test_check_cases_leaves_its_arguments_alone_and_shows_progress(
    entry: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(entry)
    check_cases([entry], spatial_dims=3)
    assert entry == before
    assert "checking cases" in capsys.readouterr().err
