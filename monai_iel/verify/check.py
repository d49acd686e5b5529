"""The outcome of one part of a verification."""

from __future__ import annotations

from dataclasses import dataclass

from monai_iel.study import root_cause

__all__ = ["EVALUATION_ERRORS", "Check", "reason"]

# What the configs of a bundle raise when they are evaluated: Python's, torch's, MONAI's. Not SystemExit and the like.
EVALUATION_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Check:
    """One part of a verification: passed, failed with its reasons, to be read by a person, or not run.

    Args:
        name: what was looked at.
        problems: what is wrong, a sentence each; empty where nothing is.
        to_read: what only a person can judge.
        not_run: why it was not looked at; empty where it was.
    """

    name: str
    problems: tuple[str, ...] = ()
    to_read: tuple[str, ...] = ()
    not_run: str = ""

    @property
    def state(self) -> str:
        """``"passed"``, ``"failed"``, ``"to read"`` or ``"not run"``."""
        if self.not_run:
            return "not run"
        if self.problems:
            return "failed"
        return "to read" if self.to_read else "passed"


def reason(error: BaseException) -> str:
    """An error in one line: the one below MONAI's, which says what went wrong."""
    cause = root_cause(error)
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"
