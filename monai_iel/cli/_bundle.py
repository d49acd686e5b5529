"""``monai-iel bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_iel.resources import BUNDLES, copy_bundle

__all__ = ["bundle"]


def bundle(
    folder: Annotated[Path, typer.Argument(help="Where to: gets bundles/NAME and configs.")],
    name: Annotated[str, typer.Option(help=f"Which bundle: {', '.join(BUNDLES)}.")] = BUNDLES[0],
) -> None:
    """Copy a bundle and the overlay configs out of the package, to be run and edited."""
    print(copy_bundle(name, folder))
