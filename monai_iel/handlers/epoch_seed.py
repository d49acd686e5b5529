"""Random numbers that follow from the seed and the epoch, so that a resumed training is the same training."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events

__all__ = ["EpochSeedHandler"]


class EpochSeedHandler:
    """Tells the data set which epoch begins, and seeds torch's generator anew at every step.

    With ``monai.utils.set_determinism`` alone, a training that is resumed at epoch 11 draws the random numbers of epoch
    1 again, and anything that draws one number more (a loss, a validation) changes all crops after it. With this
    handler, :class:`~monai_iel.data.SeededCacheDataset` and its sampler the crops follow from (seed, epoch, case id),
    the order of the cases from (seed, epoch), and what the network draws (dropout) from (seed, step, rank). So an
    interrupted and resumed training ends with the weights of an uninterrupted one, with any number of workers, and
    paired trainings see the same crops.

    A ``DistributedSampler`` orders the cases by its own ``seed`` and the epoch, which MONAI's trainers tell it.

    Args:
        dataset: the data set that the engine's loader reads; anything with ``set_epoch``.
        seed: another seed gives other numbers in every epoch.

    Raises:
        TypeError: for a data set without ``set_epoch``, whose transforms would draw other numbers after a resume.

    Example (2D and 3D alike; the handler sees no images):
        >>> from monai.transforms import RandGaussianNoise
        >>> from monai_iel.data import SeededCacheDataset
        >>> data = SeededCacheDataset([torch.zeros(1, 8, 8)], RandGaussianNoise(prob=1.0), seed=0, progress=False)
        >>> engine, drawn = Engine(lambda engine, batch: drawn.append(float(data[0].sum()))), []
        >>> EpochSeedHandler(data, seed=0).attach(engine)
        >>> for _ in range(2):
        ...     _ = engine.run([0], max_epochs=2)
        >>> drawn[:2] == drawn[2:], drawn[0] == drawn[1]
        (True, False)
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        if not hasattr(dataset, "set_epoch"):
            raise TypeError(
                f"dataset is a {type(dataset).__name__}, which cannot be told the epoch; use "
                "monai_iel.data.SeededCacheDataset"
            )
        self.dataset = dataset
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self._start_step)

    def _start_epoch(self, engine: Engine) -> None:
        self.dataset.set_epoch(engine.state.epoch)

    def _start_step(self, engine: Engine) -> None:
        # At every step, because loaders draw from the global generator too, and not all of them at the same time.
        words = np.random.SeedSequence([self.seed, engine.state.iteration, idist.get_rank()]).generate_state(1)
        torch.manual_seed(int(words[0]))
