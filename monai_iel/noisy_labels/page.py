"""The report of a run: what the noise did, in figures and on the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from monai_iel.data.files import open_image
from monai_iel.noisy_labels.calibrate import NOT_MONOTONE
from monai_iel.noisy_labels.case_list import NoisyCase
from monai_iel.noisy_labels.label_file import LabelFile
from monai_iel.noisy_labels.manifest import classes_of, summary
from monai_iel.noisy_labels.search import IN_WORDS
from monai_iel.report import Report
from monai_iel.visualize import OKABE_ITO, best_slice, outline_overlay, take_slice

__all__ = ["COLOURS", "Picture", "fill_page", "shown_cases"]

CLEAN, NOISY = "clean label", "noisy label"
COLOURS = {CLEAN: OKABE_ITO["sky blue"], NOISY: OKABE_ITO["vermillion"]}
# Pixels: the shorter side; from where on a picture is cut; around the labels; the longer side.
_LEGIBLE, _LARGE, _MARGIN, _MOST = 256, 400, 24, 512
_CLASS_COLUMNS = {
    **{name: name for name in ("dice", "distance_mm", "distance95_mm", "bias_mm")},
    **{"volume ratio": "volume_ratio", "components +": "component_change", "voxels changed": "changed"},
}
_DEFINITIONS = """\
Each figure of a case is the mean over the foreground classes that its clean or noisy label has. Dice is the overlap of
the two; distance_mm the mean distance between their outlines, both ways; distance95_mm the larger of the two 95th
percentiles (HD95); bias_mm the mean signed distance of the noisy outline from the clean one, positive outwards. A class
that only one of the labels has counts with a Dice of 0 and the diagonal of the image as its distance, and has no bias.
changed_share is the share of the voxels with another class. Images without geometry have 1 mm per pixel. Distances are
comparable between labels of one voxel size only; Dice is the figure to compare across samplings."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """Draws the outlines of a clean and a noisy label on the slice with the most damage.

    Volumes are turned to RAS and cut across their coarsest axis (the last one, among equals), the patient's right on
    the right. Large pictures are cut to the surroundings of the labels, and shown with every second (third, ...) pixel
    where they are still large, so that a page with all cases of a data set stays small.

    Args:
        out: folder that the noisy label's path is relative to.
    """

    out: Path

    def __call__(self, case: NoisyCase) -> NDArray[np.uint8]:
        """Return the picture of a case."""
        clean, spacing = case.label.read()
        noisy, _ = LabelFile(self.out / case.target).read()
        image = open_image(case.image)
        channels = _channels(image.read(), clean.ndim, picture=image.is_picture)
        maps = {CLEAN: clean, NOISY: noisy}
        if clean.ndim == 3:
            assert image.affine is not None
            turn = io_orientation(image.affine)
            channels = [apply_orientation(channel, turn) for channel in channels]
            maps = {name: apply_orientation(label, turn) for name, label in maps.items()}
            sizes = [spacing[int(np.flatnonzero(turn[:, 0] == axis)[0])] for axis in range(3)]
            axis = max(range(3), key=lambda a: (round(sizes[a], 3), a))
            differs = maps[NOISY] != maps[CLEAN]
            at = best_slice(differs if differs.any() else maps[CLEAN], axis)
            channels = [take_slice(channel, axis=axis, index=at) for channel in channels]
            maps = {name: take_slice(label, axis=axis, index=at) for name, label in maps.items()}
        else:
            channels = [take_slice(channel) for channel in channels]
            maps = {name: take_slice(label) for name, label in maps.items()}
        window = _window([label != 0 for label in maps.values()])
        drawn = np.stack(channels, axis=-1) if len(channels) == 3 else channels[0]
        step = -(-max(side.stop - side.start for side in window) // _MOST)
        shown = tuple(slice(side.start, side.stop, step) for side in window)
        maps = {name: label[shown] for name, label in maps.items()}
        scale = max(1, round(_LEGIBLE / min(drawn[shown].shape[:2])))
        return outline_overlay(drawn[shown], maps, colours=COLOURS, scale=scale)


def _channels(values: NDArray[Any], dims: int, *, picture: bool) -> list[NDArray[Any]]:
    """The channels of an image, x before y: three of a colour picture, else the first one."""
    if picture:
        colour = values.ndim == 3 and values.shape[-1] == 3
        return [values[..., i].T for i in range(3)] if colour else [(values[..., 0] if values.ndim == 3 else values).T]
    return [values.reshape(*values.shape[:dims], -1)[..., 0]]


def _window(masks: Sequence[NDArray[np.bool_]]) -> tuple[slice, ...]:
    """The whole picture, or, where it is large, the surroundings of the masks."""
    either = np.logical_or.reduce(list(masks))
    if max(either.shape) <= _LARGE or not either.any():
        return tuple(slice(0, size) for size in either.shape)
    return tuple(
        slice(max(0, int(found.min()) - _MARGIN), min(size, int(found.max()) + _MARGIN + 1))
        for found, size in zip(np.nonzero(either), either.shape, strict=True)
    )


def shown_cases(records: Sequence[Record], most: int) -> list[int]:
    """Return the indices of up to ``most`` cases, the lowest Dice first, evenly spread over the order of Dice."""
    order = sorted(range(len(records)), key=lambda i: (records[i]["dice"] is None, records[i]["dice"], i))
    if len(order) <= most:
        return order
    return [order[i] for i in np.linspace(0, len(order) - 1, most).round().astype(int)] if most else []


def fill_page(
    report: Report,
    records: Sequence[Record],
    pictures: Sequence[tuple[NDArray[np.uint8], str]],
    *,
    class_names: Mapping[str, str],
    warnings: Sequence[str],
    calibration: Mapping[str, Any] | None,
    details: Mapping[str, Any],
) -> None:
    """Fill the page of a run.

    Args:
        report: an empty page.
        records: of the manifest.
        pictures: those that are shown, with captions.
        class_names: by number.
        warnings: what was found about the labels.
        calibration: `Calibration.as_dict`.
        details: settings of the run.
    """
    report.add_section("Damage")
    report.add_table(summary(records), caption="Over the cases")
    report.add_table(_by_class(records, class_names), caption="By class, means over the cases that have it")
    report.add_text(_DEFINITIONS)
    for sentence in warnings:
        report.add_text(sentence)
    known = [record["dice"] for record in records if record["dice"] is not None]
    if known:
        report.add_curves(
            {f"{len(known)} cases": _histogram(known)},
            xlabel="Dice of noisy and clean label",
            ylabel="cases",
        )
    if calibration is not None:
        _add_calibration(report, calibration)
    if pictures:
        report.add_section("Cases")
        most = f"{len(pictures)} of {len(records)} cases, evenly spread from the lowest Dice to the highest"
        report.add_text(
            f"{most if len(pictures) < len(records) else f'All {len(records)} cases, the lowest Dice first'}. In "
            "volumes the slice across the coarsest axis on which most voxels changed."
        )
        report.add_gallery(list(pictures), legend=COLOURS)
    report.add_section("Settings")
    report.add_details(details)


def _add_calibration(report: Report, calibration: Mapping[str, Any]) -> None:
    report.add_section("Calibration")
    name = IN_WORDS[calibration["measure"]]
    report.add_text(
        f"Strength {calibration['strength']:.6g}: {name} {calibration['reached']:.4f}, asked for "
        f"{calibration['target']:g}."
    )
    if not calibration["is_monotone"]:
        report.add_text(NOT_MONOTONE)
    looked_at = sorted(map(tuple, calibration["evaluations"]))
    if len(looked_at) > 1:
        curve = tuple(zip(*looked_at, strict=True))
        report.add_curves({"looked at": (curve[0], curve[1])}, xlabel="strength", ylabel=name)


def _by_class(records: Sequence[Record], names: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = []
    for number in classes_of(records):
        found = [record["classes"][str(number)] for record in records if str(number) in record["classes"]]
        row: dict[str, Any] = {"class": f"{number} {names.get(str(number), '')}".strip(), "cases": len(found)}
        for shown, name in _CLASS_COLUMNS.items():
            values = [one[name] for one in found if one[name] is not None]
            row[shown] = fmean(values) if values else None
        for name in ("missed", "added"):
            if any(record[name] for record in records):
                row[name] = sum(number in record[name] for record in records)
        rows.append(row)
    return rows


def _histogram(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """A step line of how many values lie in each of up to 20 intervals of a fixed raster."""
    width = next(w for w in (0.002, 0.005, 0.01, 0.02, 0.05) if max(values) - min(values) <= 20 * w or w == 0.05)
    # A Dice of 1 belongs to the interval below it.
    first, last = np.floor(min(values) / width), min(np.floor(max(values) / width) + 1, round(1 / width))
    first = min(first, last - 1)
    edges = np.arange(first, last + 1) * width
    counts, _ = np.histogram(values, edges)
    x = np.repeat(edges, 2)
    return x.round(6).tolist(), [0.0, *np.repeat(counts, 2).astype(float).tolist(), 0.0]
