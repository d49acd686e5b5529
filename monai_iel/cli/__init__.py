"""The command ``monai-iel``: each subcommand is a function in a file of its own, registered here."""

from __future__ import annotations

try:
    import rich  # noqa: F401 - asked for here, so that the sentence below is all that is printed
    import typer
except ImportError as error:
    raise ImportError("the command line needs the extra 'cli': pip install 'monai-iel[cli]'") from error

from monai_iel.cli._audit import audit
from monai_iel.cli._bundle import bundle
from monai_iel.cli._check import check
from monai_iel.cli._compare import compare
from monai_iel.cli._console import in_one_line, print_table
from monai_iel.cli._noise import noise
from monai_iel.cli._paired import paired
from monai_iel.cli._setting import setting
from monai_iel.cli._tune import tune
from monai_iel.cli._verify import verify

__all__ = ["app", "in_one_line", "main", "print_table", "setting"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Inverse Evolution Layers for MONAI.",
)


@app.callback()
def _group() -> None:
    """Inverse Evolution Layers for MONAI."""


for command in (audit, bundle, check, compare, noise, paired, tune, verify):
    app.command()(command)


def main() -> None:
    """The command ``monai-iel``."""
    in_one_line(app)
