from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.handlers import ParamSchedulerHandler
from monai.losses import (
    AsymmetricUnifiedFocalLoss,
    DeepSupervisionLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceFocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    MaskedDiceLoss,
    MCCLoss,
    NACLLoss,
    TverskyLoss,
)
from monai.networks import one_hot
from torch import nn

from monai_iel import Grid, HeatDiffusion, InverseEvolution, InverseEvolutionLoss, LaplacianPower, LinearTerm

SOFTMAX: dict[str, nn.Module] = {
    "DiceLoss": DiceLoss(to_onehot_y=True, softmax=True),
    "DiceCELoss": DiceCELoss(to_onehot_y=True, softmax=True),
    "DiceFocalLoss": DiceFocalLoss(to_onehot_y=True, softmax=True),
    "GeneralizedDiceLoss": GeneralizedDiceLoss(to_onehot_y=True, softmax=True),
    "GeneralizedDiceFocalLoss": GeneralizedDiceFocalLoss(to_onehot_y=True, softmax=True),
    "TverskyLoss": TverskyLoss(to_onehot_y=True, softmax=True),
    "FocalLoss": FocalLoss(to_onehot_y=True, use_softmax=True),
    "HausdorffDTLoss": HausdorffDTLoss(to_onehot_y=True, softmax=True),
    "MCCLoss": MCCLoss(to_onehot_y=True, softmax=True),
    "CrossEntropyLoss": nn.CrossEntropyLoss(),
}
SIGMOID: dict[str, nn.Module] = {
    "DiceLoss": DiceLoss(sigmoid=True),
    "DiceCELoss": DiceCELoss(sigmoid=True),
    "DiceFocalLoss": DiceFocalLoss(sigmoid=True),
    "TverskyLoss": TverskyLoss(sigmoid=True),
    "FocalLoss": FocalLoss(),
    "BCEWithLogitsLoss": nn.BCEWithLogitsLoss(),
}
DTYPES = [torch.uint8, torch.int64, torch.float32]
SIZES = [(12, 10), (8, 9, 7)]


def heat(spacing: Any = 1.0, **kwargs: Any) -> InverseEvolution:
    return InverseEvolution(
        HeatDiffusion(), grid=Grid(spacing), **({"gain": 10} if "dt" not in kwargs else {}), **kwargs
    )


def logits(channels: int, size: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0), dtype=dtype).requires_grad_()


