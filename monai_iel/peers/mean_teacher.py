"""A running average of the network, which says what the network had learnt some steps ago."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys
from torch import nn

from monai_iel.peers.early_learning import EarlyLearningRegularizationLoss

__all__ = ["MeanTeacherHandler"]


class MeanTeacherHandler:
    r"""Keeps a mean teacher and gives its logits to an :class:`~monai_iel.peers.EarlyLearningRegularizationLoss`.

    After every step :math:`\bar\theta \leftarrow \gamma_k\bar\theta + (1 - \gamma_k)\theta` with :math:`\gamma_k =
    \min(\gamma, k / (k + 1))` after k updates, so that the teacher is the mean of all networks so far while these are
    few, and not of the initial one. In every step, between the network's output and the loss, it runs the teacher,
    without dropout, on the same images by the trainer's own inferer.

    Its ``state_dict`` belongs into the checkpoints: give it to :class:`~monai_iel.handlers.TrainingCheckpointHandler`
    among the ``objects``, as ``configs/peers/elr.yaml`` does; a resumed training is then the same training. The network
    and its checkpoints and exports hold nothing of the teacher. Under several processes each has a teacher of its own,
    and all of them are alike as the networks are.

    For trainers of MONAI, which say when the output is there and when the loss is. It costs a forward pass and a copy
    of the network.

    Args:
        network: the network that is trained, wrapped for several GPUs or not.
        loss: the loss that takes the target, not one that wraps it.
        momentum: gamma; the teacher remembers about 1 / (1 - gamma) steps. The paper's 0.997 is for many more of them
            than a small data set has.
        start_epoch: epoch of the first targets, counted from 1. Before, the loss is its cross entropy: the teacher has
            to have learnt the organs first, and not yet the errors.

    Raises:
        TypeError: for another loss.
        ValueError: a momentum outside [0, 1); a ``start_epoch`` below 1.

    References:
        A. Tarvainen, H. Valpola, "Mean teachers are better role models", NeurIPS 2017, arXiv 1703.01780 (read in its
        abstract); Liu et al., arXiv 2007.00151, section 4.3 and algorithm 2, weight averaging.

    Example (2D; 3D alike):
        >>> from monai.engines import SupervisedTrainer
        >>> network, loss = nn.Conv2d(1, 2, 3, padding=1), EarlyLearningRegularizationLoss(softmax=True)
        >>> batch = {"image": torch.randn(2, 1, 8, 8), "label": torch.ones(2, 2, 8, 8) / 2}
        >>> optimizer, teacher = torch.optim.SGD(network.parameters(), 0.1), MeanTeacherHandler(network, loss)
        >>> trainer = SupervisedTrainer("cpu", 3, [batch], network, optimizer, loss, train_handlers=[teacher])
        >>> trainer.run()
        >>> teacher.updates
        3
    """

    def __init__(
        self,
        network: nn.Module,
        loss: EarlyLearningRegularizationLoss,
        *,
        momentum: float = 0.99,
        start_epoch: int = 1,
    ) -> None:
        if not isinstance(loss, EarlyLearningRegularizationLoss):
            raise TypeError(
                f"loss must be an EarlyLearningRegularizationLoss, the innermost one where losses wrap each other; got "
                f"{type(loss).__name__}"
            )
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1); got {momentum!r}")
        if start_epoch < 1:
            raise ValueError(f"start_epoch is {start_epoch}; expected 1 or more")
        self.network, self.loss = network, loss
        self.momentum, self.start_epoch = float(momentum), int(start_epoch)
        self.teacher = copy.deepcopy(self._plain_network()).requires_grad_(False).eval()
        self.updates = 0

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer of MONAI."""
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._set_target)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._clear_target)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)

    def _set_target(self, engine: Engine) -> None:
        if engine.state.epoch < self.start_epoch or self.updates == 0:
            self.loss.set_target(None)
            return
        with torch.no_grad():
            self.loss.set_target(engine.inferer(engine.state.output[CommonKeys.IMAGE], self.teacher))

    def _clear_target(self, engine: Engine) -> None:
        self.loss.clear_target()

    @torch.no_grad()
    def _update(self, engine: Engine) -> None:
        kept = min(self.momentum, self.updates / (self.updates + 1))
        of_network = self._plain_network().state_dict()
        for name, average in self.teacher.state_dict().items():  # shares the teacher's memory
            if average.is_floating_point():
                average.lerp_(of_network[name].to(average), 1 - kept)
            else:
                average.copy_(of_network[name])
        self.updates += 1

    def _plain_network(self) -> nn.Module:
        network = getattr(self.network, "module", self.network)
        assert isinstance(network, nn.Module)
        return network

    def state_dict(self) -> dict[str, Any]:
        """The teacher and how many steps it has seen."""
        return {"teacher": self.teacher.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.teacher.load_state_dict(state["teacher"])
        self.updates = int(state["updates"])
