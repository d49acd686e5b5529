"""What the layer does alike with every evolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_iel import (
    EvolutionTerm,
    Evolve,
    Grid,
    InverseEvolution,
)


def logits(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, 3, *shape, dtype=dtype, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("scheme", ["euler", "exponential"])
def test_every_linear_evolution_meets_its_gain_and_is_undone_by_evolve(
    linear_evolution: EvolutionTerm, boundary: Any, scheme: Any
) -> None:
    """A gain is that of the fastest pattern; on a periodic grid of even size the grid holds that pattern."""
    grid, u = Grid((1.0, 0.7, 2.5), boundary), logits(8, 6, 10)
    out = InverseEvolution(linear_evolution, grid=grid, gain=38, num_steps=7, scheme=scheme)(u)
    smooth = Evolve(linear_evolution, gain=38, num_steps=7, scheme=scheme, spacing=grid.spacing, boundary=boundary)
    torch.testing.assert_close(torch.as_tensor(smooth(out[0])), u[0], atol=1e-12, rtol=0)
    axes = torch.meshgrid(*[torch.arange(n) for n in (8, 6, 10)], indexing="ij")
    board = (1 - 2 * (sum(axes) % 2)).double().expand(1, 3, 8, 6, 10)  # type: ignore[union-attr]
    periodic = Grid(grid.spacing, "periodic")
    grown = InverseEvolution(linear_evolution, grid=periodic, gain=38, num_steps=7, scheme=scheme)(board)
    torch.testing.assert_close(grown.amax(), torch.tensor(38.0, dtype=torch.float64), atol=1e-10, rtol=0)


def test_every_evolution_has_right_gradients_through_the_layer(smoothing_evolution: EvolutionTerm) -> None:
    u = logits(3, 4)[:1].requires_grad_()
    layer = InverseEvolution(smoothing_evolution, grid=Grid((1.0, 0.5)), dt=0.01, num_steps=5)
    assert torch.autograd.gradcheck(layer, (u,), raise_exception=True)
    assert torch.autograd.gradgradcheck(lambda v: layer(v).sin(), (u,), raise_exception=True)


@pytest.mark.parametrize("shape", [(160, 144), (24, 22, 20)], ids=str)
def test_any_memory_layout_gives_the_same_value_and_gradient(evolution: EvolutionTerm, shape: tuple[int, ...]) -> None:
    """Channels-last, transposed and expanded logits, and the gradients that come back for them."""
    u = logits(*shape)
    layer = InverseEvolution(evolution, grid=Grid((1.0, 0.5, 2.0)[: len(shape)]), dt=0.01, num_steps=4)
    flipped = u.transpose(2, 3).contiguous().transpose(2, 3)
    last = u.contiguous(memory_format=torch.channels_last if len(shape) == 2 else torch.channels_last_3d)
    expected = grads = None
    for v in (u, flipped, last, u[:, :1].expand(-1, 3, *[-1] * len(shape))):
        v = v.detach().requires_grad_()
        before = v.detach().clone()
        out = layer(v)
        (grad,) = torch.autograd.grad(out.square().sum(), v)
        assert torch.equal(v, before)
        if expected is None:
            expected, grads = out, grad
        elif v.stride()[1] != 0:
            torch.testing.assert_close(out, expected, atol=1e-11, rtol=1e-12)
            torch.testing.assert_close(grad, grads, atol=1e-10, rtol=1e-11)
        else:
            again = v.detach().contiguous().requires_grad_()
            torch.testing.assert_close(out, layer(again), atol=1e-11, rtol=1e-12)
            (grad_again,) = torch.autograd.grad(layer(again).square().sum(), again)
            torch.testing.assert_close(grad, grad_again, atol=1e-10, rtol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(evolution: EvolutionTerm, dtype: torch.dtype) -> None:
    """Half-precision logits come out in float32, with the value and the gradient that float32 logits have."""
    half = logits(12, 10, dtype=torch.float32).mul(20).to(dtype)
    layer = InverseEvolution(evolution, dt=0.02, num_steps=6)
    results = []
    for enabled, u in ((False, half.float()), (True, half.clone())):
        u.requires_grad_()
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            out = layer(u)
            out.square().mean().backward()
        assert out.dtype == torch.float32
        assert u.grad is not None
        results.append((out.detach(), u.grad.float()))
    torch.testing.assert_close(results[1][0], results[0][0], atol=0, rtol=0)
    torch.testing.assert_close(results[1][1], results[0][1], atol=1e-7, rtol=2 * float(torch.finfo(dtype).eps))


def test_what_a_nonlinear_evolution_keeps_grows_with_the_root_of_its_steps(nonlinear_evolution: EvolutionTerm) -> None:
    u = logits(8, 9).requires_grad_()
    kept = {}
    for num_steps in (1, 16, 100):
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=saved: (to.append(t.numel()), t)[1], lambda t: t):
            InverseEvolution(nonlinear_evolution, dt=1e-4, num_steps=num_steps)(u)
        kept[num_steps] = sum(saved) / u.numel()
    assert kept == {1: 1, 16: 4, 100: 10}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_what_the_cpu_gives(evolution: EvolutionTerm) -> None:
    u, layer = logits(24, 22, 20, dtype=torch.float32), InverseEvolution(evolution, dt=0.01, num_steps=6)
    results = []
    for device in ("cpu", "cuda"):
        v = u.to(device).requires_grad_()
        out = layer(v)
        (grad,) = torch.autograd.grad(out.square().sum(), v)
        results.append((out.detach().cpu(), grad.cpu()))
    for on_gpu, on_cpu in zip(results[1], results[0], strict=True):
        assert float((on_gpu - on_cpu).norm() / on_cpu.norm()) < 1e-5
