"""The report of a paired comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from monai.config import get_config_values
from monai.transforms import Compose
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_iel import __version__
from monai_iel.report import Best, Report
from monai_iel.study.manifest import noise_manifest, write_manifest
from monai_iel.study.paired import CLEAN, PLAIN, TRUE_LABELS, PairedStudy, Row, mean_table
from monai_iel.study.pictures import LABEL, NOISY, LabelMaps, concavity_picture, picture
from monai_iel.visualize import OKABE_ITO

__all__ = ["write_page"]

_OTHERS = ("orange", "bluish green", "yellow", "reddish purple")
_BEST: dict[str, Best] = {"dice": "max", "hd95_mm": "min", "surface_dice": "max", "ece": "min"}
_EXPLANATION = """\
The plain network and the IEL network start from the same weights and see the same noisy annotations in the same order.
A method with a "+" is a network whose output is corrected afterwards, which costs no training, so it is what an IEL has
to be compared with: "plain + Evolve" is the plain network's output smoothed by the exact inverse of the heat layer. All
figures are measured on clean labels of test cases that no training saw. "last" is the last epoch, "best" the epoch with
the best Dice on the validation labels, which are as noisy as those of the training (those of the clean-label training
are clean).

Dice, surface Dice and the calibration error (ece) are fractions; hd95_mm is the 95 % Hausdorff distance in mm, where a
missed structure counts as the image's diagonal and "missed" is their number."""
_OF_CONVEXITY = """\
solidity is the share of its convex hull that a structure fills, concavity_mm the depth of its deepest concavity,
nonconvex_fraction what its components lack of their hulls, as a share of the structure, and components the number of
connected parts. They say nothing of where a structure lies: a convex hull makes them perfect, right or wrong."""


def write_page(study: PairedStudy, rows: Sequence[Row], segmented: Mapping[str, Path]) -> Path:
    """Write ``report.html`` into the study's folder: table, curves, what the noise does, and outlines on test cases.

    Args:
        study: the comparison, already run.
        rows: its rows.
        segmented: folders of the label maps of the test images, by method.
    """
    convex = "solidity" in rows[0].metrics
    title = "Segmentation of convex organs" if convex else "Segmentation from noisy annotations"
    report = Report(title, f"data: {study.data}, noise: {study.noise}")
    report.add_section("Result")
    table = mean_table(rows)
    apart = [index for index, row in enumerate(table) if row["method"] in (CLEAN, TRUE_LABELS)]
    report.add_table(table, highlight={n: b for n, b in _BEST.items() if n in table[0]}, reference=apart)
    report.add_text("\n\n".join([_EXPLANATION, *([_OF_CONVEXITY] if convex else [])]))
    report.add_section("Training")
    seed = study.seeds[0]
    folders = {method: study.run(method, seed).folder / "train" for method in study.methods()}
    for tag, label in (("train_loss", "training loss"), ("dice", "Dice on the validation labels")):
        curves = {method: curve for method, folder in folders.items() if (curve := _curve(folder, tag))[0]}
        if curves:
            report.add_curves(curves, xlabel="epoch" if tag == "dice" else "iteration", ylabel=label)
    _add_noise(report, study)
    if segmented:
        maps = LabelMaps(study.run(PLAIN, seed), segmented)
        _add_segmentations(report, maps)
        if convex:
            _add_concavities(report, maps)
    report.add_section("Settings")
    details: dict[str, object] = {"monai_iel": __version__, **get_config_values()}
    details.update({"bundle": study.bundle, "loss overlay": study.loss, "IEL overlays": study.iels})
    details.update({"seeds": study.seeds, **study.settings})
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
        drawn = picture(item["image"], {LABEL: clean, NOISY: noisy}, _COLOURS)
        pictures.append((drawn, f"training case {case['case_id']}"))
    report.add_gallery(pictures, legend=_COLOURS)


def _in_words(entries: Sequence[Mapping[str, Any]]) -> str:
    means = {n: fmean(known) for n in ("dice", "hd95_mm") if (known := [e[n] for e in entries if e[n] is not None])}
    changed = fmean(entry["changed"] for entry in entries)
    text = f"The noise changes {100 * changed:.1f} % of the voxels of {len(entries)} training cases."
    if means:
        text += f" Noisy against clean labels: mean Dice {means['dice']:.3f}, mean HD95 {means['hd95_mm']:.2f} mm."
    return text + " Case by case, with parameters and seeds: noise.jsonl beside this page."


def _add_segmentations(report: Report, maps: LabelMaps) -> None:
    methods = {LABEL: _COLOURS[LABEL], **{m: OKABE_ITO[c] for m, c in zip(maps.folders, _OTHERS, strict=False)}}
    pictures = []
    for case in maps.cases[:6]:
        image, masks = maps.load(case)
        shown = {name: mask for name, mask in masks.items() if name in methods}  # colours that can be told apart
        pictures.append((picture(image, shown, methods), f"test case {case['case_id']}"))
    if pictures:
        report.add_section("Test cases")
        report.add_gallery(pictures, legend=methods)


def _add_concavities(report: Report, maps: LabelMaps) -> None:
    """For the first cases one picture per method, with what it lacks of its convex hull shaded."""
    pictures = []
    for case in maps.cases[:4]:
        image, masks = maps.load(case)
        for name in masks:
            drawn = concavity_picture(image, masks, name, maps.regions, _CONCAVE)
            pictures.append((drawn, f"test case {case['case_id']}: {name}"))
    report.add_section("Concavities")
    report.add_text("Shaded: what lies in the convex hull of a structure, but not in the structure.")
    report.add_gallery(pictures, legend=_CONCAVE)


_COLOURS = {LABEL: OKABE_ITO["sky blue"], NOISY: OKABE_ITO["vermillion"]}
_CONCAVE = {LABEL: OKABE_ITO["sky blue"], "the method": OKABE_ITO["yellow"], "concavity": OKABE_ITO["vermillion"]}
