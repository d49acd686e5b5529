"""List what a bundle would run, before anything in it is evaluated, and mark what a person should look at."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monai.bundle.reference_resolver import ReferenceResolver

from monai_iel.verify.allowed import PLAIN_BUILTINS
from monai_iel.verify.names import judge_attribute, judge_import, judge_located, judge_name, judge_string

__all__ = ["DOWNLOADS", "Aliases", "aliases_of", "import_of", "judge_expression"]

Aliases = Mapping[str, set[str]]
"""Name -> the modules, or parts of modules, that it may stand for."""

DOWNLOADS = ("pretrained", "pretrained_url")
"""Arguments of networks that make them fetch weights."""

_ALWAYS_THERE = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}  # MONAI imports these itself
_REFERENCES = "__local_refs"  # what MONAI writes in the place of @id
_BY_NAME = ("operator.attrgetter", "operator.methodcaller")
_REPLACES = "'replace' can move files, if it is a path's"
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # what ast.parse raises


class _EveryId(dict[str, Any]):
    """The ids of a config that is not evaluated: each of them may be there."""

    def __contains__(self, key: object) -> bool:
        return True


def judge_expression(text: str, aliases: Aliases) -> str:
    """Why an expression is to be looked at; empty where it uses nothing but harmless names.

    Args:
        text: with its ``$``.
        aliases: see `aliases_of`.
    """
    source = ReferenceResolver.update_refs_pattern(text, _EveryId())[1:]  # the text that MONAI evaluates
    try:
        tree = ast.parse(source.strip())
    except _UNREADABLE:
        return "cannot be read as Python"
    statement = next(iter(tree.body), None)
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        reasons = (judge_import(full) for full in _imported(statement).values())
    else:
        reasons = (why for why in _judge_tree(tree, aliases))
    return next((why for why in reasons if why), "")


def import_of(text: str) -> ast.Import | ast.ImportFrom | None:
    """The import that an expression is, if it is one; MONAI does all of them as soon as anything is evaluated."""
    try:
        statement = next(iter(ast.parse(text[1:].strip()).body), None)
    except _UNREADABLE:
        return None
    return statement if isinstance(statement, (ast.Import, ast.ImportFrom)) else None


def aliases_of(values: Iterable[object]) -> dict[str, set[str]]:
    """What the names stand for that the imports of all configs together bind."""
    found = {name: {module} for name, module in _ALWAYS_THERE.items()}
    for value in values:
        if isinstance(value, str) and value.startswith("$") and (statement := import_of(value)) is not None:
            for name, full in _imported(statement).items():
                found.setdefault(name, set()).add(full)
    return found


def _imported(statement: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Bound name -> full name."""
    if isinstance(statement, ast.Import):
        return {a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in statement.names}
    return {a.asname or a.name: f"{statement.module}.{a.name}" for a in statement.names}


def _judge_tree(tree: ast.AST, aliases: Aliases) -> Iterator[str]:
    """A reason for each part of an expression, empty for most."""
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    done: set[int] = set()  # parts of a dotted name, judged as a whole
    free = aliases if not bound else {name: full for name, full in aliases.items() if name not in bound}
    for node in ast.walk(tree):  # what is outside comes first
        if id(node) in done:
            continue
        if isinstance(node, ast.Call):
            yield from _judge_call(node, free, done)
        elif isinstance(node, ast.Subscript):
            yield _judge_part(node, free, done)
        elif isinstance(node, ast.Attribute):
            names, parts = _full_names(node, free)
            done |= parts
            if not isinstance(node.ctx, ast.Load):
                yield "changes a part of an object"
            elif not names:
                yield _judge_any(node.attr)
            yield from map(judge_name, names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield judge_string(node.value)
        elif isinstance(node, ast.Name) and node.id not in bound:
            yield from _judge_name_alone(node.id, aliases)


def _full_names(node: ast.AST, aliases: Aliases) -> tuple[list[str], set[int]]:
    """What ``a.b.c`` may stand for, if ``a`` is imported; and its nodes."""
    parts, inner = [], set()
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        inner.add(id(node))
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return [], set()
    return [".".join([full, *parts[::-1]]) for full in sorted(aliases[node.id])], {*inner, id(node)}


def _judge_call(call: ast.Call, aliases: Aliases, done: set[int]) -> Iterator[str]:
    """What is special to a call; its parts come later, but for those that are done."""
    names, parts = _full_names(call.func, aliases)
    yield from (judge_located(_text(k.value)) for k in call.keywords if k.arg in ("reader", "writer"))
    yield from ("can download weights" for k in call.keywords if k.arg in DOWNLOADS and not _is_false(k.value))
    if isinstance(call.func, ast.Name) and call.func.id == "getattr":
        done.add(id(call.func))
        yield _judge_named(call.args[1:2], "getattr()")
    elif names and all(name in _BY_NAME for name in names):
        done |= parts
        takes_one = any("methodcaller" in name for name in names)
        yield _judge_named(call.args[:1] if takes_one else call.args, names[0])
    elif isinstance(call.func, ast.Attribute) and call.func.attr == "replace" and not names:
        # That of a text takes two; that of a path takes one, and moves a file.
        plain = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
        done |= {id(call.func)} if len(plain) > 1 else set()


def _judge_named(named: list[ast.expr], by: str) -> str:
    """Judge attributes that are named by texts."""
    texts = [node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if len(texts) < max(len(named), 1):
        return f"{by} of a name that is computed"
    inner = (_judge_any(part) for text in texts for part in text.split("."))
    return next((why for why in inner if why), "")


def _judge_any(attribute: str) -> str:
    return judge_attribute(attribute) or (_REPLACES if attribute == "replace" else "")


def _judge_part(node: ast.Subscript, aliases: Aliases, done: set[int]) -> str:
    if not isinstance(node.ctx, ast.Load):
        return "changes a part of an object"
    names, parts = _full_names(node.value, aliases)
    if names == ["os.environ"]:  # reading one is harmless
        done |= parts
    return ""


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else f"${ast.unparse(node)}"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _judge_name_alone(name: str, aliases: Aliases) -> Iterator[str]:
    if name in aliases:
        yield from (judge_name(full) for full in sorted(aliases[name]))
    elif name != _REFERENCES and name not in PLAIN_BUILTINS:
        yield f"{name!r} is no harmless name of Python, and no config imports it"
