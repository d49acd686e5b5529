"""Which cases belong together, so that no network judges one of them that has learnt from another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from scipy.cluster.hierarchy import DisjointSet

from monai_iel.files import digest

__all__ = ["ImageDigests", "name_groups"]


class ImageDigests:
    """SHA-256 of image files, each read once however often and under however many names it is asked for."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str] = {}

    def __call__(self, image: Path) -> str:
        place = _place_of(image)
        if place not in self._known:
            self._known[place] = digest(image)
        return self._known[place]


def name_groups(
    case_ids: Sequence[str], patients: Sequence[str | None], images: Sequence[Path], digest_of: Callable[[Path], str]
) -> list[str]:
    """The name of each case's group: cases are together that share a patient or an image, or a third case does.

    An image is the same under another name, through a link, and as a copy. Only files of one size can be copies, and
    only these are read. A group is named by its patient, the smallest where there are several, else by its smallest id.

    Args:
        case_ids: all different.
        patients: what an entry says that it shares with others, as ``"patient 7"``; None where it says nothing.
        images: the files.
        digest_of: digest of an image.
    """
    size_of_place = {_place_of(image): image.stat().st_size for image in images}
    sizes = Counter(size_of_place.values())
    groups = DisjointSet(case_ids)
    first: dict[Hashable, str] = {}
    for case_id, patient, image in zip(case_ids, patients, images, strict=True):
        place = _place_of(image)
        shared: list[Hashable] = [("image", digest_of(image) if sizes[size_of_place[place]] > 1 else place)]
        if patient is not None:
            shared.append(("patient", patient))
        for mark in shared:
            groups.merge(first.setdefault(mark, case_id), case_id)
    patient_of = dict(zip(case_ids, patients, strict=True))
    names: dict[str, str] = {}
    for group in groups.subsets():
        named = [patient for case_id in group if (patient := patient_of[case_id]) is not None]
        names |= dict.fromkeys(group, min(named) if named else f"case {min(group)}")
    return [names[case_id] for case_id in case_ids]


def _place_of(image: Path) -> Hashable:
    """What is the same for all names of a file."""
    found = image.stat()
    return found.st_dev, found.st_ino
