"""Checkpoints of a training: the best network, the last network, and what a resumed training needs."""

from __future__ import annotations

import logging
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.optim import Optimizer

from monai_iel.handlers.output_folder import save_whole

__all__ = ["TrainingCheckpointHandler"]

_log = logging.getLogger(__name__)


class TrainingCheckpointHandler:
    """Saves ``checkpoint.pt``, ``model_last.pt`` and ``model.pt`` (best epoch of the validation), each written at once.

    The two model files hold the network's ``state_dict`` alone, under the names of the plain network (no ``module.``),
    so stock MONAI loads them. Where no validation has run, ``model.pt`` is the last network. ``checkpoint.pt`` holds
    all that a resumed training needs: network, optimizer, the scale of mixed precision, ``objects``, epoch, number of
    steps (what MONAI's schedules of a strength or a learning rate depend on), best metric and its epoch.
    ``checkpoint_previous.pt`` is that of the epoch before.

    A resumed training goes on at the start of the epoch behind the checkpoint. A checkpoint that is truncated, damaged
    (its checksums are compared), of another network, or would run code is named in a warning and kept as
    ``checkpoint_unusable.pt``, and the previous one is used. Data, batch size and settings are not in it: resume by the
    command that began. Those of the optimizer are, and what is stored goes on: another learning rate is named in a
    warning, another class of optimizer is refused.

    Random numbers are no part of it; they follow from the epoch, see :class:`~monai_iel.handlers.EpochSeedHandler`.

    Args:
        output_dir: folder of the files; made where it is missing.
        network: the network that is trained, wrapped for several GPUs or not.
        optimizer: its optimizer.
        evaluator: the evaluator of the validation, whose ``engine.state.metrics`` are read.
        metric: name of the metric that decides; larger is better.
        resume: go on from ``output_dir/checkpoint.pt`` where it exists. In a distributed training the first process
            reads it and tells the others.
        patience: end the training when so many epochs have brought no better validation; None: never.
        objects: further objects with ``state_dict`` and ``load_state_dict`` by name, e.g. a learning-rate scheduler;
            None stands for one that is not used.

    Raises:
        ValueError: for a ``patience`` below 1; while running, if the validation has no such metric, if there are
            checkpoints and none of them fits, or if they are of another class of optimizer.
        OSError: while running, where a file cannot be written; what was there before is still there.

    Example (2D and 3D alike; the handler sees no images):
        >>> import tempfile
        >>> net = nn.Conv3d(1, 2, 1)
        >>> trainer, folder = Engine(lambda engine, batch: None), tempfile.mkdtemp()
        >>> optimizer = torch.optim.SGD(net.parameters(), 0.1)
        >>> TrainingCheckpointHandler(folder, net, optimizer, Engine(lambda e, b: None)).attach(trainer)
        >>> _ = trainer.run([0], max_epochs=2)
        >>> sorted(p.name for p in Path(folder).iterdir())
        ['checkpoint.pt', 'checkpoint_previous.pt', 'model.pt', 'model_last.pt']
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
        patience: int | None = None,
        objects: Mapping[str, Any] | None = None,
    ) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience is {patience}; expected 1 or more epochs, or None.")
        self.output_dir = Path(output_dir)
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.metric = metric
        self.resume = resume
        self.patience = patience
        self.objects = {name: value for name, value in (objects or {}).items() if value is not None}
        self.best_metric: float | None = None
        self.best_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer, after its ``ValidationHandler`` and what steps the ``objects``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._stop_early)
        self.evaluator.add_event_handler(Events.COMPLETED, self._validated)

    def _start(self, engine: Engine) -> None:
        if not self.resume:
            return
        found = [self._restore_newest(engine) if idist.get_rank() == 0 else None]
        if idist.get_world_size() > 1:
            torch.distributed.broadcast_object_list(found)
        state = found[0]
        if state is None:
            return
        if idist.get_rank() == 0:
            self._save_models(state)  # the process may have been killed between the checkpoint and them
        else:
            self._restore(engine, state)
        self._stop_early(engine)

    def _restore_newest(self, engine: Engine) -> dict[str, Any] | None:
        newest = self.output_dir / "checkpoint.pt"
        present = [path for path in (newest, _previous(newest)) if path.exists()]
        if not present:
            _log.warning("resume is set, but there is no %s: the training starts at epoch 1", newest)
        reasons: list[str] = []
        set_rates = _learning_rates(self.optimizer.param_groups)
        for path in present:
            try:
                state = _read(path)
                self._restore(engine, state)
            except _UnusableError as error:
                reasons.append(f"{path} {error}")
                continue
            for reason in reasons:
                kept = newest.with_name("checkpoint_unusable.pt")
                _log.warning("%s; it is kept as %s, and %s is used", reason, kept.name, path.name)
                os.replace(newest, kept)
            _log.info("resumed from %s after epoch %d", path, state["epoch"])
            rates = _learning_rates(self.optimizer.param_groups)
            if rates != set_rates:
                _log.warning("the learning rate is set to %s, but that of %s goes on: %s", set_rates, path, rates)
            return state
        if reasons:
            raise ValueError(f"{'; '.join(reasons)}; delete it, or start without resume")
        return None

    def _restore(self, engine: Engine, state: Mapping[str, Any]) -> None:
        own = type(self.optimizer).__name__
        stored = state.get("optimizer_class", own)
        if stored != own:
            raise ValueError(
                f"{self.output_dir} holds a checkpoint of a training by {stored}, and the optimizer is {own}; set "
                f"{stored}, or start without resume or in another folder"
            )
        try:
            self._plain_network().load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, value in self.objects.items():
                value.load_state_dict(state["objects"][name])
            if state["scaler"] and _scaler(engine) is not None:
                _scaler(engine).load_state_dict(state["scaler"])
            self.best_metric, self.best_epoch = state["best_metric"], state["best_epoch"]
            engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise _UnusableError(f"is not a checkpoint of this network and optimizer: {error}") from error
        if self.best_metric is not None:  # what MONAI's evaluators report as the best
            self.evaluator.state.best_metric = self.best_metric
            self.evaluator.state.best_metric_epoch = self.best_epoch

    def _validated(self, engine: Engine) -> None:
        if self.metric not in engine.state.metrics:
            raise ValueError(f"the validation has no metric {self.metric!r}; it has {sorted(engine.state.metrics)}")
        value = float(engine.state.metrics[self.metric])
        if self.best_metric is None or value > self.best_metric:
            self.best_metric, self.best_epoch = value, engine.state.epoch

    def _save(self, engine: Engine) -> None:
        if idist.get_rank() != 0:
            return
        state = self._training_state(engine)
        path = self.output_dir / "checkpoint.pt"
        save_whole(state, path, previous=_previous(path))
        self._save_models(state)

    def _save_models(self, state: Mapping[str, Any]) -> None:
        if state["best_metric"] is None or state["best_epoch"] == state["epoch"]:
            save_whole(state["network"], self.output_dir / "model.pt")
        save_whole(state["network"], self.output_dir / "model_last.pt")

    def _stop_early(self, engine: Engine) -> None:
        waited = engine.state.epoch - self.best_epoch
        if self.patience is not None and self.best_metric is not None and waited >= self.patience:
            _log.info("%d epochs without a better %s than in epoch %d", waited, self.metric, self.best_epoch)
            engine.terminate()

    def _training_state(self, engine: Engine) -> dict[str, Any]:
        scaler = _scaler(engine)
        return {
            "network": self._plain_network().state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_class": type(self.optimizer).__name__,
            "objects": {name: value.state_dict() for name, value in self.objects.items()},
            "scaler": {} if scaler is None else scaler.state_dict(),
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": self.best_metric,
            "best_epoch": self.best_epoch,
        }

    def _plain_network(self) -> nn.Module:
        network = getattr(self.network, "module", self.network)
        assert isinstance(network, nn.Module)
        return network


class _UnusableError(Exception):
    """Why a checkpoint cannot be used."""


# What zipfile and torch raise on files that are cut off, damaged or no checkpoints: text that is no UTF-8, an offset
# before the file's begin, a compression that does not exist; and on a pickle whose bytes make no sense.
_DAMAGED_FILE = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError)
_DAMAGED_PICKLE = (pickle.UnpicklingError, struct.error, IndexError, KeyError, TypeError, AttributeError)


def _previous(path: Path) -> Path:
    return path.with_name("checkpoint_previous.pt")


def _scaler(engine: Engine) -> Any:
    return getattr(engine, "scaler", None)  # of MONAI's trainers, with mixed precision


def _learning_rates(groups: Iterable[Mapping[str, Any]]) -> list[float]:
    """Those that were set, before any schedule changed them."""
    return [float(group.get("initial_lr", group["lr"])) for group in groups]


def _read(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise _UnusableError(f"is damaged (checksum of {damaged!r})")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (*_DAMAGED_FILE, *_DAMAGED_PICKLE) as error:
        # Not torch's own text, which advises to load the file as code.
        raise _UnusableError(f"cannot be read ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise _UnusableError(f"holds a {type(state).__name__}, no checkpoint")
    return state
