"""Read a study from a YAML file, and check it before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai_iel.resources import BUNDLES, overlay
from monai_iel.study.compare.entry import Entry, known_name, read_yaml
from monai_iel.study.compare.known_settings import check_settings
from monai_iel.study.compare.study import ALL, EPOCHS, Cases, DataSet, Method, Noise, Study, slug

__all__ = ["load_study"]


def load_study(path: Path, data_root: Path | None = None) -> Study:
    """Read and check a study file; nothing in it is evaluated, and nothing is run.

    Args:
        path: the file.
        data_root: folder that the data lists' relative paths are seen from; that of the file, if None.

    Raises:
        FileNotFoundError: the file or a data list is not there.
        ValueError: a key or a value cannot be used; the message names it, what was found and what is expected.
    """
    top = read_yaml(path)
    root = data_root or path.resolve().parent
    data = {name: _data_set(name, entry, root) for name, entry in top.named("data", required=True).items()}
    noises = {name: _noise(name, entry, data) for name, entry in top.named("noises", required=True).items()}
    methods = _methods(top.named("methods", required=True), list(data))
    study = Study(
        title=top.take("title", str, path.stem),
        path=path.resolve(),
        data=data,
        noises=noises,
        numbers=_numbers(top, "cases") or (Cases(None),),
        methods=methods,
        seeds=_seeds(top),
        reference=known_name(
            top.take("reference", str, next(iter(methods))), list(methods), f"{top.where}: 'reference'"
        ),
        settings=top.settings("settings"),
        epochs=tuple(known_name(e, EPOCHS, f"{top.where}: 'epochs'") for e in top.texts("epochs", ("last",))),
        threads=_at_least(top, "threads", 1, 1),
        watch=_at_least(top, "watch", 0, 0),
        tolerance=_positive(top, "tolerance", 0.01),
    )
    top.end()
    for what in ("data", "noises", "methods"):
        _check_folders(list(getattr(study, what)), f"{top.where}: {what}")
    check_settings(study)
    return study


def _data_set(name: str, entry: Entry, root: Path) -> DataSet:
    given = entry.take("dataset", str)
    dataset = None if given is None else (root / Path(given).expanduser()).resolve()
    if dataset is not None and not dataset.is_file():
        raise FileNotFoundError(
            f"{entry.where}: 'dataset' is {given!r}, and there is no file {dataset}; correct it, or give the "
            "folder that it is relative to by --data-root"
        )
    bundle = known_name(entry.take("bundle", str, BUNDLES[0]), BUNDLES, f"{entry.where}: 'bundle'")
    found = DataSet(name, _overlays(entry, "overlays"), bundle, dataset, entry.settings("settings"))
    entry.end()
    return found


def _noise(name: str, entry: Entry, data: Mapping[str, DataSet]) -> Noise:
    targets = {key: entry.take(key, float) for key in ("target_dice", "target_distance_mm")}
    of_data = {known_name(d, list(data), f"{entry.where}: 'for'"): e for d, e in entry.named("for").items()}
    found = Noise(
        name,
        overlays=_overlays(entry, "overlays"),
        model=entry.take("model", str),
        preset=entry.take("preset", str),
        parameters=entry.settings("parameters"),
        of_data={d: e.values() for d, e in of_data.items()},
        seed=entry.take("seed", int, 0),
        target={key: value for key, value in targets.items() if value is not None},
        strength=_positive(entry, "strength", 1.0),
        only=_only(entry, list(data)),
        numbers=_numbers(entry, "cases"),
        settings=entry.settings("settings"),
    )
    entry.end()
    ways = [way for way in ("overlays", "model", "preset") if entry.has(way)]
    if len(ways) > 1:
        raise ValueError(f"{entry.where}: has {' and '.join(map(repr, ways))}, expected one of them, or none for clean")
    if not found.has_files and (
        useless := [k for k in (*found.target, "parameters", "strength", "for") if entry.has(k)]
    ):
        raise ValueError(f"{entry.where}: has {useless[0]!r}, but no 'model' or 'preset' that it could be for; add one")
    if len(found.target) > 1:
        raise ValueError(f"{entry.where}: has target_dice and target_distance_mm, expected one of them")
    if found.has_files:
        for one in found.only or data:
            try:
                found.label_noise(one, num_classes=2)  # the number is that of the data list, later
            except ValueError as error:
                raise ValueError(f"{entry.where}: {' '.join(str(error).split())}") from error
    return found


def _methods(entries: Mapping[str, Entry], data: Sequence[str]) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for name, entry in entries.items():
        of = entry.take("of", str, name)
        trained = [other for other, method in found.items() if method.trains]
        if of != name:
            known_name(of, trained, f"{entry.where}: 'of' (a method with a training of its own, above this one)")
        of_data = {known_name(d, data, f"{entry.where}: 'for'"): e for d, e in entry.named("for").items()}
        method = Method(
            name,
            overlays=_overlays(entry, "overlays"),
            settings=entry.settings("settings"),
            of=of,
            after=_overlays(entry, "after"),
            epoch=entry.choice("epoch", EPOCHS, "last"),
            pinned=entry.has("epoch"),
            of_data={d: e.values() for d, e in of_data.items()},
            only=_only(entry, data),
            tuned=entry.take("tune", bool, False),
        )
        entry.end()
        if not method.trains and method.tuned:
            raise ValueError(f"{entry.where}: has 'of' and 'tune', but what is tuned is trained; leave one of them out")
        if not method.trains and method.overlays:
            raise ValueError(
                f"{entry.where}: has 'of' and 'overlays', but a network of another method is not trained again; put "
                "overlays of the evaluation under 'after', or leave 'of' out"
            )
        if not method.trains and (method.settings or method.of_data) and not method.after:
            raise ValueError(f"{entry.where}: has settings, but neither a training nor 'after'; leave them out")
        if not method.trains:
            method = replace(method, overlays=found[of].overlays, only=method.only or found[of].only)
        found[name] = method
    for name, method in found.items():
        if method.tuned and not any(other.trains and not other.tuned for other in found.values()):
            raise ValueError(f"{entries[name].where}: has 'tune', but there is no training to choose; add one")
    return found


def _overlays(entry: Entry, key: str) -> tuple[str, ...]:
    """Overlays, each of which is there: files as seen from the study file, or names."""
    found = []
    for name in entry.texts(key):
        beside = entry.folder / name
        try:
            found.append(str(overlay(str(beside))) if beside.is_file() else name)
            overlay(found[-1])
        except ValueError as error:
            raise ValueError(f"{entry.where}: {key}: {error}") from None
    return tuple(found)


def _only(entry: Entry, data: Sequence[str]) -> tuple[str, ...]:
    return tuple(known_name(name, data, f"{entry.where}: 'only'") for name in entry.texts("only"))


def _numbers(entry: Entry, key: str) -> tuple[Cases, ...] | None:
    given = entry.take(key, list)
    if given is None:
        return None
    found = []
    for one in given:
        inner = Entry(one if isinstance(one, dict) else {"number": one}, f"{entry.where}: {key}", entry.folder)
        number: int | None = None
        if inner.content.get("number") != ALL:
            number = inner.content.get("number")
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise inner.fail("number", f"a whole number of 1 or more, or {ALL!r}")
        inner.texts("number") if number is None else inner.take("number", int)
        found.append(Cases(number, inner.settings("settings")))
        inner.end()
    if not found or len({one.name for one in found}) < len(found):
        raise entry.fail(key, "at least one number, each once")
    return tuple(found)


def _seeds(entry: Entry) -> tuple[int, ...]:
    seeds = entry.take("seeds", list, [0])
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        raise entry.fail("seeds", "whole numbers of 0 or more, each once")
    return tuple(seeds)


def _at_least(entry: Entry, key: str, least: int, default: int) -> int:
    value: int = entry.take(key, int, default)
    if value < least:
        raise entry.fail(key, f"a whole number of {least} or more")
    return value


def _positive(entry: Entry, key: str, default: float) -> float:
    value: float = entry.take(key, float, default)
    if not 0 < value < float("inf"):
        raise entry.fail(key, "a positive number")
    return value


def _check_folders(names: Sequence[str], where: str) -> None:
    """Each name has a folder of its own."""
    taken: dict[str, str] = {}
    for name in names:
        folder = slug(name).lower()
        if not folder:
            raise ValueError(f"{where}: the name {name!r} has no letter or digit; rename it")
        if folder in taken:
            raise ValueError(
                f"{where}: {taken[folder]!r} and {name!r} would share the folder {slug(name)!r}; rename one"
            )
        taken[folder] = name
