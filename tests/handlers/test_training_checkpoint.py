"""The checkpoints of a training, in trainings of three numbers."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_iel.handlers import TrainingCheckpointHandler

FILES = ["checkpoint.pt", "checkpoint_previous.pt", "model.pt", "model_last.pt"]


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


def test_another_optimizer_is_refused_by_name_and_nothing_is_changed(tmp_path: Path) -> None:
    Training(tmp_path, [0.5, 0.6]).run(2)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    other = Training(tmp_path, [0.5], resume=True)
    other.handler.optimizer = torch.optim.Adam(other.plain.parameters(), 1.0)
    with pytest.raises(ValueError, match=r"a training by SGD, and the optimizer is Adam; set SGD, or start without"):
        other.run(3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("scheduled", [False, True])
def test_another_learning_rate_is_named_and_the_stored_one_goes_on(
    scheduled: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def training(rate: float, **options: Any) -> Training:
        made = Training(tmp_path, [0.5], **options)
        made.optimizer.param_groups[0]["lr"] = rate
        if scheduled:
            schedule = torch.optim.lr_scheduler.StepLR(made.optimizer, step_size=1, gamma=0.5)
            made.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: schedule.step())
            made.handler.objects = {"schedule": schedule}
        return made

    training(1.0).run(1)
    training(1.0, resume=True).run(2)
    assert not [text for text in caplog.messages if "learning rate" in text]
    training(0.25, resume=True).run(3)
    (message,) = [text for text in caplog.messages if "learning rate" in text]
    path = tmp_path / "checkpoint.pt"
    assert message == f"the learning rate is set to [0.25], but that of {path} goes on: [1.0]"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """One bit of the weight itself, which torch loads without a word."""
    content = bytearray(path.read_bytes())
    value = torch.load(path, weights_only=True)["network"]["weight"].numpy().tobytes()
    content[content.index(value) + 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["network"]["weight"].numpy().tobytes() != value


def junk(path: Path) -> None:
    path.write_bytes(b"PK junk")


def senseless(path: Path) -> None:
    """A pickle whose list ends before it has begun, in an archive whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, b"\x80\x02e." if name.endswith("data.pkl") else value)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    torch.save({"network": nn.Linear(2, 2).state_dict()}, path)


def tensor(path: Path) -> None:
    torch.save(torch.ones(2), path)


def code(path: Path) -> None:
    torch.save({"network": print}, path)


