from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from monai_iel import Grid
from monai_iel.peers import SpatiallyVaryingLabelSmoothingLoss

pytestmark = pytest.mark.usefixtures("one_thread")

HEAD: dict[str, Any] = {"softmax": True, "to_onehot_y": True}


def one_hot(label: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(label.long(), classes).movedim(-1, 0)[None].double()


def brute_force(labels: torch.Tensor, sigma: float, spacing: tuple[float, ...]) -> torch.Tensor:
    """The formula, voxel by voxel, with three voxels along each axis."""
    dims = labels.ndim - 2
    padded = F.pad(labels, [1] * (2 * dims), mode="replicate")
    offsets = list(torch.cartesian_prod(*[torch.tensor([-1, 0, 1])] * dims).tolist())
    weights = {
        tuple(o): math.exp(-0.5 * sum((a * h) ** 2 for a, h in zip(o, spacing, strict=True)) / sigma**2)
        for o in offsets
        if any(o)
    }
    total = sum(weights.values())
    out = labels * total
    for offset, weight in weights.items():
        where = tuple(slice(1 + a, 1 + a + n) for a, n in zip(offset, labels.shape[2:], strict=True))
        out = out + weight * padded[(..., *where)]
    return out / (2 * total)


@pytest.mark.parametrize(("size", "spacing"), [((7, 6), (1.0, 0.5)), ((5, 4, 6), (0.7, 1.0, 2.5))], ids=["2D", "3D"])
def test_soft_labels_are_half_the_voxels_own_and_half_the_gaussian_mean_of_its_neighbours(
    size: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    labels = one_hot(torch.randint(0, 3, size, generator=torch.Generator().manual_seed(0)), 3)
    for grid, lengths in ((Grid(spacing), spacing), (None, (1.0,) * len(size))):
        loss = SpatiallyVaryingLabelSmoothingLoss(0.8, grid=grid, **HEAD)
        torch.testing.assert_close(loss.softened(labels), brute_force(labels, 0.8, lengths))


def test_soft_labels_sum_to_one_and_keep_the_class() -> None:
    label = torch.randint(0, 4, (9, 8, 7), generator=torch.Generator().manual_seed(0))
    soft = SpatiallyVaryingLabelSmoothingLoss(**HEAD).softened(one_hot(label, 4))
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(1, 9, 8, 7, dtype=torch.float64))
    assert float(soft.min()) >= 0
    own = soft[0].gather(0, label[None])
    assert float(own.min()) >= 0.5
    assert int((own < 1).sum()) > 100


@pytest.mark.parametrize("dims", [2, 3])
def test_labels_are_soft_where_classes_meet_and_one_hot_elsewhere(dims: int) -> None:
    """At a flat outline each side gives to the other what the three (nine) weights behind it are of all, halved."""
    label = torch.zeros([8] * dims)
    label[4:] = 1
    soft = SpatiallyVaryingLabelSmoothingLoss(**HEAD).softened(one_hot(label, 2))[0, 1]
    across = math.exp(-0.5)
    plane = (1 + 2 * across) ** (dims - 1)  # with what is beside the neighbour
    share = 0.5 * across * plane / ((1 + 2 * across) * plane - 1)
    profile = soft[(slice(None), *[4] * (dims - 1))]
    expected = torch.tensor([0, 0, 0, share, 1 - share, 1, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(profile, expected)
    assert torch.equal(soft, profile.reshape(-1, *[1] * (dims - 1)).expand_as(soft))


def test_a_single_wrong_voxel_is_worth_what_its_surroundings_are() -> None:
    label = torch.zeros(5, 5)
    label[2, 2] = 1
    soft = SpatiallyVaryingLabelSmoothingLoss(**HEAD).softened(one_hot(label, 2))
    torch.testing.assert_close(soft[0, :, 2, 2], torch.full((2,), 0.5, dtype=torch.float64))


def test_a_neighbour_across_a_thick_slice_weighs_less() -> None:
    label = torch.zeros(6, 6, 6)
    label[3:] = 1
    shares = []
    for axis in (0, 2):
        loss = SpatiallyVaryingLabelSmoothingLoss(1.0, grid=Grid((1.0, 1.0, 3.0)), **HEAD)
        soft = loss.softened(one_hot(label.movedim(0, axis), 2))[0, 1].movedim(axis, 0)
        shares.append(float(soft[2, 3, 3]))
    assert shares[1] < 0.1 * shares[0]


def test_the_loss_is_the_cross_entropy_of_the_soft_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1, 3, 6, 5, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 3, (1, 1, 6, 5), generator=generator)
    loss = SpatiallyVaryingLabelSmoothingLoss(2.0, kernel_size=5, **HEAD)
    expected = F.cross_entropy(u, loss.softened(one_hot(label[0, 0], 3)))
    torch.testing.assert_close(loss(u, label), expected)
    constant = torch.full_like(label, 2)  # a label without an outline stays as it is
    torch.testing.assert_close(loss(u, constant), F.cross_entropy(u, constant[:, 0]))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma must be finite and above 0; got 0"):
        SpatiallyVaryingLabelSmoothingLoss(0, **HEAD)
    with pytest.raises(ValueError, match="kernel_size must be odd and at least 3; got 4"):
        SpatiallyVaryingLabelSmoothingLoss(kernel_size=4, **HEAD)
    loss = SpatiallyVaryingLabelSmoothingLoss(0.01, **HEAD)
    with pytest.raises(ValueError, match=r"sigma=0.01 is too small for voxels of \(1.0, 1.0\): no neighbour weighs"):
        loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4))