def class_map(classes: int, size: tuple[int, ...]) -> torch.Tensor:
    return torch.randint(0, classes, (2, 1, *size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES, ids=["2D", "3D"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_losses_see_the_amplified_logits(name: str, dtype: torch.dtype, size: tuple[int, ...]) -> None:
    u, label = logits(3, size), class_map(3, size)
    loss, layer = SOFTMAX[name], heat()
    value = InverseEvolutionLoss(loss, layer)(u, label.to(dtype))
    expected = loss(layer(u), label.squeeze(1) if isinstance(loss, nn.CrossEntropyLoss) else label)
    torch.testing.assert_close(value, expected)
    (grad,) = torch.autograd.grad(value, u)
    assert torch.isfinite(grad).all()
    assert float(grad.abs().max()) > 0


@pytest.mark.parametrize("size", SIZES, ids=["2D", "3D"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool], ids=str)
@pytest.mark.parametrize("name", SIGMOID)
def test_sigmoid_losses_see_the_amplified_logits(
    name: str, dtype: torch.dtype, channels: int, size: tuple[int, ...]
) -> None:
    u = logits(channels, size)
    label = (class_map(2, size) * torch.ones(1, channels, *[1] * len(size))).to(dtype)
    loss, layer = SIGMOID[name], heat()
    value = InverseEvolutionLoss(loss, layer)(u, label)
    torch.testing.assert_close(value, loss(layer(u), label.float()))
    value.backward()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_hot_targets_are_taken(dtype: torch.dtype) -> None:
    u, label = logits(3, (8, 9)), one_hot(class_map(3, (8, 9)), 3).to(dtype)
    for loss in (DiceLoss(softmax=True), DiceCELoss(softmax=True), nn.CrossEntropyLoss()):
        value = InverseEvolutionLoss(loss, heat())(u, label)
        torch.testing.assert_close(value, loss(heat()(u), label.float()))


def test_cross_entropy_takes_class_maps_without_a_channel_axis_too() -> None:
    u, label = logits(3, (8, 9)), class_map(3, (8, 9))
    loss = InverseEvolutionLoss(nn.CrossEntropyLoss(ignore_index=2), heat())
    torch.testing.assert_close(loss(u, label), loss(u, label.squeeze(1)))


def test_the_reduction_of_the_wrapped_loss_is_kept() -> None:
    value = InverseEvolutionLoss(nn.CrossEntropyLoss(reduction="none"), heat())(logits(3, (8, 9)), class_map(3, (8, 9)))
    assert value.shape == (2, 8, 9)


def meta(tensor: torch.Tensor, spacing: tuple[float, ...]) -> MetaTensor:
    out = MetaTensor(
        tensor, affine=torch.diag(torch.tensor([*spacing, *[1.0] * (4 - len(spacing))]))[None].repeat(2, 1, 1)
    )
    out.is_batch = True
    return out


def test_metatensors_give_a_plain_loss_and_are_checked_against_the_grid() -> None:
    size, spacing = (8, 9, 7), (1.0, 2.0, 3.0)
    u, label = logits(3, size), class_map(3, size)
    loss = InverseEvolutionLoss(DiceCELoss(to_onehot_y=True, softmax=True), heat(spacing))
    value = loss(meta(u, spacing), meta(label, spacing))
    assert type(value) is torch.Tensor
    torch.testing.assert_close(value, loss(u, label))
    for pair in ((meta(u, (2.0, 1.0, 3.0)), label), (u, meta(label, (2.0, 1.0, 3.0)))):
        with pytest.raises(ValueError, match=r"voxel spacing is \(2.0, 1.0, 3.0\) mm"):
            loss(*pair)


def test_strength_zero_is_the_plain_loss_and_strength_scales_the_step() -> None:
    u, label, base = logits(3, (8, 9)), class_map(3, (8, 9)), DiceCELoss(to_onehot_y=True, softmax=True)
    loss = InverseEvolutionLoss(base, heat(dt=0.2))
    loss.set_strength(0)
    assert torch.equal(loss(u, label), base(u, label))
    loss.set_strength(0.5)
    torch.testing.assert_close(loss(u, label), InverseEvolutionLoss(base, heat(dt=0.1))(u, label))


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_outside_zero_to_one_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength must lie in \[0, 1\]"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), heat()).set_strength(strength)


def test_monais_scheduler_warms_the_strength_up_from_the_first_iteration() -> None:
    from ignite.engine import Engine, Events

    loss, seen = InverseEvolutionLoss(nn.CrossEntropyLoss(), heat()), []
    engine = Engine(lambda engine, batch: seen.append(loss.strength))
    ramp = {"initial_value": 0.0, "step_constant": 1, "step_max_value": 5, "max_value": 1.0}
    ParamSchedulerHandler(loss.set_strength, "linear", ramp, event=Events.ITERATION_STARTED).attach(engine)
    engine.run(range(8))
    assert seen[0] == 0
    assert seen[-1] == 1
    assert seen == sorted(seen)


LEVELS = [((32, 24), (16, 12), (8, 6)), ((16, 20, 12), (8, 10, 12), (4, 5, 6)), ((13, 9), (7, 5), (4, 3))]


@pytest.mark.parametrize("sizes", LEVELS, ids=str)
def test_deep_supervision_levels_are_coarser_grids(sizes: tuple[tuple[int, ...], ...]) -> None:
    """Each level equals the base loss behind a layer with the same dt on a grid of the level's own spacing."""
    base, spacing = DiceCELoss(to_onehot_y=True, softmax=True), (1.0, 2.0, 1.5)[: len(sizes[0])]
    outputs, label = [logits(3, size) for size in sizes], class_map(3, sizes[0]).float()
    loss = DeepSupervisionLoss(InverseEvolutionLoss(base, heat(spacing, dt=0.2)), weight_mode="same")
    expected = torch.zeros(())
    for output, size in zip(outputs, sizes, strict=True):
        level = tuple(h * n / m for h, n, m in zip(spacing, sizes[0], size, strict=True))
        target = nn.functional.interpolate(label, size=size, mode="nearest-exact")
        expected = expected + base(heat(level, dt=0.2)(output), target)
    for _ in range(2):  # the second call has seen the coarse levels before
        torch.testing.assert_close(loss(outputs, label), expected)


def test_a_given_spatial_size_makes_every_other_size_a_level_and_a_smaller_crop_does_not() -> None:
    u, label = logits(2, (8, 8)), class_map(2, (8, 8))
    base = DiceCELoss(to_onehot_y=True, softmax=True)
    given = InverseEvolutionLoss(base, heat(dt=0.2), spatial_size=(16, 16))
    torch.testing.assert_close(given(u, label), base(heat(2.0, dt=0.2)(u), label))
    found = InverseEvolutionLoss(base, heat(dt=0.2))
    found(logits(2, (11, 11)), class_map(2, (11, 11)))
    torch.testing.assert_close(found(u, label), base(heat(1.0, dt=0.2)(u), label))  # 8 is no half of 11


def test_stacked_deep_supervision_outputs_are_refused_with_the_mend() -> None:
    stacked = torch.randn(2, 3, 2, 16, 16)
    with pytest.raises(ValueError, match=r"torch.unbind\(input, dim=1\)"):
        InverseEvolutionLoss(DiceCELoss(softmax=True, to_onehot_y=True), heat())(stacked, class_map(2, (16, 16)))


def test_a_list_of_outputs_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match=r"DeepSupervisionLoss\(InverseEvolutionLoss"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), heat())([logits(2, (8, 8))], class_map(2, (8, 8)))  # type: ignore[arg-type]


def test_probabilities_given_as_logits_are_refused_on_the_first_call() -> None:
    loss = InverseEvolutionLoss(DiceCELoss(softmax=True, to_onehot_y=True), heat())
    with pytest.raises(ValueError, match="take the softmax off the network's end"):
        loss(logits(3, (8, 9)).softmax(dim=1), class_map(3, (8, 9)))
    with pytest.raises(ValueError, match="channels sum to 1"):  # still: a refused call is no first call
        loss(logits(3, (8, 9)).softmax(dim=1).half(), class_map(3, (8, 9)))


def test_logits_that_start_at_zero_are_no_probabilities() -> None:
    loss = InverseEvolutionLoss(DiceCELoss(softmax=True, to_onehot_y=True), heat())
    assert torch.isfinite(loss(torch.zeros(2, 3, 8, 9), class_map(3, (8, 9))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiceLoss(to_onehot_y=True),
        lambda: DiceCELoss(to_onehot_y=True),
        lambda: TverskyLoss(),
        lambda: DiceFocalLoss(),
        lambda: HausdorffDTLoss(),
    ],
)
def test_a_loss_that_forgot_its_activation_is_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"has no activation.*softmax=True"):
        InverseEvolutionLoss(make(), heat())


