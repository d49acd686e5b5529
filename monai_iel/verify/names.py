"""Which names of Python a config may use without being looked at by a person.

Not a wall: a name that stands here can still be put to bad use. It tells a reader where to look first.
"""

from __future__ import annotations

from monai.bundle.config_item import ComponentLocator

__all__ = ["PLAIN_BUILTINS", "judge_attribute", "judge_import", "judge_name", "judge_target"]

PLAIN_BUILTINS = frozenset(
    """abs all any bool bytes dict divmod enumerate filter float frozenset hasattr int isinstance iter len list map max
    min next print range repr reversed round set slice sorted str sum tuple type zip""".split()  # noqa: SIM905
)

_LIBRARIES = ("monai", "monai_iel", "torch", "ignite", "numpy")
_PLAIN = (
    *_LIBRARIES,
    *("glob", "itertools", "math", "operator", "re", "hashlib", "json.dumps", "json.loads", "nibabel.load"),
    *("functools.partial", "functools.reduce", "pathlib.Path", "pathlib.PurePath"),
    *("logging.debug", "logging.error", "logging.getLogger", "logging.info", "logging.warning"),
    *("os.R_OK", "os.W_OK", "os.access", "os.cpu_count", "os.environ", "os.path", "os.sep", "sys.stderr", "sys.stdout"),
)
# They are judged by what is taken out of them; importing them does nothing.
_MODULES = {name.split(".")[0] for name in _PLAIN} | {"os.path"}

# In the libraries above, and yet: they run or load code, start programs, or fetch files.
_RUNS = {
    "monai.apps": "downloads, or starts programs",
    "monai.auto3dseg": "loads pickled objects",
    "monai.bundle": "runs other configs, or downloads",
    "numpy.ctypeslib": "loads libraries",
    "numpy.f2py": "runs a compiler",
    "numpy.load": "can load pickled objects",
    "torch.classes": "loads libraries",
    "torch.hub": "downloads and runs code",
    "torch.jit": "loads code",
    "torch.load": "can load pickled objects",
    "torch.multiprocessing": "starts processes",
    "torch.ops": "loads libraries",
    "torch.package": "loads code",
    "torch.save": "writes files",
    "torch.serialization": "can load pickled objects",
    "torch.utils.cpp_extension": "runs a compiler",
    "torch.utils.model_zoo": "downloads",
}
# Of whatever object or module; several are other modules that a library has imported, such as torch.os.
_RUNS_ANYWHERE = frozenset(
    """NumpyReader Popen builtins check_call check_output ctypes exec_module execl execv execve fork import_module
    importlib instantiate kill load_library load_module load_state_dict_from_url locate memmap open optional_import os
    pickle popen pydoc rmdir rmtree run_cmd runpy savetxt shutil socket spawnl spawnv subprocess symlink_to sys system
    tofile unlink urllib urlopen urlretrieve write write_bytes write_text writelines""".split()  # noqa: SIM905
)


def judge_attribute(name: str) -> str:
    """Why an attribute, of whatever object, is to be looked at; empty where it need not."""
    if name.startswith("_") and name not in ("__module__", "__name__", "__version__"):
        return f"{name!r} is internal to Python or to a library"
    return f"{name!r} can run code, or change files" if name in _RUNS_ANYWHERE else ""


def judge_import(full: str) -> str:
    """Why an import is to be looked at; empty where it need not."""
    return "" if full in _MODULES else judge_name(full)


def judge_name(full: str) -> str:
    """Why a dotted name, such as ``"os.path.join"``, is to be looked at; empty where it need not."""
    if full in _MODULES:
        return f"the module {full!r} is handed on, so that anything in it can be used"
    plain = next((name for name in _PLAIN if _within(full, name)), None)
    if plain is None:
        known = full.split(".")[0] in _MODULES
        return f"{full!r} can run code, or change files" if known else f"{full!r} is not of MONAI, torch or ignite"
    for name, why in _RUNS.items():
        if _within(full, name):
            return f"{full!r} {why}"
    inner = full.removeprefix(plain).split(".")
    return next((why for part in inner if (why := judge_attribute(part))), "")


def judge_target(target: object, locator: ComponentLocator) -> str:
    """Why a ``_target_`` is to be looked at; empty where it need not."""
    if not isinstance(target, str) or target[:1] in ("", "$", "@", "%"):
        return "what it is shows only when the config is evaluated"
    if "." in target:
        known = target.split(".")[0] in _LIBRARIES
        return judge_name(target) if known else f"{target!r} is not of MONAI, torch or ignite"
    found = locator.get_component_module_name(target)
    modules = [found] if isinstance(found, str) else found or []
    if not modules:
        return f"{target!r} is no component of MONAI; Python would look for it anywhere"
    return next((why for module in modules if (why := judge_name(f"{module}.{target}"))), "")


def _within(full: str, name: str) -> bool:
    return full == name or full.startswith(f"{name}.")
