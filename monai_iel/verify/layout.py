"""Files that a bundle must have, its licence, and the ids that its workflows must define."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, TrainProperties
from monai.utils import BundleProperty, BundlePropertyConfig

from monai_iel.verify.check import Check
from monai_iel.verify.configs import WORKFLOWS, config_file, configs_of, leaves, read_config

__all__ = ["check_files", "check_keys", "check_licence", "workflow_type"]

_FILES = ("configs/metadata.json", "models/model.pt", "docs/README.md")
_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "docs/license.txt", "docs/LICENSE")
_PLACEHOLDER = "select a license"  # what MONAI's init_bundle leaves to be replaced


def check_files(root: Path) -> Check:
    """Metadata, weights, README and the configs of all workflows, and no link that leads out of the bundle."""
    problems = [f"{name} is missing" for name in _FILES if not (root / name).is_file()]
    names = dict.fromkeys(name for names in WORKFLOWS.values() for name in names)
    problems += [f"configs/{name}.yaml (or .json) is missing" for name in names if config_file(root, name) is None]
    return Check("files", (*problems, *_odd_files(root)))


def check_licence(root: Path) -> Check:
    """A licence file with terms in it; and terms in ``docs/data_license.txt``, where there is one."""
    found = [root / name for name in _LICENCES if (root / name).is_file()]
    if not found:
        return Check("licence", (f"there is none; expected one of {', '.join(_LICENCES)}",))
    data = root / "docs" / "data_license.txt"
    return Check("licence", tuple(_placeholders(root, [*found, *([data] if data.is_file() else [])])))


def check_keys(root: Path) -> list[Check]:
    """For each workflow: the ids that MONAI requires of it, in its configs together, and what ``run`` runs."""
    return [Check(f"keys of {name}", tuple(_missing_keys(root, name))) for name in WORKFLOWS]


def workflow_type(workflow: str) -> str:
    """MONAI's word for it. An evaluation is train.yaml with an overlay, so it has the properties of a training."""
    return "infer" if workflow == "inference" else "train"


def _odd_files(root: Path) -> Iterator[str]:
    """Links that lead out or nowhere, and what is neither file nor folder, such as a pipe."""
    top = os.path.realpath(root)
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(top):
            yield f"{name} is a link that leads out of the bundle"
        elif path.is_symlink() and not path.exists():
            yield f"{name} is a link that leads nowhere"
        elif not path.is_file() and not path.is_dir():
            yield f"{name} is neither a file nor a folder"


def _placeholders(root: Path, files: list[Path]) -> Iterator[str]:
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        if not text or text.lower().startswith(_PLACEHOLDER):
            yield f"{path.relative_to(root).as_posix()} holds no terms; write them in"


def _missing_keys(root: Path, workflow: str) -> Iterator[str]:
    try:
        for path in map(Path, configs_of(root, workflow)):
            content = read_config(path)
            if not isinstance(content, dict):
                found = "nothing" if content is None else f"a value of type {type(content).__name__}"
                yield f"configs/{path.name} holds {found}, expected a mapping of ids to what they hold"
                return
        merged = ConfigParser.load_config_files(configs_of(root, workflow))
        if any(isinstance(value, str) and value.startswith("%") for _, value in leaves(merged)):
            return  # macros put further ids in when the config is evaluated; its properties are checked then
        parser = ConfigParser(merged)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"the configs cannot be put together: {error}"
        return
    properties = InferProperties if workflow_type(workflow) == "infer" else TrainProperties
    ids = [known[BundlePropertyConfig.ID] for known in properties.values() if known[BundleProperty.REQUIRED]]
    for name in [*ids, "run"]:
        if name not in parser:
            yield f"no config defines {name!r}"
