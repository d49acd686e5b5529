"""The regularisation, its gradient as the paper's lemma has it, and the teacher within trainers of MONAI."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from monai_iel.handlers import TrainingCheckpointHandler
from monai_iel.peers import EarlyLearningRegularizationLoss, MeanTeacherHandler

pytestmark = pytest.mark.usefixtures("one_thread")

HEAD: dict[str, Any] = {"softmax": True, "to_onehot_y": True}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(u: torch.Tensor, label: torch.Tensor, teacher: torch.Tensor | None, strength: float) -> torch.Tensor:
    """By the logits, times the number of voxels."""
    loss = EarlyLearningRegularizationLoss(strength, epsilon=1e-15, **HEAD)
    loss.set_target(teacher)
    u = u.clone().requires_grad_()
    return torch.autograd.grad(loss(u, label), u)[0] * label.numel()


def test_its_gradient_is_that_of_lemma_2() -> None:
    u, teacher = drawn(2, 4, 5, 3), drawn(2, 4, 5, 3, seed=1)
    label = torch.randint(0, 4, (2, 1, 5, 3), generator=torch.Generator().manual_seed(2))
    p, t = u.softmax(dim=1), teacher.softmax(dim=1)
    y = F.one_hot(label[:, 0], 4).movedim(-1, 1)
    inner = (p * t).sum(dim=1, keepdim=True)
    differences = t.unsqueeze(1) - t.unsqueeze(2)  # t_k - t_c at (c, k)
    g = p / (1 - inner) * (differences * p.unsqueeze(1)).sum(dim=2)
    torch.testing.assert_close(gradient(u, label, teacher, 3), p - y + 3 * g)


def voxel(p: list[float]) -> torch.Tensor:
    """Logits of one voxel, ``1 C 1 1``."""
    return torch.tensor(p, dtype=torch.float64).log()[None, :, None, None]


def test_where_the_teacher_is_sure_of_another_class_the_pull_of_a_wrong_label_is_cancelled() -> None:
    """The network has learnt class 0, the label says 1: with lambda the push away from class 0 turns round."""
    wrong, p, teacher = torch.ones(1, 1, 1, 1), voxel([0.9, 0.1]), voxel([0.97, 0.03])
    pulls = [float(gradient(p, wrong, teacher, strength)[0, 0]) for strength in (0, 1, 3)]
    assert pulls[0] == pytest.approx(0.9)  # p - y: descent lowers the logit of class 0
    assert 0 < pulls[1] < 0.5 * pulls[0]
    assert pulls[2] < 0


def test_where_the_teacher_agrees_a_right_label_keeps_pulling_after_the_cross_entropy_has_vanished() -> None:
    right, p, teacher = torch.zeros(1, 1, 1, 1), voxel([0.999, 0.001]), voxel([0.999, 0.001])
    plain, with_teacher = (float(gradient(p, right, teacher, strength)[0, 0]) for strength in (0, 3))
    assert plain == pytest.approx(-0.001)
    assert with_teacher < -1


def test_an_undecided_teacher_does_nothing() -> None:
    u, label = drawn(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    torch.testing.assert_close(gradient(u, label, torch.zeros_like(u), 3), gradient(u, label, None, 3))


def test_the_teacher_gets_no_gradient() -> None:
    u, teacher = drawn(1, 2, 4, 4).requires_grad_(), drawn(1, 2, 4, 4, seed=1).requires_grad_()
    loss = EarlyLearningRegularizationLoss(**HEAD)
    loss.set_target(teacher)
    loss(u, torch.zeros(1, 1, 4, 4)).backward()
    assert u.grad is not None
    assert teacher.grad is None


def test_without_a_target_on_purpose_it_is_the_cross_entropy() -> None:
    u, label = drawn(2, 3, 4, 4), torch.randint(0, 3, (2, 1, 4, 4))
    loss = EarlyLearningRegularizationLoss(**HEAD)
    loss.set_target(None)
    torch.testing.assert_close(loss(u, label), F.cross_entropy(u, label[:, 0]))


def test_of_two_that_agree_for_good_the_loss_ends_at_epsilon() -> None:
    u = torch.tensor([1e4, -1e4])[None, :, None, None]
    loss = EarlyLearningRegularizationLoss(2.0, epsilon=1e-3, **HEAD)
    loss.set_target(u)
    assert float(loss(u, torch.zeros(1, 1, 1, 1))) == pytest.approx(2 * math.log(1e-3))


def test_the_target_has_to_be_of_this_step_and_of_its_shape() -> None:
    u, label = drawn(1, 2, 4, 4), torch.zeros(1, 1, 4, 4)
    loss = EarlyLearningRegularizationLoss(**HEAD)
    with pytest.raises(ValueError, match=r"no target for this step: attach monai_iel.peers.MeanTeacherHandler"):
        loss(u, label)
    loss.set_target(u)
    loss(u, label)
    loss.clear_target()
    with pytest.raises(ValueError, match="no target for this step"):
        loss(u, label)
    loss.set_target(u[..., ::2])
    with pytest.raises(ValueError, match=r"the teacher's logits have the shape \(1, 2, 4, 2\), the network's"):
        loss(u, label)


# --- The teacher ------------------------------------------------------------------------------------------------------


class Training:
    """A trainer of MONAI on two small batches; the network has running statistics and dropout."""

    def __init__(self, folder: Path | None = None, *, resume: bool = False, **settings: Any) -> None:
        torch.manual_seed(0)
        parts = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 2, 1)]
        self.network, self.loss = nn.Sequential(*parts), EarlyLearningRegularizationLoss(**HEAD)
        self.teacher = MeanTeacherHandler(self.network, self.loss, **settings)
        batches = [{"image": torch.randn(2, 1, 8, 8), "label": torch.randint(0, 2, (2, 1, 8, 8))} for _ in range(2)]
        optimizer = torch.optim.Adam(self.network.parameters(), lr=0.02)
        self.trainer = SupervisedTrainer("cpu", 1, batches, self.network, optimizer, self.loss, train_handlers=[])
        self.targets: list[bool] = []
        self.seen: list[dict[str, torch.Tensor]] = []
        if folder is not None:
            objects, evaluator = {"teacher": self.teacher}, Engine(lambda engine, batch: None)
            TrainingCheckpointHandler(
                folder, self.network, optimizer, evaluator, resume=resume, objects=objects
            ).attach(self.trainer)
        self.trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda engine: torch.manual_seed(engine.state.iteration)
        )
        self.teacher.attach(self.trainer)
        self.trainer.add_event_handler(
            IterationEvents.FORWARD_COMPLETED, lambda engine: self.targets.append(self.loss._target is not None)
        )
        self.trainer.add_event_handler(
            IterationEvents.MODEL_COMPLETED,
            lambda engine: self.seen.append({n: v.clone() for n, v in self.network.state_dict().items()}),
        )

    def run(self, epochs: int) -> Training:
        self.trainer.state.max_epochs = epochs
        self.trainer.run()
        return self


def test_the_teacher_is_the_mean_of_all_networks_and_then_a_running_one() -> None:
    training = Training(momentum=0.75).run(3)
    weights = [state["0.weight"] for state in training.seen]
    expected = torch.stack(weights[:4]).mean(dim=0)  # 3 / 4 is the momentum that is reached at the fourth
    for weight in weights[4:]:
        expected = 0.75 * expected + 0.25 * weight
    teacher = training.teacher.teacher.state_dict()
    torch.testing.assert_close(teacher["0.weight"], expected)
    assert torch.equal(teacher["1.num_batches_tracked"], torch.tensor(6))
    assert not training.teacher.teacher.training
    assert not any(p.requires_grad for p in training.teacher.teacher.parameters())


def test_targets_begin_with_the_start_epoch_and_never_with_an_untrained_teacher() -> None:
    assert Training().run(2).targets == [False, True, True, True]
    assert Training(start_epoch=3).run(4).targets == [False] * 4 + [True] * 4


def test_in_every_step_the_teacher_sees_the_images_of_the_step() -> None:
    training = Training()
    found = []

    def compare(engine: Engine) -> None:
        if training.loss._target is not None:
            with torch.no_grad():
                expected = training.teacher.teacher(engine.state.batch["image"])
            found.append(torch.equal(training.loss._target, expected))

    training.trainer.add_event_handler(IterationEvents.FORWARD_COMPLETED, compare)
    training.run(2)
    assert found == [True] * 3
    with pytest.raises(ValueError, match="no target for this step"):  # it is forgotten behind each of them
        training.loss(torch.zeros(2, 2, 8, 8), torch.zeros(2, 1, 8, 8))


def test_the_teacher_changes_the_training_but_not_the_networks_file(tmp_path: Path) -> None:
    plain, taught = Training(start_epoch=9).run(2).seen[-1], Training(tmp_path).run(2).seen[-1]
    assert not torch.equal(plain["0.weight"], taught["0.weight"])
    assert list(torch.load(tmp_path / "model.pt", weights_only=True)) == list(plain)


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    straight = Training(tmp_path / "straight", momentum=0.7).run(4)
    Training(tmp_path / "resumed", momentum=0.7).run(2)
    resumed = Training(tmp_path / "resumed", momentum=0.7, resume=True).run(4)
    assert resumed.teacher.updates == straight.teacher.updates == 8
    for a, b in ((straight.network, resumed.network), (straight.teacher.teacher, resumed.teacher.teacher)):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_network_that_is_wrapped_for_several_processes_is_taken_out() -> None:
    wrapped, loss = nn.Sequential(), EarlyLearningRegularizationLoss(**HEAD)
    wrapped.module = nn.Conv2d(1, 2, 1)
    assert list(MeanTeacherHandler(wrapped, loss).teacher.state_dict()) == ["weight", "bias"]


def test_it_learns_what_most_labels_say_and_not_the_wrong_ones() -> None:
    """Pixels of which the image says the class, every fourth of them labelled wrong; each has a bias of its own."""
    label = (torch.arange(64) % 2).reshape(1, 1, 8, 8)
    wrong = (torch.arange(64) % 4 == 0).reshape(1, 1, 8, 8)

    class Network(nn.Module):
        """What a linear classifier says of the image, and what is learnt by heart."""

        def __init__(self) -> None:
            super().__init__()
            self.by_image, self.by_heart = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(1, 1, 8, 8))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logit = self.by_image * image + self.by_heart
            return torch.cat([-logit, logit], dim=1)

    def accuracy(start_epoch: int) -> float:
        network, loss = Network(), EarlyLearningRegularizationLoss(3.0, **HEAD)
        batch = {"image": 2.0 * label - 1, "label": torch.where(wrong, 1 - label, label)}
        optimizer = torch.optim.SGD([{"params": [network.by_image]}, {"params": [network.by_heart]}], lr=1.0)
        handlers = [MeanTeacherHandler(network, loss, momentum=0.9, start_epoch=start_epoch)]
        SupervisedTrainer("cpu", 400, [batch], network, optimizer, loss, train_handlers=handlers).run()
        return float((network(batch["image"]).argmax(dim=1, keepdim=True) == label).float().mean())

    assert accuracy(start_epoch=1000) == 0.75  # the cross entropy has learnt the wrong ones by heart
    assert accuracy(start_epoch=5) == 1.0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="strength must be finite and not negative; got -1"):
        EarlyLearningRegularizationLoss(-1, **HEAD)
    with pytest.raises(ValueError, match="epsilon must lie between 0 and 1; got 1"):
        EarlyLearningRegularizationLoss(epsilon=1, **HEAD)
    network, loss = nn.Conv2d(1, 2, 1), EarlyLearningRegularizationLoss(**HEAD)
    with pytest.raises(TypeError, match=r"must be an EarlyLearningRegularizationLoss, .* got DiceLoss"):
        MeanTeacherHandler(network, DiceLoss(softmax=True))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\); got 1.0"):
        MeanTeacherHandler(network, loss, momentum=1.0)
    with pytest.raises(ValueError, match="start_epoch is 0; expected 1 or more"):
        MeanTeacherHandler(network, loss, start_epoch=0)
