"""``monai-iel paired``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_iel.cli._console import print_table
from monai_iel.cli._setting import setting
from monai_iel.resources import BUNDLES, bundle_root

__all__ = ["paired"]

# Data set, noise and IEL of a comparison where none is named.
_USUAL = {
    "noisy_annotation_segmentation": ("data/phantom", "noise/block_shared", "iel/heat"),
    "convex_organ_segmentation": ("data/convex_phantom", "noise/bites_each", "iel/convex_curvature"),
}


def _default(index: int) -> str:
    return f"Default: {', '.join(usual[index] for usual in _USUAL.values())}, by the bundle."


def paired(
    out: Annotated[
        Path, typer.Argument(help="Folder for everything; complete trainings in it are reused, interrupted ones go on.")
    ],
    bundle: Annotated[str, typer.Option(help=f"Which bundle: {', '.join(BUNDLES)}.")] = BUNDLES[0],
    data: Annotated[
        str | None, typer.Option(help=f"Overlay of the data set, e.g. data/wbc, or a file. {_default(0)}")
    ] = None,
    noise: Annotated[
        str | None, typer.Option(help=f"Overlay of the annotation noise; 'none' for none. {_default(1)}")
    ] = None,
    iel: Annotated[
        list[str] | None, typer.Option(help=f"Overlay of an IEL; may be given several times. {_default(2)}")
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(help="Overlay that corrects the plain network's output; A+B for both at once; several times."),
    ] = None,
    after_all: Annotated[bool, typer.Option("--after-all", help="Correct every network's output.")] = False,
    loss: Annotated[str | None, typer.Option(help="Overlay of the base loss.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed; may be given several times.")] = None,
    epoch: Annotated[
        list[str] | None, typer.Option(help="'last', 'best' (of the noisy validation); several times.")
    ] = None,
    clean: Annotated[bool, typer.Option(help="Train on clean labels too.")] = False,
    segment: Annotated[bool, typer.Option(help="Segment the test images and show them in the report.")] = True,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Config id and value, e.g. max_epochs=5.")] = None,
) -> None:
    """Train with and without an IEL on noisy annotations, evaluate on clean labels, and write a table and a report."""
    from monai_iel.study import PairedStudy, mean_table
    from monai_iel.study.page import write_page  # before the trainings, to learn now that a package is missing

    bundle_root(bundle)  # refuses an unknown one
    usual_data, usual_noise, usual_iel = _USUAL[bundle]
    noise = noise or usual_noise
    study = PairedStudy(
        out.resolve(),
        data=data or usual_data,
        noise=None if noise == "none" else noise,
        iels=tuple(iel or [usual_iel]),
        seeds=tuple(seed or [0]),
        loss=loss,
        clean=clean,
        epochs=tuple(epoch or ["last"]),
        settings=dict(setting(text) for text in set_ or []),
        bundle=bundle,
        afterwards=tuple(after or ["evolve"]),
        afterwards_of="all" if after_all else "plain",
    )
    rows = study.compare()
    print_table(mean_table(rows))
    segmented = study.segment() if segment else {}
    print(f"report: {write_page(study, rows, segmented)}")
