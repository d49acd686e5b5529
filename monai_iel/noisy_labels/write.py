"""A data set with noisy annotations, written once: labels, list, manifest and report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monai_iel import __version__
from monai_iel.noisy_labels.calibrate import check_target
from monai_iel.noisy_labels.case_list import CaseList
from monai_iel.noisy_labels.checks import check_ignore_index
from monai_iel.noisy_labels.manifest import write_manifest
from monai_iel.noisy_labels.named import ignore_index_of
from monai_iel.noisy_labels.run import NoisyDataset, NoisyLabelWarning, Run
from monai_iel.noisy_labels.run_folder import RunFolder
from monai_iel.processes import map_in_order
from monai_iel.report import Report
from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["NoisyDataset", "NoisyLabelWarning", "write_noisy_dataset"]


def write_noisy_dataset(
    datalist: str | os.PathLike[str],
    noise: LabelNoise,
    out: str | os.PathLike[str],
    *,
    sections: Sequence[str] = ("training",),
    target_dice: float | None = None,
    target_distance_mm: float | None = None,
    tolerance: float | None = None,
    preset: str | None = None,
    ignore_index: int | None = None,
    error_maps: bool = False,
    pictures: int = 300,
    workers: int = 1,
    progress: bool = True,
    roots: Sequence[str | os.PathLike[str]] | None = None,
) -> NoisyDataset:
    """Write the labels of a data set with annotation noise, fixed per case.

    The folder gets ``labels/`` (files like the clean ones in all but their classes, see `LabelFile.rewrite`),
    ``dataset.json`` (clean images, noisy labels of ``sections``, clean labels of the others), ``manifest.jsonl`` and
    ``manifest.csv`` (per case noise, seed, strength and damage), ``calibration.json`` where a target is given,
    ``report.html``, and ``run.json`` with the settings and the digests of the clean label files.

    Other fields of the list and of its entries are kept as they are; those of an entry that name a file beside the list
    (a mask) name the same file from the new list.

    A run that was killed goes on where it was when it is called again with the same settings; a complete one is left as
    it is. The files are the same, byte for byte, for any number of workers and interruptions; they hold no times.
    Nothing is evaluated or written before every label was read once and found usable, the noise tried on a few voxels
    of its classes and voxel size, and its file found able to hold what the noise may draw. Every noisy label is read
    back.

    The noise is that of the label as it is stored. Transforms that turn or resample labels before they apply the same
    noise in training give other annotations.

    Args:
        datalist: a Decathlon ``dataset.json``; see `load_datalist`.
        noise: applied at its strength, or, with a target, at the strength that reaches it.
        out: the output folder.
        sections: lists whose labels get noise; not ``"test"``.
        target_dice: see `calibrate`, which takes all cases that get noise.
        target_distance_mm: see `calibrate`.
        tolerance: see `calibrate`; only with a target.
        preset: name of the preset that ``noise`` is, for the records.
        ignore_index: value of unknown voxels; that of the noise, if it has one.
        error_maps: write where the labels differ, into ``error_maps/``; see `LabelFile.error_map`.
        pictures: most cases that are shown in the report. A picture takes 10 to 60 kB of the page.
        workers: number of processes. Each holds one case. Above 1 a script needs ``if __name__ == "__main__":``.
        progress: show progress bars.
        roots: folders outside that of the list in which files may lie; see `load_datalist`.

    Raises:
        FileExistsError: ``out`` holds another run, a run of label files that have changed since, or other files; the
            message says what differs.
        FileNotFoundError: the data list, or a file that it names, is not there.
        OSError: nothing can be written to ``out``.
        UnreachableTargetError: no strength reaches the target; the message says what can be reached.
        ValueError: an argument is out of range, or, as ``CaseError``, a label cannot be used, or the noise refuses
            one; cases are named. ``out`` is left free for another attempt, with nothing in it that this call wrote;
            the cases that an interrupted run has done are kept.
        ImportError: jinja2 or matplotlib is missing.

    Example::

        >>> import tempfile
        >>> from monai_iel import BumpLabelNoise
        >>> from monai_iel.data import make_phantom_dataset
        >>> folder = Path(tempfile.mkdtemp())
        >>> sizes = {"num_training": 2, "num_validation": 1, "num_test": 1}
        >>> source = make_phantom_dataset(folder / "clean", shape=(24, 28, 20), **sizes)
        >>> noise = BumpLabelNoise(radius=(2, 4), count=3)
        >>> result = write_noisy_dataset(source, noise, folder / "noisy", progress=False)
        >>> result.dataset_json.name, [0 < record["dice"] < 1 for record in result.records]
        ('dataset.json', [True, True])
    """
    trial = _checked(noise, target_dice, target_distance_mm, tolerance)
    cases = CaseList(Path(datalist), sections, roots)
    report = Report("Annotation noise", f"{cases.content.get('name', cases.path.parent.name)}: {preset or noise.model}")
    ignore_index = ignore_index_of(noise) if ignore_index is None else ignore_index
    check_ignore_index(ignore_index, cases.content)
    if pictures < 0:
        raise ValueError(f"pictures is {pictures}, expected 0 or more")
    asked = {
        "version": __version__,
        **cases.identity(),
        "sections": list(sections),
        "preset": preset,
        "noise": {"model": noise.model, "parameters": noise.parameters, "seed": noise.seed, "strength": noise.strength},
        "target_dice": target_dice,
        "target_distance_mm": target_distance_mm,
        "tolerance": tolerance,
        "ignore_index": ignore_index,
        "error_maps": error_maps,
        "pictures": pictures,
    }
    folder = RunFolder(Path(os.path.abspath(out)), asked)
    digests = cases.label_digests()
    folder.check_label_files(digests)
    run = Run(cases, noise, folder, progress)
    if folder.is_complete and run.has_all_labels:
        folder.finish()
        return run.result()
    try:
        with map_in_order(workers) as mapped:
            if folder.is_new:
                run.check(mapped, trial)
                folder.start(digests)
            if target_dice is not None or target_distance_mm is not None:
                run.calibrate(mapped, target_dice, target_distance_mm, tolerance)
            records = run.write_labels(mapped)
            write_manifest(folder.path, records)
            run.write_page(report, records, mapped)
    except ValueError:  # the next attempt will have other settings, and could not use the folder
        if not run.has_all_records:  # here, as in the pool above other cases may still be written
            folder.abandon(run.files)
        raise
    run.write_list()
    folder.finish()
    return run.result()


def _checked(noise: LabelNoise, dice: float | None, distance: float | None, tolerance: float | None) -> LabelNoise:
    """Return the noise at the first strength that will be used.

    Raises:
        ValueError: a target or the tolerance is out of range, or the noise can do less than its strength says.
    """
    if dice is not None or distance is not None:
        check_target(dice, distance, tolerance)
        return noise.at_strength(min(noise.strength or 1.0, noise.max_strength))
    if tolerance is not None:
        raise ValueError(f"tolerance is {tolerance}, but there is no target; give one, or leave it out")
    noise.check_limit()
    return noise
