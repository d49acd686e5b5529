"""How it is shown as text, with floors and ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.measure import Rates, Row
from bench.ways import CONV, LINEAR, NONLINEAR

__all__ = ["complete", "share_table", "table"]


def complete(rows: list[Row], speed: Rates) -> None:
    """Floors and ratios of the rows of one shape, from the medians."""
    loops = {row.case.steps: row.together_ms[1] for row in rows if row.case.name == CONV}
    for row in rows:
        row.logits_bytes = size = 4 * math.prod(row.case.shape)
        row.peak_logits = None if row.peak_bytes is None else row.peak_bytes / size
        moved = 4 * size  # read and written, forwards and backwards
        row.floor_ms = {name: 1e3 * moved / getattr(speed, name) for name in ("copy_own_size", "copy_large")}
        if row.multiply_adds:
            row.floor_ms["multiply_adds"] = 1e3 * row.multiply_adds / speed.multiply_adds
        row.times_floor = {name: row.together_ms[1] / floor for name, floor in row.floor_ms.items()}
        if row.case.name in LINEAR | NONLINEAR and row.case.steps in loops:
            row.conv_loop_ratio = loops[row.case.steps] / row.together_ms[1]


def table(rows: Sequence[Row], speed: Rates) -> str:
    """The rows of one shape, as text."""

    def cell(value: float | None, width: int, digits: int = 1) -> str:
        return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"

    lines = [
        f"\n{' x '.join(map(str, rows[0].case.shape))} float32, logits {rows[0].logits_bytes / 1e6:.2f} MB; copies "
        f"{speed.copy_own_size / 1e9:.1f} GB/s (this size) and {speed.copy_large / 1e9:.1f} GB/s "
        f"({speed.large_bytes / 2**20:.0f} MiB); products {speed.multiply_adds / 1e9:.1f} G multiply-adds/s",
        f"{'':27}{'':5}{'milliseconds':^52}{'peak /':>8}{'both / floor of':^25}{'conv loop':>10}",
        f"{'':27}{'steps':>5}{'forward':>10}{'backward':>10}{'both':>10}{'quartiles':>22}{'logits':>8}"
        f"{'copy':>8}{'large':>8}{'mult-add':>9}{'/ both':>10}   way",
    ]
    for row in sorted(rows, key=lambda row: row.case.steps or math.inf):
        low, middle, high = row.together_ms
        floors = [row.times_floor.get(name) for name in ("copy_own_size", "copy_large", "multiply_adds")]
        cells = [cell(v, 10, 2) for v in (row.forward_ms[1], row.backward_ms[1], middle)]
        cells += [f"{f'{low:.2f} to {high:.2f}':>22}", cell(row.peak_logits, 8)]
        cells += [cell(floor, width) for floor, width in zip(floors, (8, 8, 9), strict=True)]
        cells += [cell(row.conv_loop_ratio, 10), f"   {row.way}"]
        lines.append(f"{row.case.name:27}{row.case.steps or '-':>5}{''.join(cells)}")
        if row.relative_difference:
            out, gradient = row.relative_difference
            lines.append(f"{'':27}differs from HeatDiffusion's by {out:.1e} (result), {gradient:.1e} (gradient)")
    return "\n".join(lines)


def share_table(found: Sequence[dict[str, Any]]) -> str:
    """The shares of training steps, as text."""
    lines = [f"\n{'training step, ms':27}{'steps':>5}{'added':>10}{'quartiles':>22}{'step':>10}{'share':>9}"]
    for row in found:
        low, middle, high = row["added_ms"]
        lines.append(
            f"{row['name']:27}{row['steps']:>5}{middle:>10.2f}{f'{low:.2f} to {high:.2f}':>22}"
            f"{row['training_step_ms'][1]:>10.0f}{row['share']:>9.2%}   {row['precision']}"
        )
    return "\n".join(lines)
