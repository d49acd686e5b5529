"""What a case looks like is a function of seed, epoch and case id, however it is read."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    Lambdad,
    OneOf,
    RandAdjustContrastd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    Transposed,
)

from monai_iel import RandBlockLabelNoised
from monai_iel.data import SeededCacheDataset, SeededSampler

SHAPE = (1, 9, 8, 7)


def cases(number: int = 5) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {"case_id": f"case {i}", "image": rng.random(SHAPE, np.float32), "label": rng.integers(0, 3, SHAPE)}
        for i in range(number)
    ]


def globally(image: torch.Tensor) -> torch.Tensor:
    return image + torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002 - as users write it


def transform() -> Compose:
    keys = ["image", "label"]
    return Compose(
        [
            Transposed(keys, (0, 3, 1, 2)),
            RandBlockLabelNoised("label", scale=2, keep=0.5, num_classes=3, shared_mask=False),
            RandCropByPosNegLabeld(keys, label_key="label", spatial_size=(4, 4, 4), pos=1, neg=1, num_samples=2),
            OneOf([RandFlipd(keys, prob=0.5), RandAdjustContrastd("image", prob=1.0)]),
            RandGaussianNoised("image", prob=0.5),
            Lambdad("image", globally),
        ]
    )


def made(data: list[Any] | None = None, **options: Any) -> SeededCacheDataset:
    settings = {"seed": 0, "progress": False, **options}
    return SeededCacheDataset(cases() if data is None else data, transform(), **settings)


def same(a: Any, b: Any) -> bool:
    return all(
        torch.equal(torch.as_tensor(x[key]), torch.as_tensor(y[key]))
        for x, y in zip(a, b, strict=True)
        for key in ("image", "label")
    )


def test_order_of_access_and_cache_do_not_matter() -> None:
    first, second, third = made(), made(cache_rate=0.0), made(cache_rate=0.5)
    backwards = {i: second[i] for i in reversed(range(5))}
    for i in range(5):
        assert same(first[i], backwards[i])
        assert same(first[i], third[i])
        assert same(first[i - 5], first[i])


def test_the_case_is_known_by_its_id_and_not_by_its_place() -> None:
    data = cases()
    assert same(made(data)[1], made(data[::-1])[3])
    nameless = [{key: case[key] for key in ("image", "label")} for case in data]
    assert same(made(nameless)[1], made(nameless)[1])
    assert not same(made(nameless)[1], made(nameless[::-1])[3])


def test_equal_images_of_two_ids_are_cropped_at_two_places() -> None:
    case = cases()[0]
    found = made([case, {**case, "case_id": "another"}])
    assert not same(found[0], found[1])


@pytest.mark.parametrize("change", [lambda d: d.set_epoch(3), lambda d: setattr(d, "seed", 1)])
def test_epoch_and_seed_change_what_is_drawn(change: Callable[[SeededCacheDataset], None]) -> None:
    first, other = made(), made()
    change(other)
    assert not any(same(first[i], other[i]) for i in range(5))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_draw_the_same_in_every_epoch(persistent: bool) -> None:
    here, there = made(), made(cache_rate=0.4)
    loader = DataLoader(there, sampler=SeededSampler(there), batch_size=2, num_workers=2, persistent_workers=persistent)
    for epoch in (1, 2):
        here.set_epoch(epoch)
        there.set_epoch(epoch)
        plain = DataLoader(here, sampler=SeededSampler(here), batch_size=2, num_workers=0)
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(plain, loader, strict=True))


def test_the_global_generators_and_the_number_of_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    data = made()
    draws = []
    for access in (False, True):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
        if access:
            data[0]
        draws.append((random.random(), np.random.rand(), float(torch.rand(1))))  # noqa: NPY002
    assert draws[0] == draws[1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_tensors_are_contiguous_for_the_random_transforms_cached_or_not() -> None:
    seen = []
    for rate in (0.0, 1.0):
        chain = [Transposed("image", (0, 3, 1, 2)), Lambdad("image", lambda x: seen.append(x.stride()) or x)]
        SeededCacheDataset(cases(1), chain, seed=0, cache_rate=rate, progress=False)[0]
    assert seen[0] == seen[1]


def test_the_order_is_another_in_every_epoch_and_needs_no_generator() -> None:
    data = SeededCacheDataset(list(range(20)), [lambda case: case], seed=0, progress=False)
    orders = []
    for epoch in (1, 2, 1):
        data.set_epoch(epoch)
        orders.append(list(SeededSampler(data)))
    assert sorted(orders[0]) == list(range(20))
    assert orders[0] == orders[2] != orders[1]


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed is None; expected a whole number"):
        made(seed=None)


def test_monais_own_data_set_would_fail_here() -> None:
    """Guards the tests above."""
    data = Dataset(cases(), transform())
    assert not same(data[0], data[0])
