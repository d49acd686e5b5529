"""What the papers of the three losses prove, in numbers that can be computed exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from monai_iel.peers import GeneralizedCrossEntropyLoss, MeanAbsoluteErrorLoss, SymmetricCrossEntropyLoss
from monai_iel.peers.segmentation_loss import VoxelwiseLoss

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = 4
HEAD: dict[str, Any] = {"softmax": True, "to_onehot_y": True}


def logits() -> torch.Tensor:
    """Of 400 voxels, from undecided to saturated."""
    drawn = torch.randn(1, CLASSES, 400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn * torch.logspace(-2, 4, 400, dtype=torch.float64)[:, None]


def labels() -> torch.Tensor:
    return torch.randint(0, CLASSES, (1, 1, 400, 1), generator=torch.Generator().manual_seed(1))


def sums(loss: VoxelwiseLoss) -> torch.Tensor:
    """For each voxel the sum over the classes of what their label would cost."""
    return loss.class_losses(loss.log_probabilities(logits())).sum(dim=1)


def gradient(loss: VoxelwiseLoss) -> torch.Tensor:
    u = logits().requires_grad_()
    return torch.autograd.grad(loss(u, labels()), u)[0]


def test_generalised_cross_entropy_goes_from_the_cross_entropy_to_half_the_absolute_error() -> None:
    cross_entropy = F.cross_entropy(logits(), labels()[:, 0])
    torch.testing.assert_close(GeneralizedCrossEntropyLoss(0, **HEAD)(logits(), labels()), cross_entropy)
    near = [GeneralizedCrossEntropyLoss(q, **HEAD)(logits(), labels()) - cross_entropy for q in (1e-9, 1e-10)]
    assert float(near[0] / near[1]) == pytest.approx(10, rel=1e-3)  # of first order in q
    moderate = logits().clamp(-5, 5).float()
    in_float32 = GeneralizedCrossEntropyLoss(1e-6, **HEAD)(moderate, labels())  # without cancellation
    torch.testing.assert_close(in_float32, F.cross_entropy(moderate, labels()[:, 0]), rtol=1e-5, atol=0)
    one_hot = F.one_hot(labels()[:, 0], CLASSES).movedim(-1, 1)
    absolute = (logits().softmax(dim=1) - one_hot).abs().sum(dim=1).mean()
    torch.testing.assert_close(GeneralizedCrossEntropyLoss(1, **HEAD)(logits(), labels()), absolute / 2)
    torch.testing.assert_close(MeanAbsoluteErrorLoss(**HEAD)(logits(), labels()), absolute)


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_generalised_cross_entropy_weighs_the_gradient_of_the_cross_entropy_by_the_labels_probability(q: float) -> None:
    p = logits().softmax(dim=1).gather(1, labels())
    expected = p**q * gradient(GeneralizedCrossEntropyLoss(0, **HEAD))
    torch.testing.assert_close(gradient(GeneralizedCrossEntropyLoss(q, **HEAD)), expected)


@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
def test_the_sum_over_the_classes_of_generalised_cross_entropy_is_bounded_on_both_sides(q: float) -> None:
    found = sums(GeneralizedCrossEntropyLoss(q, **HEAD))
    low, high = (CLASSES - CLASSES ** (1 - q)) / q, (CLASSES - 1) / q
    assert low - 1e-12 <= float(found.min())
    assert float(found.max()) <= high + 1e-12
    assert float(found.min()) == pytest.approx(low, abs=0.02)  # undecided
    assert float(found.max()) == pytest.approx(high, abs=1e-9)  # decided


def test_the_sums_of_the_absolute_error_and_of_the_reverse_cross_entropy_are_constant() -> None:
    constant = torch.ones(1, 1, 400, 1, dtype=torch.float64)
    torch.testing.assert_close(sums(MeanAbsoluteErrorLoss(**HEAD)), (2 * CLASSES - 2) * constant)
    reverse = SymmetricCrossEntropyLoss(alpha=0, log_zero=-6, **HEAD)
    torch.testing.assert_close(sums(reverse), 6 * (CLASSES - 1) * constant)
    assert float(sums(SymmetricCrossEntropyLoss(**HEAD)).std()) > 1


def test_symmetric_cross_entropy_is_the_cross_entropy_and_the_reverse_one() -> None:
    one_hot = F.one_hot(labels()[:, 0], CLASSES).movedim(-1, 1)
    reverse = (logits().softmax(dim=1) * torch.where(one_hot == 1, 0.0, 5.0)).sum(dim=1).mean()
    expected = 0.3 * F.cross_entropy(logits(), labels()[:, 0]) + 2 * reverse
    torch.testing.assert_close(SymmetricCrossEntropyLoss(0.3, 2, log_zero=-5, **HEAD)(logits(), labels()), expected)


# --- Symmetric noise --------------------------------------------------------------------------------------------------


def risks(loss: VoxelwiseLoss, noise: float) -> torch.Tensor:
    """Expected loss of every prediction of two kinds of voxels, exactly.

    The true classes of the kinds are drawn by the columns of ``truth``; a label is wrong with the probability
    ``noise``, and then each other class alike. A prediction is a probability from a grid for each kind.
    """
    grid = torch.linspace(1e-6, 1 - 1e-6, 201, dtype=torch.float64)
    costs = loss.class_losses(torch.stack([grid, 1 - grid])[None, :, None].log())[0, :, 0]  # by label, by prediction
    truth = torch.tensor([[0.9, 0.35], [0.1, 0.65]], dtype=torch.float64)  # by class, by kind
    seen = (1 - noise) * truth + noise * (1 - truth)
    return (seen.T @ costs).reshape(2, 201)


def sum_over_classes(loss: VoxelwiseLoss) -> float:
    return float(loss.class_losses(torch.tensor([0.2, 0.8], dtype=torch.float64).log()[None, :, None, None]).sum())


SYMMETRIC = [MeanAbsoluteErrorLoss(softmax=True), SymmetricCrossEntropyLoss(0, softmax=True)]


@pytest.mark.parametrize("loss", SYMMETRIC, ids=str)
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.49])
def test_under_symmetric_noise_symmetric_losses_have_the_minimum_of_clean_labels(
    loss: VoxelwiseLoss, noise: float
) -> None:
    clean, noisy = risks(loss, 0), risks(loss, noise)
    assert torch.equal(clean.argmin(dim=1), noisy.argmin(dim=1))
    # The noisy risk is (1 - eta K / (K - 1)) times the clean one plus eta / (K - 1) times the constant.
    constant = sum_over_classes(loss)
    torch.testing.assert_close(noisy, (1 - 2 * noise) * clean + noise * constant)


def test_under_symmetric_noise_the_cross_entropy_has_another_minimum_and_the_generalised_one_is_between() -> None:
    moved = []
    for q in (0, 0.5, 0.9, 1):
        loss = GeneralizedCrossEntropyLoss(q, softmax=True)
        clean, noisy = risks(loss, 0), risks(loss, 0.3)
        found = noisy.argmin(dim=1)
        # What the noise costs: the clean risk of the noisy minimum above that of the clean one.
        moved.append(float((clean.gather(1, found[:, None])[:, 0] - clean.min(dim=1).values).sum()))
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert moved[3] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("q", [0.3, 0.7])
def test_what_symmetric_noise_costs_generalised_cross_entropy_is_bounded(q: float) -> None:
    """By eta (K^(1-q) - 1) / (q (K - 1 - eta K)), and here K = 2."""
    loss = GeneralizedCrossEntropyLoss(q, softmax=True)
    for noise in (0.1, 0.3, 0.4):
        clean, noisy = risks(loss, 0), risks(loss, noise)
        cost = clean.gather(1, noisy.argmin(dim=1, keepdim=True))[:, 0] - clean.min(dim=1).values
        assert float(cost.max()) <= noise * (2 ** (1 - q) - 1) / (q * (1 - 2 * noise))
        assert float(cost.max()) > 0


# --- Means by class ---------------------------------------------------------------------------------------------------


def test_by_class_a_small_class_weighs_as_much_as_a_large_one() -> None:
    u = torch.zeros(1, 3, 10, 10, dtype=torch.float64)
    u[:, 0] = 2
    target = torch.zeros(1, 1, 10, 10)
    target[..., 0, :3] = 1  # three voxels; class 2 is absent
    p = u.softmax(dim=1)[0, :, 0, 0]
    mean = MeanAbsoluteErrorLoss(softmax=True, to_onehot_y=True)(u, target)
    by_class = MeanAbsoluteErrorLoss(softmax=True, to_onehot_y=True, classwise=True)(u, target)
    torch.testing.assert_close(mean, 2 - 2 * (0.97 * p[0] + 0.03 * p[1]))
    torch.testing.assert_close(by_class, 2 - p[0] - p[1])
    without = MeanAbsoluteErrorLoss(softmax=True, to_onehot_y=True, classwise=True, include_background=False)
    torch.testing.assert_close(without(u, target), 2 - 2 * p[1])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GeneralizedCrossEntropyLoss(1.1, **HEAD), r"q must lie in \[0, 1\]; got 1.1"),
        (lambda: GeneralizedCrossEntropyLoss(float("nan"), **HEAD), r"q must lie in \[0, 1\]; got nan"),
        (lambda: SymmetricCrossEntropyLoss(-1, **HEAD), "alpha must be finite and not negative; got -1"),
        (lambda: SymmetricCrossEntropyLoss(1, -1, **HEAD), "beta must be finite and not negative; got -1"),
        (lambda: SymmetricCrossEntropyLoss(log_zero=0, **HEAD), "log_zero must be finite and below 0; got 0"),
    ],
)
def test_bad_settings_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
