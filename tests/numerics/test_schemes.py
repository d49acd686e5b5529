from __future__ import annotations

import pytest
import torch

from monai_iel.numerics.schemes import dt_for_gain, euler, euler_recomputed, gain_of


@pytest.mark.parametrize(("gain", "rate", "steps"), [(38.0, 8.0, 20), (1.5, 12.0, 1), (237.0, 0.3, 30)])
def test_the_step_for_a_gain_has_that_gain(gain: float, rate: float, steps: int) -> None:
    assert gain_of(dt_for_gain(gain, rate, steps), rate, steps) == pytest.approx(gain, rel=1e-12)


def test_euler_is_of_first_order() -> None:
    matrix = torch.tensor([[-1.0, 0.3], [0.3, -2.0]], dtype=torch.float64)
    u = torch.tensor([1.0, -0.5], dtype=torch.float64)
    exact = torch.matrix_exp(matrix) @ u
    errors = [float((euler(u, lambda v: matrix @ v, 1 / n, n) - exact).norm()) for n in (64, 128)]
    order = torch.log2(torch.tensor(errors[0] / errors[1]))
    assert float(order) == pytest.approx(1, abs=0.1)


def test_recomputing_gives_the_same_value_and_gradient_and_keeps_less() -> None:
    def rate(v: torch.Tensor) -> torch.Tensor:
        return torch.sin(v) * v

    u = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    kept: dict[str, int] = {}
    grads = {}
    for name, scheme in (("plain", euler), ("recomputed", euler_recomputed)):
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, saved=saved: (saved.append(t.numel()), t)[1], lambda t: t
        ):
            out = scheme(u, rate, 0.05, 25)
        kept[name] = sum(saved)
        (grads[name],) = torch.autograd.grad(out.sum(), u)
    torch.testing.assert_close(grads["recomputed"], grads["plain"], atol=1e-15, rtol=0)
    assert kept["recomputed"] < kept["plain"] / 5
