from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss

from monai_iel import Grid
from monai_iel.numerics.grid import Boundary
from monai_iel.numerics.stencils import laplacian
from monai_iel.peers import SmoothnessPenaltyLoss, TotalVariationPenaltyLoss
from monai_iel.peers.smoothness import SlopePenalty

pytestmark = pytest.mark.usefixtures("one_thread")

H1, TV = SlopePenalty("h1"), SlopePenalty("tv", epsilon=1e-6)


def radius(shape: tuple[int, ...], spacing: tuple[float, ...]) -> torch.Tensor:
    """Distance in mm from the middle, in float64."""
    axes = [h * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n, h in zip(shape, spacing, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()


@pytest.mark.parametrize(("size", "spacing"), [((16, 5), (0.5, 2.0)), ((12, 4, 5), (0.7, 1.0, 2.5))], ids=["2D", "3D"])
def test_the_h1_penalty_of_a_cosine_is_its_eigenvalue_times_its_mean_square(
    size: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    n, h = size[0], spacing[0]
    for k in (1, 5, n - 1):
        wave = 0.5 + 0.4 * torch.cos(math.pi * k * (torch.arange(n, dtype=torch.float64) + 0.5) / n)
        p = wave.reshape(-1, *[1] * (len(size) - 1)).expand(1, 1, *size)
        eigenvalue = (2 - 2 * math.cos(math.pi * k / n)) / h**2
        expected = eigenvalue * float((p - 0.5).square().mean())
        assert float(H1(p.logit(), Grid(spacing))) == pytest.approx(expected, rel=1e-10)
    # For few waves that is the integral: mean |dp/dx|^2 = 0.08 (pi k / L)^2.
    fine = 0.5 + 0.4 * torch.cos(math.pi * (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)
    p = fine.reshape(1, 1, -1, 1).expand(1, 1, 1000, 3)
    assert float(H1(p.logit(), Grid((0.01, 1.0)))) == pytest.approx(0.08 * (math.pi / 10) ** 2, rel=1e-5)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_the_h1_penalty_is_the_energy_whose_gradient_flow_is_heat_diffusion(boundary: Boundary) -> None:
    """The derivative of the mean of ``|grad p|^2`` by p is -2 laplacian(p) over the number of voxels."""
    grid = Grid((1.0, 0.5, 2.0), boundary)
    p = torch.rand(1, 1, 5, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = p.logit().requires_grad_()
    (grad,) = torch.autograd.grad(H1(u, grid), u)
    torch.testing.assert_close(grad / (p * (1 - p)), -2 * laplacian(p, grid) / p.numel())


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.0)])
@pytest.mark.parametrize("width", [2.0, 4.0])
def test_total_variation_of_a_disc_is_its_perimeter_and_of_a_ball_its_area(
    spacing: tuple[float, float], width: float
) -> None:
    shape = (int(80 / spacing[0]), int(80 / spacing[1]))
    disc = (2 / width * (25 - radius(shape, spacing)))[None, None]
    area = 80.0**2
    assert float(TV(disc, Grid(spacing))) * area == pytest.approx(2 * math.pi * 25, rel=0.015)
    three = (1.0, 1.0, 1.5)
    ball = (2 / width * (11 - radius((48, 48, 32), three)))[None, None]
    squared_radius = 11**2 + (math.pi * width / 2) ** 2 / 3  # its mean over the logistic edge
    assert float(TV(ball, Grid(three))) * 48.0**3 == pytest.approx(4 * math.pi * squared_radius, rel=0.05)


def test_total_variation_counts_a_sharp_step_once_and_a_sharp_disc_by_its_staircase() -> None:
    step = torch.full((1, 1, 10, 8), -60.0, dtype=torch.float64)
    step[:, :, 4:] = 60
    assert float(TV(step, Grid((1.0, 2.0)))) * 10 == pytest.approx(1, rel=1e-4)  # per mm of the image's 10
    disc = torch.where(radius((60, 60), (1.0, 1.0)) < 20, 60.0, -60.0)[None, None]
    assert float(TV(disc, Grid())) * 3600 == pytest.approx(8 * 20, rel=1e-3)  # 4 / pi times 2 pi r


def test_blurring_a_step_lowers_the_h1_penalty_and_leaves_total_variation() -> None:
    x = torch.arange(200, dtype=torch.float64) - 99.5
    ramps = [(x / (4 * width)).reshape(1, 1, -1, 1).expand(1, 1, 200, 2) for width in (1.0, 2.0)]
    narrow, wide = (float(H1(u, Grid())) for u in ramps)
    assert wide == pytest.approx(narrow / 2, rel=0.01)
    narrow, wide = (float(TV(u, Grid())) for u in ramps)
    assert wide == pytest.approx(narrow, rel=1e-3)


@pytest.mark.parametrize("penalty", [H1, TV], ids=["H1", "TV"])
def test_flips_and_swaps_of_axes_with_their_spacing_change_nothing(penalty: SlopePenalty) -> None:
    u = torch.randn(1, 2, 5, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = penalty(u, Grid((1.0, 0.7, 2.0)))
    torch.testing.assert_close(penalty(u.flip(2, 4), Grid((1.0, 0.7, 2.0))), value)
    torch.testing.assert_close(penalty(u.permute(0, 1, 4, 2, 3), Grid((2.0, 1.0, 0.7))), value)
    assert float(penalty(u, Grid((0.5, 0.7, 2.0)))) > 1.2 * float(value)


@pytest.mark.parametrize("kind", ["h1", "tv"])
def test_flat_probabilities_cost_nothing_and_pull_nowhere(kind: Any) -> None:
    u = torch.full((1, 2, 5, 5), 3.0, requires_grad=True)
    value = SlopePenalty(kind)(u, Grid())
    value.backward()
    assert float(value) == 0
    assert u.grad is not None
    assert float(u.grad.abs().max()) == 0


def test_the_background_may_be_left_out_and_the_channels_may_be_independent() -> None:
    u = torch.randn(1, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kind in ("h1", "tv"):
        each = [SlopePenalty(kind, sigmoid=True)(u[:, c : c + 1], Grid()) for c in range(3)]
        torch.testing.assert_close(SlopePenalty(kind, sigmoid=True)(u, Grid()), sum(each) / 3)
        found = SlopePenalty(kind, sigmoid=True, include_background=False)(u, Grid())
        torch.testing.assert_close(found, (each[1] + each[2]) / 2)
        assert not torch.allclose(SlopePenalty(kind)(u, Grid()), SlopePenalty(kind, sigmoid=True)(u, Grid()))


@pytest.mark.parametrize("kind", [SmoothnessPenaltyLoss, TotalVariationPenaltyLoss])
def test_the_loss_is_the_wrapped_one_plus_weight_times_the_penalty(kind: Any) -> None:
    u = torch.randn(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 1, 12, 10), generator=torch.Generator().manual_seed(1))
    grid, plain = Grid((1.0, 2.0)), DiceCELoss(to_onehot_y=True, softmax=True)
    loss = kind(plain, weight=3, grid=grid, include_background=False)
    torch.testing.assert_close(loss(u, label), plain(u, label) + 3 * loss.penalty(u, grid))
    loss.set_strength(0.5)
    torch.testing.assert_close(loss(u, label), plain(u, label) + 1.5 * loss.penalty(u, grid))
    loss.set_strength(0)
    assert torch.equal(loss(u, label), plain(u, label))


def test_bad_settings_and_images_of_another_spacing_are_refused() -> None:
    with pytest.raises(ValueError, match="weight must be finite and not negative; got -1"):
        SmoothnessPenaltyLoss(DiceLoss(sigmoid=True), weight=-1)
    with pytest.raises(ValueError, match="epsilon must be finite and above 0; got 0"):
        TotalVariationPenaltyLoss(DiceLoss(sigmoid=True), weight=1, epsilon=0)
    with pytest.raises(ValueError, match="DiceLoss has no activation"):
        SmoothnessPenaltyLoss(DiceLoss(), weight=1)
    u = MetaTensor(torch.randn(1, 1, 8, 8), affine=torch.diag(torch.tensor([2.0, 2.0, 1.0]))[None])
    u.is_batch = True
    with pytest.raises(ValueError, match=r"voxel spacing is \(2.0, 2.0\) mm"):
        SmoothnessPenaltyLoss(DiceLoss(sigmoid=True), weight=1)(u, torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("kind", [SmoothnessPenaltyLoss, TotalVariationPenaltyLoss])
def test_the_levels_of_deep_supervision_have_larger_voxels(kind: Any) -> None:
    base = DiceCELoss(softmax=True, to_onehot_y=True)
    logits = [torch.randn(1, 2, n, n) for n in (16, 8, 4)]
    label = torch.randint(0, 2, (1, 1, 16, 16)).float()
    found = DeepSupervisionLoss(kind(base, weight=2.0, grid=Grid((1.0, 1.5))))(logits, label)
    expected = 0.0
    for level, (weight, one) in enumerate(zip((1, 0.5, 0.25), logits, strict=True)):
        own = kind(base, weight=2.0, grid=Grid((2.0**level, 1.5 * 2**level)))
        coarse = torch.nn.functional.interpolate(label, one.shape[2:], mode="nearest-exact")  # as MONAI does
        expected += weight * float(own(one, coarse))
    assert float(found) == pytest.approx(expected, rel=1e-6)
