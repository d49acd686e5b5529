from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss
from torch import nn

from monai_iel import Grid
from monai_iel.peers import QuasiConcavityLoss
from monai_iel.peers.penalties import QuasiConcavityPenalty

pytestmark = pytest.mark.usefixtures("one_thread")

SOFTMAX = DiceCELoss(to_onehot_y=True, softmax=True)


def radius(shape: tuple[int, ...], spacing: Any = 1.0) -> torch.Tensor:
    """Distance in mm from the middle, in float64."""
    sizes = Grid(spacing).spacings(len(shape))
    axes = [h * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n, h in zip(shape, sizes, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0).sqrt()


def ball(shape: tuple[int, ...], r: float, spacing: Any = 1.0) -> torch.Tensor:
    """Logits ``1 1 ...``: the signed distance to a disc or ball, cut off at 6 before it meets the border."""
    return (r - radius(shape, spacing)).clamp(-6, 6)[None, None]


def bitten(shape: tuple[int, ...], r: float, bite: float) -> torch.Tensor:
    """The same with a ball of radius ``bite`` taken off its first side."""
    shift = int(r)
    hole = torch.roll(radius(shape), -shift, dims=0)
    hole[-shift:] = 1e3  # what rolled around
    return torch.minimum(ball(shape, r), (hole - bite).clamp(-6, 6)[None, None])


DISC, BITTEN = ball((64, 64), 18), bitten((64, 64), 18, 9)
BALL, BITTEN_BALL = ball((36, 36, 36), 9), bitten((36, 36, 36), 9, 5)


@pytest.mark.parametrize("settings", [{}, {"form": "published"}, {"blur_mm": 1.0}], ids=str)
@pytest.mark.parametrize(("convex", "concave"), [(DISC, BITTEN), (BALL, BITTEN_BALL)], ids=["2D", "3D"])
def test_a_ball_costs_next_to_nothing_and_a_bite_does(
    convex: torch.Tensor, concave: torch.Tensor, settings: dict[str, Any]
) -> None:
    penalty = QuasiConcavityPenalty(**settings)
    assert float(penalty(convex, Grid())) < 1e-3 * float(penalty(concave, Grid()))


@pytest.mark.parametrize("stretch", [1.0, 2.0])
def test_a_saddle_costs_what_its_formula_says(stretch: float) -> None:
    """Of p = sigmoid(xy) the derivative along the level sets is -2 xy p' / (x^2 + y^2): positive where xy < 0."""
    h = 0.05
    x = h * (torch.arange(40, dtype=torch.float64) - 19.5)
    y = stretch * x[:30]
    u = (x[:, None] * y)[None, None]
    slope = u.sigmoid() * (1 - u.sigmoid())
    squares = x[:, None].square() + y.square()
    inside = (..., slice(1, -1), slice(1, -1))  # the border has no flux, unlike the formula
    expected = (-2 * u * slope / squares).relu() * h**2  # per squared edge of the finest voxel
    grid = Grid((h, stretch * h))
    value = QuasiConcavityPenalty(blur_mm=0, epsilon=1e-9).violations(u, grid)
    torch.testing.assert_close(value[inside], expected[inside], atol=0.01 * float(expected.max()), rtol=0)
    expected = (slope * squares.sqrt() * h) ** 3 * expected
    value = QuasiConcavityPenalty(form="published", blur_mm=0, epsilon=1e-9).violations(u, grid)
    torch.testing.assert_close(value[inside], expected[inside], atol=0.01 * float(expected.max()), rtol=0)


def test_of_a_saddle_in_3d_the_larger_derivative_counts() -> None:
    """The field z + (a x^2 + b y^2) / 2 has a and b along its level set at the origin, whatever the third axis is."""
    x = 0.02 * (torch.arange(5, dtype=torch.float64) - 2)
    for a, b in ((0.6, -0.9), (-0.6, 0.9), (0.3, 0.8), (-0.3, -0.8)):
        u = (x[:, None, None] + 0.5 * (a * x[:, None].square() + b * x.square()))[None, None]
        for axes in ((0, 1, 2, 3, 4), (0, 1, 3, 4, 2)):
            value = QuasiConcavityPenalty(blur_mm=0, epsilon=1e-9).violations(u.permute(axes), Grid(0.02))
            # The slope of a sigmoid at 0 is 1/4; lengths are in edges of voxels.
            expected = max(a, b, 0) / 4 * 0.02**2
            assert float(value[0, 0, 2, 2, 2]) == pytest.approx(expected, rel=1e-2, abs=1e-9)


def test_a_margin_penalises_slopes_of_convex_shapes_too() -> None:
    plain, strict = QuasiConcavityPenalty(form="published"), QuasiConcavityPenalty(form="published", margin=1e-2)
    slope = strict.violations(DISC, Grid()) / 1e-2
    assert float(plain(DISC, Grid())) < 1e-9
    assert 0.02 < float(slope.max()) < 0.3  # about that of a step blurred by two voxels, 1 / (2 sqrt(2 pi)) = 0.2


def test_the_penalty_has_no_unit_but_sees_anisotropy() -> None:
    penalty = QuasiConcavityPenalty()
    value = float(penalty(BITTEN, Grid()))
    assert float(penalty(BITTEN, Grid(0.1))) == pytest.approx(value, rel=1e-9)
    stretched = ball((64, 32), 18, (1.0, 2.0))  # an ellipse of voxels, a disc in mm
    assert float(penalty(stretched, Grid((1.0, 2.0)))) < 1e-3 * value
    assert float(penalty(BITTEN, Grid((1.0, 2.0)))) != pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("form", ["tangential", "published"])
@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_an_extruded_image_costs_what_its_slice_does(form: Any, spacing: float) -> None:
    penalty = QuasiConcavityPenalty(form=form)
    extruded = BITTEN[..., None].expand(-1, -1, -1, -1, 5)
    expected = float(penalty(BITTEN, Grid()))
    assert float(penalty(extruded, Grid((1.0, 1.0, spacing)))) == pytest.approx(expected, rel=1e-6)


def test_axes_may_be_swapped_with_their_spacing() -> None:
    u = torch.randn(1, 1, 8, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    penalty = QuasiConcavityPenalty()
    value = float(penalty(u, Grid((1.0, 0.7, 2.0))))
    assert float(penalty(u.permute(0, 1, 4, 2, 3), Grid((2.0, 1.0, 0.7)))) == pytest.approx(value, rel=1e-9)
    assert float(penalty(u.flip(2), Grid((1.0, 0.7, 2.0)))) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("size", [(5, 6), (4, 5, 4)], ids=["2D", "3D"])
@pytest.mark.parametrize("form", ["tangential", "published"])
def test_its_gradient_is_right(form: Any, size: tuple[int, ...]) -> None:
    u = torch.randn(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    grid = Grid((1.0, 0.8, 1.5)[: len(size)])
    penalty = QuasiConcavityPenalty(regions=[[1, 2], [2]], form=form, blur_mm=0.7)
    assert float(penalty(u, grid)) > 0
    torch.autograd.gradcheck(lambda v: 1e3 * penalty(v, grid), [u])


def test_flat_logits_have_a_finite_gradient() -> None:
    for size in ((8, 8), (6, 6, 6)):
        u = torch.zeros(1, 1, *size, requires_grad=True)
        QuasiConcavityPenalty()(u, Grid()).backward()
        assert u.grad is not None
        assert torch.isfinite(u.grad).all()


def test_regions_are_unions_of_classes() -> None:
    """A ring around a disc: the ring is concave, the two together are not."""
    outer, inner = ball((64, 64), 24), ball((64, 64), 10)
    u = torch.cat([torch.zeros_like(outer), torch.minimum(outer, -inner) + 6, inner + outer.clamp(max=3)], dim=1) * 2
    u[:, 0] = -2 * outer[:, 0] + 6
    each, union = (float(QuasiConcavityPenalty(regions=r)(u, Grid())) for r in ([[1]], [[1, 2]]))
    assert union < 1e-2 * each
    ring, disc = (float(QuasiConcavityPenalty(regions=[[c]])(u, Grid())) for c in (1, 2))
    assert float(QuasiConcavityPenalty()(u, Grid())) == pytest.approx((ring + disc) / 2)


def test_two_classes_one_sigmoid_channel_and_sigmoid_channels_agree() -> None:
    binary = QuasiConcavityPenalty()(BITTEN, Grid())
    softmax = QuasiConcavityPenalty()(torch.cat([-BITTEN / 2, BITTEN / 2], dim=1), Grid())
    sigmoid = QuasiConcavityPenalty(sigmoid=True)(torch.cat([BITTEN, BITTEN], dim=1), Grid())
    torch.testing.assert_close(softmax, binary)
    torch.testing.assert_close(sigmoid, binary)


def test_the_loss_is_the_wrapped_one_plus_weight_times_the_penalty() -> None:
    u = torch.randn(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 1, 12, 10), generator=torch.Generator().manual_seed(1))
    grid = Grid((1.0, 2.0))
    loss = QuasiConcavityLoss(SOFTMAX, weight=30, grid=grid)
    torch.testing.assert_close(loss(u, label), SOFTMAX(u, label) + 30 * QuasiConcavityPenalty()(u, grid))
    loss.set_strength(0.5)
    torch.testing.assert_close(loss(u, label), SOFTMAX(u, label) + 15 * QuasiConcavityPenalty()(u, grid))
    loss.set_strength(0)
    assert torch.equal(loss(u, label), SOFTMAX(u, label))
    cross_entropy = QuasiConcavityLoss(nn.CrossEntropyLoss(), weight=0)
    torch.testing.assert_close(cross_entropy(u, label), nn.functional.cross_entropy(u, label[:, 0]))


def test_deep_supervision_and_half_precision() -> None:
    u = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (1, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    loss = QuasiConcavityLoss(SOFTMAX, weight=10)
    assert torch.isfinite(DeepSupervisionLoss(loss)([u, u[..., ::2, ::2]], label.float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(u.bfloat16(), label)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(u.bfloat16().float(), label))


@pytest.mark.parametrize("form", ["tangential", "published"])
def test_descent_on_the_logits_of_a_bitten_disc_lowers_the_penalty(form: Any) -> None:
    u = BITTEN.float().requires_grad_()
    loss = QuasiConcavityLoss(DiceLoss(sigmoid=True), weight=1000 if form == "tangential" else 1e6, form=form)
    label = (BITTEN > 0).float()
    optimizer = torch.optim.Adam([u], lr=0.1)
    before = float(loss.penalty(u, Grid()))
    for _ in range(30):
        optimizer.zero_grad()
        loss(u, label).backward()
        optimizer.step()
    assert float(loss.penalty(u, Grid())) < 0.5 * before


def test_an_image_of_another_spacing_is_refused() -> None:
    u = MetaTensor(torch.randn(1, 1, 8, 8), affine=torch.diag(torch.tensor([2.0, 2.0, 1.0]))[None])
    u.is_batch = True
    with pytest.raises(ValueError, match=r"voxel spacing is \(2.0, 2.0\) mm"):
        QuasiConcavityLoss(DiceLoss(sigmoid=True), weight=1)(u, torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weight": -1}, "weight must be finite and not negative; got -1"),
        ({"margin": float("nan")}, "margin must be finite"),
        ({"blur_mm": -1.0}, "blur_mm must be finite and not negative"),
        ({"epsilon": 0}, "epsilon must be finite and above 0"),
        ({"form": "third"}, "form must be one of published, tangential; got 'third'"),
        ({"regions": []}, "expected a list of lists of class numbers"),
        ({"regions": [[]]}, "expected a list of lists of class numbers"),
        ({"regions": [[1, 2]], "sigmoid": True}, "one channel each where sigmoid=True"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QuasiConcavityLoss(SOFTMAX, **{"weight": 1, **settings})


def test_bad_input_is_refused() -> None:
    label = torch.zeros(1, 1, 8, 8)
    with pytest.raises(TypeError, match=r"must be an instance of a loss"):
        QuasiConcavityLoss(DiceLoss, weight=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="DiceLoss has no activation"):
        QuasiConcavityLoss(DiceLoss(), weight=1)
    loss = QuasiConcavityLoss(DiceLoss(sigmoid=True), weight=1, regions=[[0], [3]])
    with pytest.raises(TypeError, match=r"got torch.int64"):
        loss(torch.zeros(1, 1, 8, 8, dtype=torch.int64), label)
    with pytest.raises(TypeError, match="DeepSupervisionLoss around this loss"):
        loss([label], label)
    with pytest.raises(ValueError, match=r"regions has \[3\], but the logits have 2 channels"):
        loss(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="2 or 3 spatial axes"):
        QuasiConcavityLoss(nn.BCEWithLogitsLoss(), weight=1)(torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
    with pytest.raises(ValueError, match="the loss is not finite"):
        QuasiConcavityLoss(DiceLoss(sigmoid=True), weight=1)(torch.full((1, 1, 8, 8), float("nan")), label)
    with pytest.raises(ValueError, match=r"strength must lie in \[0, 1\]"):
        loss.set_strength(2)
