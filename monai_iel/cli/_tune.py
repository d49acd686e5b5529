"""``monai-iel tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_iel.cli._console import print_table
from monai_iel.cli._setting import setting
from monai_iel.resources import BUNDLES, bundle_root

if TYPE_CHECKING:
    from monai_iel.tune import Candidate

__all__ = ["tune"]


def tune(
    dataset: Annotated[Path, typer.Argument(help="The dataset.json; its test section is not read.")],
    data: Annotated[str, typer.Option(help="Overlay of the data set, e.g. data/wbc, or a file.")],
    out: Annotated[Path, typer.Option(help="Folder for everything; complete trainings in it are reused.")],
    bundle: Annotated[str, typer.Option(help=f"Which bundle: {', '.join(BUNDLES)}.")] = BUNDLES[0],
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            help="Overlays of a training and ID=VALUE, e.g. 'iel/heat iel_gain=10'; behind ' + ' what smooths the "
            "logits at inference, e.g. 'none + evolve iel_gain=3 iel_steps=20'; several times, from the weakest on. "
            "Default: a dozen."
        ),
    ] = None,
    criterion: Annotated[
        str, typer.Option(help="held-out (Dice), likelihood, halves or discrepancy; see docs/tune.md.")
    ] = "held-out",
    seed: Annotated[int, typer.Option(help="Of the trainings.")] = 0,
    jobs: Annotated[int, typer.Option(help="Trainings at once. Default: as many as there are CPUs; 1 with a GPU.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Config id and value, e.g. max_epochs=5.")] = None,
) -> None:
    """Choose evolution and strength from noisy labels alone, and write an overlay config with the reasons."""
    from monai_iel.study.compare import default_jobs
    from monai_iel.tune import Tuning

    bundle_root(bundle)  # refuses an unknown one
    tuning = Tuning(
        dataset,
        data,
        out.resolve(),
        bundle=bundle,
        settings=dict(setting(text) for text in set_ or []),
        candidates=tuple(map(_candidate, candidate)) if candidate else None,
        criterion=criterion,
        seed=seed,
    )
    tuned = tuning.run(jobs=jobs or default_jobs(1), say=lambda text: print(text, flush=True))
    shown = ("candidate", "score", "difference", "standard_error", "residual", "dice", "cross_entropy")
    print_table([{name: row[name] for name in shown if name in row} for row in tuned.table])
    print("\n".join([f"chosen: {tuned.choice.name}", *tuned.choice.reasons]))
    print("\n".join([*map(str, tuned.files), str(tuning.folder / "report.html")]))


def _candidate(text: str) -> Candidate:
    from monai_iel.tune import Candidate

    trained, _, after = text.partition(" + ")
    words = trained.split(), after.split()
    overlays = [[word for word in part if "=" not in word] for part in words]
    settings = [dict(setting(word) for word in part if "=" in word) for part in words]
    return Candidate.of(overlays[0], settings[0], overlays[1], settings[1])
