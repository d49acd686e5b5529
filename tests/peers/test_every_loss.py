"""What holds for all losses of others: heads, targets, precision, gradients, axes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.bundle.config_item import ComponentLocator
from monai.data import MetaTensor
from monai.losses import DeepSupervisionLoss
from monai.networks.utils import one_hot
from torch import nn

from monai_iel import HeatDiffusion, InverseEvolution, InverseEvolutionLoss, peers

pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., nn.Module]
SOFTMAX = {"softmax": True, "to_onehot_y": True}


def logits(*size: int, channels: int = 3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def label(*size: int, classes: int = 3) -> torch.Tensor:
    return torch.randint(0, classes, (2, 1, *size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", peers.__all__)
def test_no_name_is_also_one_of_monai(name: str) -> None:
    """MONAI looks names without a module up in every package whose name starts with ``monai``."""
    found = ComponentLocator().get_component_module_name(name)
    modules = [found] if isinstance(found, str) else found or []
    assert modules
    assert all(module.startswith("monai_iel.") for module in modules), modules


@pytest.mark.parametrize("size", [(4, 3), (3, 2, 3)], ids=["2D", "3D"])
@pytest.mark.parametrize("head", [SOFTMAX, {"sigmoid": True}], ids=["softmax", "sigmoid"])
def test_its_gradient_is_right(make: Make, head: dict[str, Any], size: tuple[int, ...]) -> None:
    loss = make(**head).double()
    target = label(*size) if head is SOFTMAX else one_hot(label(*size), num_classes=3).double()
    assert torch.autograd.gradcheck(lambda u: loss(u, target), (logits(*size).requires_grad_(),))


@pytest.mark.parametrize("head", [SOFTMAX, {"sigmoid": True}], ids=["softmax", "sigmoid"])
def test_saturated_logits_have_a_finite_loss_and_gradient(make: Make, head: dict[str, Any]) -> None:
    u = (2e3 * logits(4, 4, dtype=torch.float32)).requires_grad_()
    target = label(4, 4) if head is SOFTMAX else one_hot(label(4, 4), num_classes=3)
    value = make(**head)(u, target)
    value.backward()
    assert value.isfinite()
    assert u.grad is not None
    assert u.grad.isfinite().all()


def test_class_maps_and_one_hot_labels_agree(make: Make) -> None:
    u, target = logits(5, 4), label(5, 4)
    expected = make(**SOFTMAX)(u, target)
    torch.testing.assert_close(make(softmax=True)(u, one_hot(target, num_classes=3)), expected)
    for dtype in (torch.uint8, torch.int32, torch.float32):
        torch.testing.assert_close(make(**SOFTMAX)(u, target.to(dtype)), expected)


def test_two_exclusive_classes_are_one_sigmoid(make_own: Make) -> None:
    u, target = logits(5, 4, channels=1), label(5, 4, classes=2)
    one = make_own(sigmoid=True)
    by_class = isinstance(one, peers.NoiseRobustDiceLoss)  # the background has a Dice of its own
    two = make_own(**SOFTMAX, include_background=not by_class)
    torch.testing.assert_close(two(torch.cat([-u / 2, u / 2], dim=1), target), one(u, target.double()))


def test_an_extruded_image_costs_what_its_slice_does(make: Make) -> None:
    u, target, loss = logits(5, 4), label(5, 4), make(**SOFTMAX)
    expected, found = loss(u, target), loss(*(t[..., None].expand(-1, -1, -1, -1, 3) for t in (u, target)))
    # The number of voxels, or what is beside a voxel, is part of two formulas.
    same = not isinstance(loss, peers.TLoss | peers.SpatiallyVaryingLabelSmoothingLoss)
    assert torch.allclose(found, expected, rtol=1e-5, atol=0) == same


def test_axes_may_be_swapped(make: Make) -> None:
    u, target, loss, order = logits(4, 5, 3), label(4, 5, 3), make(**SOFTMAX), (0, 1, 4, 2, 3)
    torch.testing.assert_close(loss(u.permute(order), target.permute(order)), loss(u, target))


def test_half_precision_is_computed_in_float32(make: Make) -> None:
    u, target = logits(6, 5, dtype=torch.bfloat16), label(6, 5)
    loss = make(**SOFTMAX)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(u, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(u.float(), target), rtol=1e-6, atol=0)


def test_metadata_go_in_and_do_not_come_out_and_nothing_is_changed(make: Make) -> None:
    u, target = MetaTensor(logits(4, 4)), MetaTensor(label(4, 4))
    before = u.as_tensor().clone(), target.as_tensor().clone()
    value = make(**SOFTMAX)(u, target)
    assert type(value) is torch.Tensor
    assert torch.equal(u.as_tensor(), before[0])
    assert torch.equal(target.as_tensor(), before[1])


def test_it_stands_behind_an_inverse_evolution_layer_and_in_deep_supervision(make: Make) -> None:
    u, target = logits(8, 8, dtype=torch.float32), label(8, 8)
    behind = InverseEvolutionLoss(make(**SOFTMAX), InverseEvolution(HeatDiffusion(), gain=3))
    assert not torch.equal(behind(u, target), make(**SOFTMAX)(u, target))
    behind.set_strength(0)
    torch.testing.assert_close(behind(u, target), make(**SOFTMAX)(u, target))
    assert DeepSupervisionLoss(make(**SOFTMAX))([u, u[..., ::2, ::2]], target.float()).isfinite()


def test_the_mean_is_that_of_what_is_left_unreduced(make_own: Make) -> None:
    u, target = logits(4, 5), label(4, 5)
    if getattr(make_own(**SOFTMAX), "classwise", False):
        with pytest.raises(ValueError, match="classwise=True is a mean of means; got reduction='none'"):
            make_own(**SOFTMAX, reduction="none")
        return
    each = make_own(**SOFTMAX, reduction="none")(u, target)
    assert each.shape in [(2, 1, 4, 5), (2, 3), (3,)]  # by voxel, by image and class, by class
    torch.testing.assert_close(make_own(**SOFTMAX)(u, target), each.mean())
    torch.testing.assert_close(make_own(**SOFTMAX, reduction="sum")(u, target), each.sum())


def test_without_background_voxels_labelled_0_or_the_class_0_do_not_count(make_own: Make) -> None:
    u, target = logits(6, 5), torch.zeros(2, 1, 6, 5)
    target[:, :, 3:], target[:, :, 3:, 2:] = 1, 2
    whole, without = make_own(**SOFTMAX), make_own(**SOFTMAX, include_background=False)
    assert not torch.allclose(whole(u, target), without(u, target))
    if isinstance(whole, peers.NoiseRobustDiceLoss | peers.TLoss):
        each = make_own(**SOFTMAX, reduction="none")(u, target)
        torch.testing.assert_close(without(u, target), each[..., 1:].mean())
    else:
        changed = u.clone()
        changed[:, 2, :2] += 5  # where all neighbours are background too
        torch.testing.assert_close(without(changed, target), without(u, target))


def test_without_background_channel_0_of_sigmoids_does_not_count(make_own: Make) -> None:
    u, target = logits(4, 5), one_hot(label(4, 5), num_classes=3)
    loss = make_own(sigmoid=True, include_background=False)
    changed, expected = u.clone(), loss(u, target)
    changed[:, 0] += 1
    torch.testing.assert_close(loss(changed, target), expected)
    assert not torch.equal(make_own(sigmoid=True)(changed, target), make_own(sigmoid=True)(u, target))


@pytest.mark.parametrize("head", [{}, {"softmax": True, "sigmoid": True}], ids=str)
def test_a_loss_without_one_activation_is_refused(make_own: Make, head: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="takes logits and needs one activation: softmax=True"):
        make_own(**head)


def test_bad_input_is_refused(make_own: Make) -> None:
    loss, u = make_own(**SOFTMAX), logits(4, 4)
    with pytest.raises(TypeError, match=r"floating point logits, got torch\.int64"):
        loss(u.long(), label(4, 4))
    with pytest.raises(ValueError, match=r"target has the shape \(2, 3, 4, 4\), but .* it must be \(2, 1, 4, 4\)"):
        loss(u, u)
    with pytest.raises(ValueError, match=r"it must be \(2, 3, 4, 4\)"):
        make_own(softmax=True)(u, label(4, 4))
    with pytest.raises(ValueError, match="the logits have one channel, the foreground: set sigmoid=True"):
        loss(u[:, :1], label(4, 4))
    with pytest.raises(ValueError, match="is not a valid LossReduction"):
        make_own(**SOFTMAX, reduction="sideways")
