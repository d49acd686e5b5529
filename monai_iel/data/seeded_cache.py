"""A cached data set whose random numbers follow from the seed, the epoch and the case, and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import Compose, Randomizable, RandomizableTrait, Transform
from monai.utils import MAX_SEED
from torch.utils.data import Sampler

from monai_iel.transforms.label_noise.base import derive_generator

__all__ = ["SeededCacheDataset", "SeededSampler"]


class SeededCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` whose random transforms draw numbers that follow from (seed, epoch, case id).

    MONAI seeds the transforms once per loader or worker, so that a crop depends on how many workers there are and on
    every case that was read before. Here the random state of all ``Randomizable`` transforms of the list, those in a
    ``Compose`` or ``OneOf`` as well, is set anew at every access, so a case looks the same in an epoch whether 0 or 4
    workers read it, whether it is cached, in which order, and on which process of a distributed training. Python's,
    NumPy's and torch's global generators are set for the time of the access too, for transforms that draw from these,
    and get their states back.

    The deterministic transforms are those of ``CacheDataset``, and their result is made contiguous whether it is cached
    or not. They run on one thread of torch, as in a loader's worker, because the sums of more threads have another
    order. The epoch lies in shared memory, so that ``persistent_workers`` see it.

    A random transform that another one hides, in a ``Lambda`` or in an attribute of a class of one's own, is not
    reached: make that class ``Randomizable`` and hand ``set_random_state`` on.

    Not for ``monai.data.ThreadDataLoader``, whose thread would share the global generators with the training, and not
    for transforms that draw on a GPU.

    Args:
        data: the cases, dictionaries with a case id or anything else; one without a case id is known by its place.
        transform: as in MONAI; a list or a ``Compose``.
        seed: another seed gives other numbers in every epoch.
        case_key: where the case id stands in a case.
        cache_rate: part of the cases that is kept in memory behind the deterministic transforms, 0 to 1.
        num_workers: threads that fill the cache.
        progress: whether filling the cache draws a bar.

    Raises:
        ValueError: for a seed that is no whole number.

    Example (2D and 3D):
        >>> from monai.transforms import RandGaussianNoise
        >>> cases, noise = [torch.zeros(1, 8, 8), torch.zeros(1, 8, 8, 8)], [RandGaussianNoise(prob=1)]
        >>> first, second = (SeededCacheDataset(cases, noise, seed=0, progress=False) for _ in "ab")
        >>> third = second[1]  # what was read before does not matter
        >>> bool((first[0] == second[0]).all()), bool((first[1] == third).all())
        (True, True)
        >>> first.set_epoch(2)
        >>> bool((first[0] == second[0]).all())
        False
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Sequence[Callable[..., Any]] | Callable[..., Any],
        *,
        seed: int,
        case_key: str = "case_id",
        cache_rate: float = 1.0,
        num_workers: int | None = 1,
        progress: bool = True,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ValueError(f"seed is {seed!r}; expected a whole number.")
        self.seed = int(seed)
        self.case_key = case_key
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._states: list[np.random.RandomState] = []  # to make one takes fifty times as long as to seed it
        super().__init__(data, transform, cache_rate=cache_rate, num_workers=num_workers, progress=progress)

    @property
    def epoch(self) -> int:
        """The epoch whose numbers are drawn; 0 until it is set."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw the numbers of this epoch from now on, in the workers as well."""
        self._epoch.fill_(epoch)

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Any]:
        with _one_thread():
            return list(super()._fill_cache(indices))

    def _transform(self, index: int) -> Any:
        case = self.data[index]
        known = isinstance(case, Mapping) and self.case_key in case
        name = str(case[self.case_key]) if known else index % len(self)
        numbers = derive_generator(self.seed, self.epoch, name)
        with _one_thread(), _numbers_of(self.transform, numbers, self._states):
            if index % len(self) < self.cache_num:
                return super()._transform(index)
            # As CacheDataset does it, without keeping the item: the random transforms get the same tensors.
            item = self._load_cache_item(index)
            first = self.transform.get_index_of_first(_is_random)
            return item if first is None else self.transform(item, start=first)


class SeededSampler(Sampler[int]):
    """The cases of a `SeededCacheDataset` in an order that follows from its seed and epoch alone.

    torch's ``RandomSampler`` draws from its generator a second time when it comes to its end, which a loader without
    workers notices in the next epoch only; so the order would depend on the number of workers. For several processes
    take MONAI's ``DistributedSampler`` with ``seed``, which has an order of its own.

    Args:
        dataset: the data set, which knows the epoch.

    Example (2D and 3D alike; the sampler sees no images):
        >>> data = SeededCacheDataset(list(range(5)), [lambda case: case], seed=0, progress=False)
        >>> sampler = SeededSampler(data)
        >>> list(sampler) == list(sampler), sorted(sampler)
        (True, [0, 1, 2, 3, 4])
        >>> first = list(sampler)
        >>> data.set_epoch(1)
        >>> list(sampler) == first
        False
    """

    def __init__(self, dataset: SeededCacheDataset) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[int]:
        """The places of the cases in this epoch's order."""
        source = derive_generator(self.dataset.seed, self.dataset.epoch, ["order"])
        return iter(source.permutation(len(self)).tolist())

    def __len__(self) -> int:
        """The number of cases."""
        return len(self.dataset)


def _is_random(transform: Any) -> bool:
    return isinstance(transform, RandomizableTrait) or not isinstance(transform, Transform)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _numbers_of(transform: Compose, source: np.random.Generator, states: list[np.random.RandomState]) -> Iterator[None]:
    """All random numbers of the transforms from ``source``; the global generators keep their states.

    Each transform has a state of its own, so that how much one of them draws (a crop by the label: more for some
    labels) does not shift the numbers of the others.
    """
    parts = [part for part in transform.transforms if isinstance(part, Randomizable)]
    words = [int(word) for word in source.integers(MAX_SEED, size=4 + len(parts))]
    states.extend(np.random.RandomState() for _ in range(1 + len(parts) - len(states)))
    for state, word in zip(states, words[3:], strict=True):
        state.seed(word)
    Randomizable.set_random_state(transform, state=states[0])
    for part, state in zip(parts, states[1:], strict=True):
        part.set_random_state(state=state)
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - that of others
    with torch.random.fork_rng(devices=[]):
        random.seed(words[0])
        np.random.seed(words[1])  # noqa: NPY002
        torch.default_generator.manual_seed(words[2])
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
