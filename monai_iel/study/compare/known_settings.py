"""Whether every setting of a study is one that its configs know: a misspelt one would change nothing, silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_iel.study.compare.study import DataSet, Study
from monai_iel.study.runs import BundleRun

__all__ = ["check_settings"]

# What the study itself sets, and where it is said instead.
_OWN = {
    "dataset_json": "'dataset' of the data set",
    "num_training_cases": "'cases'",
    "seed": "'seeds'",
    "watch_interval": "'watch'",
    "output_dir": "--out",
    "checkpoint": "the study itself",
    "resume": "the study itself",
}


def check_settings(study: Study) -> None:
    """Look every setting up in the configs that it is for; nothing is run.

    Settings of a method are for its own configs, all others for those of any method.

    Raises:
        ValueError: a setting that no config knows, or that the study itself sets; the message names it and where it is.
    """
    for data in study.data.values():
        everything = _overlays(study, data, list(study.methods))
        for where, settings, overlays in [*_common(study, data, everything), *_of_methods(study, data)]:
            place = f"{study.path}: {where}"
            for name in settings:
                if name in _OWN:
                    raise ValueError(f"{place}: {name!r} is set by {_OWN[name]}; leave it out")
            try:
                BundleRun(overlays, settings, Path(), data.bundle).check()
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None


_Layer = tuple[str, Mapping[str, Any], tuple[str, ...]]
"""Where settings are, the settings, and the overlays that may know them."""


def _common(study: Study, data: DataSet, overlays: tuple[str, ...]) -> Iterator[_Layer]:
    yield "settings", study.settings, overlays
    yield f"data: {data.name}: settings", data.settings, overlays
    for noise in study.noises.values():
        yield f"noises: {noise.name}: settings", noise.settings, overlays
        for cases in study.numbers_of(noise):
            yield f"cases: {cases.name}: settings", cases.settings, overlays


def _of_methods(study: Study, data: DataSet) -> Iterator[_Layer]:
    for method in study.methods_of(data.name):
        overlays = _overlays(study, data, [method.name])
        yield f"methods: {method.name}: settings", method.settings, overlays
        yield f"methods: {method.name}: for: {data.name}", method.of_data.get(data.name, {}), overlays


def _overlays(study: Study, data: DataSet, methods: list[str]) -> tuple[str, ...]:
    found = [*data.overlays, *(name for noise in study.noises.values() for name in noise.overlays)]
    for method in (study.methods[name] for name in methods):
        found += [*method.overlays, *method.after]
    return tuple(dict.fromkeys(found))
