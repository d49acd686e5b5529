"""The command ``monai-iel``."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import yaml

from monai_iel.resources import BUNDLES, copy_bundle

try:
    import typer
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    raise ImportError("the command line needs the extra 'cli': pip install 'monai-iel[cli]'") from error

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Inverse Evolution Layers for MONAI.",
)


@app.callback()
def _group() -> None:
    """Inverse Evolution Layers for MONAI."""


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(help="Where to: gets bundles/NAME and configs.")],
    name: Annotated[str, typer.Option(help=f"Which bundle: {', '.join(BUNDLES)}.")] = BUNDLES[0],
) -> None:
    """Copy a bundle and the overlay configs out of the package, to be run and edited."""
    print(copy_bundle(name, folder))


@app.command()
def paired(
    out: Annotated[Path, typer.Argument(help="Folder for everything; complete trainings in it are reused.")],
    data: Annotated[
        str, typer.Option(help="Overlay of the data set, e.g. data/phantom, data/wbc, or a file.")
    ] = "data/phantom",
    noise: Annotated[
        str, typer.Option(help="Overlay of the annotation noise; 'none' for none.")
    ] = "noise/block_shared",
    iel: Annotated[list[str] | None, typer.Option(help="Overlay of an IEL; may be given several times.")] = None,
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

    study = PairedStudy(
        out.resolve(),
        data=data,
        noise=None if noise == "none" else noise,
        iels=tuple(iel or ["iel/heat"]),
        seeds=tuple(seed or [0]),
        loss=loss,
        clean=clean,
        epochs=tuple(epoch or ["last"]),
        settings=dict(_setting(text) for text in set_ or []),
    )
    rows = study.compare()
    _print_table(mean_table(rows))
    segmented = _segment(study) if segment else {}
    from monai_iel.study.page import write_page

    print(f"report: {write_page(study, rows, segmented)}")


def _setting(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"--set takes ID=VALUE, e.g. max_epochs=5; got {text!r}")
    # YAML 1.1 reads 1e-3 as a text, because it has no dot.
    if re.fullmatch(r"[-+]?\d+e[-+]?\d+", value, flags=re.IGNORECASE):
        return name, float(value)
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--set {name}: {value!r} is no YAML value ({reason}); correct or quote it") from None


def _segment(study: Any) -> dict[str, Path]:
    segmented = {}
    for method in study.methods():
        run = study.run(method, study.seeds[0])
        cases = run.test_cases()
        print(f"--- segmenting {len(cases)} test images: {method}", flush=True)
        segmented[method] = run.segment([case["image"] for case in cases])
    return segmented


def _print_table(rows: list[dict[str, object]]) -> None:
    table = Table()
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("method", "epoch") else "right")
    for row in rows:
        table.add_row(*("-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> None:
    """Run the command; bad input ends in one line that says what to change."""
    from monai_iel.study import root_cause

    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    logging.basicConfig(level=logging.WARNING)
    try:
        app()
    except Exception as error:
        cause = root_cause(error)
        # MONAI wraps every error of a config in RuntimeError; what users can mend is below it.
        if isinstance(cause, (ValueError, TypeError, OSError)):
            print(f"error: {cause}", file=sys.stderr)
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
