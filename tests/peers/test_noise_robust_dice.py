from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.losses import DiceLoss

from monai_iel.peers import NoiseRobustDiceLoss

pytestmark = pytest.mark.usefixtures("one_thread")

HEAD: dict[str, Any] = {"softmax": True, "to_onehot_y": True}


def case(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 3, (2, 1, *size), generator=generator)


@pytest.mark.parametrize("size", [(6, 5), (4, 5, 3)], ids=["2D", "3D"])
@pytest.mark.parametrize("batch", [False, True])
def test_with_gamma_2_it_is_the_dice_loss_with_squares(size: tuple[int, ...], batch: bool) -> None:
    logits, label = case(*size)
    for background in (True, False):
        settings = {**HEAD, "include_background": background, "batch": batch}
        dice = DiceLoss(squared_pred=True, smooth_nr=1e-5, smooth_dr=1e-5, **settings)
        torch.testing.assert_close(NoiseRobustDiceLoss(2, **settings)(logits, label), dice(logits, label))


def test_with_gamma_1_it_is_the_absolute_error_over_the_size_of_the_class() -> None:
    logits, label = case(6, 5)
    p, g = logits.softmax(dim=1), (label == torch.arange(3)[:, None, None]).double()
    error, size = (p - g).abs().mean(dim=(2, 3)), (p.square() + g.square()).mean(dim=(2, 3))
    found = NoiseRobustDiceLoss(1, epsilon=1e-12, reduction="none", **HEAD)(logits, label)
    torch.testing.assert_close(found, error / size)


def test_the_smaller_gamma_the_less_a_surprising_voxel_pulls_beside_an_unsurprising_one() -> None:
    """Of the numerator: the derivative of ``|p - g|^gamma`` at errors of 0.9 and 0.1."""
    p = torch.tensor([0.9, 0.1], dtype=torch.float64)
    ratios = []
    for gamma in (1.0, 1.5, 2.0):
        u = p.logit()[None, None, :, None].requires_grad_()
        loss = NoiseRobustDiceLoss(gamma, epsilon=1e9, sigmoid=True)  # what is left of the denominator is a constant
        (grad,) = torch.autograd.grad(loss(u, torch.zeros(1, 1, 2, 1)), u)
        by_p = grad[0, 0, :, 0] / (p * (1 - p))
        ratios.append(float(by_p[0] / by_p[1]))
    assert ratios == pytest.approx([1, 3, 9])  # 9^(gamma - 1)


def test_a_class_that_is_absent_costs_more_than_its_whole_otherwise() -> None:
    for p, gamma in ((1e-2, 1.5), (1e-3, 1.5), (1e-2, 1.0)):
        logits = torch.full((1, 1, 50, 50), p, dtype=torch.float64).logit()
        value = NoiseRobustDiceLoss(gamma, epsilon=1e-12, sigmoid=True)(logits, torch.zeros(1, 1, 50, 50))
        assert float(value) == pytest.approx(p ** (gamma - 2), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gamma": 0.9}, r"gamma must lie in \[1, 2\]; got 0.9"),
        ({"gamma": 2.1}, r"gamma must lie in \[1, 2\]; got 2.1"),
        ({"epsilon": 0}, "epsilon must be finite and above 0; got 0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NoiseRobustDiceLoss(**settings, **HEAD)
