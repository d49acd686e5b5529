"""Random numbers of a training follow from seed, epoch and case, and those of the network from seed and step."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandGaussianNoise

from monai_iel.data import SeededCacheDataset, SeededSampler
from monai_iel.handlers import EpochSeedHandler


def seen(
    first: int, last: int, *, seed: int = 0, disturb: bool = False, **loading: Any
) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    """The batches of each epoch of a training that begins with epoch ``first``, and what a network would draw."""
    transform = Compose([RandGaussianNoise(prob=1.0)])
    cases = [torch.full((1, 4, 4), float(i)) for i in range(6)]
    data = SeededCacheDataset(cases, transform, seed=seed, progress=False)
    loader = DataLoader(data, batch_size=2, sampler=SeededSampler(data), **loading)
    epochs: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    engine = Engine(lambda engine, batch: epochs[-1].append((batch.clone(), torch.rand(3))))
    EpochSeedHandler(data, seed).attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: epochs.append([]))

    @engine.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = first - 1, 3 * (first - 1)

    @engine.on(Events.EPOCH_COMPLETED)
    def validate() -> None:
        if disturb:
            torch.rand(7)

    engine.run(loader, max_epochs=last)
    return epochs


def equal(a: Any, b: Any) -> bool:
    steps = [pair for epochs in zip(a, b, strict=True) for pair in zip(*epochs, strict=True)]
    return all(torch.equal(x, y) for pair in steps for x, y in zip(*pair, strict=True))


@pytest.mark.parametrize("loading", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_a_resumed_run_draws_the_numbers_of_an_uninterrupted_one(loading: dict[str, Any]) -> None:
    assert equal(seen(1, 3)[1:], seen(2, 3, **loading))


def test_draws_between_the_epochs_change_nothing() -> None:
    assert equal(seen(1, 3), seen(1, 3, disturb=True))


def test_epochs_and_seeds_differ_in_order_and_in_noise() -> None:
    batches = [torch.cat([batch for batch, _ in epoch]) for seed in (0, 1) for epoch in seen(1, 3, seed=seed)]
    orders = {tuple(batch.mean(dim=(1, 2, 3)).round().tolist()) for batch in batches}
    assert len(orders) > 2
    # Also not the same numbers one epoch later, as with seed + epoch.
    assert not any(torch.equal(a, b) for i, a in enumerate(batches) for b in batches[:i])
    drawn = [draw for seed in (0, 1) for epoch in seen(1, 3, seed=seed) for _, draw in epoch]
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_processes_see_the_same_crops_and_their_networks_draw_numbers_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (first,) = seen(1, 1)
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    (second,) = seen(1, 1)
    for (batch, draw), (other_batch, other_draw) in zip(first, second, strict=True):
        assert torch.equal(batch, other_batch)
        assert not torch.equal(draw, other_draw)


def test_a_data_set_that_cannot_be_told_the_epoch_is_refused() -> None:
    with pytest.raises(TypeError, match=r"dataset is a CacheDataset, which cannot be told the epoch; use .*Seeded"):
        EpochSeedHandler(CacheDataset([0], [], progress=False), seed=0)
