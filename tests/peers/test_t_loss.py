from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from scipy.stats import multivariate_t
from torch import nn

from monai_iel.handlers import TrainingCheckpointHandler
from monai_iel.peers import TLoss

pytestmark = pytest.mark.usefixtures("one_thread")


def case(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(2, 3, *size, generator=generator) < 0.5).double()


@pytest.mark.parametrize("size", [(4, 3), (2, 3, 2)], ids=["2D", "3D"])
@pytest.mark.parametrize("nu", [0.5, 1.0, 30.0])
def test_it_is_the_negative_log_likelihood_of_a_multivariate_student_t(size: tuple[int, ...], nu: float) -> None:
    logits, label = case(*size)
    errors = (logits.sigmoid() - label).flatten(2)
    voxels = errors.shape[2]
    expected = -torch.as_tensor(multivariate_t.logpdf(errors.numpy(), shape=np.eye(voxels), df=nu)) / voxels
    found = TLoss(nu, sigmoid=True, reduction="none")(logits, label)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # of the parameter's precision


def test_with_many_degrees_of_freedom_it_is_the_squared_error() -> None:
    logits, label = case(5, 4)
    errors = logits.sigmoid() - label
    expected = 0.5 * math.log(2 * math.pi) + 0.5 * errors.square().mean()
    torch.testing.assert_close(TLoss(1e6, sigmoid=True)(logits, label), expected, rtol=1e-4, atol=0)


def influence(nu: float, errors: torch.Tensor) -> torch.Tensor:
    """Derivative by the probabilities of an image, times the number of voxels."""
    p = errors.double().clamp(1e-6, 1 - 1e-6)[None, None]
    u = p.logit().requires_grad_()
    (grad,) = torch.autograd.grad(TLoss(nu, sigmoid=True)(u, torch.zeros_like(u)), u)
    return (grad / (p * (1 - p)))[0, 0] * errors.numel()


@pytest.mark.parametrize("nu", [0.04, 0.25, 1e8])
def test_the_influence_of_a_single_voxel_is_bounded_and_falls_off(nu: float) -> None:
    """For one voxel ``(nu + 1) e / (nu + e^2)``: largest at sqrt(nu), there ``(nu + 1) / (2 sqrt(nu))``."""
    errors = torch.linspace(0.01, 0.99, 99)
    found = torch.stack([influence(nu, e.reshape(1, 1)) for e in errors]).flatten()
    torch.testing.assert_close(found, (nu + 1) * errors.double() / (nu + errors.double() ** 2), rtol=1e-5, atol=0)
    if nu > 1:  # the squared error pulls without bound
        torch.testing.assert_close(found, errors.double(), rtol=1e-5, atol=0)
    else:
        assert float(errors[found.argmax()]) == pytest.approx(math.sqrt(nu), abs=0.01)
        assert float(found.max()) == pytest.approx((nu + 1) / (2 * math.sqrt(nu)), rel=1e-3)
        assert bool((found[int(found.argmax()) :].diff() < 0).all())


def test_within_an_image_it_pulls_as_the_squared_error_and_an_image_that_is_off_pulls_less() -> None:
    generator = torch.Generator().manual_seed(0)
    right, off = (scale * torch.rand(6, 5, generator=generator) for scale in (0.1, 1.0))
    for nu in (0.5, 2.0):
        for errors in (right, off):
            weight = (nu + 30) / (nu + float(errors.double().square().sum()))
            torch.testing.assert_close(influence(nu, errors), weight * errors.double(), rtol=1e-5, atol=1e-12)
            assert 1 <= weight <= 1 + 30 / nu


