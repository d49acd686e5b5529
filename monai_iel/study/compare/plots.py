"""The pictures of a study: Dice by noise and by number of cases, case by case, and epoch by epoch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from monai_iel.study.compare.cells import cells_of
from monai_iel.study.compare.curves import CURVES, read_curves
from monai_iel.study.compare.differences import matrix_of
from monai_iel.study.compare.summary import Summary
from monai_iel.study.compare.values import Place
from monai_iel.visualize import OKABE_ITO

__all__ = ["CAPTIONS", "as_png", "plots_of"]

CAPTIONS = {
    "noise": "Dice on clean test labels by noise, with bootstrap intervals of 95 %. An arrow is a figure far below.",
    "cases": "Dice on clean test labels by the number of training cases, with bootstrap intervals of 95 %.",
    "by-case": "A dot is a test case (mean over the seeds): the best other method against the reference, better above "
    "the line.",
    "curves": "Dice by epoch, mean over the seeds: on clean test labels (thick; they decided nothing) and on the noisy "
    "validation labels (thin). Where a thick line falls, the noise is being learnt by heart. Axes may leave out "
    "the first epochs.",
}
"""What is said below a figure, by its name."""

_COLOURS = ("blue", "vermillion", "bluish green", "orange", "reddish purple", "sky blue", "black")
_MARKERS = "osD^vPX*<>"
_LINES = ("-", "--", "-.", ":")
_WIDTH, _PANEL = 9.0, 3.0  # inches


def plots_of(summary: Summary, data: str, folder: Path) -> dict[str, Any]:
    """The figures of a data set that can be drawn, by name."""
    found = {
        "noise": by_noise(summary, data),
        "cases": by_number(summary, data),
        "by-case": by_case(summary, data),
        "curves": learning_curves(summary, data, folder),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def as_png(figure: Any) -> bytes:
    """A figure as a file; the same figures give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def by_noise(summary: Summary, data: str) -> Any:
    """Dice of each method by noise, with intervals."""
    columns = summary.columns(data)
    methods = summary.methods(data)
    figure, (axes,) = _figure(_WIDTH, 4.6)
    found = {(m, x): i for m in methods for x, p in enumerate(columns) if (i := summary.interval(p, m)) is not None}
    cut = _cut([i.mean for i in found.values()])
    for index, method in enumerate(methods):
        known = [(x, i) for (name, x), i in found.items() if name == method]
        middle = [i.mean for _, i in known]
        errors = [[i.mean - i.low for _, i in known], [i.high - i.mean for _, i in known]]
        place_x = [x + 0.7 * ((index + 0.5) / len(methods) - 0.5) for x, _ in known]
        style = {"marker": _MARKERS[index % len(_MARKERS)], "color": _colour(index), "markersize": 5, "elinewidth": 1.2}
        axes.errorbar(place_x, middle, yerr=np.maximum(errors, 0), linestyle="none", label=method, **style)
        for x, mean in zip(place_x, middle, strict=True):
            if cut is not None and mean < cut:
                below = {"ha": "center", "va": "bottom", "rotation": 90, "fontsize": 7, "color": _colour(index)}
                axes.annotate(f"\N{LEFTWARDS ARROW} {mean:.2f}", (x, cut), **below)
    axes.set_ylim(bottom=cut)
    axes.set_xticks(range(len(columns)), [heading.replace(", ", ",\n") for heading in columns.values()])
    for x in range(1, len(columns)):
        axes.axvline(x - 0.5, color="0.85", linewidth=0.8)
    axes.set_ylabel("Dice on clean labels")
    return _finished(figure, [axes])


def by_number(summary: Summary, data: str) -> Any | None:
    """Dice of each method by the number of training cases, with bands; None where no noise has several numbers."""
    places = [place for place in summary.columns(data) if place.cases.isdecimal() or place.cases == "all"]
    by = {noise: [p for p in places if p.noise == noise] for noise in dict.fromkeys(p.noise for p in places)}
    several = {noise: found for noise, found in by.items() if len(found) > 1}
    if not several:
        return None
    figure, panels = _figure(max(_WIDTH / 2, min(len(several), 3) * _PANEL * 1.3), 4.6, len(several))
    for axes, (noise, found) in zip(panels, several.items(), strict=True):
        ordered = sorted(found, key=lambda place: (place.cases == "all", place.cases.zfill(9)))
        for index, method in enumerate(summary.methods(data)):
            known = [(x, i) for x, p in enumerate(ordered) if (i := summary.interval(p, method)) is not None]
            x = [x for x, _ in known]
            axes.fill_between(
                x, [i.low for _, i in known], [i.high for _, i in known], color=_colour(index), alpha=0.12
            )
            axes.plot(x, [i.mean for _, i in known], _line(index), color=_colour(index), label=method, marker=".")
        axes.set_xticks(range(len(ordered)), [place.cases for place in ordered])
        axes.set_xlabel("training cases")
        axes.set_title(noise, fontsize=10)
    panels[0].set_ylabel("Dice on clean labels")
    return _finished(figure, panels)


