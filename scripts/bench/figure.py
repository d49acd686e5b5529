"""The plot: cost against the number of steps and against the volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # to files, also where a screen is

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bench.measure import Row
from bench.ways import CONV, LINEAR, MONAI, NONLINEAR, Case

__all__ = ["plot"]

_STYLES: dict[str, dict[str, Any]] = {CONV: {"color": "black", "marker": "s"}}
for _names, _colors, _markers in (
    (NONLINEAR, ("#7f2704", "#d94801", "#fd9243", "#a50f15", "#ef3b2c"), "DPXds"),
    (MONAI, ("#238b45", "#74c476"), "*h"),
    (LINEAR, ("#08306b", "#2171b5", "#6baed6", "#54278f", "#9e9ac8"), "ov^<>"),
):
    for _name, _color, _marker in zip(_names, _colors, _markers, strict=True):
        _STYLES[_name] = {"color": _color, "marker": _marker}


@dataclass(frozen=True)
class _Panel:
    title: str
    label: str
    rows: list[Row]
    x_of: Callable[[Case], int]
    tick_of: Callable[[int], str]

    def points(self, name: str) -> list[tuple[int, list[float]]]:
        return sorted((self.x_of(row.case), row.together_ms) for row in self.rows if row.case.name == name)


def plot(rows: Sequence[Row], steps: Mapping[str, int], path: Path) -> None:
    """Write the picture; a panel without a line in it is left out.

    Args:
        rows: what was measured.
        steps: the number of steps of each way in the panel against the volume.
        path: where to; the suffix says the format.
    """
    shape = max((row.case for row in rows), key=lambda case: case.steps).shape
    stepped = [row for row in rows if row.case.shape == shape and row.case.steps]
    cubes = [row for row in rows if len(row.case.shape) == 5 and row.case.steps == steps.get(row.case.name, 0)]
    linear, nonlinear = (steps[next(iter(names))] for names in (LINEAR, NONLINEAR))
    volume = f"against volume, {linear} steps ({nonlinear} of nonlinear evolutions)"
    panels = [
        _Panel(f"{' × '.join(map(str, shape))}, against steps", "steps", stepped, lambda case: case.steps, str),
        _Panel(volume, "voxels", cubes, lambda case: case.shape[-1] ** 3, lambda n: f"{round(n ** (1 / 3))}³"),
    ]
    panels = [panel for panel in panels if any(len(panel.points(name)) > 1 for name in _STYLES)]
    size = (3 + 5 * len(panels), 5.5)
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for panel, place in zip(panels, axes[0], strict=True):
        _draw(panel, place)
    axes[0, 0].set_ylabel("forward + backward, ms")
    # The distance losses are in the last panel only.
    figure.legend(*axes[0, -1].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw(panel: _Panel, axes: Axes) -> None:
    """Medians with their quartiles, one line for each way, and the floor."""
    axes.set(xscale="log", yscale="log", title=panel.title, xlabel=panel.label)
    for name, style in _STYLES.items():
        points = panel.points(name)
        if points:
            median = [q[1] for _, q in points]
            spread = [[q[1] - q[0] for _, q in points], [q[2] - q[1] for _, q in points]]
            axes.errorbar([x for x, _ in points], median, yerr=spread, label=name, markersize=5, lw=1.3, **style)
    floors = dict(sorted({panel.x_of(row.case): row.floor_ms["copy_large"] for row in panel.rows}.items()))
    # As an errorbar too, since a legend lists those behind all lines.
    axes.errorbar(list(floors), list(floors.values()), ls="--", color="gray", label="floor: logits copied twice")
    axes.set_xticks(list(floors), [panel.tick_of(x) for x in floors])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(which="major", alpha=0.3)
