"""Annotation noises by the names of their models."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from monai_iel.transforms import label_noise
from monai_iel.transforms.label_noise import ChoiceLabelNoise, ClassLabelNoise, LabelNoise

__all__ = ["LABEL_NOISE_MODELS", "classes_after", "ignore_index_of", "label_noise_of_model", "parameters_of_model"]


def _models() -> dict[str, type[LabelNoise]]:
    found = (getattr(label_noise, name) for name in label_noise.__all__)
    types = [kind for kind in found if isinstance(kind, type) and issubclass(kind, LabelNoise) and kind != LabelNoise]
    # What is composed of other noises has no name and numbers for parameters.
    return {kind.model: kind for kind in types if "noises" not in inspect.signature(kind).parameters}


LABEL_NOISE_MODELS: Mapping[str, type[LabelNoise]] = _models()
"""Name -> class of every model that is fixed per case and not composed of others."""


def label_noise_of_model(
    name: str, parameters: Mapping[str, Any], *, seed: int = 0, num_classes: int | None = None
) -> LabelNoise:
    """Return the noise of a model by its name.

    Args:
        name: a key of `LABEL_NOISE_MODELS`.
        parameters: those of its class, without the seed.
        seed: chooses the realisation.
        num_classes: of the data set, for models that ask for it and are not told by ``parameters``.

    Raises:
        ValueError: if the name or a parameter is unknown (the message names the nearest), a parameter is absent, or out
            of range.

    Example::

        >>> label_noise_of_model("block", {"scale": 2, "keep": 0.9}, num_classes=3)
        BlockLabelNoise(scale=2, keep=0.9, num_classes=3, seed=0)
    """
    if name not in LABEL_NOISE_MODELS:
        raise ValueError(f"no model {name!r}{_nearest(name, LABEL_NOISE_MODELS)}")
    arguments = parameters_of_model(name)
    for given in parameters:
        if given not in arguments:
            raise ValueError(f"model {name!r} has no parameter {given!r}{_nearest(given, arguments)}")
    filled = dict(parameters)
    if "num_classes" in arguments and num_classes is not None:
        filled.setdefault("num_classes", num_classes)
    absent = [n for n, p in arguments.items() if p.default is p.empty and n not in filled]
    if absent:
        raise ValueError(f"model {name!r} needs {', '.join(absent)}; its parameters are {', '.join(arguments)}")
    try:
        return LABEL_NOISE_MODELS[name](**filled, seed=seed)
    except TypeError as error:  # a text where a number is expected
        raise ValueError(f"model {name!r} does not take {filled}: {error}") from error


def parameters_of_model(name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a key of `LABEL_NOISE_MODELS`, without seed and strength."""
    parameters = inspect.signature(LABEL_NOISE_MODELS[name]).parameters
    return {one: parameter for one, parameter in parameters.items() if one not in ("seed", "strength")}


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1)
    there = f"there are {', '.join(sorted(known))}"
    return f"; did you mean {near[0]!r}? {there}" if near else f"; {there}"


def ignore_index_of(noise: LabelNoise) -> int | None:
    """Return the value that a noise, or one that it is composed of, sets where a label becomes unknown."""
    for one in getattr(noise, "noises", (noise,)):
        index = getattr(one, "ignore_index", None) if one is noise else ignore_index_of(one)
        if index is not None:
            return int(index)
    return None


def classes_after(noise: LabelNoise, case_id: str, classes: Iterable[int]) -> set[int]:
    """Return the foreground classes that a label with these may have once the noise is applied."""
    present = {*classes}
    if not present:  # an empty label stays as it is
        return present
    if isinstance(noise, ChoiceLabelNoise):
        chosen = noise.chosen(case_id)
        return present if chosen is None else classes_after(chosen, case_id, present)
    for part in getattr(noise, "noises", ()):
        present = classes_after(part, case_id, present)
    if isinstance(noise, ClassLabelNoise):
        rows = enumerate(noise.confusion)
        present |= {other for number, row in rows if number in present for other, share in enumerate(row) if share}
    present |= {*range(getattr(noise, "num_classes", 0))}
    index = getattr(noise, "ignore_index", None)
    return (present if index is None else present | {index}) - {0}
