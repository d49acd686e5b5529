"""What can be found, how bad each kind is, and a place to note it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from monai_iel.data.files import CaseError, HeaderError, MissingCaseFileError
from monai_iel.data.roots import OutsideError

__all__ = ["KINDS", "SEVERITIES", "Finding", "Notes", "Severity"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

_ERRORS = {
    "bad-entry": "an entry of the list cannot be understood",
    "outside": "a file lies in a folder that is not allowed; it was not read",
    "missing-file": "a file is not there",
    "unreadable": "a file is damaged, or of a kind that cannot be read",
    "header": "the header is such that the values would be misunderstood",
    "too-large": "a file has more voxels than this check was allowed to read",
    "missing-label": "a training or validation case has no label",
    "axes": "2D, 3D or channels do not fit to the data set",
    "colour": "a picture with transparency, or a label in colour",
    "shape-mismatch": "image and label differ in shape",
    "orientation-mismatch": "image and label have axes that run to other sides of the patient",
    "spacing-mismatch": "image and label differ in voxel size",
    "affine-mismatch": "image and label differ in place or direction",
    "not-finite": "an image holds NaN or infinite values",
    "constant-image": "an image has one value only",
    "fractional-label": "a label holds something else than whole numbers",
    "unexpected-class": "a label holds a class that is not declared",
    "label-is-image": "a label holds the values of its image",
    "duplicate-id": "two cases of a section have the same id",
    "leak": "the same case in two sections, such as training and test",
}
_WARNINGS = {
    "empty-label": "a label is background only",
    "constant-label": "a label is one class throughout",
    "absent-class": "a class is absent here and present in nearly all other cases",
    "unused-class": "a declared class is in no label",
    "roots-file": "the file beside the list allows folders outside it, or is there and not used",
    "not-searched": "so many classes, so far apart, that specks and slices passed over were not looked for",
    "islands": "tiny components apart from the structure",
    "holes": "small holes of background within the structures",
    "label-gap": "slices without a structure that is in the slices on both sides",
    "missing-slices": "constant slices within a volume",
    "repeated-slices": "slices that repeat the one before",
    "duplicate": "two cases of a section hold the same image",
    "duplicate-label": "two different images have the same label",
    "intensity-outlier": "intensities unlike those of the other cases",
    "spacing-outlier": "a voxel size unlike that of the other cases",
    "orientation-differs": "axes that run to other sides of the patient than in nearly all other cases",
    "channels-differ": "grey among colour pictures, or the reverse",
}
_INFOS = {
    "mixed": "the cases differ in something that a transform has to make equal",
    "float-label": "a label holds whole numbers, stored as floats",
    "grey-as-colour": "a colour picture whose channels are equal",
    "unlabelled": "cases of a section other than training and validation have no labels",
    "empty-section": "a section of the list is empty",
    "outside-allowed": "files in folders outside that of the list, which are allowed",
}

KINDS: Mapping[str, tuple[Severity, str]] = MappingProxyType(
    {
        **{kind: ("error", meaning) for kind, meaning in _ERRORS.items()},
        **{kind: ("warning", meaning) for kind, meaning in _WARNINGS.items()},
        **{kind: ("info", meaning) for kind, meaning in _INFOS.items()},
    }
)
"""Kind of finding -> severity and meaning.

An error breaks a training or makes its figures wrong; a warning is something that a person should look at, and that may
be right; an info is good to know.
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        kind: a key of `KINDS`.
        message: what was found, without the file's name.
        section: of the list; ``""`` where it is about all of them.
        case_id: of the case; ``""`` where it is about more than one.
        file: the path; ``""`` where it is about none.
    """

    kind: str
    message: str
    section: str = ""
    case_id: str = ""
    file: str = ""

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind][0]


@dataclass
class Notes:
    """Findings about one case, while it is looked at."""

    section: str
    case_id: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, message: str, file: str = "") -> None:
        """Note something."""
        message = message.removeprefix(f"{file}: ")
        self.findings.append(Finding(kind, message, self.section, self.case_id, file))

    @contextmanager
    def catching(self, kind: str, file: str) -> Iterator[None]:
        """Note a ``CaseError`` of the block as ``kind``, where its own class does not tell a better one."""
        kinds = {MissingCaseFileError: "missing-file", HeaderError: "header", OutsideError: "outside"}
        try:
            yield
        except CaseError as error:
            self.add(kinds.get(type(error), kind), str(error), file)
        except MemoryError:
            self.add("too-large", "does not fit into the memory that is left; take fewer workers", file)
