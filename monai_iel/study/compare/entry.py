"""Read a YAML file key by key, with errors that name the key, what was found, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Entry", "read_yaml"]

_KINDS = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


class Entry:
    """A mapping of a YAML file and where it stands.

    Each `take` asks for a key; `end` refuses what nobody asked for.

    Args:
        content: the mapping; None, as an empty entry is read, is one without keys.
        where: what errors begin with, e.g. ``"study.yaml: methods: plain"``.
        folder: that of the file.
    """

    def __init__(self, content: Any, where: str, folder: Path) -> None:
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise ValueError(f"{where}: is {kind_of(content)}, expected a mapping (key: value)")
        self.where = where
        self.folder = folder
        self.content = content
        self._asked: list[str] = []

    def has(self, key: str) -> bool:
        """Whether a key is there with a value."""
        return self.content.get(key) is not None

    def fail(self, key: str, expected: str) -> ValueError:
        """The error for a value that cannot be used."""
        return ValueError(f"{self.where}: {key!r} is {self.content.get(key)!r}, expected {expected}")

    def take(self, key: str, kind: type, default: Any = None, *, required: bool = False) -> Any:
        """The value of a key, of a kind: ``dict``, ``list``, ``str``, ``int``, ``float`` or ``bool``.

        Raises:
            ValueError: another kind, or a key that is required and absent.
        """
        self._asked.append(key)
        value = self.content.get(key)
        if value is None:
            if required:
                raise ValueError(f"{self.where}: has no {key!r}; add it ({_KINDS[kind]})")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(key, _KINDS[kind])
        return value

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """A text that is one of those known."""
        value: str = self.take(key, str, default)
        return known_name(value, known, f"{self.where}: {key!r}")

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A text or a list of texts, each once."""
        self._asked.append(key)
        value = self.content.get(key)
        found = list(default) if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            raise self.fail(key, "a text or a list of texts")
        if len(set(found)) < len(found):
            raise self.fail(key, "each of them once")
        return tuple(found)

    def named(self, key: str, *, required: bool = False) -> dict[str, Entry]:
        """The entries of a mapping from names to mappings, in the order of the file."""
        value = self.take(key, dict, {}, required=required)
        if required and not value:
            raise self.fail(key, "at least one entry")
        for name in value:
            if not isinstance(name, str) or not name.strip():
                raise ValueError(
                    f"{self.where}: {key}: the name {name!r} is {kind_of(name)}; put it in quotation marks"
                )
        return {name: Entry(content, f"{self.where}: {key}: {name}", self.folder) for name, content in value.items()}

    def settings(self, key: str) -> dict[str, Any]:
        """A mapping of `values`."""
        return Entry(self.take(key, dict, {}), f"{self.where}: {key}", self.folder).values()

    def values(self) -> dict[str, Any]:
        """All keys with their values. What a config would evaluate is refused: it belongs into an overlay."""
        for name, value in self.content.items():
            if not isinstance(name, str):
                raise ValueError(f"{self.where}: the id {name!r} is {kind_of(name)}, expected a text")
            if code := _code_in(value):
                raise ValueError(
                    f"{self.where}: {name!r} holds {code!r}, which a config would evaluate; expected a plain value, as "
                    "nothing in a study file is run: put it into an overlay file"
                )
        return dict(self.content)

    def end(self) -> None:
        """Refuse keys that were not asked for.

        Raises:
            ValueError: such a key; the message names the nearest.
        """
        for key in self.content:
            known_name(str(key), self._asked, self.where, what="key")


def read_yaml(path: Path) -> Entry:
    """The mapping in a YAML file, read without evaluating anything; keys stand once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no YAML, or no mapping.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such file; give a study file, or the name of one in configs/study"
        )
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        content = loader.get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no YAML file ({' '.join(str(error).split())})") from None
    return Entry(content, path.name, path.resolve().parent)


def known_name(name: str, known: Sequence[str], where: str, what: str = "") -> str:
    """The name, if it is known.

    Raises:
        ValueError: it is not; the message names the nearest and all.
    """
    if name in known:
        return name
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{where}: unknown {what + ' ' if what else ''}{name!r}; {hint}expected one of {', '.join(known)}")


def kind_of(value: Any) -> str:
    """A value's kind in words."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def _code_in(value: Any) -> str | None:
    """The first text in a value that MONAI would evaluate, look up or replace, or the key that names a class."""
    if isinstance(value, str):
        return value if value.startswith("$") or "@" in value or value.startswith("%") else None
    if isinstance(value, Mapping):
        if target := next((key for key in value if str(key).startswith("_") and str(key).endswith("_")), None):
            return str(target)
        return next((code for one in value.values() if (code := _code_in(one))), None)
    if isinstance(value, list):
        return next((code for one in value if (code := _code_in(one))), None)
    return None


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, (dict, list)):
            raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