def test_its_degrees_of_freedom_are_learnt_to_fit_the_errors() -> None:
    """Images whose errors are a Student-t's: the estimate finds its degrees of freedom."""
    generator = torch.Generator().manual_seed(0)
    count, size, nu = 4000, 4, 3.0
    chi = torch.distributions.Chi2(nu)
    torch.manual_seed(0)
    errors = torch.randn(count, 1, size, 1, generator=generator, dtype=torch.float64)
    errors = errors / (chi.sample((count, 1, 1, 1)).double() / nu).sqrt()
    loss = TLoss(1.0, sigmoid=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss(torch.zeros_like(errors), 0.5 - errors).backward()  # soft labels without a bound
        optimizer.step()
    assert loss.nu == pytest.approx(nu, rel=0.1)


def test_a_large_volume_keeps_its_digits() -> None:
    u = torch.zeros(1, 1, 64, 64, 48)
    loss = TLoss(sigmoid=True)
    value = loss(u, torch.ones_like(u))
    (grad,) = torch.autograd.grad(value, loss.log_nu)
    size, squares = u.numel(), u.numel() / 4
    expected = math.lgamma(0.5) - math.lgamma((1 + size) / 2) + size / 2 * math.log(math.pi)
    expected = (expected + (1 + size) / 2 * math.log1p(squares)) / size
    assert float(value) == pytest.approx(expected, rel=1e-6)
    assert math.isfinite(float(grad))
    assert float(grad) != 0


class Training:
    """Steps on one image, with what the overlay sets up: one optimizer for both, the loss among the objects."""

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        torch.manual_seed(0)
        network, self.loss = nn.Conv2d(1, 2, 3, padding=1), TLoss(softmax=True, to_onehot_y=True)
        image, label = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8))
        optimizer = torch.optim.Adam([*network.parameters(), *self.loss.parameters()], lr=0.05)

        def step(engine: Engine, batch: Any) -> None:
            optimizer.zero_grad()
            self.loss(network(image), label).backward()
            optimizer.step()

        self.trainer = Engine(step)
        objects = {"loss": self.loss}
        evaluator = Engine(lambda engine, batch: None)
        TrainingCheckpointHandler(folder, network, optimizer, evaluator, resume=resume, objects=objects).attach(
            self.trainer
        )

    def run(self, epochs: int) -> float:
        self.trainer.run([0], max_epochs=epochs)
        return self.loss.nu


def test_a_resumed_training_goes_on_with_its_degrees_of_freedom(tmp_path: Path) -> None:
    straight = Training(tmp_path / "straight").run(4)
    half = Training(tmp_path / "resumed").run(2)
    assert Training(tmp_path / "resumed", resume=True).run(4) == straight
    assert len({1.0, half, straight}) == 3
    models = [torch.load(tmp_path / run / "model.pt", weights_only=True) for run in ("straight", "resumed")]
    assert list(models[0]) == ["weight", "bias"]  # of the network alone
    assert all(torch.equal(a, b) for a, b in zip(*(model.values() for model in models), strict=True))


def test_its_gradient_is_averaged_over_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, u, label = TLoss(sigmoid=True), *(tensor[:, :1] for tensor in case(4, 4))
    (own,) = torch.autograd.grad(loss(u, label), loss.log_nu)

    def others(grad: torch.Tensor) -> None:
        grad += 3.0

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    monkeypatch.setattr(torch.distributed, "all_reduce", others)
    (mean,) = torch.autograd.grad(loss(u, label), loss.log_nu)
    torch.testing.assert_close(mean, (own + 3) / 4)


PROGRAM = """
import torch
from monai_iel.peers import TLoss

def main(rank):
    loss = TLoss(sigmoid=True)
    u, y = torch.zeros(2, 1, 4, 4), torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    loss(u[rank : rank + 1], y[rank : rank + 1]).backward()
    print(f"{float(loss.log_nu.grad)}\\n", end="", flush=True)  # in one piece, as both processes print
"""


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(in_two_processes: Callable[[str], str]) -> None:
    loss = TLoss(sigmoid=True)
    label = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    loss(torch.zeros(2, 1, 4, 4), label).backward()
    assert loss.log_nu.grad is not None
    found = [float(line) for line in in_two_processes(PROGRAM).split()]
    assert found == pytest.approx([float(loss.log_nu.grad)] * 2, rel=1e-5)


def test_a_nu_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="nu must be finite and above 0; got 0"):
        TLoss(0, softmax=True)