DAMAGES = {
    cut: r"cannot be read \(BadZipFile\)",
    flip: r"is damaged \(checksum of 'archive/data/",
    junk: r"cannot be read \(BadZipFile\)",
    senseless: r"cannot be read \(IndexError\)",
    empty: r"cannot be read \(BadZipFile\)",
    foreign: "is not a checkpoint of this network and optimizer: .*size mismatch",
    tensor: "holds a Tensor, no checkpoint",
    code: r"cannot be read \(UnpicklingError\)",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_instead_of_an_unusable_checkpoint_the_previous_one_is_used(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Training(tmp_path / "straight", [0.1, 0.9, 0.3, 0.4]).run(4)
    Training(tmp_path / "resumed", [0.1, 0.9, 0.3]).run(3)
    damage(tmp_path / "resumed" / "checkpoint.pt")
    before = (tmp_path / "resumed" / "checkpoint.pt").read_bytes()
    Training(tmp_path / "resumed", [0.3, 0.4], resume=True).run(4)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(rf"resumed/checkpoint\.pt {DAMAGES[damage]}", warning, re.DOTALL), warning
    assert warning.endswith("it is kept as checkpoint_unusable.pt, and checkpoint_previous.pt is used")
    assert (tmp_path / "resumed" / "checkpoint_unusable.pt").read_bytes() == before
    for name in FILES:
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_any_usable_checkpoint_all_are_named_and_kept(damage: Callable[[Path], None], tmp_path: Path) -> None:
    Training(tmp_path, [0.5, 0.6]).run(2)
    for name in FILES[:2]:
        damage(tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    both = rf"checkpoint\.pt {DAMAGES[damage]}.*checkpoint_previous\.pt .*; delete it, or start without resume"
    with pytest.raises(ValueError, match=f"(?s){both}"):
        Training(tmp_path, [0.5], resume=True).run(3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_process_killed_between_the_two_renamings_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    Training(tmp_path / "straight", [0.1, 0.9]).run(2)
    Training(tmp_path / "resumed", [0.1]).run(1)
    os.replace(tmp_path / "resumed" / "checkpoint.pt", tmp_path / "resumed" / "checkpoint_previous.pt")
    Training(tmp_path / "resumed", [0.9], resume=True).run(2)
    assert weight(tmp_path / "resumed" / "model.pt") == weight(tmp_path / "straight" / "model.pt")


def test_a_process_killed_behind_the_checkpoint_writes_the_models_when_it_is_resumed(tmp_path: Path) -> None:
    Training(tmp_path, [0.1]).run(1)
    older = {name: (tmp_path / name).read_bytes() for name in ("model.pt", "model_last.pt")}
    Training(tmp_path, [0.9], resume=True).run(2)
    newer = {name: (tmp_path / name).read_bytes() for name in older}
    for name, content in older.items():
        (tmp_path / name).write_bytes(content)
    Training(tmp_path, [], resume=True).run(2)
    assert {name: (tmp_path / name).read_bytes() for name in older} == newer != older


def test_the_learning_rate_goes_on_where_it_was(tmp_path: Path) -> None:
    def rates(dice: list[float], epochs: int, **options: Any) -> list[float]:
        found: list[float] = []
        training = Training(tmp_path, dice, **options)
        schedule = torch.optim.lr_scheduler.StepLR(training.optimizer, step_size=2, gamma=0.5)
        training.handler.objects = {"schedule": schedule}
        handlers = training.trainer._event_handlers[Events.EPOCH_COMPLETED]
        handlers.insert(0, (lambda: (found.append(schedule.get_last_lr()[0]), schedule.step()), (), {}))
        training.run(epochs)
        return found

    straight = rates([0.1] * 6, 6)
    assert straight == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert rates([0.1] * 3, 3) + rates([0.1] * 3, 6, resume=True) == straight


def test_training_ends_after_epochs_without_a_better_validation(tmp_path: Path) -> None:
    dice = [0.1, 0.9, 0.3, 0.4, 0.5, 0.95]
    Training(tmp_path / "straight", dice, patience=3).run(6)
    state = torch.load(tmp_path / "straight" / "checkpoint.pt", weights_only=True)
    assert (state["epoch"], state["best_epoch"]) == (5, 2)
    Training(tmp_path / "resumed", dice[:4], patience=3).run(4)
    Training(tmp_path / "resumed", dice[4:], patience=3, resume=True).run(6)
    Training(tmp_path / "resumed", [], patience=3, resume=True).run(6)  # it has ended and takes no further step
    for name in FILES:
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


def test_a_patience_of_no_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"patience is 0; expected 1 or more epochs, or None"):
        Training(tmp_path, [], patience=0)


def test_the_scale_of_mixed_precision_is_kept(tmp_path: Path) -> None:
    first = Training(tmp_path, [0.5])
    first.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    first.run(1)
    second = Training(tmp_path, [0.5], resume=True)
    second.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    second.run(2)
    assert second.trainer.scaler.get_scale() == 64.0


def test_an_unknown_metric_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no metric 'mean_dice'; it has \['dice'\]"):
        Training(tmp_path, [0.5], metric="mean_dice").run(1)
    assert not tmp_path.joinpath("model.pt").exists()


def test_a_full_disk_is_named_and_the_old_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Training(tmp_path, [0.5, 0.6])
    first.run(1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    opened = Path.open

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            if self.tell() + len(content) > 500:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(content)

    def almost_full(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return Full(path, mode) if "w" in mode else opened(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", almost_full)
    message = r"checkpoint\.pt could not be written \(No space left on device\); what was written before is still there"
    with pytest.raises(OSError, match=rf"{message}. Make room, and go on") as caught:
        first.run(2)
    assert caught.value.errno == errno.ENOSPC
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    Training(tmp_path, [0.6], resume=True).run(2)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 2


def test_a_folder_that_vanished_or_became_a_file_is_named(tmp_path: Path) -> None:
    training = Training(tmp_path / "out", [0.5, 0.6])
    training.run(1)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        OSError, match=r"out/checkpoint\.pt could not be written \((File exists|Not a directory)\)"
    ) as caught:
        training.run(2)
    assert "still there. Mend this, and go on" in str(caught.value)


def test_what_killed_processes_have_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    left = tmp_path / f".checkpoint.pt.{socket.gethostname()}-{done.pid}.tmp"
    others = {
        f".checkpoint.pt.{socket.gethostname()}-{os.getppid()}.tmp",
        f".checkpoint.pt.elsewhere-{done.pid}.tmp",
        f".notes.pt.{socket.gethostname()}-{done.pid}.tmp",
    }
    for name in {left.name, *others}:
        (tmp_path / name).write_bytes(b"begun")
    Training(tmp_path, [0.5]).run(1)
    assert {path.name for path in tmp_path.iterdir()} == {*others, "checkpoint.pt", "model.pt", "model_last.pt"}
    assert all((tmp_path / name).read_bytes() == b"begun" for name in others)
