"""The report of a paired comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from monai.config import get_config_values
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel import __version__
from monai_iel.report import Best, Report
from monai_iel.study.manifest import noise_manifest, write_manifest
from monai_iel.study.paired import CLEAN, PLAIN, PairedStudy, Row, mean_table
from monai_iel.study.runs import label_map_of
from monai_iel.visualize import OKABE_ITO, best_slice, outline_overlay, take_slice

__all__ = ["write_page"]

_LABEL, _NOISY, _OTHERS = "clean label", "noisy label", ("orange", "bluish green", "yellow", "reddish purple")
_EXPLANATION = """\
The plain network and the IEL network start from the same weights and see the same noisy annotations in the same order.
"plain + Evolve" is the plain network's output smoothed afterwards by the exact inverse of the layer, which costs no
training: it is what the IEL has to be compared with. All figures are measured on clean labels of test cases that no
training saw. "last" is the last epoch, "best" the epoch with the best Dice on the validation labels, which are as
noisy as those of the training (those of the clean-label training are clean).

Dice, surface Dice and the calibration error (ece) are fractions; hd95_mm is the 95 % Hausdorff distance in mm, where a
missed structure counts as the image's diagonal and "missed" is their number."""


def write_page(study: PairedStudy, rows: Sequence[Row], segmented: Mapping[str, Path]) -> Path:
    """Write ``report.html`` into the study's folder: table, curves, what the noise does, and outlines on test cases.

    Args:
        study: the comparison, already run.
        rows: its rows.
        segmented: folders of the label maps of the test images, by method.
    """
    report = Report("Segmentation from noisy annotations", f"data: {study.data}, noise: {study.noise}")
    report.add_section("Result")
    table = mean_table(rows)
    clean = [index for index, row in enumerate(table) if row["method"] == CLEAN]
    best: dict[str, Best] = {"dice": "max", "hd95_mm": "min", "surface_dice": "max", "ece": "min"}
    report.add_table(table, highlight=best, reference=clean)
    report.add_text(_EXPLANATION)
    report.add_section("Training")
    seed = study.seeds[0]
    folders = {method: study.run(method, seed).folder / "train" for method in study.methods()}
    for tag, label in (("train_loss", "training loss"), ("dice", "Dice on the validation labels")):
        curves = {method: curve for method, folder in folders.items() if (curve := _curve(folder, tag))[0]}
        if curves:
            report.add_curves(curves, xlabel="epoch" if tag == "dice" else "iteration", ylabel=label)
    _add_noise(report, study)
    _add_segmentations(report, study, segmented)
    report.add_section("Settings")
    details: dict[str, object] = {"monai_iel": __version__, **get_config_values()}
    details.update({"loss overlay": study.loss, "IEL overlays": study.iels, "seeds": study.seeds, **study.settings})
    report.add_details(details)
    return report.write(study.folder / "report.html")


def _curve(folder: Path, tag: str) -> tuple[list[float], list[float]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    if tag not in events.Tags()["scalars"]:
        return [], []
    points = events.Scalars(tag)
    return [p.step for p in points], [p.value for p in points]


def _add_noise(report: Report, study: PairedStudy) -> None:
    """What the noise did: the manifest of all training cases, and the first with the clean and the noisy outline."""
    run = study.run(PLAIN, study.seeds[0])
    cases, before, noise, num_classes = run.content(
        "@train::cases", "$@deterministic_transforms + @in_pixels", "@label_noise", "@num_classes"
    )
    report.add_section("The annotations that were trained on")
    if noise:
        entries = noise_manifest(cases, Compose(before), noise, num_classes=num_classes)
        write_manifest(study.folder / "noise.jsonl", entries)
        report.add_text(_in_words(entries))
    pictures = []
    for case in cases[:3]:
        item = Compose(before)(case)
        clean, noisy = item["label"][0], Compose(noise)(item)["label"][0]
        picture = _picture(item["image"], {_LABEL: clean, _NOISY: noisy}, _COLOURS)
        pictures.append((picture, f"training case {case['case_id']}"))
    report.add_gallery(pictures, legend={name: _COLOURS[name] for name in (_LABEL, _NOISY)})


def _in_words(entries: Sequence[Mapping[str, Any]]) -> str:
    means = {n: fmean(known) for n in ("dice", "hd95_mm") if (known := [e[n] for e in entries if e[n] is not None])}
    changed = fmean(entry["changed"] for entry in entries)
    text = f"The noise changes {100 * changed:.1f} % of the voxels of {len(entries)} training cases."
    if means:
        text += f" Noisy against clean labels: mean Dice {means['dice']:.3f}, mean HD95 {means['hd95_mm']:.2f} mm."
    return text + " Case by case, with parameters and seeds: noise.jsonl beside this page."


def _add_segmentations(report: Report, study: PairedStudy, segmented: Mapping[str, Path]) -> None:
    run = study.run(PLAIN, study.seeds[0])
    cases, dims = (run.test_cases(), *run.content("@spatial_dims")) if segmented else ([], 0)
    legend = {_LABEL: _COLOURS[_LABEL], **{m: OKABE_ITO[c] for m, c in zip(segmented, _OTHERS, strict=False)}}
    load = Compose(
        [LoadImage(image_only=True), EnsureChannelFirst(), *([Orientation("RAS", labels=None)] if dims == 3 else [])]
    )
    images = [case["image"] for case in cases]
    pictures = []
    for case in cases[:6]:
        masks = {_LABEL: load(case["label"])[0]}
        for method, folder in segmented.items():
            if method not in legend:  # there are no more colours that can be told apart
                continue
            masks[method] = load(label_map_of(case["image"], images, folder))[0]
        pictures.append((_picture(load(case["image"]), masks, legend), f"test case {case['case_id']}"))
    if pictures:
        report.add_section("Test cases")
        report.add_gallery(pictures, legend=legend)


_COLOURS = {_LABEL: OKABE_ITO["sky blue"], _NOISY: OKABE_ITO["vermillion"]}


def _picture(image: Any, masks: Mapping[str, Any], colours: Mapping[str, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """The slice with most clean foreground, with every mask's outline."""
    arrays = {name: np.asarray(mask) for name, mask in masks.items()}
    pixels = np.asarray(image)
    index = best_slice(arrays[_LABEL]) if arrays[_LABEL].ndim == 3 else None
    slices = {name: take_slice(array, index=index) for name, array in arrays.items()}
    channels = [take_slice(channel, index=index) for channel in pixels]
    picture = np.stack(channels, axis=-1) if len(channels) == 3 else channels[0]
    scale = max(1, round(256 / min(picture.shape[:2])))
    return outline_overlay(picture, slices, colours=dict(colours), scale=scale)
