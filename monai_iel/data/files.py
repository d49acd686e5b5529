"""Open one image file, NIfTI through nibabel and pictures through Pillow, with errors that name the file."""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.utils import correct_nifti_header_if_necessary
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image

from monai_iel.data.declared import (
    MAX_VOXELS,
    DeclaredError,
    InsideHeaderError,
    check_chunks,
    check_picture_size,
    drain,
    nifti_kind,
    open_bytes,
)

__all__ = [
    "AFFINE_TOLERANCE",
    "MAX_VOXELS",
    "CaseError",
    "HeaderError",
    "ImageFile",
    "MissingCaseFileError",
    "check_exists",
    "open_image",
    "read_picture",
]

AFFINE_TOLERANCE = 1e-3
"""Largest difference between two affines, in mm per entry."""

# What the two libraries raise on files that are damaged; nothing wider, so that bugs of ours still show.
_NIFTI_ERRORS = (ImageFileError, HeaderDataError, DeclaredError, EOFError, zlib.error, OSError)
_PICTURE_ERRORS = (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)
# No others: Pillow knows formats for which it starts programs (EPS).
_PICTURE_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")
_AFFINE_MEND = "write the file anew with nibabel.Nifti1Image(data, affine), affine being the right one"
_PICTURE_MEND = "expected NIfTI (.nii, .nii.gz) or a sound picture such as PNG"
_COMPRESSION_MEND = "the file is damaged or cut off; copy or download it again"
_MISSING_MEND = "correct the path, or restore the file"
_OFFSET_MEND = "set vox_offset to where the voxels begin, or write the file anew from its source"
_PERMISSION_MEND = "allow this user to read the file and to enter its folder"


class CaseError(ValueError):
    """A file of a case that cannot be used. The message starts with the file and says what was found."""


class HeaderError(CaseError):
    """A file that can be read, but whose header is such that its values would be misunderstood."""


class MissingCaseFileError(CaseError, FileNotFoundError):
    """A file that a data list names, or that a layout calls for, and that is not there."""


@dataclass(frozen=True)
class ImageFile:
    """The header of an image file; `read` gives the values.

    Args:
        path: the file.
        shape: shape of the array that `read` returns.
        affine: 4 x 4 voxel-to-mm matrix; ``None`` for pictures, which have none.
        mode: Pillow's mode (``"L"``, ``"RGB"``, ...) for a picture, ``""`` for NIfTI.
        stored: name of the number type in the file, such as ``"int16"``; ``""`` for pictures.
    """

    path: Path
    shape: tuple[int, ...]
    affine: np.ndarray[Any, np.dtype[np.float64]] | None
    mode: str = ""
    stored: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether Pillow reads the file (and not nibabel)."""
        return self.affine is None

    def read(self) -> np.ndarray[Any, Any]:
        """The values, a NIfTI file's scale and intercept applied; a gzip file is read to its checksum.

        Scaled integers of up to 16 bits come as float32, which is also what a training sees, not as float64.

        Raises:
            CaseError: the values cannot be read.
        """
        if self.is_picture:
            return read_picture(self.path)
        try:
            return _read_nifti(self.path)
        except _NIFTI_ERRORS as error:
            raise _unreadable(self.path, error, _COMPRESSION_MEND) from error


def open_image(path: Path) -> ImageFile:
    """Read the header of ``path``: ``.nii`` and ``.nii.gz`` through nibabel, anything else through Pillow.

    Raises:
        MissingCaseFileError: there is no such file.
        CaseError: the file is empty, damaged, forbidden or of another kind, declares more than 2**31 voxels or more
            than it can hold; as ``HeaderError`` where MONAI would use another affine, the voxels are no plain numbers,
            or the header is where they should be.
    """
    if check_exists(path).st_size == 0:
        raise CaseError(f"{path}: the file is empty (0 bytes); copy or download it again")
    return _open_nifti(path) if path.name.lower().endswith((".nii", ".nii.gz")) else _open_picture(path)


def check_exists(path: Path, mend: str = _MISSING_MEND) -> os.stat_result:
    """What the system says of a file.

    Args:
        path: the file.
        mend: what to do where it is not there.

    Raises:
        MissingCaseFileError: there is nothing, or no file (a folder, a pipe, a link that leads nowhere).
        CaseError: it cannot be asked for, such as in a folder that this user may not enter.
    """
    try:
        found = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise MissingCaseFileError(f"{path}: is a link that leads back to itself; {mend}") from error
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise _unreadable(path, error, mend) from error
        what = f"is a link to {os.readlink(path)}, which is not there" if path.is_symlink() else "no such file"
        raise MissingCaseFileError(f"{path}: {what}; {mend}") from error
    if not stat.S_ISREG(found.st_mode):
        raise MissingCaseFileError(f"{path}: is {_kind(found.st_mode)}; expected a file; correct the path")
    return found


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a named pipe", stat.S_ISSOCK: "a socket"}
    return next((name for asks, name in kinds.items() if asks(mode)), "a device")


def read_picture(path: Path, mode: str | None = None) -> np.ndarray[Any, Any]:
    """The values of a picture, (H, W) or (H, W, channels), converted to Pillow's ``mode`` where one is given.

    Raises:
        MissingCaseFileError: there is no such file.
        CaseError: Pillow cannot read it.
    """
    check_exists(path)
    try:
        with _opened_picture(path) as picture:
            return np.asarray(picture if mode is None else picture.convert(mode))
    except _PICTURE_ERRORS as error:
        raise _unreadable(path, error, _PICTURE_MEND) from error


def _open_nifti(path: Path) -> ImageFile:
    try:
        image = nifti_kind(path).from_filename(path)
        dtype = image.get_data_dtype()
    except _NIFTI_ERRORS as error:
        raise _unreadable(path, error, _COMPRESSION_MEND) from error
    if dtype.fields or dtype.kind == "c":
        raise HeaderError(
            f"{path}: the values are {dtype} (colour or complex); expected plain numbers; convert the file"
        )
    affine = np.array(image.affine, dtype=np.float64)  # a copy: MONAI corrects the image in place
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise HeaderError(f"{path}: the affine {affine[:3].round(4).tolist()} cannot be inverted; {_AFFINE_MEND}")
    _check_header(path, image, affine)
    shape = tuple(int(size) for size in image.shape)
    return ImageFile(path=path, shape=shape, affine=affine, stored=dtype.name)


def _check_header(path: Path, image: Any, affine: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Refuse a file that MONAI would load with another affine than nibabel's ``affine``; it changes ``image``.

    Where the voxel size of the header (pixdim) does not fit to the sform, MONAI's reader falls back on the qform.
    """
    zooms = [round(float(size), 4) for size in image.header.get_zooms()[:3]]
    found = f"the header gives a voxel size (pixdim) of {zooms} mm, but the affine {affine[:3].round(4).tolist()}"
    try:
        used = np.asarray(correct_nifti_header_if_necessary(image).affine, dtype=np.float64)
    except (ValueError, HeaderDataError) as error:
        raise HeaderError(
            f"{path}: {found}, and no valid qform ({error}); expected that they agree; {_AFFINE_MEND}"
        ) from error
    if not np.allclose(used, affine, rtol=0, atol=AFFINE_TOLERANCE):
        raise HeaderError(
            f"{path}: {found}, so that MONAI would use {used[:3].round(4).tolist()} instead; expected that they agree; "
            f"{_AFFINE_MEND}"
        )


