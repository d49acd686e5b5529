"""Nearly a thousand damaged files: none crashes the check, hangs it, or makes it allocate without bound."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from io import BytesIO

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_iel.check import KINDS

SHAPE = (5, 6, 4)
LIMIT = 128 * 2**20  # bytes above what the process has when it starts
SECONDS = 5  # per file; ten times the slowest

Files = Iterator[tuple[str, bytes]]


def nifti(kind: type = nibabel.Nifti1Image, dtype: str = "int16") -> bytes:
    values = np.random.default_rng(0).integers(0, 3, SHAPE).astype(dtype)
    return bytes(kind(values, np.diag([1.0, 2.0, 1.5, 1.0])).to_bytes())


def png(mode: str = "L") -> bytes:
    shape = (12, 9, 3) if mode == "RGB" else (12, 9)
    stream = BytesIO()
    Image.fromarray((np.arange(np.prod(shape)).reshape(shape) % 251).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def put(content: bytes, at: int, piece: bytes) -> bytes:
    return content[:at] + piece + content[at + len(piece) :]


def header_fields() -> Files:
    """Every field of both headers, filled with patterns."""
    patterns = {nibabel.Nifti1Image: (0x00, 0xFF, 0x7F, 0x80, 0x01), nibabel.Nifti2Image: (0x00, 0xFF, 0x7F)}
    for kind in patterns:
        whole = nifti(kind)
        for name, (dtype, offset) in kind.header_class.template_dtype.fields.items():
            for pattern in patterns[kind]:
                yield f"{kind.__name__}_{name}_{pattern:02x}", put(whole, offset, bytes([pattern]) * dtype.itemsize)


def numbers() -> Files:
    """Numbers that decide about memory: axes, sizes, types, where the voxels begin, lengths of extensions."""
    whole = nifti()
    for axes in (-1, 0, 1, 2, 4, 7, 8, 32767):
        yield f"axes_{axes}", put(whole, 40, struct.pack("<h", axes))
    for size in (-32768, -1, 0, 1000, 32767):
        for count in (1, 2, 3):
            yield f"dim_{size}_{count}", put(whole, 42, struct.pack(f"<{count}h", *[size] * count))
    for code in (0, 1, 2, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 3, 9999, -5):
        yield f"type_{code}", put(whole, 70, struct.pack("<h", code))
    for offset in (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1.0, 347.0, 353.5, 1e6, 2.0**31, 1e30):
        yield f"offset_{offset}", put(whole, 108, struct.pack("<f", offset))
        yield f"offset_{offset}_extended", put(put(whole, 108, struct.pack("<f", offset)), 348, b"\1\0\0\0")
    for length in (-(2**31), -8, 0, 1, 7, 8, 16, 24, 640, 2**24, 2**31 - 1):
        extended = put(put(whole, 108, struct.pack("<f", 992.0)), 348, b"\1\0\0\0")
        body = struct.pack("<ii", length, 6) + bytes(632) + whole[352:]
        yield f"extension_{length}", extended[:352] + body
    for slope in (float("nan"), float("inf"), 0.0, -1e38, 1e-45):
        yield f"slope_{slope}", put(whole, 112, struct.pack("<ff", slope, slope))
    for size in (2**62, -(2**62), 2**40):
        yield f"dim64_{size}", put(nifti(nibabel.Nifti2Image), 24, struct.pack("<3q", size, size, 2))


def cut(whole: bytes, name: str) -> Files:
    for length in sorted({int(share * len(whole)) for share in np.linspace(0, 0.999, 24)}):
        yield f"{name}_cut_{length}", whole[:length]


def flipped(whole: bytes, name: str, count: int = 48) -> Files:
    rng = np.random.default_rng(0)
    for at in rng.choice(len(whole), size=count, replace=False).tolist():
        yield f"{name}_bit_{at}", put(whole, at, bytes([whole[at] ^ 1 << int(rng.integers(8))]))


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    size = struct.pack(">I", len(content) if length is None else length)
    return size + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pictures() -> Files:
    """PNG chunks that lie, with checksums that are right."""
    start, body, end = b"\x89PNG\r\n\x1a\n", chunk(b"IDAT", zlib.compress(bytes(120))), chunk(b"IEND", b"")
    for width in (0, 1, 9, 3000, 12000, 2**31 - 1, 2**32 - 1):
        for height in (0, 12, 12000, 2**31 - 1):
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            yield f"png_{width}_{height}", start + header + body + end
    for bits in (0, 1, 2, 4, 8, 16, 32):
        for colour in (0, 1, 2, 3, 4, 6, 7):
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 12, bits, colour, 0, 0, 0))
            yield f"png_bits_{bits}_{colour}", start + header + body + end
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 12, 8, 0, 0, 0, 0))
    bomb = zlib.compress(bytes(2 * LIMIT), level=1)
    yield "png_bomb", start + header + chunk(b"IDAT", bomb) + end
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        middle = b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0"
        yield f"png_{kind.decode()}_bomb", start + header + chunk(kind, b"a" + middle + bomb) + body + end
    for length in (0, 2**31 - 1, 2**32 - 1):
        yield f"png_length_{length}", start + header + chunk(b"IDAT", zlib.compress(bytes(120)), length) + end


def bombs() -> Files:
    """Small packed files that unpack to much."""
    whole = nifti()
    yield "behind", gzip.compress(whole + bytes(2 * LIMIT), 1)
    for size in (1000, 32000):
        yield f"declared_{size}", gzip.compress(put(whole, 42, struct.pack("<hhh", size, 1000, 1000)))
    extended = put(put(whole, 108, struct.pack("<f", 1e8)), 348, b"\1\0\0\0")
    yield "extension", gzip.compress(extended + struct.pack("<ii", 10**8, 6) + bytes(2 * LIMIT), 1)


def all_files() -> Iterator[tuple[str, bytes]]:
    for make in (header_fields, numbers):
        for index, (name, content) in enumerate(make()):
            yield f"{name}.nii", content
            if index % 3 == 0:
                yield f"{name}.nii.gz", gzip.compress(content, mtime=0)
    packed = gzip.compress(nifti(), mtime=0)
    for suffix, whole in ((".nii", nifti()), (".nii.gz", packed), (".png", png()), (".png", png("RGB"))):
        for make_from in (cut, flipped):
            yield from ((f"{len(whole)}_{name}{suffix}", content) for name, content in make_from(whole, "x"))
    yield from ((f"{name}.png", content) for name, content in pictures())
    yield from ((f"{name}.nii.gz", content) for name, content in bombs())
    for suffix in (".nii", ".nii.gz", ".png"):
        yield f"other{suffix}", b"no image at all" * 9
        yield f"empty{suffix}", b""
        yield f"mistaken{suffix}", png() if suffix != ".png" else nifti()


# Looks at every file of a folder as image and as label at once, under a limit of memory and of time: beyond the first a
# MemoryError is noted, beyond the second SIGALRM ends the process.
PROGRAM = """
import json, os, resource, signal, sys, time, warnings
from pathlib import Path
from monai_iel.check.cases import Case, Expected
from monai_iel.check.look import look_at
warnings.simplefilter("ignore")
folder, limit, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
expected = {2: Expected(2, None, ("a", "b", "c")), 3: Expected(3, None, ("a", "b", "c"))}
now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (now + limit, now + limit))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seen, slowest = {}, 0.0
for path in sorted(folder.iterdir()):
    print(path.name, file=sys.stderr, flush=True)
    signal.alarm(seconds)
    start = time.monotonic()
    case = Case("training", path.name, str(path), str(path))
    report = look_at(case, expected[2 if path.suffix == ".png" else 3], 2**29)
    signal.alarm(0)
    slowest = max(slowest, time.monotonic() - start)
    seen[path.name] = [(finding.kind, finding.message) for finding in report.findings]
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"seen": seen, "slowest": slowest, "grown": grown}))
"""


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    if not sys.platform.startswith("linux"):
        pytest.skip("the limit of memory is set as on Linux")
    folder = tmp_path_factory.mktemp("damaged")
    for name, content in all_files():
        (folder / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(LIMIT), str(SECONDS)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        timeout=300,
    )
    assert done.returncode == 0, f"exit code {done.returncode} at {done.stderr[-2000:]}"
    found: dict[str, object] = json.loads(done.stdout)
    assert len(found["seen"]) == len(list(folder.iterdir()))  # type: ignore[arg-type]
    return found


def kinds(looked: dict[str, object], part: str = "") -> dict[str, set[str]]:
    seen = looked["seen"]
    assert isinstance(seen, dict)
    return {name: {kind for kind, _ in notes} for name, notes in seen.items() if part in name}


def test_there_are_more_than_five_hundred_and_none_ends_the_process(looked: dict[str, object]) -> None:
    assert len(kinds(looked)) > 900


def test_none_runs_into_the_limit_of_memory(looked: dict[str, object]) -> None:
    full = [name for name, notes in looked["seen"].items() if "memory" in str(notes)]  # type: ignore[attr-defined]
    assert full == []
    assert int(str(looked["grown"])) * 1024 < LIMIT / 2
    assert float(str(looked["slowest"])) < SECONDS / 2


@pytest.mark.parametrize(
    "part",
    [
        "_cut_",
        "dim_32767_3",
        "dim_0_",
        "dim64",
        "axes_0",
        "axes_8",
        "offset_nan",
        "Xt_bomb",
        "behind",
        "other",
        "empty",
        "mistaken",
    ],
)
def test_what_cannot_be_whole_is_unreadable(looked: dict[str, object], part: str) -> None:
    found = kinds(looked, part)
    assert found
    assert {name for name, noted in found.items() if "unreadable" not in noted} == set()


def test_a_header_field_that_means_nothing_here_does_no_harm(looked: dict[str, object]) -> None:
    """Guards the tests above."""
    found = kinds(looked, "Nifti1Image_descrip_7f")
    assert found
    for noted in found.values():
        assert {kind for kind in noted if KINDS[kind][0] == "error"} == {"label-is-image"}
