"""The split by hash."""

from __future__ import annotations

import hashlib

import pytest

from monai_iel.data import sort_by_hash, split_by_hash

IDS = [f"case_{index:03d}" for index in range(100)]


def test_order_is_that_of_the_sha256_of_the_id() -> None:
    digests = [hashlib.sha256(case_id.encode()).hexdigest() for case_id in sort_by_hash(IDS)]
    assert digests == sorted(digests)


def test_order_of_the_input_does_not_matter() -> None:
    assert split_by_hash(IDS, training=None, validation=10, test=20) == split_by_hash(
        reversed(IDS), training=None, validation=10, test=20
    )


def test_first_training_and_last_test_cases_are_stable() -> None:
    whole = sort_by_hash(IDS)
    for validation in (0, 5, 20):
        parts = split_by_hash(IDS, training=20, validation=validation, test=60)
        assert parts["training"] == whole[:20]
        assert parts["validation"] == whole[20 : 20 + validation]
        assert parts["test"] == whole[-60:]


@pytest.mark.parametrize(
    ("amounts", "sizes"),
    [
        ((None, 0.1, 0.2), (70, 10, 20)),
        ((20, None, 60), (20, 20, 60)),
        ((0.29, 0, None), (29, 0, 71)),  # 0.29 * 100 is 28.999... in binary
        ((1.0, 0, 0), (100, 0, 0)),
        ((1, 0, 0), (1, 0, 0)),
        ((0.333, 0.333, 0.334), (34, 33, 33)),  # the three add to 1: nothing is lost
        ((10, 10, 10), (10, 10, 10)),
    ],
)
def test_counts_fractions_and_the_rest(amounts: tuple[float | None, ...], sizes: tuple[int, ...]) -> None:
    training, validation, test = amounts
    parts = split_by_hash(IDS, training=training, validation=validation, test=test)
    assert tuple(len(parts[name]) for name in ("training", "validation", "test")) == sizes
    members = [case_id for part in parts.values() for case_id in part]
    assert len(members) == len(set(members))


@pytest.mark.parametrize(
    ("ids", "amounts", "error", "message"),
    [
        ([], (None, 1, 1), ValueError, "case_ids is empty"),
        (["a", "b", "a"], (None, 1, 1), ValueError, "'a' stands twice"),
        (["a", 7], (None, 1, 1), TypeError, "7 is a int; expected text"),
        ("abc", (None, 1, 1), TypeError, "expected a list of ids"),
        (IDS, (None, None, 1), ValueError, "training and validation are both the rest"),
        (IDS, (90, 10, 1), ValueError, "make 101 cases, but there are 100"),
        (IDS, (None, 60, 60), ValueError, "validation 60, test 60 make 120 cases"),
        (IDS, (0.8, 0.2, 0.1), ValueError, "make 110 cases, but there are 100"),
        (IDS, (-1, 0, 0), ValueError, "training is -1"),
        (IDS, (None, 1.5, 0), ValueError, "a fraction lies in"),
        (IDS, (None, float("nan"), 0), ValueError, "a fraction lies in"),
        (IDS, (None, True, 0), TypeError, "validation is True"),
        (IDS, (None, "5", 0), TypeError, "validation is '5'"),
    ],
)
def test_bad_arguments_are_named(ids: list[str], amounts: tuple, error: type[Exception], message: str) -> None:
    training, validation, test = amounts
    with pytest.raises(error, match=message):
        split_by_hash(ids, training=training, validation=validation, test=test)
