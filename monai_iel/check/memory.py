"""How large a file may be, by the memory that is left."""

from __future__ import annotations

from pathlib import Path

__all__ = ["BYTES_PER_VOXEL", "MAX_VOXELS", "available_bytes", "voxels_for"]

BYTES_PER_VOXEL = 24
"""What a volume and its label take at the peak, by voxel of the volume: 18 were measured, 22 where it is float64."""

MAX_VOXELS = 2**29
"""Largest file that is read by default, whatever memory there is: 512 x 512 x 2048 voxels, 2 GiB of float32."""

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that new processes may take, also by the limit of a container; ``None`` where the system does not tell."""
    told = [number for number in (_of_machine(), _of_group()) if number is not None]
    return min(told, default=None)


def voxels_for(workers: int) -> int:
    """Voxels of the largest file that each of so many workers may hold at a time."""
    available = available_bytes()
    if available is None:
        return MAX_VOXELS // max(1, workers)
    return max(1, min(MAX_VOXELS, available // (BYTES_PER_VOXEL * max(1, workers))))


def _of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


def _of_group() -> int | None:
    try:
        limit, used = ((_GROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except (OSError, UnicodeDecodeError):
        return None
    return max(0, int(limit) - int(used)) if limit.isdecimal() and used.isdecimal() else None
