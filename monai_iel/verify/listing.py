"""List what a bundle would run, before anything in it is evaluated."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator
from monai.bundle.reference_resolver import ReferenceResolver

from monai_iel.resources import BUNDLES, bundle_root
from monai_iel.verify.check import Check
from monai_iel.verify.configs import LEFT_OUT, config_files, leaves, read_config
from monai_iel.verify.expressions import Aliases, aliases_of, import_of, judge_expression
from monai_iel.verify.names import judge_target

__all__ = ["Found", "check_found", "is_shipped", "list_found"]

_CODE = (".py", ".pyc", ".pyd", ".so")
_LOGGING = "configs/logging.conf"


@dataclass(frozen=True)
class Found:
    """Something in a bundle that runs when the bundle does.

    Args:
        file: where, relative to the bundle.
        name: id in the config, or option of the logging config.
        text: as it is written.
        kind: ``"expression"``, ``"import"``, ``"target"``, ``"macro"``, ``"mode"``, ``"logging"`` or ``"code"``.
        why: why a person should look at it; empty where it uses nothing but names that are known to be harmless.
    """

    file: str
    name: str
    text: str
    kind: str
    why: str = ""

    def __str__(self) -> str:
        # In full, and with nothing that a terminal would obey or hide.
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in f"{self.file}: {self.name}: {self.text}")
        return f"{shown}  <- {self.why}" if self.why else shown


def list_found(root: Path) -> tuple[list[Found], list[str]]:
    """What the files of a bundle would run, and what is wrong with those that cannot be read.

    Listed are ``$`` expressions and imports, ``_target_``s that are not MONAI's, ``%`` macros that read another file,
    Python files (a running bundle's folder is on Python's path), and what ``logging.conf`` has evaluated.

    Marked, with ``why``, is what uses a name that is not on a list of harmless ones. The rest is no proof of innocence:
    an expression can be made to look harmless. Evaluate a bundle that you do not trust in a container, or not at all.
    """
    contents: dict[str, list[tuple[str, Any]]] = {}
    problems = []
    for path in config_files(root):
        file = path.relative_to(root).as_posix()
        try:
            contents[file] = list(leaves(read_config(path)))
        except (ValueError, OSError) as error:
            problems.append(f"{file}: {error}")
    everything = [item for items in contents.values() for item in items]
    judge = _Judge(root, aliases_of(text for _, text in everything), _import_ids(everything), ComponentLocator())
    found = [
        Found(file, name, str(value), kind, why)
        for file, items in contents.items()
        for name, value in items
        for kind, why in judge.item(name, value)
    ]
    return [*found, *_in_logging(root), *_code(root)], problems


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
        aliases: what the names stand for that the imports bind.
        modules: ids of the imports.
        locator: MONAI's, which finds its components by their names.
    """

    root: Path
    aliases: Aliases
    modules: Collection[str]
    locator: ComponentLocator

    def item(self, name: str, value: object) -> Iterator[tuple[str, str]]:
        """Kind and reason of what the item runs."""
        key = ReferenceResolver.split_id(name)[-1]
        if key == "_target_":
            why = judge_target(value, self.locator)
            if why or ("." in str(value) and not str(value).startswith("monai.")):
                yield "target", why
        elif key == "_mode_" and value not in ("default", "callable"):
            yield "mode", "opens a debugger"
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
            # All configs of the bundle are looked at anyway; one elsewhere is not.
            inside = (self.root / path).resolve().is_relative_to(self.root.resolve()) and not Path(path).is_absolute()
            yield "macro", "" if inside else "reads a file that is not in the bundle"


def _import_ids(items: Iterable[tuple[str, object]]) -> set[str]:
    texts = ((name, value) for name, value in items if isinstance(value, str) and value.startswith("$"))
    return {ReferenceResolver.normalize_id(name) for name, text in texts if import_of(text) is not None}


def _in_logging(root: Path) -> Iterator[Found]:
    """What ``logging.config.fileConfig`` evaluates. MONAI refuses calls in it; they are marked all the same."""
    if not (root / _LOGGING).is_file():
        return
    parser = configparser.RawConfigParser()
    try:
        parser.read_string((root / _LOGGING).read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        yield Found(_LOGGING, "", str(error), "logging", "cannot be read")
        return
    for section in parser.sections():
        for option in ("class", "args", "kwargs"):
            text = parser.get(section, option, raw=True, fallback="")
            if text:
                yield Found(_LOGGING, f"{section}::{option}", text, "logging", _judge_logging(text))


def _judge_logging(text: str) -> str:
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "cannot be read as Python"
    plain = (ast.Expression, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Load, ast.Name, ast.Attribute)
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    harmless = all(n in ("sys", "logging", "handlers") or n.endswith(("Handler", "Formatter")) for n in names)
    return "" if harmless and all(isinstance(node, plain) for node in nodes) else "is evaluated, and is no plain value"


def _code(root: Path) -> Iterator[Found]:
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in _CODE and path.relative_to(root).parts[0] not in LEFT_OUT:
            file = path.relative_to(root).as_posix()
            yield Found(file, "", f"{path.stat().st_size} bytes", "code", "a config can import it, under any name")
