"""The cells of a study: one training each, with all that is evaluated of its network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_iel.study.compare.entry import known_name
from monai_iel.study.compare.study import Cases, DataSet, Method, Noise, Study, slug

__all__ = ["Cell", "Evaluation", "cells_of", "evaluation_folder", "evaluations_of", "selected", "shard_of"]


@dataclass(frozen=True)
class Evaluation:
    """A network evaluated at an epoch behind the corrections of a method.

    Args:
        name: of its folder.
        method: whose it is; of several methods with the same output the first.
        epoch: ``"last"`` or ``"best"``.
    """

    name: str
    method: Method
    epoch: str


@dataclass(frozen=True)
class Cell:
    """One training: data set, noise, number of cases, method and seed."""

    data: DataSet
    noise: Noise
    cases: Cases
    method: Method
    seed: int

    @property
    def name(self) -> str:
        """Its name, which is also its folder below ``cells``."""
        parts = (self.data.name, self.noise.name, self.cases.name, self.method.name)
        return "/".join([*map(slug, parts), f"seed{self.seed}"])

    @property
    def words(self) -> str:
        """Its name for people."""
        return f"{self.data.name}, {self.noise.name}, {self.cases.name} cases, {self.method.name}, seed {self.seed}"

    def folder(self, study_folder: Path) -> Path:
        """Where it writes."""
        return study_folder / "cells" / self.name


def cells_of(study: Study) -> list[Cell]:
    """All cells, the first seed of everything first."""
    return [
        Cell(data, noise, cases, method, seed)
        for seed in study.seeds
        for data in study.data.values()
        for noise in study.noises.values()
        if not noise.only or data.name in noise.only
        for cases in study.numbers_of(noise)
        for method in study.methods_of(data.name)
        if method.trains
    ]


def evaluations_of(study: Study, cell: Cell) -> list[Evaluation]:
    """What is evaluated of a cell's network, each output once."""
    found: dict[str, Evaluation] = {}
    for method in study.methods_of(cell.data.name):
        if method.of != cell.method.name:
            continue
        for epoch in study.epochs_of(method):
            name = evaluation_folder(method, epoch)
            found.setdefault(name, Evaluation(name, method, epoch))
    return list(found.values())


def evaluation_folder(method: Method, epoch: str) -> str:
    """Name of the folder of a method's evaluation, within that of the training."""
    return "-".join(["evaluate", epoch, *([slug(method.name)] if method.after else [])])


def selected(study: Study, only: Mapping[str, Sequence[str]]) -> list[Cell]:
    """The cells of the named data sets, noises, numbers of cases, methods and seeds; all where none is named.

    A method that takes another one's network stands for that.

    Raises:
        ValueError: a name that the study does not have.
    """
    known = {
        "data": list(study.data),
        "noise": list(study.noises),
        "cases": list(dict.fromkeys(c.name for noise in study.noises.values() for c in study.numbers_of(noise))),
        "method": list(study.methods),
        "seed": [str(seed) for seed in study.seeds],
    }
    wanted = {key: [known_name(n, known[key], f"--only {key}", key) for n in names] for key, names in only.items()}
    if "method" in wanted:
        wanted["method"] = [study.methods[name].of for name in wanted["method"]]

    def fits(cell: Cell) -> bool:
        names = (cell.data.name, cell.noise.name, cell.cases.name, cell.method.name, str(cell.seed))
        own = dict(zip(known, names, strict=True))
        return all(own[key] in chosen for key, chosen in wanted.items())

    return [cell for cell in cells_of(study) if fits(cell)]


def shard_of(cells: Sequence[Cell], index: int, count: int) -> list[Cell]:
    """The part ``index`` (from 1) of ``count``: alike in number and, data set by data set, in what they hold.

    Which cell is in which part follows from the names, so it is the same on every machine.

    Raises:
        ValueError: an index outside 1 to ``count``.
    """
    if not 1 <= index <= count:
        raise ValueError(f"--shard is {index}/{count}, expected I/N with I from 1 to N")
    order = sorted(cells, key=lambda cell: (cell.data.name, hashlib.sha256(cell.name.encode()).digest()))
    mine = {cell.name for cell in order[index - 1 :: count]}
    return [cell for cell in cells if cell.name in mine]
