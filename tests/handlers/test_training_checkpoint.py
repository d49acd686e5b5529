"""The checkpoints of a training, in trainings of three numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_iel.handlers import TrainingCheckpointHandler

FILES = ["checkpoint.pt", "model.pt", "model_last.pt"]


class Training:
    """A trainer whose single weight is the number of steps taken, validated once an epoch by a given list of values."""

    def __init__(self, folder: Path, dice: list[float], *, wrapped: bool = False, **options: Any) -> None:
        self.plain = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.plain.weight)
        network = nn.Sequential()
        network.module = self.plain  # what DistributedDataParallel calls the network that it wraps
        self.network = network if wrapped else self.plain
        self.optimizer = torch.optim.SGD(self.plain.parameters(), lr=1.0, momentum=0.5)
        self.evaluator = Engine(lambda engine, batch: None)
        self.trainer = Engine(self._step)
        values = iter(dice)

        @self.evaluator.on(Events.COMPLETED)
        def measure(engine: Engine) -> None:
            engine.state.metrics["dice"] = next(values)

        @self.trainer.on(Events.EPOCH_COMPLETED)
        def validate(engine: Engine) -> None:
            if dice:
                self.evaluator.state.epoch = engine.state.epoch - 1
                self.evaluator.run([0], max_epochs=engine.state.epoch)

        self.handler = TrainingCheckpointHandler(folder, self.network, self.optimizer, self.evaluator, **options)
        self.handler.attach(self.trainer)

    def _step(self, engine: Engine, batch: Any) -> None:
        self.optimizer.zero_grad()
        (-self.plain.weight.sum()).backward()
        self.optimizer.step()

    def run(self, epochs: int) -> None:
        self.trainer.run([0, 0], max_epochs=epochs)


def weight(path: Path) -> float:
    return float(torch.load(path, weights_only=True)["weight"])


def test_model_is_the_best_epoch_and_model_last_the_last(tmp_path: Path) -> None:
    Training(tmp_path / "best", [0.2, 0.8]).run(2)
    Training(tmp_path / "first", [0.8, 0.2, 0.8]).run(3)
    assert sorted(path.name for path in tmp_path.joinpath("best").iterdir()) == FILES
    assert weight(tmp_path / "best" / "model.pt") == weight(tmp_path / "best" / "model_last.pt")
    state = torch.load(tmp_path / "first" / "checkpoint.pt", weights_only=True)
    assert (state["epoch"], state["best_epoch"], state["best_metric"]) == (3, 1, 0.8)  # an equal value is no better one
    once = tmp_path / "once"
    Training(once, [0.1]).run(1)
    assert weight(tmp_path / "first" / "model.pt") == weight(once / "model_last.pt")
    assert weight(tmp_path / "first" / "model_last.pt") > weight(tmp_path / "first" / "model.pt")


def test_without_a_validation_model_is_the_last_epoch(tmp_path: Path) -> None:
    Training(tmp_path, []).run(2)
    assert weight(tmp_path / "model.pt") == weight(tmp_path / "model_last.pt")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["best_metric"] is None


def test_names_are_those_of_the_plain_network(tmp_path: Path) -> None:
    Training(tmp_path, [0.5], wrapped=True).run(1)
    for name in ("model.pt", "model_last.pt"):
        assert list(torch.load(tmp_path / name, weights_only=True)) == ["weight"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path: Path, wrapped: bool) -> None:
    Training(tmp_path / "straight", [0.1, 0.9, 0.3, 0.4]).run(4)
    Training(tmp_path / "resumed", [0.1, 0.9], wrapped=wrapped).run(2)
    second = Training(tmp_path / "resumed", [0.3, 0.4], wrapped=wrapped, resume=True)
    epochs: list[tuple[int, int]] = []
    second.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: epochs.append((engine.state.epoch, engine.state.iteration))
    )
    second.run(4)
    assert epochs == [(3, 5), (3, 6), (4, 7), (4, 8)]
    for name in ("model.pt", "model_last.pt"):
        assert weight(tmp_path / "resumed" / name) == weight(tmp_path / "straight" / name), name
    a, b = (
        torch.load(tmp_path / run / "checkpoint.pt", weights_only=True)["optimizer"]["state"][0]["momentum_buffer"]
        for run in ("straight", "resumed")
    )
    assert torch.equal(a, b)


def test_without_resume_a_checkpoint_is_not_read(tmp_path: Path) -> None:
    Training(tmp_path, [0.5]).run(1)
    before = weight(tmp_path / "model_last.pt")
    Training(tmp_path, [0.5]).run(1)
    assert weight(tmp_path / "model_last.pt") == before


def test_a_complete_training_is_left_as_it_is(tmp_path: Path) -> None:
    Training(tmp_path, [0.5, 0.6]).run(2)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    Training(tmp_path, [], resume=True).run(2)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    Training(tmp_path, [0.5]).run(1)
    other = Training(tmp_path, [0.5], resume=True)
    other.handler.network = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"checkpoint.pt is not a checkpoint of this network and optimizer"):
        other.run(2)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    Training(tmp_path, [0.5]).run(1)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK junk")
    with pytest.raises(ValueError, match=r"checkpoint.pt cannot be read .*; delete it, or start without resume"):
        Training(tmp_path, [0.5], resume=True).run(2)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"network": print}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint.pt cannot be read"):
        Training(tmp_path, [0.5], resume=True).run(1)


def test_an_unknown_metric_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no metric 'mean_dice'; it has \['dice'\]"):
        Training(tmp_path, [0.5], metric="mean_dice").run(1)
    assert not tmp_path.joinpath("model.pt").exists()


def test_a_write_that_fails_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Training(tmp_path, [0.5, 0.6])
    first.run(1)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    written = torch.save

    def full_disk(content: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        written({}, file)
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        first.run(2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
