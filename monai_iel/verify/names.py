"""Judge names of Python that a config uses: what is not known to be harmless is to be looked at by a person."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import lru_cache
from types import ModuleType

from monai.bundle.config_item import ComponentLocator
from monai.transforms.io.array import SUPPORTED_READERS

from monai_iel.verify.allowed import LIBRARIES, MODULES, PLAIN, RUNS, RUNS_ANYWHERE

__all__ = ["judge_attribute", "judge_import", "judge_located", "judge_name", "judge_string", "judge_target"]

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_EVALUATES = ("__import__", "breakpoint", "compile", "eval", "exec")


def judge_attribute(name: str) -> str:
    """Why an attribute, of whatever object, is to be looked at; empty where it need not."""
    if name.startswith("_") and name not in ("__module__", "__name__", "__version__"):
        return f"{name!r} is internal to Python or to a library"
    return f"{name!r} can run code, or change files" if name in RUNS_ANYWHERE else ""


def judge_import(full: str) -> str:
    """Why an import is to be looked at; empty where it need not."""
    return "" if full in MODULES or full in PLAIN else judge_name(full)


def judge_name(full: str) -> str:
    """Why a dotted name, such as ``"os.path.join"``, is to be looked at; empty where it need not."""
    if full in MODULES:
        return f"the module {full!r} is handed on, so that anything in it can be used"
    first, *inner = full.split(".")
    if why := next((f"{full!r} {why}" for name, why in RUNS.items() if _within(full, name)), ""):
        return why
    plain = next((name for name in PLAIN if _within(full, name)), "")
    if not plain and first not in LIBRARIES:
        return f"{full!r} can run code, or change files" if first in MODULES else _foreign(full)
    behind = full.removeprefix(plain).split(".") if plain else inner
    if why := next((why for part in behind if (why := judge_attribute(part))), ""):
        return why
    return _judge_found(full) if plain else f"{full!r} stands on no list of harmless names"


def judge_target(target: object, locator: ComponentLocator) -> str:
    """Why a ``_target_`` is to be looked at; empty where it need not."""
    if not isinstance(target, str) or target[:1] in ("", "$", "@", "%"):
        return "what it is shows only when the config is evaluated"
    if "." in target:
        return judge_name(target) if target.split(".")[0] in LIBRARIES else _foreign(target)
    found = locator.get_component_module_name(target)
    modules = [found] if isinstance(found, str) else found or []
    if not modules:
        return f"{target!r} is no component of MONAI; Python would look for it anywhere"
    return next((why for module in modules if (why := judge_name(f"{module}.{target}"))), "")


def judge_located(value: object) -> str:
    """Why a ``reader`` or ``writer`` is to be looked at: MONAI calls what has that name, wherever it is."""
    if not isinstance(value, str):
        return ""
    if value[:1] in ("@", "%") or (value.startswith("$") and not value.startswith("$monai.data.")):
        return "MONAI may look for what it names, which shows only when the config is evaluated"
    if value.startswith("$") or (value.lower() in SUPPORTED_READERS and value.lower() != "numpyreader"):
        return ""
    if "." in value:
        return judge_name(value)
    return f"MONAI would look for {value!r} anywhere" if judge_name(f"monai.data.{value}") else ""


def judge_string(value: str) -> str:
    """Why a string is to be looked at: it names something in Python that is not harmless, and may be looked for."""
    if value in _EVALUATES:
        return f"names {value!r}, which evaluates text"
    if len(value) > 200 or not _DOTTED.fullmatch(value) or not _is_module(value.split(".")[0]):
        return ""
    why = judge_name(value)
    return f"names something in Python, and {why}" if why else ""


def _foreign(full: str) -> str:
    return f"{full!r} is not of MONAI, torch or ignite"


def _within(full: str, name: str) -> bool:
    return full == name or full.startswith(f"{name}.")


@lru_cache(maxsize=10_000)
def _is_module(name: str) -> bool:
    if name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@lru_cache(maxsize=10_000)
def _judge_found(full: str) -> str:
    """Judge what a name on the lists leads to: not another module, nor what a library has from elsewhere.

    For this the library that the name is of is imported, no part of the bundle.
    """
    if _within(full, "os.path"):  # has another name on each system
        return ""
    walked, *rest = full.split(".")
    value = _submodule(walked)
    for part in rest:
        inner = getattr(value, part, None)
        value = _submodule(f"{walked}.{part}") if inner is None else inner
        walked = f"{walked}.{part}"
        if not isinstance(value, ModuleType):
            break
        if value.__name__ != walked:
            return f"{full!r} leads to the module {value.__name__!r}"
    if value is None:
        return f"{walked!r} is not found in this installation"
    if isinstance(value, ModuleType):
        return f"the module {full!r} is handed on, so that anything in it can be used"
    home = getattr(value, "__module__", None)
    if full.split(".")[0] not in LIBRARIES or not isinstance(home, str):
        return ""
    if home.split(".")[0] not in LIBRARIES and not isinstance(value, (str, float)):
        return f"{full!r} is of {home!r}"
    real = f"{home}.{getattr(value, '__name__', '')}"
    return next((f"{full!r} {why}" for name, why in RUNS.items() if _within(real, name)), "")


def _submodule(name: str) -> object:
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError):
        return None
