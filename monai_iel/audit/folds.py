"""Which fold a case is in, now and whenever the audit is run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_iel.audit.case_list import AuditEntry
from monai_iel.data.building import write_json
from monai_iel.data.datalist import read_json
from monai_iel.data.splits import sort_by_hash

__all__ = ["assign_folds", "check_folds", "keep_folds", "validation_groups"]

_VALIDATION_SHARE = 0.1
_FEWEST = 2  # groups that a network learns from: one to train, one to validate


def assign_folds(sizes: Mapping[str, int], num_folds: int, known: Mapping[str, int] | None = None) -> dict[str, int]:
    """Distribute groups of cases over folds: the largest first, else by the hash of their names, each to the smallest.

    Groups of one size so go round the folds. What is known stays where it is, also what is not among the groups any
    more, so that it comes back to its place.

    Args:
        sizes: group -> number of its cases.
        num_folds: number of folds.
        known: group -> fold, of an earlier call.

    >>> assign_folds({"a": 1, "b": 1, "c": 1, "d": 2}, 2)
    {'d': 0, 'c': 1, 'b': 1, 'a': 0}
    >>> assign_folds({"a": 1, "e": 1}, 2, {"d": 0, "c": 1, "b": 1, "a": 0})["e"]
    1
    """
    folds = dict(known or {})
    loads = [0] * num_folds
    for group, size in sizes.items():
        if group in folds:
            loads[folds[group]] += size
    for group in sorted(sort_by_hash(set(sizes) - set(folds)), key=lambda group: -sizes[group]):
        folds[group] = loads.index(min(loads))
        loads[folds[group]] += sizes[group]
    return folds


def check_folds(entries: Sequence[AuditEntry], num_folds: int) -> None:
    """Refuse folds that leave a network without cases.

    Raises:
        ValueError: fewer than two folds, one case only, or fewer groups than folds.
    """
    if num_folds < 2:
        raise ValueError(f"folds is {num_folds}, expected 2 or more: each case is judged by networks without it")
    if len(entries) == 1:
        raise ValueError(
            f"there is 1 case, {entries[0].case_id!r}, and no other to train a network on that judges it; add cases or "
            "sections, or give the folder of predictions that you have"
        )
    groups = len({entry.group for entry in entries})
    least = max(num_folds, _FEWEST + 1)
    if groups < least:
        shared = groups < len(entries)
        of = f"{len(entries)} cases of {groups} patients or other groups" if shared else f"{groups} cases"
        mend = f"give --folds {groups}, or add cases" if groups > _FEWEST else "add cases"
        raise ValueError(
            f"found {of}, expected {least} or more {'groups ' if shared else ''}for {num_folds} folds; {mend}"
        )


def keep_folds(path: Path, entries: Sequence[AuditEntry], num_folds: int) -> dict[str, int]:
    """The fold of each case, by its id, from 0; written to ``path``, where they are found in the next run.

    Raises:
        ValueError: as `check_folds`, or the cases that are left are all in one fold but one.
    """
    check_folds(entries, num_folds)
    known = read_json(path)["folds"] if path.is_file() else {}
    folds = assign_folds(Counter(entry.group for entry in entries), num_folds, known)
    of_case = {entry.case_id: folds[entry.group] for entry in entries}
    for fold in set(of_case.values()):
        if len({entry.group for entry in entries if of_case[entry.case_id] != fold}) < _FEWEST:
            raise ValueError(
                f"{path}: fewer than {_FEWEST} groups of cases are outside of fold {fold + 1}, so there is nothing to "
                "train on; add cases, or begin in another folder"
            )
    if folds != known:
        write_json(path, {"num_folds": num_folds, "folds": folds})
    return of_case


def validation_groups(entries: Sequence[AuditEntry]) -> set[str]:
    """Groups of the cases that a network is trained with, a tenth of these at least, that it is validated on.

    By the hash of their names, from the end; one is left to train on.
    """
    sizes = Counter(entry.group for entry in entries)
    chosen: set[str] = set()
    for group in reversed(sort_by_hash(sizes)[1:]):
        if sum(sizes[one] for one in chosen) >= _VALIDATION_SHARE * len(entries):
            break
        chosen.add(group)
    return chosen
