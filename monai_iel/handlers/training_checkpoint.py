"""Checkpoints of a training: the best network, the last network, and what a resumed training needs."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import DiskSaver
from torch import nn
from torch.optim import Optimizer

__all__ = ["TrainingCheckpointHandler"]

_log = logging.getLogger(__name__)


class TrainingCheckpointHandler:
    """Saves ``model.pt`` (best epoch of the validation), ``model_last.pt`` and ``checkpoint.pt``, each written at once.

    The two model files hold the network's ``state_dict`` alone, under the names of the plain network (no ``module.``),
    so stock MONAI loads them. ``checkpoint.pt`` holds network, optimizer, epoch and best metric. Where no validation
    has run, ``model.pt`` is the last network.

    Args:
        output_dir: folder of the files; made where it is missing.
        network: the network that is trained, wrapped for several GPUs or not.
        optimizer: its optimizer.
        evaluator: the evaluator of the validation, whose ``engine.state.metrics`` are read.
        metric: name of the metric that decides; larger is better.
        resume: go on from ``output_dir/checkpoint.pt`` where it exists, at the start of the next epoch.

    Raises:
        ValueError: while running, if the validation has no such metric, or the checkpoint is damaged or of another
            network.

    Example (2D and 3D alike; the handler sees no images):
        >>> import tempfile
        >>> net = nn.Conv3d(1, 2, 1)
        >>> trainer, folder = Engine(lambda engine, batch: None), tempfile.mkdtemp()
        >>> optimizer = torch.optim.SGD(net.parameters(), 0.1)
        >>> TrainingCheckpointHandler(folder, net, optimizer, Engine(lambda e, b: None)).attach(trainer)
        >>> _ = trainer.run([0], max_epochs=2)
        >>> sorted(p.name for p in Path(folder).iterdir())
        ['checkpoint.pt', 'model.pt', 'model_last.pt']
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: nn.Module,
        optimizer: Optimizer,
        evaluator: Engine,
        *,
        metric: str = "dice",
        resume: bool = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.metric = metric
        self.resume = resume
        self.best_metric: float | None = None
        self.best_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer, after its ``ValidationHandler``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        self.evaluator.add_event_handler(Events.COMPLETED, self._validated)
        self._improved = False

    def _start(self, engine: Engine) -> None:
        path = self.output_dir / "checkpoint.pt"
        if not self.resume:
            return
        if not path.exists():
            _log.warning("resume is set, but there is no %s: the training starts at epoch 1", path)
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            # Not torch's own text, which advises to load the file as code.
            kind = type(error).__name__
            raise ValueError(f"{path} cannot be read ({kind}); delete it, or start without resume") from error
        try:
            self._plain_network().load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best_metric, self.best_epoch = state["best_metric"], state["best_epoch"]
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is not a checkpoint of this network and optimizer: {error}") from error
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * (engine.state.epoch_length or 0)
        _log.info("resumed from %s after epoch %d", path, state["epoch"])

    def _validated(self, engine: Engine) -> None:
        if self.metric not in engine.state.metrics:
            raise ValueError(f"the validation has no metric {self.metric!r}; it has {sorted(engine.state.metrics)}")
        value = float(engine.state.metrics[self.metric])
        if self.best_metric is None or value > self.best_metric:
            self.best_metric, self.best_epoch, self._improved = value, engine.state.epoch, True

    def _save(self, engine: Engine) -> None:
        if idist.get_rank() != 0:
            return
        weights = self._plain_network().state_dict()
        saver = DiskSaver(str(self.output_dir), atomic=True, require_empty=False)
        if self._improved or self.best_metric is None:
            saver(weights, "model.pt")
            self._improved = False
        saver(weights, "model_last.pt")
        saver(self._training_state(engine, weights), "checkpoint.pt")

    def _training_state(self, engine: Engine, weights: dict[str, Any]) -> dict[str, Any]:
        return {
            "network": weights,
            "optimizer": self.optimizer.state_dict(),
            "epoch": engine.state.epoch,
            "best_metric": self.best_metric,
            "best_epoch": self.best_epoch,
        }

    def _plain_network(self) -> nn.Module:
        network = getattr(self.network, "module", self.network)
        assert isinstance(network, nn.Module)
        return network
