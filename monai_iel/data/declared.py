"""What a file declares, held against what it can hold, before anything of that size is allocated."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError

__all__ = [
    "MAX_BEHIND",
    "MAX_VOXELS",
    "DeclaredError",
    "InsideHeaderError",
    "check_chunks",
    "check_picture_size",
    "drain",
    "nifti_kind",
    "open_bytes",
]

MAX_VOXELS = 2**31
"""A header that declares more is taken as damaged: the file is not read."""

MAX_BEHIND = 2**24
"""Bytes behind the last voxel, or between header and first voxel: with more a file is taken as damaged."""

# Deflate (gzip, PNG) makes at most 1032 bytes of one: 258 bytes of a match that takes two bits.
_DEFLATE = 1032
_SLACK = 1024
# Fewest bits of a pixel, by Pillow's mode, in a PNG file.
_PNG_BITS = {"1": 1, "P": 1, "L": 2, "LA": 16, "I;16": 16, "I;16B": 16, "I": 16, "RGB": 24, "RGBA": 32}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = 12  # bytes of length, kind and checksum
_CIFTI_INTENTS = range(3000, 3100)


class DeclaredError(ValueError):
    """A file cannot be what its header declares. The message says what was found, without the file's name."""


class InsideHeaderError(DeclaredError):
    """The header says that the voxels begin within it."""


def open_bytes(path: Path) -> Any:
    """The bytes of a file, unpacked where its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def nifti_kind(path: Path) -> type[Any]:
    """``nibabel.Nifti1Image`` or ``nibabel.Nifti2Image``, after the header was found to fit to the size of the file.

    nibabel trusts a header: it allocates what the shape asks for, reads extensions of any length, and parses the XML of
    CIFTI files. So the few numbers that decide about it are looked at before.

    Raises:
        DeclaredError: for anything else than a NIfTI-1 or NIfTI-2 header, a shape without voxels or with too many, and
            for more bytes than the file can hold; as ``InsideHeaderError`` where the first voxel is said to lie in the
            header, since nibabel would then read the header as voxels.
        OSError: the file cannot be read; as are ``EOFError`` and ``zlib.error`` for a damaged gzip file.
    """
    with open_bytes(path) as stream:
        block = stream.read(nibabel.Nifti2Header.sizeof_hdr)
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            if kind.header_class.may_contain_header(block) and len(block) >= kind.header_class.sizeof_hdr:
                break
        else:
            raise DeclaredError("no NIfTI header is found where it should be")
        size = kind.header_class.sizeof_hdr
        header = kind.header_class(block[:size], check=False)
        voxels = _check_shape(header)
        offset = _offset(header, size + 4)
        stream.seek(size)
        _check_extensions(stream, header, offset - size - 4)
    _check_length(path, offset + voxels)
    return kind


def _offset(header: Nifti1Header, least: int) -> int:
    """Byte of the first voxel."""
    offset = float(header["vox_offset"])
    if 0 <= offset < least:
        raise InsideHeaderError(
            f"the header has the first voxel (vox_offset) at byte {offset:g}, which is in the header itself, so that "
            f"its bytes would be read as voxels; expected {least} or more"
        )
    if not math.isfinite(offset) or not least <= offset <= MAX_BEHIND:
        raise DeclaredError(f"the header has the first voxel at byte {offset:g}, expected {least} .. {MAX_BEHIND}")
    return int(offset)


def _check_shape(header: Nifti1Header) -> int:
    """Bytes of the voxels, after shape and type were found to be possible."""
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise DeclaredError(f"the header declares {axes} axes, expected 1 .. 7")
    shape = tuple(int(size) for size in header.get_data_shape())
    if not shape or min(shape) < 1:
        raise DeclaredError(f"the header declares the shape {shape}")
    if math.prod(shape) > MAX_VOXELS:
        raise DeclaredError(f"the header declares the shape {shape}, more than {MAX_VOXELS} voxels")
    if int(header["intent_code"]) in _CIFTI_INTENTS:
        raise DeclaredError("a CIFTI file (intent code 3000 .. 3099) holds no image of voxels")
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (KeyError, HeaderDataError):
        raise DeclaredError(f"the header declares the data type {int(header['datatype'])}, which is none") from None
    return math.prod(shape) * int(dtype.itemsize)


def _check_extensions(stream: Any, header: Nifti1Header, left: int) -> None:
    """Walk over the header extensions, whose lengths nibabel takes as they are."""
    if stream.read(4)[:1] in (b"", b"\0"):
        return
    number = struct.Struct(f"{header.endianness}i")
    while left >= 16:
        length = number.unpack((stream.read(8) + bytes(8))[:4])[0]
        if not 8 <= length <= left:
            raise DeclaredError(f"the header announces an extension of {length} bytes in {left}")
        stream.seek(length - 8, 1)
        left -= length


def _check_length(path: Path, declared: int) -> None:
    found = path.stat().st_size
    packed = path.name.lower().endswith(".gz")
    if declared > (_DEFLATE * found + _SLACK if packed else found):
        holds = f"{found} packed bytes, which hold {_DEFLATE} times as many at most" if packed else f"{found} bytes"
        raise DeclaredError(f"the header declares {declared} bytes, the file has {holds}")


def check_picture_size(picture: Any, size: int) -> None:
    """Refuse a PNG file of ``size`` bytes that cannot hold the pixels that it declares.

    Args:
        picture: what ``PIL.Image.open`` gave; nothing is decoded.
        size: of the file, in bytes.

    Raises:
        DeclaredError: there are more.
    """
    if picture.format != "PNG":
        return
    declared = picture.width * picture.height * _PNG_BITS.get(picture.mode, 1) // 8
    if declared > _DEFLATE * size + _SLACK:
        raise DeclaredError(
            f"{picture.width} x {picture.height} pixels ({picture.mode}) are declared, the file has {size} packed bytes"
        )


def check_chunks(path: Path) -> None:
    """Walk over the chunks of a PNG file, whose lengths Pillow allocates as they are; other files pass.

    Raises:
        DeclaredError: a chunk is longer than what is left of the file, or the last one is missing.
    """
    with path.open("rb") as stream:
        if stream.read(len(_PNG)) != _PNG:
            return
        left, kind = path.stat().st_size - len(_PNG), b""
        while left >= _PNG_CHUNK and kind != b"IEND":
            start = stream.read(8)
            length, kind = int.from_bytes(start[:4], "big"), start[4:]
            left -= _PNG_CHUNK + length
            stream.seek(length + 4, 1)
        if left < 0 or kind != b"IEND":
            raise DeclaredError("the file is truncated: it ends before its last chunk does")


def drain(stream: Any) -> None:
    """Read a packed stream to its end, where its checksum is compared.

    Raises:
        DeclaredError: the end does not come: a small file can unpack to any length.
    """
    read = 0
    while piece := stream.read(1 << 16):
        read += len(piece)
        if read > MAX_BEHIND:
            raise DeclaredError(f"more than {MAX_BEHIND} bytes follow the last voxel")
