"""Turn a public data set into PNG or NIfTI files with a ``dataset.json``, or write the phantom.

python scripts/prepare_data.py wbc SOURCE OUT --training 192 --validation 0 --test 48
python scripts/prepare_data.py phantom OUT
python scripts/prepare_data.py download hippocampus FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from monai_iel.data import (
    make_phantom_dataset,
    prepare_decathlon,
    prepare_drive,
    prepare_dsb2018,
    prepare_refuge,
    prepare_wbc,
)
from monai_iel.data.download import download

app = typer.Typer(help="Prepare data sets for monai_iel.", no_args_is_help=True, add_completion=False)

Amount = int | float | None


def parse_amount(text: str) -> Amount:
    """``"20"`` is a count, ``"0.2"`` a fraction, ``"rest"`` what the others leave."""
    if text == "rest":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is neither a count (20), nor a fraction (0.2), nor 'rest'")


Source = Annotated[Path, typer.Argument(help="the folder that the data set was unpacked to")]
Out = Annotated[Path, typer.Argument(help="the folder to make")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace a data set that was prepared before")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress bar")]
Share = Annotated[Any, typer.Option(parser=parse_amount, metavar="N", help="a count (20), a fraction (0.2) or 'rest'")]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Say what is wrong on stderr and leave with exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo(f"prepare_data: error: {error}", err=True)
        raise typer.Exit(code=2) from error


def summarise(path: Path) -> None:
    """A table of what the list at ``path`` holds."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    table = Table(title=f"{content['name']}: {path}", title_justify="left")
    for column in ("section", "cases", "labelled", "first case"):
        table.add_column(column, justify="right" if column in ("cases", "labelled") else "left")
    for section in ("training", "validation", "test"):
        entries = content[section]
        labelled = sum("label" in entry for entry in entries)
        table.add_row(section, str(len(entries)), str(labelled), entries[0]["id"] if entries else "")
    # A wide console where the output is no terminal keeps paths on one line.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
    console.print(
        "classes: " + ", ".join(f"{number} {name}" for number, name in content["labels"].items()), markup=False
    )


def run(make: Callable[..., Path], *places: Path, **options: Any) -> None:
    """Prepare, then summarise."""
    with one_line_errors():
        summarise(make(*places, **options))


@app.command()
def wbc(
    source: Source,
    out: Out,
    training: Share = "rest",
    validation: Share = "0.1",
    test: Share = "0.2",
    foreground: Annotated[str, typer.Option(help="'classes': cytoplasm 1, nucleus 2; 'cell': both 1")] = "classes",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """White blood cells (NNN.bmp with NNN.png, or images/ and labels/)."""
    run(
        prepare_wbc,
        source,
        out,
        training=training,
        validation=validation,
        test=test,
        foreground=foreground,
        overwrite=overwrite,
        progress=not quiet,
    )


@app.command()
def dsb2018(
    source: Source,
    out: Out,
    training: Share = "rest",
    validation: Share = "0.1",
    test: Share = "0.2",
    grey: Annotated[bool, typer.Option("--grey/--rgb", help="one grey channel, or red, green and blue")] = True,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Nuclei of the 2018 Data Science Bowl (stage1_train, or images/ and labels/)."""
    run(
        prepare_dsb2018,
        source,
        out,
        training=training,
        validation=validation,
        test=test,
        grey=grey,
        overwrite=overwrite,
        progress=not quiet,
    )


@app.command()
def drive(
    source: Source,
    out: Out,
    training: Share = "rest",
    validation: Share = "4",
    test: Annotated[
        Any, typer.Option(parser=parse_amount, metavar="N", help="the published one: leave it out")
    ] = "rest",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Retinal vessels (training/ and test/); the published test section is kept."""
    run(
        prepare_drive,
        source,
        out,
        training=training,
        validation=validation,
        test=test,
        overwrite=overwrite,
        progress=not quiet,
    )


@app.command()
def refuge(
    source: Source,
    out: Out,
    training: Share = "rest",
    validation: Annotated[
        Any,
        typer.Option(
            parser=parse_amount, metavar="N", help="leave it out where REFUGE-Validation400 is there; else 0.1"
        ),
    ] = "rest",
    test: Share = "0.2",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Optic disc and cup (Training400, Annotation-Training400, and REFUGE-Validation400 where there)."""
    run(
        prepare_refuge,
        source,
        out,
        training=training,
        validation=validation,
        test=test,
        overwrite=overwrite,
        progress=not quiet,
    )


@app.command()
def decathlon(
    source: Source,
    out: Out,
    training: Share = "rest",
    validation: Share = "0.1",
    test: Share = "0.2",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """A task folder of the Medical Segmentation Decathlon; only a dataset.json is written."""
    run(
        prepare_decathlon,
        source,
        out,
        training=training,
        validation=validation,
        test=test,
        overwrite=overwrite,
        progress=not quiet,
    )


@app.command()
def phantom(
    out: Out,
    training: Annotated[int, typer.Option(metavar="N", help="training cases")] = 24,
    validation: Annotated[int, typer.Option(metavar="N", help="validation cases")] = 4,
    test: Annotated[int, typer.Option(metavar="N", help="test cases")] = 8,
    spatial_dims: Annotated[int, typer.Option(help="2 or 3")] = 3,
    seed: Annotated[int, typer.Option(help="another seed makes other cases")] = 0,
    oblique: Annotated[bool, typer.Option("--oblique/--straight", help="rotate the affine by 10 to 20 degrees")] = True,
    overwrite: Overwrite = False,
) -> None:
    """The seeded phantom (no source needed)."""
    run(
        make_phantom_dataset,
        out,
        spatial_dims=spatial_dims,
        num_training=training,
        num_validation=validation,
        num_test=test,
        seed=seed,
        oblique=oblique,
        overwrite=overwrite,
    )


@app.command("download")
def download_command(
    name: Annotated[str, typer.Argument(help="a Decathlon task, e.g. hippocampus")],
    folder: Annotated[Path, typer.Argument(help="where the task's folder goes")],
    quiet: Quiet = False,
) -> None:
    """Fetch a public original with a known checksum (needs network)."""
    with one_line_errors():
        typer.echo(f"downloaded to {download(name, folder, progress=not quiet)}")


if __name__ == "__main__":
    app()
