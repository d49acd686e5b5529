"""What the cells of a study have measured: values by case, and their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from monai_iel.study.case_table import read_case_table
from monai_iel.study.compare.cells import Cell, evaluation_folder
from monai_iel.study.compare.run_cell import CellRun
from monai_iel.study.compare.study import Method, Study

__all__ = ["Measured", "Place", "by_place", "measured_in"]


@dataclass(frozen=True, order=True)
class Place:
    """Where methods are compared: data set, noise, number of training cases."""

    data: str
    noise: str
    cases: str

    def __str__(self) -> str:
        return f"{self.data}, {self.noise}, {self.cases} cases"


@dataclass(frozen=True)
class Measured:
    """One network, evaluated at an epoch behind a method's corrections.

    Args:
        place: where.
        method: of which method.
        epoch: ``"last"`` or ``"best"``.
        seed: of the training.
        values: metric -> case -> mean over the classes that it is known for; cases without any are left out.
        counts: metric -> sum.
        train_seconds: how long the network trained, since its last interruption.
        is_compared: whether this is the epoch by which the method is compared.
    """

    place: Place
    method: str
    epoch: str
    seed: int
    values: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, int]
    train_seconds: float
    is_compared: bool

    def mean(self, metric: str) -> float | None:
        """Mean over the cases."""
        known = self.values.get(metric)
        return fmean(known.values()) if known else None


def measured_in(study: Study, cells: Iterable[Cell], folder: Path) -> list[Measured]:
    """What the cells have measured that are finished, in the order of the study file, whoever ran them."""
    found = []
    for cell in cells:
        run = CellRun(study, cell, folder)
        done = run.finished()
        if done is None:
            continue
        for method in study.methods_of(cell.data.name):
            if method.of != cell.method.name:
                continue
            for epoch in study.epochs_of(method):
                evaluation = run.evaluated(evaluation_folder(method, epoch))
                if evaluation is not None:
                    found.append(_measured(cell, method, epoch, evaluation, done["train_seconds"]))
    order = {name: index for index, name in enumerate(study.methods)}
    places = {place: index for index, place in enumerate(dict.fromkeys(_place(cell) for cell in cells))}
    return sorted(found, key=lambda one: (places[one.place], order[one.method], one.epoch != "last", one.seed))


def by_place(measured: Sequence[Measured]) -> dict[Place, dict[str, list[Measured]]]:
    """Place -> method -> what is compared, one per seed."""
    found: dict[Place, dict[str, list[Measured]]] = {}
    for one in measured:
        if one.is_compared:
            found.setdefault(one.place, {}).setdefault(one.method, []).append(one)
    return found


def _place(cell: Cell) -> Place:
    return Place(cell.data.name, cell.noise.name, cell.cases.name)


def _measured(cell: Cell, method: Method, epoch: str, evaluation: Path, seconds: float) -> Measured:
    values, counts = read_case_table(evaluation)
    return Measured(_place(cell), method.name, epoch, cell.seed, values, counts, seconds, epoch == method.epoch)
