"""Random numbers of an epoch follow from seed, epoch and rank alone."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandGaussianNoise

from monai_iel.handlers import EpochSeedHandler


def seen(first: int, last: int, *, seed: int = 0, workers: int = 0, disturb: bool = False) -> list[list[torch.Tensor]]:
    """The batches of each epoch of a training that begins with epoch ``first``."""
    data = CacheDataset(
        [torch.full((1, 4, 4), float(i)) for i in range(6)], Compose([RandGaussianNoise(prob=1.0)]), progress=False
    )
    loader = DataLoader(data, batch_size=2, shuffle=True, num_workers=workers)
    epochs: list[list[torch.Tensor]] = []
    engine = Engine(lambda engine, batch: epochs[-1].append(batch.clone()))
    EpochSeedHandler(data, seed).attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: epochs.append([]))

    @engine.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        engine.state.epoch = first - 1

    @engine.on(Events.EPOCH_COMPLETED)
    def validate() -> None:
        if disturb:
            torch.rand(7)

    engine.run(loader, max_epochs=last)
    return epochs


def equal(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_draws_the_numbers_of_an_uninterrupted_one(workers: int) -> None:
    straight, resumed = seen(1, 3, workers=workers), seen(3, 3, workers=workers)
    assert equal(straight[2], resumed[0])


def test_draws_between_the_epochs_change_nothing() -> None:
    for a, b in zip(seen(1, 3), seen(1, 3, disturb=True), strict=True):
        assert equal(a, b)


def test_epochs_and_seeds_differ_in_order_and_in_noise() -> None:
    batches = [torch.cat(epoch) for seed in (0, 1) for epoch in seen(1, 3, seed=seed)]
    orders = {tuple(batch.mean(dim=(1, 2, 3)).round().tolist()) for batch in batches}
    assert len(orders) > 1
    # Also not the same numbers one epoch later, as with seed + epoch.
    assert not any(torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])


def test_processes_draw_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = seen(1, 1)
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    assert not equal(first[0], seen(1, 1)[0])
