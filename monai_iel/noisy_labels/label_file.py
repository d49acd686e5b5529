"""Label files: reading a class map, and writing another one into a copy of the file."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.data.utils import affine_to_spacing
from numpy.typing import NDArray
from PIL import Image

from monai_iel.data.checks import check_whole
from monai_iel.data.files import CaseError, ImageFile, open_image
from monai_iel.noisy_labels.png import PngFile

__all__ = ["LabelFile"]

_PICTURE_MODES = ("1", "L", "P", "I;16", "I")
_GZIP_LEVEL = 6
# Colours of an error map as a palette picture: agrees, added, removed, another class, unknown.
_ERROR_PALETTE = (0, 0, 0, 86, 180, 233, 213, 94, 0, 240, 228, 66, 128, 128, 128)


@dataclass(frozen=True)
class LabelFile:
    """A label in a NIfTI or PNG file.

    The class map has the axes that MONAI's ``LoadImage`` gives, ``H W [D]``: those of the file for NIfTI, x before y
    for pictures. Axes of one voxel at the end are dropped, so a volume of one slice is an image. The classes are the
    file's values as they are.

    Args:
        path: the file.
    """

    path: Path

    def __call__(self) -> tuple[NDArray[np.int32], tuple[float, ...]]:
        """Return the class map and the spacing in mm per axis; see `read`."""
        return self.read()

    def open(self) -> ImageFile:
        """Read the header.

        Raises:
            CaseError: the file is absent, damaged, neither NIfTI nor PNG, in colour, or has more than three axes.
        """
        file = open_image(self.path)
        if file.is_picture:
            self._check_picture(file)
        elif not 2 <= len(_without_last_ones(file.shape)) <= 3:
            raise CaseError(
                f"{self.path}: found {len(file.shape)} axes (shape {file.shape}), expected a label of 2 or 3; save one "
                "label per time point, and one-hot channels as class numbers"
            )
        return file

    def read(self) -> tuple[NDArray[np.int32], tuple[float, ...]]:
        """Return the class map and the spacing in mm per axis, 1 mm for pictures.

        Raises:
            CaseError: as `open`, or the file holds fractions or values beyond 2^31.
        """
        file = self.open()
        values = file.read()
        check_whole(file, values)
        with np.errstate(invalid="ignore"):  # what is too large is reported below
            classes = values.astype(np.int32)
        if not np.array_equal(classes, values):
            found = values[classes != values].flat[0]
            raise CaseError(f"{self.path}: found the value {found:.9g}, expected class numbers below 2^31")
        if file.affine is None:
            return np.ascontiguousarray(classes.T), (1.0, 1.0)
        shape = _without_last_ones(file.shape)
        spacing = affine_to_spacing(file.affine, r=3)[: len(shape)]
        return classes.reshape(shape), tuple(float(size) for size in spacing)

    def rewrite(self, classes: NDArray[Any]) -> bytes:
        """Return the content of a file that differs from this one in its classes alone.

        A NIfTI file keeps every byte of its header and extensions and of the voxels that do not change, a PNG file
        every chunk (bit depth, palette, transparency, resolution, texts) but that of the pixels. A compressed file
        holds neither a time nor a name.

        Args:
            classes: a class map of the shape that `read` gives.

        Raises:
            CaseError: the file's number type or palette cannot hold a class.
        """
        if self._is_nifti:
            return self._as_compressed(self._rewritten_nifti(classes))
        file = PngFile(self.path.read_bytes())
        return file.with_samples(self._samples(classes.T, file))

    def check_storable(self, classes: Iterable[int]) -> None:
        """Refuse classes that `rewrite` could not store.

        Raises:
            CaseError: the file's number type or palette cannot hold one of them.
        """
        numbers = np.array(sorted(classes), dtype=np.int64)
        if self._is_nifti:
            self._encoded(numbers, nibabel.load(self.path).dataobj)
        else:
            self._samples(numbers, PngFile(self.path.read_bytes()))

    def error_map(self, noisy: NDArray[np.int32], clean: NDArray[np.int32], ignore_index: int | None = None) -> bytes:
        """Return the content of a file of this kind and geometry that shows where two class maps differ.

        NIfTI, signed: 0 where they agree, c where a voxel became class c, -c where a voxel of class c became
        background. PNG, in colours: 1 (blue) where foreground was added, 2 (orange) where it was removed, 3 (yellow)
        where a class became another one, 4 (grey) where it became unknown.
        """
        differs = noisy != clean
        if self._is_nifti:
            signed = np.where(differs, np.where(noisy != 0, noisy, -clean), 0)
            return self._nifti_like(signed, np.int16 if np.abs(signed).max(initial=0) < 2**15 else np.int32)
        kind = np.where(clean == 0, 1, np.where(noisy == 0, 2, 3))
        if ignore_index is not None:
            kind[noisy == ignore_index] = 4
        picture = Image.fromarray(np.where(differs, kind, 0).T.astype(np.uint8))
        picture.putpalette(_ERROR_PALETTE)
        return _png(picture)

    def map_of_shares(self, values: NDArray[np.float32]) -> bytes:
        """Return the content of a file of this kind and geometry that holds numbers from 0 to 1, not classes.

        NIfTI, float32. PNG, grey of 8 bits, 255 being 1.

        Args:
            values: of the shape that `read` gives.
        """
        if self._is_nifti:
            return self._nifti_like(values, np.float32)
        return _png(Image.fromarray(np.rint(values.T * 255).astype(np.uint8)))

    @property
    def _is_nifti(self) -> bool:
        return self.path.name.lower().endswith((".nii", ".nii.gz"))

    def _check_picture(self, file: ImageFile) -> None:
        with Image.open(self.path) as picture:
            kind = picture.format
        if kind != "PNG":
            raise CaseError(f"{self.path}: is a {kind} picture, expected PNG or NIfTI; convert it without loss")
        if file.mode not in _PICTURE_MODES:
            raise CaseError(
                f"{self.path}: the picture has mode {file.mode}, expected one class number per pixel; save it as grey "
                "or with a palette, without transparency"
            )

    def _content(self) -> bytes:
        content = self.path.read_bytes()
        return gzip.decompress(content) if self.path.name.lower().endswith(".gz") else content

    def _as_compressed(self, content: bytes) -> bytes:
        if not self.path.name.lower().endswith(".gz"):
            return content
        return gzip.compress(content, _GZIP_LEVEL, mtime=0)

    def _rewritten_nifti(self, classes: NDArray[Any]) -> bytes:
        content = self._content()
        proxy = type(nibabel.load(self.path)).from_bytes(content).dataobj
        size = prod(proxy.shape)
        stored = np.frombuffer(content, proxy.dtype, size, proxy.offset).reshape(proxy.shape, order="F").copy(order="F")
        wanted = classes.reshape(proxy.shape)
        differs = wanted != np.asanyarray(proxy)
        stored[differs] = self._encoded(wanted[differs], proxy)
        end = proxy.offset + size * proxy.dtype.itemsize
        return content[: proxy.offset] + stored.tobytes(order="F") + content[end:]

    def _encoded(self, classes: NDArray[Any], proxy: Any) -> NDArray[Any]:
        """Class numbers as the file stores them: value = stored * slope + intercept."""
        plain = (classes - proxy.inter) / proxy.slope
        kept = np.rint(plain) if proxy.dtype.kind in "iu" else plain
        with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is reported below
            stored = kept.astype(proxy.dtype)
        back = stored.astype(np.float64) * proxy.slope + proxy.inter
        if not np.array_equal(back, classes):
            raise CaseError(
                f"{self.path}: class {classes[back != classes][0]} cannot be stored as {proxy.dtype.name} (scl_slope "
                f"{proxy.slope:g}, scl_inter {proxy.inter:g}); save the label with a wider type, without scaling"
            )
        return stored

    def _nifti_like(self, values: NDArray[Any], dtype: type[np.generic]) -> bytes:
        image = nibabel.load(self.path)
        header = image.header.copy()
        header.set_data_dtype(dtype)
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
        # Without an affine of its own the new file takes over sform and qform with their codes.
        copy = type(image)(values.reshape(image.shape).astype(dtype), None, header)
        return self._as_compressed(copy.to_bytes())

    def _samples(self, classes: NDArray[Any], file: PngFile) -> NDArray[np.int64]:
        """Class numbers as a PNG file stores them."""
        samples, rest = np.divmod(classes.astype(np.int64), file.step)
        most = 2**file.bits - 1
        if file.colours is not None:
            # What a file holds already is taken, be it a colour of its palette or not.
            with Image.open(self.path) as picture:
                most = min(most, max(file.colours - 1, picture.getextrema()[1]))
        wrong = classes[(samples < 0) | (samples > most) | (rest != 0)]
        if not len(wrong):
            return samples
        depth = f"{file.bits} bit{'s' if file.bits > 1 else ''}"
        if file.colours is None:
            where, mend = f"a grey PNG of {depth}", "save the label with more bits, or as NIfTI"
        else:
            where = f"a palette PNG of {depth} and {file.colours} colours"
            mend = "save the label as grey, or with 8 bits and a colour for every class"
        raise CaseError(f"{self.path}: class {wrong[0]} cannot be stored in {where}; {mend}")


def _without_last_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