def by_case(summary: Summary, data: str) -> Any | None:
    """For each noise the best other method against the reference, case by case; None without a reference."""
    pairs = []
    for place, heading in summary.columns(data).items():
        methods = summary.places[place]
        others = {m: i.mean for m in methods if m != summary.study.reference and (i := summary.interval(place, m))}
        if others and summary.study.reference in methods:
            best = max(others, key=others.__getitem__)
            pair = matrix_of([methods[summary.study.reference], methods[best]], "dice")
            if pair is not None:
                pairs.append((heading, best, pair.mean(axis=1)))
    if not pairs:
        return None
    figure, panels = _figure(_PANEL * min(len(pairs), 3), _PANEL * 1.05, len(pairs))
    for axes, (heading, best, (x, y)) in zip(panels, pairs, strict=True):
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        axes.plot([low, high], [low, high], color="0.6", linewidth=0.8)
        axes.scatter(x, y, s=14, color=_colour(0), alpha=0.7, linewidths=0)
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel(summary.study.reference, fontsize=8)
        axes.set_ylabel(best, fontsize=8)
        axes.tick_params(labelsize=7)
    return _finished(figure, panels, legend=False)


def learning_curves(summary: Summary, data: str, folder: Path) -> Any | None:
    """Dice by epoch, mean over seeds: on the clean test labels (lines) and on the noisy validation labels (thin)."""
    cells = [cell for cell in cells_of(summary.study) if cell.data.name == data]
    columns = summary.columns(data)
    names = list(dict.fromkeys(cell.method.name for cell in cells))
    found: dict[tuple[Place, str, str], tuple[Any, Any]] = {}
    for place, name, kind in product(columns, names, ("test", "validation")):
        own = [c for c in cells if (c.noise.name, c.cases.name, c.method.name) == (place.noise, place.cases, name)]
        curves = [curve for c in own if (curve := read_curves(c.folder(folder) / CURVES).get(kind))]
        if curves:
            length = min(len(values) for _, values in curves)
            found[place, name, kind] = (curves[0][0][:length], np.mean([v[:length] for _, v in curves], axis=0))
    if not found:
        return None
    figure, panels = _figure(max(6.0, _PANEL * 1.1 * min(len(columns), 3)), _PANEL * 1.1, len(columns))
    for axes, (place, heading) in zip(panels, columns.items(), strict=True):
        shown = [value for (where, _, _), (_, values) in found.items() if where == place for value in values]
        for index, name in enumerate(names):
            for kind, width in (("test", 1.6), ("validation", 0.7)):
                if (place, name, kind) in found:
                    label = name if kind == "test" or (place, name, "test") not in found else None
                    style = {"color": _colour(index), "linewidth": width, "markersize": 3 + width, "label": label}
                    axes.plot(*found[place, name, kind], _line(index), marker=".", **style)
        if shown:
            axes.set_ylim(bottom=_cut(shown))
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[0].set_ylabel("Dice")
    return _finished(figure, panels)


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    columns = min(panels, 3)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width, height * (rows if panels > 1 else 1)), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def _cut(values: Sequence[float]) -> float | None:
    """Where an axis begins so that values far below most do not flatten the others; None where there are none."""
    top = max(values)
    bottom = top - 2.5 * (top - float(np.quantile(values, 0.25)))
    return bottom if min(values) < bottom else None


def _finished(figure: Any, panels: Sequence[Any], *, legend: bool = True) -> Any:
    for axes in panels:
        axes.grid(axis="y", alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    if legend:
        named: dict[str, Any] = {}
        for axes in panels:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                named.setdefault(name, handle)
        figure.legend(list(named.values()), list(named), frameon=False, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _colour(index: int) -> tuple[float, ...]:
    return tuple(part / 255 for part in OKABE_ITO[_COLOURS[index % len(_COLOURS)]])


def _line(index: int) -> str:
    return _LINES[index // len(_COLOURS) % len(_LINES)]
