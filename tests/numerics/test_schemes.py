from __future__ import annotations

import pytest
import torch

from monai_iel import Grid
from monai_iel.numerics import Boundary, laplacian
from monai_iel.numerics.blocks import LocalRate
from monai_iel.numerics.schemes import Scheme, dt_for_gain, euler, euler_recomputed, gain_of


@pytest.mark.parametrize(("gain", "rate", "steps"), [(38.0, 8.0, 20), (1.5, 12.0, 1), (237.0, 0.3, 30)])
@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_the_step_for_a_gain_has_that_gain(gain: float, rate: float, steps: int, scheme: Scheme) -> None:
    assert gain_of(dt_for_gain(gain, rate, steps, scheme), rate, steps, scheme) == pytest.approx(gain, rel=1e-12)


def test_euler_is_of_first_order() -> None:
    matrix = torch.tensor([[-1.0, 0.3], [0.3, -2.0]], dtype=torch.float64)
    u = torch.tensor([1.0, -0.5], dtype=torch.float64)
    exact = torch.matrix_exp(matrix) @ u
    errors = [float((euler(u, lambda v: matrix @ v, 1 / n, n) - exact).norm()) for n in (64, 128)]
    order = torch.log2(torch.tensor(errors[0] / errors[1]))
    assert float(order) == pytest.approx(1, abs=0.1)


class Swirl(torch.nn.Module):
    """A nonlinear rate that looks one voxel away along each axis."""

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return laplacian(u.sin(), Grid((1.0, 0.5, 2.0)[: u.ndim - 2])) * u


def local(boundary: Boundary = "neumann") -> LocalRate:
    rate = Swirl()

    def vector_jacobian(u: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            return torch.autograd.grad(rate(leaf), leaf, grad)[0]

    return LocalRate(rate, vector_jacobian, 1, boundary)


def field(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 16, 25])
def test_recomputing_gives_the_same_value_and_gradient_as_the_plain_loop(num_steps: int) -> None:
    u = field(2, 2, 5, 4).requires_grad_()
    plain, lean = euler(u, Swirl(), 0.02, num_steps), euler_recomputed(u, local(), 0.02, num_steps)
    torch.testing.assert_close(lean, plain, atol=1e-14, rtol=0)
    expected, found = (torch.autograd.grad(out.square().sum(), u)[0] for out in (plain, lean))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_the_gradient_of_the_gradient_is_right() -> None:
    u = field(1, 1, 3, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda v: euler_recomputed(v, local(), 0.02, 5), (u,), raise_exception=True)


def test_what_is_kept_grows_with_the_root_of_the_number_of_steps() -> None:
    u = field(1, 1, 4, 4).requires_grad_()
    kept = {}
    for num_steps in (1, 9, 100, 400):
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=saved: (to.append(t.numel()), t)[1], lambda t: t):
            euler_recomputed(u, local(), 1e-4, num_steps)
        kept[num_steps] = sum(saved) / u.numel()
    assert kept == {1: 1, 9: 3, 100: 10, 400: 20}


def test_nothing_is_kept_without_a_gradient() -> None:
    u = field(1, 1, 4, 4).requires_grad_()
    with torch.no_grad():
        assert not euler_recomputed(u, local(), 1e-4, 9).requires_grad
    assert not euler_recomputed(u.detach(), local(), 1e-4, 9).requires_grad