def _read_nifti(path: Path) -> np.ndarray[Any, Any]:
    kind = nifti_kind(path)
    if not path.name.lower().endswith(".gz"):
        return _scaled(kind.from_filename(path).dataobj)
    with open_bytes(path) as stream:
        values = _scaled(kind.from_stream(stream).dataobj)
        drain(stream)  # nibabel stops at the last voxel; gzip compares its checksum only at the end of the stream
    return values


def _scaled(stored: Any) -> np.ndarray[Any, Any]:
    """The values of nibabel's array proxy, which would scale all of them at once in float64."""
    slope, inter = float(stored.slope), float(stored.inter)
    if (slope, inter) == (1.0, 0.0) or stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        return np.asanyarray(stored)
    raw = np.asarray(stored.get_unscaled())
    values = np.empty_like(raw, dtype=np.float32)
    with np.errstate(over="ignore"):  # infinite values are found later
        for index in range(raw.shape[-1]):
            values[..., index] = raw[..., index] * np.float64(slope) + inter
    return values


def _open_picture(path: Path) -> ImageFile:
    try:
        with _opened_picture(path) as picture:
            channels = len(picture.getbands())
            shape = (picture.height, picture.width) + ((channels,) if channels > 1 else ())
            return ImageFile(path=path, shape=shape, affine=None, mode=picture.mode)
    except _PICTURE_ERRORS as error:
        raise _unreadable(path, error, _PICTURE_MEND) from error


@contextmanager
def _opened_picture(path: Path) -> Iterator[Image.Image]:
    """What Pillow makes of the header, after that was found to fit to the size of the file."""
    check_chunks(path)
    with Image.open(path, formats=_PICTURE_FORMATS) as picture:
        check_picture_size(picture, path.stat().st_size)
        yield picture


def _unreadable(path: Path, error: BaseException, mend: str) -> CaseError:
    reason = " ".join(str(error).split())
    if isinstance(error, InsideHeaderError):
        return HeaderError(f"{path}: {reason}; {_OFFSET_MEND}")
    if isinstance(error, OSError) and error.errno is not None:
        reason = error.strerror or reason  # which does not name the file again
    if isinstance(error, PermissionError):
        mend = _PERMISSION_MEND
    named = reason if isinstance(error, DeclaredError) else f"{type(error).__name__}: {reason}"
    return CaseError(f"{path}: cannot be read ({named}); {mend}")
