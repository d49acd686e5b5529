"""``monai-iel verify``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    run: Annotated[
        bool,
        typer.Option("--run", help="Evaluate the configs too: network, properties, one iteration on phantoms."),
    ] = False,
    trust: Annotated[bool, typer.Option("--trust", help="You have read what the bundle runs, and trust it.")] = False,
    show: Annotated[bool, typer.Option("--list/--no-list", help="List what the bundle would run.")] = True,
) -> None:
    """Verify a MONAI bundle, offline. Without --run nothing of it is evaluated, only read.

    What is not this package's own is evaluated only by --run --trust, marked or not.

    Exit code 1: it fails. 3: it does not, but you should read what it runs, and say so by --trust.
    """
    from monai_iel.verify import verify_bundle

    seen = verify_bundle(bundle, run=run, trust=trust)
    again = {line for check in seen.checks for line in check.to_read}  # stands below
    if show:
        print("what the bundle runs, as it is written; what is marked to be read stands at the end")
        for entry in seen.found:
            if str(entry) not in again:
                print(f"  {entry.kind:10} {entry}")
    counts = Counter(entry.kind for entry in seen.found)
    print("in all:", ", ".join(f"{kind} {number}" for kind, number in counts.items()))
    for check in seen.checks:
        print(f"{check.state:8} {check.name}" + (f" ({check.not_run})" if check.not_run else ""))
        for line in (*check.problems, *check.to_read):
            print(f"         - {line}")
    raise typer.Exit(code=1 if seen.failed else 3 if seen.to_read else 0)
