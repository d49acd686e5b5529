"""What a study consists of: data sets, noises, numbers of cases, methods, seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_iel.noisy_labels import label_noise_of_model
from monai_iel.transforms.label_noise import LabelNoise, label_noise_of_preset

__all__ = ["ALL", "EPOCHS", "Cases", "DataSet", "Method", "Noise", "Study", "slug"]

EPOCHS = ("last", "best")
ALL = "all"


@dataclass(frozen=True)
class DataSet:
    """A data set: ``dataset`` is its data list; None where its overlay makes one."""

    name: str
    overlays: tuple[str, ...]
    bundle: str
    dataset: Path | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Noise:
    """An annotation noise: files written once (``model`` or ``preset``), transforms (``overlays``), or none of them.

    ``only`` names the data sets that it is for, all if empty; ``numbers`` replaces the study's numbers of cases.
    """

    name: str
    overlays: tuple[str, ...] = ()
    model: str | None = None
    preset: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    of_data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    target: Mapping[str, float] = field(default_factory=dict)
    strength: float = 1.0
    only: tuple[str, ...] = ()
    numbers: tuple[Cases, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_files(self) -> bool:
        """Whether it is written into label files."""
        return self.model is not None or self.preset is not None

    def label_noise(self, data: str, num_classes: int | None) -> LabelNoise:
        """The noise for a data set.

        Raises:
            ValueError: the model, the preset or a parameter is unknown or out of range.
        """
        if self.preset is not None:
            return label_noise_of_preset(self.preset, seed=self.seed).at_strength(self.strength)
        assert self.model is not None
        parameters = {**self.parameters, **self.of_data.get(data, {})}
        found = label_noise_of_model(self.model, parameters, seed=self.seed, num_classes=num_classes)
        return found.at_strength(self.strength)


@dataclass(frozen=True)
class Cases:
    """A number of training cases, None for all, with the settings that go with it."""

    number: int | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The number as a text."""
        return ALL if self.number is None else str(self.number)


@dataclass(frozen=True)
class Method:
    """A method: a training, or (``of``) another one's network, with what is done to its output afterwards.

    Args:
        name: of the method.
        overlays: for the training; of a method with ``of`` those of the other.
        settings: for the training, and those of ``after`` for the evaluation.
        of: the method whose network it takes; its own name for a training.
        after: overlays of the evaluation.
        epoch: ``"last"`` or ``"best"`` (of the noisy validation): by which it is compared.
        pinned: whether the file names the epoch; then the others are not evaluated.
        of_data: settings for single data sets.
        only: the data sets that it is for, all if empty.
        tuned: whether its overlays are chosen without clean labels, see `CellRun.tuned`.
    """

    name: str
    overlays: tuple[str, ...]
    settings: Mapping[str, Any]
    of: str
    after: tuple[str, ...]
    epoch: str
    pinned: bool
    of_data: Mapping[str, Mapping[str, Any]]
    only: tuple[str, ...]
    tuned: bool = False

    @property
    def trains(self) -> bool:
        """Whether it has a training of its own."""
        return self.of == self.name


@dataclass(frozen=True)
class Study:
    """All of a study file. ``threads`` are those of a training on the CPU, which its digits depend on.

    Args:
        title: of the report.
        path: the file.
        data: data sets by name.
        noises: noises by name.
        numbers: of training cases.
        methods: methods by name.
        seeds: each trains every method once, from the same weights.
        reference: name of the method that the others are compared with.
        settings: config ids and values for all trainings.
        epochs: that every method is evaluated at, besides the one by which it is compared.
        threads: of torch, per training.
        watch: every so many epochs the network is evaluated on the clean test labels too, for the curves; 0: never.
        tolerance: a difference of Dice that would not matter, as a fraction.
    """

    title: str
    path: Path
    data: Mapping[str, DataSet]
    noises: Mapping[str, Noise]
    numbers: tuple[Cases, ...]
    methods: Mapping[str, Method]
    seeds: tuple[int, ...]
    reference: str
    settings: Mapping[str, Any]
    epochs: tuple[str, ...]
    threads: int
    watch: int
    tolerance: float

    def numbers_of(self, noise: Noise) -> tuple[Cases, ...]:
        """The numbers of training cases with a noise."""
        return self.numbers if noise.numbers is None else noise.numbers

    def methods_of(self, data: str) -> list[Method]:
        """The methods for a data set, in the order of the file."""
        return [method for method in self.methods.values() if not method.only or data in method.only]

    def epochs_of(self, method: Method) -> tuple[str, ...]:
        """The epochs at which a method is evaluated."""
        return (method.epoch,) if method.pinned else tuple(e for e in EPOCHS if e in {*self.epochs, method.epoch})


def slug(name: str) -> str:
    """A name as that of a folder.

    >>> slug("plain + smoothing")
    'plain-smoothing'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
