"""Verify a bundle, offline: first what can be read, then, where it is asked for, what has to be evaluated."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monai_iel.verify.check import Check
from monai_iel.verify.configs import LEFT_OUT, WORKFLOWS
from monai_iel.verify.layout import check_files, check_keys, check_licence
from monai_iel.verify.listing import Found, check_found, is_shipped, list_found
from monai_iel.verify.network import check_network
from monai_iel.verify.schema import check_metadata
from monai_iel.verify.trial import check_workflow
from monai_iel.verify.weights import check_checksums, check_weights

__all__ = ["Verification", "verify_bundle"]


@dataclass(frozen=True)
class Verification:
    """What `verify_bundle` has seen.

    Args:
        checks: each part: passed, failed with its reasons, or not run.
        found: what the bundle would run.
        held_back: whether it was asked to be evaluated, and was not, because nobody has said to trust it.
    """

    checks: tuple[Check, ...]
    found: tuple[Found, ...]
    held_back: bool = False

    @property
    def failed(self) -> bool:
        """Whether any part has failed."""
        return any(check.state == "failed" for check in self.checks)

    @property
    def to_read(self) -> bool:
        """Whether a person should look at the configs before they are evaluated."""
        return self.held_back or any(check.state == "to read" for check in self.checks)


def verify_bundle(root: Path, *, run: bool = False, trust: bool = False) -> Verification:
    """Verify a MONAI bundle of configs.

    By default nothing of the bundle is evaluated: its files are read as data, and what it would run is listed and
    judged. With ``run`` the configs are evaluated, in this process and in a temporary copy of the bundle: the network
    against its metadata and weights, MONAI's ``check_properties``, and one iteration of training, evaluation and
    inference on phantoms. That is done only if what can be read is right, and either all that could run is this
    package's own (`is_shipped`), or ``trust`` says that a person has read it. That nothing is marked is no permission:
    what is marked is where to look first (`list_found`), not all that can do harm.

    Not for bundles whose workflows are Python classes, and no shelter from a malicious one: see `list_found`.

    Args:
        root: folder of the bundle.
        run: evaluate the configs too.
        trust: what it would run has been read, by a person who trusts it.

    Raises:
        NotADirectoryError: ``root`` is no folder.

    Example:
        >>> from monai_iel.resources import BUNDLES, bundle_root
        >>> seen = verify_bundle(bundle_root(BUNDLES[0]))
        >>> seen.failed, [check.state for check in seen.checks if check.name == "weights"]
        (False, ['passed'])
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder; give the folder of a bundle, an archive unpacked")
    found, unreadable = list_found(root)
    trust = trust or is_shipped(root, found)
    checks = [
        check_files(root),
        check_licence(root),
        check_metadata(root),
        *check_keys(root),
        check_checksums(root),
        check_weights(root),
        check_found(found, unreadable, trust),
    ]
    why_not = _why_not_run(checks, run, trust)
    if why_not:
        checks.append(Check("network, properties, iterations", not_run=why_not))
    else:
        with _copy(root) as copy, _quiet():
            checks += check_network(copy)
            checks += [check for workflow in WORKFLOWS for check in check_workflow(copy, workflow)]
    return Verification(tuple(checks), tuple(found), held_back=run and not trust)


def _why_not_run(checks: list[Check], run: bool, trust: bool) -> str:
    if not run:
        return "evaluates the configs; asked for by --run"
    if any(check.state == "failed" for check in checks):
        return "what has failed comes first"
    return "" if trust else "not this package's own: read the list above, then --run --trust"


@contextlib.contextmanager
def _copy(root: Path) -> Iterator[Path]:
    """The bundle elsewhere, so that nothing is written to it."""
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        copy = Path(folder).resolve() / root.resolve().name

        def unwanted(inside: str, names: list[str]) -> set[str]:
            return {"__pycache__", ".git", *(LEFT_OUT if Path(inside) == root else ())} & set(names)

        shutil.copytree(root, copy, ignore=unwanted, symlinks=True)
        yield copy


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars, logs and warnings of what is evaluated; and Python's path as it was."""
    path, level = sys.path[:], logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(level)
        sys.path[:] = path
