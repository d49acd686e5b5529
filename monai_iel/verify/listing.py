"""List what a bundle would run, before anything in it is evaluated."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator
from monai.bundle.reference_resolver import ReferenceResolver

from monai_iel.files import printable
from monai_iel.resources import BUNDLES, bundle_root
from monai_iel.verify.check import Check
from monai_iel.verify.configs import LEFT_OUT, config_files, leaves, read_config
from monai_iel.verify.expressions import DOWNLOADS, Aliases, aliases_of, import_of, judge_expression
from monai_iel.verify.logging_config import LOGGING, logging_options
from monai_iel.verify.names import judge_located, judge_string, judge_target

__all__ = ["Found", "check_found", "is_shipped", "list_found"]

_CODE = (".py", ".pyc", ".pyd", ".so")


@dataclass(frozen=True)
class Found:
    """Something in a bundle that runs when the bundle does.

    Args:
        file: where, relative to the bundle.
        name: id in the config, or option of the logging config.
        text: as it is written.
        kind: ``"expression"``, ``"import"``, ``"target"``, ``"macro"``, ``"mode"``, ``"name"``, ``"logging"``,
            ``"code"`` or ``"link"``.
        why: why a person should look at it; empty where it uses nothing but names that are known to be harmless.
    """

    file: str
    name: str
    text: str
    kind: str
    why: str = ""

    def __str__(self) -> str:
        shown = printable(f"{self.file}: {self.name}: {self.text}")  # in full
        return f"{shown}  <- {self.why}" if self.why else shown


def list_found(root: Path) -> tuple[list[Found], list[str]]:
    """What the files of a bundle would run, and what is wrong with those that cannot be read.

    Listed are ``$`` expressions and imports, ``_target_``s that are not MONAI's, ``%`` macros that read another file,
    texts that name something in Python (MONAI looks for a ``reader`` by its name), Python files (a running bundle's
    folder is on Python's path), links to folders, and what ``logging.conf`` has evaluated.

    Marked, with ``why``, is what uses a name that is not on a list of harmless ones. The rest is no proof of innocence:
    an expression can be made to look harmless. Evaluate a bundle that you do not trust in a container, or not at all.
    """
    contents: dict[str, list[tuple[str, Any]]] = {}
    problems = []
    files = config_files(root)
    for path in files:
        file = path.relative_to(root).as_posix()
        try:
            contents[file] = list(leaves(read_config(path)))
        except (ValueError, OSError) as error:
            problems.append(f"{file}: {error}")
    everything = [item for items in contents.values() for item in items]
    aliases, read = aliases_of(text for _, text in everything), {os.path.realpath(path) for path in files}
    judge = _Judge(root, frozenset(read), aliases, _import_ids(everything), ComponentLocator())
    found = [
        Found(file, name, str(value), kind, why)
        for file, items in contents.items()
        for name, value in items
        for kind, why in judge.item(name, value)
    ]
    found += [Found(LOGGING, option, text, "logging", why) for option, text, why in logging_options(root)]
    return [*found, *_code(root)], problems


def check_found(found: Iterable[Found], problems: Iterable[str], trust: bool) -> Check:
    """Whether all configs can be read; and what in them a person should look at, who has not said to trust it."""
    marked = () if trust else tuple(str(entry) for entry in found if entry.why)
    return Check("configs", tuple(problems), to_read=marked)


def is_shipped(root: Path, found: Iterable[Found]) -> bool:
    """Whether all that a bundle could run is, byte for byte, what a bundle of this package runs, and nothing besides.

    Who runs this package trusts that already.
    """
    files = {path.relative_to(root).as_posix() for path in config_files(root)} | {entry.file for entry in found}
    return any(all(_same(root / file, bundle_root(name) / file) for file in files) for name in BUNDLES)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.is_file() and one.read_bytes() == other.read_bytes()


@dataclass(frozen=True)
class _Judge:
    """Judges one item of a config after the other.

    Args:
        root: folder of the bundle.
        read: the config files that are looked at, with no link in their paths.
        aliases: what the names stand for that the imports bind.
        modules: ids of the imports.
        locator: MONAI's, which finds its components by their names.
    """

    root: Path
    read: Collection[str]
    aliases: Aliases
    modules: Collection[str]
    locator: ComponentLocator

    def item(self, name: str, value: object) -> Iterator[tuple[str, str]]:
        """Kind and reason of what the item runs."""
        parts = [part.lstrip("+") for part in ReferenceResolver.split_id(name)]
        key = next((part for part in reversed(parts) if not part.isdigit()), "")
        if key == "_target_":
            why = judge_target(value, self.locator)
            if why or ("." in str(value) and not str(value).startswith("monai.")):
                yield "target", why
        elif key == "_mode_" and value not in ("default", "callable"):
            yield "mode", "opens a debugger"
        elif key in ("reader", "writer") and (why := judge_located(value)):
            yield "name", why
        elif key in DOWNLOADS and value:
            yield "name", "can download weights"
        elif isinstance(value, str) and (why := judge_string(value)):
            yield "name", why
        if isinstance(value, str) and value[:1] in ("$", "@", "%"):
            yield from self._text(name, value)

    def _text(self, name: str, value: str) -> Iterator[tuple[str, str]]:
        try:
            text = ConfigParser.resolve_relative_ids(ReferenceResolver.normalize_id(name), value)
        except ValueError as error:
            yield "expression", str(error)
            return
        # An item that is an import is the module itself, and so is a part of the list that holds it.
        named = ReferenceResolver.match_refs_pattern(text)
        if any(f"{module}::".startswith(f"{id_}::") or not id_ for module in self.modules for id_ in named):
            yield "expression", "hands on a module, so that anything in it can be used"
        elif text.startswith("$"):
            kind = "expression" if import_of(text) is None else "import"
            yield kind, judge_expression(text, self.aliases)
        elif text.startswith("%"):
            path, _ = ConfigParser.split_path_id(text[1:])
            yield "macro", "" if not path or self._is_read(path) else "reads a file that is not in the bundle's configs"

    def _is_read(self, path: str) -> bool:
        """Whether a macro's file is one of those that are looked at."""
        try:
            return not Path(path).is_absolute() and os.path.realpath(self.root / path) in self.read
        except ValueError:  # no file can have such a name
            return False


def _import_ids(items: Iterable[tuple[str, object]]) -> set[str]:
    texts = ((name, value) for name, value in items if isinstance(value, str) and value.startswith("$"))
    return {ReferenceResolver.normalize_id(name) for name, text in texts if import_of(text) is not None}


def _code(root: Path) -> Iterator[Found]:
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[0] in LEFT_OUT:
            continue
        file = path.relative_to(root).as_posix()
        if path.is_symlink() and path.is_dir():
            yield Found(file, "", os.readlink(path), "link", "what lies in a folder behind a link is not looked at")
        elif path.suffix.lower() in _CODE and not path.is_dir():
            yield Found(file, "", f"{path.lstat().st_size} bytes", "code", "a config can import it, under any name")
