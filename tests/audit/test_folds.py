"""Folds: balanced, by group, and the same whenever the audit is run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monai_iel.audit.case_list import AuditEntry
from monai_iel.audit.folds import assign_folds, check_folds, keep_folds, validation_groups
from monai_iel.noisy_labels import LabelFile


def entries(groups: str) -> list[AuditEntry]:
    """A case per letter, which is its group."""
    return [
        AuditEntry(f"{group}{number}", "training", group, Path("i.png"), LabelFile(Path("l.png")), f"{group}{number}")
        for number, group in enumerate(groups)
    ]


def test_folds_are_balanced_and_do_not_depend_on_the_order() -> None:
    names = [f"case {number}" for number in range(20)]
    folds = assign_folds(dict.fromkeys(names, 1), 3)
    assert sorted(Counter(folds.values()).values()) == [6, 7, 7]
    assert assign_folds(dict.fromkeys(reversed(names), 1), 3) == folds


def test_a_large_group_is_balanced_by_small_ones() -> None:
    folds = assign_folds({"large": 10, **{str(number): 1 for number in range(20)}}, 3)
    assert sum(fold == folds["large"] for fold in folds.values()) <= 2  # 30 cases, 10 in each fold


def test_a_group_is_in_one_fold(tmp_path: Path) -> None:
    cases = entries("aabbccddee")
    folds = keep_folds(tmp_path / "folds.json", cases, 3)
    assert all(len({folds[case.case_id] for case in cases if case.group == group}) == 1 for group in "abcde")
    assert len(set(folds.values())) == 3


def test_cases_that_come_later_move_no_other_and_those_that_come_back_find_their_place(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    first = keep_folds(path, entries("abcdef"), 2)
    cases = entries("abcdefghij")
    later = keep_folds(path, cases, 2)
    assert {case_id: later[case_id] for case_id in first} == first
    assert sorted(Counter(later.values()).values()) == [5, 5]
    keep_folds(path, cases[3:], 2)
    assert keep_folds(path, cases, 2) == later


def test_a_small_share_of_whole_groups_validates() -> None:
    cases = entries("aaaabbcdefghijklmnop")
    chosen = validation_groups(cases)
    share = sum(case.group in chosen for case in cases)
    assert 2 <= share < 2 + 4  # a tenth of 20, and not one group more
    assert validation_groups(cases[::-1]) == chosen
    assert len(validation_groups(entries("ab"))) == 1


@pytest.mark.parametrize(
    ("groups", "folds", "match"),
    [
        ("a", 3, r"there is 1 case, 'a0', and no other to train a network"),
        ("ab", 2, r"found 2 cases, expected 3 or more for 2 folds; add cases"),
        ("abcd", 5, r"found 4 cases, expected 5 or more for 5 folds; give --folds 4, or add cases"),
        ("aabbbc", 5, r"found 6 cases of 3 patients or other groups, expected 5 or more groups for 5 folds"),
        ("abc", 1, r"folds is 1, expected 2 or more"),
    ],
)
def test_too_few_cases_are_refused(groups: str, folds: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_folds(entries(groups), folds)


def test_a_fold_that_would_leave_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    folds = keep_folds(path, entries("abcdefgh"), 2)
    cases = [case for case in entries("abcdefgh") if folds[case.case_id] == 0]
    with pytest.raises(ValueError, match=r"fewer than 2 groups of cases are outside of fold 1"):
        keep_folds(path, cases, 2)