def test_an_activation_of_the_users_own_is_enough() -> None:
    loss, u = DiceLoss(other_act=torch.sigmoid), logits(1, (12, 10))
    label = class_map(2, (12, 10)).float()
    assert torch.equal(InverseEvolutionLoss(loss, heat())(u, label), loss(heat()(u), label))


@pytest.mark.parametrize(("loss", "instead"), [(nn.BCELoss(), "BCEWithLogitsLoss"), (nn.NLLLoss(), "CrossEntropyLoss")])
def test_a_loss_of_probabilities_is_refused(loss: nn.Module, instead: str) -> None:
    with pytest.raises(ValueError, match=f"takes probabilities.*use {instead}"):
        InverseEvolutionLoss(loss, heat())


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="loss must be an instance"):
        InverseEvolutionLoss(DiceLoss, heat())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="layer must be an InverseEvolution"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), nn.Identity())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="floating point logits"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), heat())(
            torch.ones(2, 3, 8, 9, dtype=torch.long), class_map(3, (8, 9))
        )
    with pytest.raises(ValueError, match=r"input has the shape \(2, 3, 8, 9\) and target \(2, 1, 8, 8\)"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), heat())(logits(3, (8, 9)), class_map(3, (8, 8)))


def test_a_loss_that_is_not_finite_is_refused_and_the_check_can_be_switched_off() -> None:
    u = logits(3, (8, 9)).detach()
    u[0, 0, 0, 0] = float("inf")
    with pytest.raises(ValueError, match=r"the loss is not finite: .* inf\].*gain=10"):
        InverseEvolutionLoss(nn.CrossEntropyLoss(), heat())(u, class_map(3, (8, 9)))
    silent = InverseEvolutionLoss(nn.CrossEntropyLoss(), heat(), check_finite=False)
    assert not torch.isfinite(silent(u, class_map(3, (8, 9))))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("term", [HeatDiffusion(), LaplacianPower(2.0)], ids=repr)
@pytest.mark.parametrize("scale", [1.0, 2.0**14])
def test_large_half_precision_logits_give_the_float32_loss_and_gradient_inside_autocast(
    dtype: torch.dtype, term: LinearTerm, scale: float
) -> None:
    """Logits of +-1000 at gain 237 exceed the largest float16 value; the loss must not see that.

    The scale is that of a GradScaler. Gradients come back in the logits' precision: within its rounding, and within
    1e-3 of the largest one.
    """
    loss = InverseEvolutionLoss(
        DiceCELoss(to_onehot_y=True, softmax=True), InverseEvolution(term, gain=237, num_steps=30)
    )
    results = []
    for enabled in (False, True):
        u = logits(3, (32, 32)).detach().sign().mul(1000).to(dtype if enabled else torch.float32).requires_grad_()
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            value = loss(u, class_map(3, (32, 32)))
        (grad,) = torch.autograd.grad(value * scale, u)
        assert torch.isfinite(grad).all()
        results.append((value, grad.float()))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-6, atol=0)
    assert results[1][0].dtype == torch.float32
    difference = (results[1][1] - results[0][1]).abs().max() / results[0][1].abs().max()
    assert float(difference) < (1e-3 if dtype == torch.float16 else 4e-3)


