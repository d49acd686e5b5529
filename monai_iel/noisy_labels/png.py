"""PNG files whose pixels alone are replaced: Pillow chooses a bit depth of its own for a palette picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PngFile"]

_SIGNATURE = 8  # bytes before the first chunk
_PALETTE = 3  # the colour type


@dataclass(frozen=True)
class PngFile:
    """A PNG file of one sample per pixel, grey or with a palette.

    References:
        Portable Network Graphics (PNG) Specification, W3C: 5.3 chunk layout, 7.2 scanlines, 11.2.2 IHDR.

    Args:
        content: all of the file.
    """

    content: bytes

    @property
    def bits(self) -> int:
        """Bits per pixel."""
        return self.content[24]

    @property
    def colours(self) -> int | None:
        """Number of colours of the palette; None for a grey picture."""
        if self.content[25] != _PALETTE:
            return None
        return max((len(data) // 3 for kind, data in self._chunks() if kind == b"PLTE"), default=0)

    @property
    def step(self) -> int:
        """What readers multiply a sample by: they stretch grey of 2 and 4 bits to 255."""
        return 255 // (2**self.bits - 1) if self.bits in (2, 4) and self.content[25] != _PALETTE else 1

    def with_samples(self, samples: NDArray[np.int64]) -> bytes:
        """Return the file with other samples, all other chunks byte for byte; an interlaced one is not any more.

        Args:
            samples: whole numbers from 0 to ``2**bits - 1``, rows first.
        """
        lines = _scanlines(samples, self.bits)
        pixels = zlib.compress(np.pad(lines, ((0, 0), (1, 0))).tobytes(), 9)  # filter 0 before each line
        written = [self.content[:_SIGNATURE]]
        for kind, data in self._chunks():
            if kind == b"IDAT":
                written.append(_chunk(kind, pixels))  # all in the first one
                pixels = b""
            else:
                written.append(_chunk(kind, data[:12] + b"\0" if kind == b"IHDR" else data))
        return b"".join(part for part in written if part)

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        at = _SIGNATURE
        while at < len(self.content):
            length, kind = struct.unpack_from(">I4s", self.content, at)
            yield kind, self.content[at + 8 : at + 8 + length]
            if kind == b"IEND":
                return  # whatever follows is no part of the picture
            at += 12 + length


def _scanlines(samples: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    if bits == 16:
        return samples.astype(">u2", order="C").view(np.uint8)
    per_byte = 8 // bits
    padded = np.pad(samples.astype(np.uint8), ((0, 0), (0, -samples.shape[1] % per_byte)))
    parts = padded.reshape(len(padded), -1, per_byte) << np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return np.bitwise_or.reduce(parts, axis=-1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    if kind == b"IDAT" and not data:
        return b""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
