"""The trainings of a study as candidates: what a choice takes from a study, instead of training anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from monai_iel.data.building import write_json
from monai_iel.locks import locked
from monai_iel.resources import overlay
from monai_iel.study.compare import Cell, CellRun, Study, cells_of
from monai_iel.study.compare.study import Method
from monai_iel.study.quiet import LOG, quietly
from monai_iel.tune.answer import write_answer
from monai_iel.tune.candidates import Candidate, smoothings
from monai_iel.tune.criteria import CRITERIA, Evidence
from monai_iel.tune.measure import Networks, measure

__all__ = ["Place", "StudyGroup", "groups_of", "tune_study"]

Place = tuple[str, str, str, int]
"""Data set, noise, number of cases, seed."""

_CHOICE = "choice.json"


@dataclass(frozen=True)
class StudyGroup:
    """What is chosen from in a study: its trainings on the same labels, from the same seed.

    The candidates are the study's trainings but those with another loss (an overlay of a folder ``peers`` or ``loss``),
    at the last epoch, what it has of them with `Evolve` at inference, and the plain network with each of `smoothings`.

    Args:
        study: the study.
        folder: of the study.
        cells: the trainings by their method's name.
    """

    study: Study
    folder: Path
    cells: Mapping[str, Cell]

    @property
    def words(self) -> str:
        """Where it is."""
        cell = next(iter(self.cells.values()))
        return f"{cell.data.name}, {cell.noise.name}, {cell.cases.name} cases, seed {cell.seed}"

    @cached_property
    def runs(self) -> dict[str, CellRun]:
        """The trainings that candidates take, by the method's name."""
        cells = {name: cell for name, cell in self.cells.items() if _is_candidate(cell.method)}
        return {name: CellRun(self.study, cell, self.folder) for name, cell in cells.items()}

    @property
    def missing(self) -> list[str]:
        """Methods whose training is not done."""
        return [name for name, run in self.runs.items() if not run.is_done()]

    def candidates(self) -> list[tuple[Candidate, str]]:
        """Each with the name of the training that it takes, from the simplest on."""
        data = next(iter(self.cells.values())).data.name
        found = []
        for method in self.study.methods_of(data):
            if method.of in self.runs and _is_candidate(method):
                own = {**method.settings, **method.of_data.get(data, {})}
                settings, after_settings = (own, {}) if method.trains else ({}, own)
                one = Candidate(method.name, method.overlays, settings, method.after, after_settings)
                found.append((one, method.of))
        for plain, run in self.runs.items():
            if not run.cell.method.overlays:
                (spacing,) = run.bundle_run().content("@spacing")
                found += [(replace(one, name=f"{plain} + {one.after_name}"), plain) for one in smoothings(spacing)]
        return sorted(found, key=lambda pair: pair[0].kind)


def groups_of(study: Study, folder: Path) -> dict[Place, StudyGroup]:
    """The groups by data set, noise, number of cases and seed."""
    found: dict[Place, dict[str, Cell]] = {}
    for cell in cells_of(study):
        found.setdefault(_place(cell), {})[cell.method.name] = cell
    return {place: StudyGroup(study, folder, cells) for place, cells in found.items()}


def tune_study(
    study: Study,
    cells: Sequence[Cell],
    folder: Path,
    *,
    criterion: str = "held-out",
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Write the overlays that the tuned methods of a study wait for, chosen from its own trainings with the first seed.

    As trainings are repeatable, that is what ``monai-iel tune`` chooses from the same candidates. Nothing is trained,
    and no clean label is read. A choice is made again whenever this is called; overlays that were written by
    ``monai-iel tune --out`` are left as they are.

    Args:
        study: the study.
        cells: the trainings of tuned methods that wait, others are passed over; for all their seeds one choice is made.
        folder: of the study.
        criterion: a name in `CRITERIA` that trains nothing: not ``"halves"``.
        say: is told the choices, and where trainings are missing.

    Returns:
        The folders of the overlays.

    Raises:
        ValueError: the criterion is not known, or trains.
    """
    if criterion not in CRITERIA or criterion == "halves":
        names = ", ".join(name for name in CRITERIA if name != "halves")
        raise ValueError(f"criterion is {criterion!r}, expected one of {names} for a study")
    groups = groups_of(study, folder)
    tuned = [CellRun(study, cell, folder) for cell in cells if cell.method.tuned]
    runs = {run.tuned: run for run in tuned}  # one for all seeds
    written = []
    for out, run in runs.items():
        if not run.waits and not (out / _CHOICE).is_file():
            continue
        cell = run.cell
        group = groups[*_place(cell)[:3], study.seeds[0]]
        if missing := group.missing:
            say(f"{group.words}: {cell.method.name!r} waits for {', '.join(map(repr, missing))}")
            continue
        with locked(out / ".lock", wait=True):
            say(f"{group.words}: {cell.method.name!r} is {_chosen(group, out, criterion)!r}")
        written.append(out)
    return written


def _chosen(group: StudyGroup, out: Path, criterion: str) -> str:
    """Measure, choose, write; the name of the choice."""
    candidates, evidence = group.candidates(), dict[str, Evidence]()
    if not candidates:
        raise ValueError(
            f"{group.study.path}: has a tuned method, but only trainings with other losses for {group.words}"
        )
    for candidate, of in candidates:
        run = group.runs[of]
        with quietly(run.folder / LOG, threads=group.study.threads):
            evidence[candidate.name] = measure(
                candidate, Networks(run.bundle_run()), training=criterion == "discrepancy"
            )
    choice = CRITERIA[criterion](evidence, 0)
    write_json(out / _CHOICE, {"chosen": choice.name, "criterion": criterion, "table": choice.table})
    write_answer(out, next(one for one, _ in candidates if one.name == choice.name), choice.reasons)
    return choice.name


def _place(cell: Cell) -> Place:
    return cell.data.name, cell.noise.name, cell.cases.name, cell.seed


def _is_candidate(method: Method) -> bool:
    same_loss = all(overlay(name).parent.name not in ("peers", "loss") for name in method.overlays)
    return not method.tuned and method.epoch == "last" and same_loss and set(method.after) <= {"evolve"}
