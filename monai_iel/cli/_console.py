"""What every subcommand prints by: tables, and errors in one line."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monai_iel.files import printable

__all__ = ["in_one_line", "print_table"]


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows of the same columns, brackets in them as they are."""
    table = Table()
    for name in rows[0]:
        is_text = all(isinstance(row[name], str) for row in rows)
        table.add_column(Text(name), justify="left" if is_text else "right")
    for row in rows:
        shown = ("-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*map(Text, shown))
    Console(width=None if sys.stdout.isatty() else 220).print(table)


def in_one_line(command: Callable[[], object]) -> None:
    """Run a command; bad input ends it with code 2 and one line that says what to change."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    logging.basicConfig(level=logging.WARNING)
    try:
        command()
    except Exception as error:
        cause: BaseException = error
        if isinstance(error, RuntimeError):
            # MONAI wraps every error of a config in RuntimeError; what users can mend is below it.
            from monai_iel.study import root_cause  # seconds, for which no other error has to wait

            cause = root_cause(error)
        if isinstance(cause, (ValueError, TypeError, OSError)):
            # Names of files can hold what a terminal obeys; the lines of a list of problems stay lines.
            print("error:", "\n".join(map(printable, str(cause).split("\n"))), file=sys.stderr)
            sys.exit(2)
        raise
