"""Random numbers that follow from the seed and the epoch, so that a resumed training is the same training."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

__all__ = ["EpochSeedHandler"]


class EpochSeedHandler:
    """Seeds the order of the cases and the random transforms anew at the start of every epoch.

    With ``monai.utils.set_determinism`` alone, a training that is resumed at epoch 11 draws the random numbers of epoch
    1 again, and anything that draws one number more (a loss, a validation) changes all crops after it. With this
    handler the numbers of an epoch follow from ``(seed, epoch, rank)``: an interrupted and resumed training ends with
    the weights of an uninterrupted one, and paired trainings see the same crops.

    It seeds torch's global generator (which orders the cases and seeds the loader's workers) and the transforms of
    ``dataset``. Results still depend on ``num_workers``: each worker draws from a stream of its own.

    Args:
        dataset: the data set that the engine's loader reads.
        seed: another seed gives other numbers in every epoch.

    Example (2D and 3D alike; the handler sees no images):
        >>> from monai.data import Dataset
        >>> from monai.transforms import RandGaussianNoise
        >>> data = Dataset([torch.zeros(1, 8, 8)], RandGaussianNoise(prob=1.0))
        >>> engine, drawn = Engine(lambda engine, batch: drawn.append(float(data[0].sum()))), []
        >>> EpochSeedHandler(data, seed=0).attach(engine)
        >>> for _ in range(2):
        ...     _ = engine.run([0], max_epochs=2)
        >>> drawn[:2] == drawn[2:], drawn[0] == drawn[1]
        (True, False)
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._reseed)

    def _reseed(self, engine: Engine) -> None:
        words = np.random.SeedSequence([self.seed, engine.state.epoch, idist.get_rank()]).generate_state(2)
        torch.manual_seed(int(words[0]))
        set_rnd(self.dataset, int(words[1]))
