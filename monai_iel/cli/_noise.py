"""``monai-iel noise``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from monai_iel.cli._console import print_table
from monai_iel.cli._setting import setting

if TYPE_CHECKING:
    from monai_iel.transforms.label_noise import LabelNoise

__all__ = ["noise"]


def _list_names(wanted: bool) -> None:
    """Print the models with their parameters and the presets, and end."""
    if not wanted:
        return
    from monai_iel.noisy_labels.named import LABEL_NOISE_MODELS, parameters_of_model
    from monai_iel.transforms.label_noise import LabelNoise
    from monai_iel.transforms.label_noise.presets import LABEL_NOISE_PRESETS

    print("models, for --model, with their parameters, for --set (those with a value need not be given):")
    for name in sorted(LABEL_NOISE_MODELS):
        described = [
            one if parameter.default is parameter.empty else f"{one}={json.dumps(parameter.default)}"
            for one, parameter in parameters_of_model(name).items()
        ]
        print(f"  {name}: {', '.join(described)}")
    print("presets, for --preset:")
    for name, preset in LABEL_NOISE_PRESETS.items():
        if isinstance(preset(0), LabelNoise):  # others are redrawn at every access, so they have no files
            print(f"  {name}")
    raise typer.Exit


def noise(
    dataset: Annotated[Path, typer.Argument(help="The data list, a dataset.json.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; a run in it with the same settings goes on.")],
    preset: Annotated[
        str | None, typer.Option(help="A published noise, e.g. iel-dsb2018. All names: monai-iel noise --list.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Or a model, e.g. bumps, with its parameters by --set. All names: --list.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the model, e.g. 'radius=[1, 4]'; several times.")
    ] = None,
    target_dice: Annotated[
        float | None,
        typer.Option(help="Find the strength with this mean Dice. Voxels that a noise leaves unknown are in no Dice."),
    ] = None,
    target_distance: Annotated[
        float | None,
        typer.Option(
            help="Or with this mean surface distance, in mm (pixels without geometry). Depends on the voxel size: "
            "take the Dice for labels of several."
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="How near to the target is enough. Default: 0.002, or 1 % of the distance.")
    ] = None,
    strength: Annotated[float, typer.Option(help="Or the strength itself; with a target, where to begin.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Chooses the realisation.")] = 0,
    section: Annotated[
        list[str] | None, typer.Option(help="List whose labels get noise; several times. Default: training.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; the files are the same for any number.")] = 1,
    error_maps: Annotated[bool, typer.Option("--error-maps", help="Write where the labels differ, too.")] = False,
    ignore_index: Annotated[int | None, typer.Option(help="Value of unknown voxels. Default: the noise's.")] = None,
    pictures: Annotated[int, typer.Option(help="Most cases that the report shows, 10 to 60 kB each.")] = 300,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder outside that of the list which files may lie in; several times."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
    list_: Annotated[
        bool,
        typer.Option("--list", is_eager=True, callback=_list_names, help="Print all models and presets, and end."),
    ] = False,
) -> None:
    """Write a data set with noisy annotations: labels, data list, manifest and report.

    Images and the labels of the other lists (test) are those of the data set. A run that was killed goes on where it
    was. Exit code: 0, or 2 with one line that says what to change.
    """
    from monai_iel.noisy_labels import NoisyLabelWarning, write_noisy_dataset
    from monai_iel.noisy_labels.calibrate import NOT_MONOTONE
    from monai_iel.noisy_labels.manifest import summary

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", NoisyLabelWarning)
        result = write_noisy_dataset(
            dataset,
            _noise_of(dataset, preset, model, set_ or [], seed).at_strength(strength),
            out,
            sections=tuple(section or ["training"]),
            target_dice=target_dice,
            target_distance_mm=target_distance,
            tolerance=tolerance,
            preset=preset,
            ignore_index=ignore_index,
            error_maps=error_maps,
            pictures=pictures,
            workers=workers,
            progress=not quiet,
            roots=root or None,
        )
    said = [str(one.message) for one in caught]
    if result.calibration is not None and not result.calibration["is_monotone"]:
        said.append(NOT_MONOTONE)
    for sentence in said:
        console.print(f"warning: {sentence}", markup=False)
    print_table(summary(result.records))
    print(f"strength: {result.noise.strength:.6g}")
    print(f"data list: {result.dataset_json}")
    print(f"report: {result.report} ({result.report.stat().st_size / 1e6:.1f} MB)")


def _noise_of(dataset: Path, preset: str | None, model: str | None, settings: list[str], seed: int) -> LabelNoise:
    """The noise that the options name.

    Raises:
        ValueError: neither or both are given, parameters of a preset, or something that is unknown.
    """
    from monai_iel.data.datalist import read_json
    from monai_iel.noisy_labels import label_noise_of_model, num_classes_of
    from monai_iel.transforms.label_noise import label_noise_of_preset

    if (preset is None) == (model is None):
        raise ValueError("give one of --preset NAME and --model NAME")
    if preset is not None:
        if settings:
            raise ValueError(f"--set is for --model; the preset {preset!r} has its parameters")
        try:
            return label_noise_of_preset(preset, seed=seed)
        except ValueError as error:  # MONAI's look-up says it in several lines
            raise ValueError(f"--preset: {' '.join(str(error).split())}") from error
    assert model is not None
    parameters = dict(setting(text) for text in settings)
    return label_noise_of_model(model, parameters, seed=seed, num_classes=num_classes_of(read_json(dataset)))
