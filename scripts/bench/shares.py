"""What a loss with a layer in it adds to a training step."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from torch import nn

from bench.measure import Machine, logits_and_label, quartiles
from bench.ways import layer_of
from monai_iel import InverseEvolutionLoss

__all__ = ["shares"]


def shares(
    steps: dict[str, int], size: int, features: Sequence[int], machine: Machine, amp: bool
) -> list[dict[str, Any]]:
    """Per evolution the quartiles of a training step and of what ``InverseEvolutionLoss`` adds to it."""
    torch.set_num_threads(machine.threads)
    training = _Training(size, features, machine, amp=amp)
    training.step(DiceCELoss(to_onehot_y=True, softmax=True))  # the network's first step, not counted
    rows = []
    for name, num_steps in steps.items():
        loss = InverseEvolutionLoss(DiceCELoss(to_onehot_y=True, softmax=True), layer_of(name, num_steps))
        times = training.times(loss)
        added, whole = zip(*times, strict=True)
        rows.append(
            {
                "name": name,
                "steps": num_steps,
                "precision": "float16 autocast" if amp else "float32",
                "repeats": len(times),
                "added_ms": quartiles(added),
                "training_step_ms": quartiles(whole),
                "share": statistics.median(added) / statistics.median(whole),
            }
        )
        print(f"share of a training step: {name} {rows[-1]['share']:.2%}", file=sys.stderr, flush=True)
    return rows


class _Training:
    """Steps of BasicUNet with Adam on one volume: one channel in, three classes out."""

    def __init__(self, size: int, features: Sequence[int], machine: Machine, *, amp: bool) -> None:
        torch.manual_seed(0)
        device = machine.device
        self.machine, self.amp = machine, amp
        self.logits, self.label = logits_and_label((1, 3, size, size, size), device)
        self.image = self.label + torch.randn(self.label.shape, device=device)
        self.network = BasicUNet(spatial_dims=3, in_channels=1, out_channels=3, features=features).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self.scaler = torch.amp.GradScaler(device, init_scale=2.0**10, enabled=amp)  # so that no step is skipped
        self.marks: dict[str, float] = {}

    def step(self, loss: nn.Module) -> None:
        """One step."""
        self.mark("step starts")()
        self.optimizer.zero_grad()
        with torch.autocast(self.machine.device, torch.float16, enabled=self.amp):
            logits = self.network(self.image)
            logits.register_hook(self.mark("gradient has passed the layer"))
            value = loss(logits, self.label)
        self.scaler.scale(value).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.mark("step ends")()

    def times(self, loss: InverseEvolutionLoss) -> list[tuple[float, float]]:
        """Seconds that the wrapper and its layer take in a step, and seconds of the step.

        Timed within the step, since the difference between two trainings is smaller than their noise: forwards all but
        the wrapped loss, backwards from the gradient of that loss to the gradient of the network's logits.
        """
        loss(self.logits, self.label).backward()  # what it keeps for a shape is made before the first counted step
        loss.register_forward_pre_hook(self.mark("loss starts"))
        loss.loss.register_forward_pre_hook(self.mark("wrapped loss starts"))
        loss.loss.register_forward_hook(self.mark("wrapped loss ends"))
        loss.register_forward_hook(self.mark("loss ends"))

        def mark_gradient(layer: nn.Module, args: Any, output: torch.Tensor) -> None:
            output.register_hook(self.mark("gradient reaches the layer"))

        loss.layer.register_forward_hook(mark_gradient)
        found = []
        for _ in range(self.machine.repeats):
            self.step(loss)
            at = self.marks
            forward = at["wrapped loss starts"] - at["loss starts"] + at["loss ends"] - at["wrapped loss ends"]
            backward = at["gradient has passed the layer"] - at["gradient reaches the layer"]
            found.append((forward + backward, at["step ends"] - at["step starts"]))
        return found

    def mark(self, name: str) -> Callable[..., None]:
        """A hook that notes the time."""

        def hook(*_: object) -> None:
            self.machine.wait()
            self.marks[name] = time.perf_counter()

        return hook
