"""List what a bundle would run, before anything in it is evaluated, and mark what a person should look at."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monai.bundle.reference_resolver import ReferenceResolver

from monai_iel.verify.names import PLAIN_BUILTINS, judge_attribute, judge_import, judge_name

__all__ = ["Aliases", "aliases_of", "import_of", "judge_expression"]

Aliases = Mapping[str, set[str]]
"""Name -> the modules, or parts of modules, that it may stand for."""

_ALWAYS_THERE = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}  # MONAI imports these itself
_REFERENCES = "__local_refs"  # what MONAI writes in the place of @id
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
    for node in ast.walk(tree):  # what is outside comes first
        if id(node) in done:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            done.add(id(node.func))
            yield _judge_getattr(node)
        elif isinstance(node, ast.Attribute):
            first, parts, inner = _dotted(node)
            if first is None or first.id not in aliases or first.id in bound:
                yield judge_attribute(node.attr)
            else:
                done |= {id(first), *inner}
                yield from (judge_name(".".join([full, *parts])) for full in sorted(aliases[first.id]))
        elif isinstance(node, ast.Name) and node.id not in bound:
            yield from _judge_name_alone(node.id, aliases)


def _dotted(node: ast.Attribute) -> tuple[ast.Name | None, list[str], set[int]]:
    """``a.b.c``: the node of ``a``, the names behind it, and the nodes between."""
    parts, inner = [node.attr], set()
    value: ast.AST = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        inner.add(id(value))
        value = value.value
    return (value if isinstance(value, ast.Name) else None), parts[::-1], inner


def _judge_getattr(call: ast.Call) -> str:
    named = call.args[1] if len(call.args) > 1 else None
    if not (isinstance(named, ast.Constant) and isinstance(named.value, str)):
        return "getattr() of a name that is computed"
    return judge_attribute(named.value)


def _judge_name_alone(name: str, aliases: Aliases) -> Iterator[str]:
    if name in aliases:
        yield from (judge_name(full) for full in sorted(aliases[name]))
    elif name != _REFERENCES and name not in PLAIN_BUILTINS:
        yield f"{name!r} is no harmless name of Python, and no config imports it"