@pytest.mark.filterwarnings("error:Dynamo does not know")
@pytest.mark.parametrize("size", [(12, 10), (160, 144)])
def test_a_compiled_program_may_hold_the_loss(size: tuple[int, ...]) -> None:
    """The layer runs as it is, in one break of the compiled graph."""
    loss = InverseEvolutionLoss(DiceCELoss(to_onehot_y=True, softmax=True), heat())
    u, label = logits(3, size), class_map(3, size)
    compiled = torch.compile(lambda v: loss(2 * v, label), backend="eager")
    results = [(value, *torch.autograd.grad(value, u)) for value in (loss(2 * u, label), compiled(u))]
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_the_arguments_are_not_modified() -> None:
    u, label = logits(3, (8, 9)), class_map(3, (8, 9))
    copies = u.detach().clone(), label.clone()
    InverseEvolutionLoss(DiceCELoss(softmax=True, to_onehot_y=True), heat())(u, label).backward()
    assert torch.equal(u, copies[0])
    assert torch.equal(label, copies[1])


def test_training_through_the_layer_makes_the_logits_smoother() -> None:
    """Free logits fitted to labels with 15 % wrong pixels: behind the layer they hold less of the fine patterns.

    Measured by <u, A u> / <u, u>, A minus the Laplacian: 0 for a constant, 8 for a chequerboard.
    """
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(1, 1, 24, 24)
    clean[..., 6:18, 6:18] = 1
    noisy = torch.where(torch.rand(clean.shape, generator=generator) < 0.15, 1 - clean, clean)
    roughness = {}
    for name, loss in (
        ("plain", nn.BCEWithLogitsLoss()),
        ("iel", InverseEvolutionLoss(nn.BCEWithLogitsLoss(), heat())),
    ):
        u = torch.zeros_like(clean, requires_grad=True)
        optimizer = torch.optim.Adam([u], lr=0.05)
        for _ in range(60):
            optimizer.zero_grad()
            loss(u, noisy).backward()
            optimizer.step()
        v = u.detach()
        roughness[name] = float((v * -HeatDiffusion()(v, Grid())).sum() / (v * v).sum())
    assert roughness["iel"] < 0.75 * roughness["plain"]


def test_a_class_map_with_a_channel_axis_serves_losses_that_know_none() -> None:
    u, label = logits(3, (12, 10)), class_map(3, (12, 10))
    nacl = NACLLoss(classes=3, dim=2)
    expected = nacl(heat()(u), label[:, 0])
    assert torch.equal(InverseEvolutionLoss(nacl, heat())(u, label), expected)
    assert torch.equal(InverseEvolutionLoss(nacl, heat())(u, label[:, 0]), expected)


def test_an_activation_under_another_name_is_found() -> None:
    masked = MaskedDiceLoss(to_onehot_y=True, softmax=True)
    u, label = logits(3, (12, 10)), class_map(3, (12, 10))
    assert torch.equal(InverseEvolutionLoss(masked, heat())(u, label), masked(heat()(u), label))
    with pytest.raises(ValueError, match="MaskedDiceLoss has no activation"):
        InverseEvolutionLoss(MaskedDiceLoss(to_onehot_y=True), heat())


@pytest.mark.parametrize("loss", [AsymmetricUnifiedFocalLoss(), nn.KLDivLoss(), nn.NLLLoss()], ids=repr)
def test_losses_that_take_probabilities_and_have_no_switch_are_refused(loss: nn.Module) -> None:
    with pytest.raises(ValueError, match="takes probabilities, but the layer works on logits: use"):
        InverseEvolutionLoss(loss, heat())


def test_probabilities_in_half_precision_are_refused_too() -> None:
    probabilities = torch.softmax(3 * torch.randn(1, 7, 32, 32), dim=1).bfloat16()
    with pytest.raises(ValueError, match="probabilities"):
        InverseEvolutionLoss(DiceLoss(softmax=True, to_onehot_y=True), heat())(
            probabilities, class_map(7, (32, 32))[:1]
        )


def test_a_schedule_may_miss_one_by_rounding() -> None:
    loss = InverseEvolutionLoss(nn.CrossEntropyLoss(), heat())
    loss.set_strength(1 + 1e-15)
    assert loss.strength == 1
