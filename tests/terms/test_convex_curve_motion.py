"""Convex curve motion: concavities fill, convex shapes stay, and the layer does the opposite. Float64."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from monai_iel import ConvexCurveMotion, EvolutionTerm, Evolve, Grid, HeatDiffusion, InverseEvolution, SumTerm
from monai_iel.convexity import convexity_of
from monai_iel.terms.regions import Regions

Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Spacing = tuple[float, ...]
Criterion = Literal["curvature", "region"]
CRITERIA: tuple[Criterion, ...] = ("curvature", "region")

PLANE, STRETCHED, SPACE, SLABS = (1.0, 1.0), (1.0, 0.8), (1.0, 1.0, 1.0), (1.0, 0.8, 1.25)


def positions(size_mm: float, spacing: Spacing) -> list[np.ndarray]:
    axes = [(np.arange(round(size_mm / h)) - (round(size_mm / h) - 1) / 2) * h for h in spacing]
    return list(np.meshgrid(*axes, indexing="ij"))


def signed_distance(mask: Mask, spacing: Spacing) -> torch.Tensor:
    """A margin in mm for a mask, ``1 1 H W [D]``."""
    inside = distance_transform_edt(mask, sampling=spacing) - distance_transform_edt(~mask, sampling=spacing)
    return torch.from_numpy(inside)[None, None]


def convex(name: str, spacing: Spacing) -> torch.Tensor:
    """Margins whose superlevel sets are convex."""
    x = positions(40, spacing)
    radii = (17.0, 11.0, 14.0)[: len(x)]
    if name == "box":
        return torch.from_numpy(np.min([r - np.abs(c) for r, c in zip(radii, x, strict=True)], axis=0))[None, None]
    if name == "ball":
        return torch.from_numpy(14 - np.sqrt(sum(c**2 for c in x)))[None, None]
    return torch.from_numpy(10 * (1 - np.sqrt(sum((c / r) ** 2 for c, r in zip(x, radii, strict=True)))))[None, None]


def concave(name: str, spacing: Spacing) -> Mask:
    x = positions(48, spacing)
    r = np.sqrt(sum(c**2 for c in x))
    a, b = x[0], x[1]
    if name == "L":
        return (np.maximum(abs(a), abs(b)) < 16) & ~((a > -3) & (b > -3))
    if name == "C":
        return (r < 18) & (r > 8) & ~((b > 0) & (abs(a) < 8))
    if name == "dumb-bell":
        sides = [np.hypot(a - s, b) < 9 for s in (-11, 11)]
        return sides[0] | sides[1] | ((abs(b) < 3) & (abs(a) < 11))
    if name == "bitten ball":
        return (r < 16) & ~(np.sqrt(sum(c**2 for c in x[:-1]) + (x[-1] - 16) ** 2) < 8)
    return (r < 18) & ~(np.hypot(a, b - 18) < 9)


def solidity(margin: torch.Tensor) -> float:
    return convexity_of((margin[0, 0] > 0).numpy(), 1.0).solidity


def evolved(margin: torch.Tensor, criterion: Criterion, spacing: Spacing, dt: float, num_steps: int) -> torch.Tensor:
    evolve = Evolve(ConvexCurveMotion(criterion, epsilon=1e-3), dt=dt, num_steps=num_steps, spacing=spacing)
    return torch.as_tensor(evolve(margin[0]))[None]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("spacing", [PLANE, STRETCHED, SPACE, SLABS], ids=str)
@pytest.mark.parametrize("name", ["ball", "box", "ellipsoid"])
def test_convex_shapes_keep_their_volume(name: str, spacing: Spacing, criterion: Criterion) -> None:
    """Within 1 %; measured: not one voxel changes."""
    margin = convex(name, spacing)
    steps = 300 if len(spacing) == 2 else 30
    after = evolved(margin, criterion, spacing, 0.1 * min(spacing) ** (2 if criterion == "curvature" else 1), steps)
    assert float((after > 0).sum() / (margin > 0).sum()) == pytest.approx(1.0, abs=0.01)
    assert torch.equal(after > 0, margin > 0)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("spacing", [PLANE, SLABS], ids=str)
def test_a_convex_organ_cut_by_the_border_of_the_image_stays(spacing: Spacing, criterion: Criterion) -> None:
    """Its outline meets the border at a slant."""
    margin = convex("ball", spacing)[:, :, 12:, 7:]
    after = evolved(margin, criterion, spacing, 0.1 * min(spacing), 100)
    assert bool((margin[:, :, 0] > 0).any())
    assert torch.equal(after > 0, margin > 0)


@pytest.mark.parametrize(
    ("spacing", "step"), [(PLANE, 0.1), (PLANE, 3.2), (STRETCHED, 3.2)], ids=["small steps", "largest", "anisotropic"]
)
@pytest.mark.parametrize("name", ["L", "C", "dumb-bell", "bitten disc"])
def test_curvature_closes_the_gap_to_convexity(name: str, spacing: Spacing, step: float) -> None:
    """At least 90 % of it in 4000 steps of 0.1 h^2, or the same time in steps of 3.2 h^2."""
    before = signed_distance(concave(name, spacing), spacing)
    after = evolved(before, "curvature", spacing, step * min(spacing) ** 2, round(400 / step))
    gap = 1 - solidity(before)
    assert gap > 0.05
    assert 1 - solidity(after) < 0.1 * gap


@pytest.mark.parametrize("spacing", [SPACE, SLABS], ids=str)
def test_curvature_closes_half_of_a_bite_into_a_ball(spacing: Spacing) -> None:
    before = signed_distance(concave("bitten ball", spacing), spacing)
    after = evolved(before, "curvature", spacing, 0.5 * min(spacing) ** 2, 60)
    assert 1 - solidity(after) < 0.5 * (1 - solidity(before))


def test_curvature_steps_above_the_bound_are_refused_because_they_go_astray() -> None:
    """3.2 h^2 is 32 times the published step."""
    margin = signed_distance(concave("L", PLANE), PLANE)
    with pytest.raises(ValueError, match=r"above the bound for stable explicit steps .* set dt=3\.2 or less"):
        evolved(margin, "curvature", PLANE, 3.3, 10)
    u = margin + 0.1 * torch.randn(margin.shape, generator=torch.Generator().manual_seed(0))
    found = {}
    for dt in (0.2, 3.2, 8.0):
        v = u
        for _ in range(round(96 / dt)):
            v = v + dt * ConvexCurveMotion()(v, Grid())
        found[dt] = v
    assert float((found[3.2] - found[0.2]).abs().max()) < 0.3
    assert float((found[8.0] - found[0.2]).abs().max()) > 2


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_no_wave_along_a_level_set_rises_faster_than_the_largest_rate(dims: int) -> None:
    """The symbol of t^T H t behind the filter, over waves and directions; the bound is no empty one."""
    angles = torch.linspace(0, torch.pi, 21, dtype=torch.float64)
    waves = torch.stack(torch.meshgrid(*[angles] * dims, indexing="ij"), dim=-1).reshape(-1, dims)
    t = torch.randn(500, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.cat([t / t.norm(dim=1, keepdim=True), torch.eye(dims, dtype=torch.float64)])
    along = (t[:, None] * waves.sin()).sum(-1).square()
    along = along + (t[:, None].square() * (4 * (waves / 2).sin().square() - waves.sin().square())).sum(-1)
    fastest = float((along * (waves / 2).cos().pow(4).prod(-1)).max())
    assert (
        0.93 * ConvexCurveMotion().largest_rate(Grid(), dims) < fastest < ConvexCurveMotion().largest_rate(Grid(), dims)
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_a_pit_is_filled_and_never_overfilled(dims: int) -> None:
    """Where all slopes are 0 there is no normal, but the maximum is kept all the same."""
    pit = torch.full((1, 1, *[9] * dims), -2.0, dtype=torch.float64)
    pit[(0, 0, *[4] * dims)] = -8
    after = evolved(pit, "curvature", PLANE if dims == 2 else SPACE, 3.2, 30)
    assert float(after.max()) <= -2
    assert float(after.min()) > -3


@pytest.mark.parametrize("kind", ["distance", "steep", "saturated"])
@pytest.mark.parametrize("spacing", [PLANE, STRETCHED, SPACE, SLABS], ids=str)
@pytest.mark.parametrize("name", ["ball", "ellipsoid", "turned box"])
def test_convex_shapes_that_were_masks_keep_their_volume(name: str, spacing: Spacing, kind: str) -> None:
    """The outline of a mask goes up and down with the voxels; within 2.5 %."""
    if name == "turned box":
        a, b, *rest = positions(44, spacing)
        turned = [0.9 * a + 0.436 * b, -0.436 * a + 0.9 * b, *rest]
        mask = np.all([np.abs(c) < r for c, r in zip(turned, (14, 9, 12), strict=False)], axis=0)
    else:
        mask = (convex(name, spacing)[0, 0] > 0).numpy()
    distance = signed_distance(mask, spacing)
    u = {"distance": distance, "steep": 10 * (torch.sigmoid(distance) - 0.5), "saturated": 5 * distance.sign()}[kind]
    dt, before = 2 * min(spacing) ** 2, float((u > 0).sum())
    for steps in (4, 40) if len(spacing) == 2 else (4,):
        assert float((evolved(u, "curvature", spacing, dt, steps) > 0).sum()) == pytest.approx(before, rel=0.025)
    behind = InverseEvolution(ConvexCurveMotion(), grid=Grid(spacing), dt=dt, num_steps=4)(u)
    assert float((behind > 0).sum()) == pytest.approx(before, rel=0.025)


@pytest.mark.parametrize(
    ("spacing", "radii", "bite"),
    [(PLANE, (5, 10, 15), 12), (STRETCHED, (3, 6, 9), 6), (SPACE, (5, 10, 15), 6), (SLABS, (2, 4, 6), 4)],
    ids=str,
)
def test_the_region_flow_closes_bites_smaller_than_its_largest_window(
    spacing: Spacing, radii: tuple[int, ...], bite: float
) -> None:
    """To a voxel: what stays is where a window sees the round outline as half full."""
    x = positions(48, spacing)
    ball = np.sqrt(sum(c**2 for c in x)) < 18
    eaten = np.sqrt(sum(c**2 for c in x[:-1]) + (x[-1] - 18) ** 2) < bite
    before = signed_distance(ball & ~eaten, spacing)
    evolve = Evolve(ConvexCurveMotion("region", radii_mm=radii), dt=0.4, num_steps=60, spacing=spacing)
    after = torch.as_tensor(evolve(before[0]))[None]
    depths = [convexity_of((margin[0, 0] > 0).numpy(), spacing).concavity_depth for margin in (before, after)]
    assert depths[1] <= max(spacing) < 2 * max(spacing) <= depths[0]


def test_the_region_flow_stops_where_its_windows_see_less_than_half() -> None:
    """Its fixed point for an L whose notch is larger than the window: the corner alone is filled."""
    before = signed_distance(concave("L", PLANE), PLANE)
    halfway, after = (
        torch.as_tensor(Evolve(ConvexCurveMotion("region", radii_mm=[3]), dt=0.5, num_steps=n)(before[0]))[None]
        for n in (400, 800)
    )
    assert torch.equal(halfway > 0, after > 0)
    assert solidity(before) + 0.01 < solidity(after) < 0.95


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(
    ("name", "spacing"),
    [(n, s) for n in ("L", "C", "dumb-bell", "bitten disc") for s in (PLANE, STRETCHED)] + [("bitten ball", SLABS)],
    ids=str,
)
def test_the_layer_makes_them_less_convex(name: str, spacing: Spacing, criterion: Criterion) -> None:
    """Of a margin between the sharp mask and its blurred one: the defect is shallow, and grows."""
    u = signed_distance(concave(name, spacing), spacing)
    dt = 2 * min(spacing) ** 2 if criterion == "curvature" else 0.5 * min(spacing)
    amplified = InverseEvolution(ConvexCurveMotion(criterion), grid=Grid(spacing), dt=dt, num_steps=4)(u)
    assert solidity(amplified) < solidity(u)
    assert float((amplified - u).max()) < 1e-9  # it only takes away


def test_a_concave_outline_moves_with_its_curvature() -> None:
    """A round hole of radius r in the plane closes as sqrt(r^2 - 2 t)."""
    x, y = positions(48, PLANE)
    margin = torch.from_numpy(np.hypot(x, y) - 16.0)[None, None]
    for steps in (200, 600):
        after = evolved(margin, "curvature", PLANE, 0.1, steps)
        area = float((after < 0).sum())
        assert math.sqrt(area / math.pi) == pytest.approx(math.sqrt(16**2 - 2 * 0.1 * steps), abs=0.35)


def test_a_spherical_hole_closes_too() -> None:
    """Both tangential eigenvalues are 1 / r: sqrt(r^2 - 2 t), not 4 t, since only the larger one moves it."""
    x = positions(30, SPACE)
    margin = torch.from_numpy(np.sqrt(sum(c**2 for c in x)) - 10.0)[None, None]
    after = evolved(margin, "curvature", SPACE, 0.1, 150)
    radius = (float((after < 0).sum()) * 3 / (4 * math.pi)) ** (1 / 3)
    assert radius == pytest.approx(math.sqrt(100 - 30), abs=0.3)


def nested_logits() -> torch.Tensor:
    """Background, rim and cup, both with a bite: ``1 3 H W``."""
    x, y = positions(48, PLANE)
    disc = signed_distance((np.hypot(x, y) < 18) & ~(np.hypot(x, y - 18) < 7), PLANE)
    cup = signed_distance((np.hypot(x, y) < 9) & ~(np.hypot(x - 9, y) < 5), PLANE)
    return torch.cat([-disc, torch.zeros_like(disc), cup], dim=1).clamp(-8, 8)


NESTED = [[1, 2], [2]]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_cup_and_disc_become_convex_and_neither_destroys_the_other(criterion: Criterion) -> None:
    u = nested_logits()
    term = ConvexCurveMotion(criterion, regions=NESTED)
    after = torch.as_tensor(Evolve(term, dt=0.4, num_steps=400)(u[0]))
    disc, cup = after.argmax(0) > 0, after.argmax(0) == 2
    before = u[0].argmax(0)
    for name, mask, old in (("disc", disc, before > 0), ("cup", cup, before == 2)):
        found = convexity_of(mask.numpy(), 1.0).solidity
        assert found > 0.96 > convexity_of(old.numpy(), 1.0).solidity, name
        assert float((mask & old).sum()) > 0.99 * float(old.sum()), name
    assert not bool((cup & ~disc).any())


def test_a_step_of_the_inner_region_leaves_the_outer_margin_and_moves_the_inner_one_against_the_rim() -> None:
    """Only the cup is concave, so the disc's margin may not move: to rounding, backwards too, and for large steps."""
    x, y = positions(48, PLANE)
    u = nested_logits()
    u[:, 0] = torch.logsumexp(u[:, 1:], dim=1) - torch.from_numpy(18 - np.hypot(x, y))
    outer, inner = Regions.of(NESTED).levels(3)
    term, alone = ConvexCurveMotion(regions=NESTED), ConvexCurveMotion(regions=[[2]])
    for dt in (0.4, -0.4, 5.0):
        moved = u + dt * term.step_rate(u, Grid(), dt)
        torch.testing.assert_close(outer.margins(moved), outer.margins(u), atol=1e-12, rtol=0)
        delta = dt * alone(u, Grid())[:, 2]
        assert float(delta.abs().max()) > 0.05
        torch.testing.assert_close((moved - u)[:, 2] - (moved - u)[:, 1], delta, atol=1e-12, rtol=0)
    assert float((inner.margins(moved) - inner.margins(u)).abs().max()) > 0.05


def test_the_rate_of_nested_regions_is_the_limit_of_small_steps() -> None:
    u = nested_logits() + 0.1 * torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    term = ConvexCurveMotion(regions=NESTED)
    errors = [float((term.step_rate(u, Grid(), dt) - term(u, Grid())).abs().max()) for dt in (1e-3, 1e-4)]
    assert errors[1] < 0.2 * errors[0] < 0.1


@pytest.mark.parametrize("regions", [None, [[1, 2]], NESTED, [[3], [1, 2], [1]]], ids=str)
def test_gradients_take_normals_and_masks_for_constants(regions: list[list[int]] | None) -> None:
    """Against a finite difference of the same formula with normals and slopes held where they were."""
    import monai_iel.numerics.curvature as curvature

    u = torch.randn(1, 4, 5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    term, grid, dt = ConvexCurveMotion(regions=regions), Grid((1.0, 0.5, 2.0)), 0.01
    weights = torch.rand(3, 5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    held: list[list[torch.Tensor]] = []
    original = curvature.unit_normal

    def recorded(slopes: list[torch.Tensor]) -> list[torch.Tensor]:
        held.append(original(slopes))
        return held[-1]

    w = torch.randn(u.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConvexCurveMotion, "_steepness", lambda self, margins, grid: weights[: margins.shape[1]])
        patch.setattr(curvature, "unit_normal", recorded)
        found = term.step_vector_jacobian(u, w, grid, dt)
        normals = list(held)

        def value(v: torch.Tensor) -> float:
            queue = iter(normals)
            patch.setattr(curvature, "unit_normal", lambda slopes: next(queue))
            return float((term.step_rate(v, grid, dt) * w).sum())

        direction = torch.randn(u.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        slope = (value(u + 1e-6 * direction) - value(u - 1e-6 * direction)) / 2e-6
    assert float((found * direction).sum()) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_flat_logits_have_finite_gradients(criterion: Criterion) -> None:
    u = torch.zeros(1, 3, 8, 8, 8, requires_grad=True)
    InverseEvolution(ConvexCurveMotion(criterion), dt=0.1, num_steps=3)(u).square().sum().backward()
    assert u.grad is not None
    assert bool(torch.isfinite(u.grad).all())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_logit_two_classes_and_sigmoid_channels_have_the_same_margin(criterion: Criterion) -> None:
    margin = signed_distance(concave("bitten disc", PLANE), PLANE)
    term = ConvexCurveMotion(criterion)
    one = term(margin, Grid())
    two = term(torch.cat([torch.zeros_like(margin), margin], dim=1), Grid())
    torch.testing.assert_close(two[:, 1:], one, atol=1e-12, rtol=0)
    assert float(two[:, 0].abs().max()) == 0
    both = ConvexCurveMotion(criterion, sigmoid=True)(torch.cat([margin, -margin], dim=1), Grid())
    torch.testing.assert_close(both[:, :1], one, atol=1e-12, rtol=0)
    chosen = ConvexCurveMotion(criterion, sigmoid=True, regions=[[1]])(torch.cat([margin, margin], dim=1), Grid())
    assert float(chosen[:, 0].abs().max()) == 0
    assert float(chosen[:, 1].abs().max()) > 0


def test_a_single_channel_is_class_1() -> None:
    u = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    assert torch.equal(ConvexCurveMotion(regions=[[1]])(u, Grid()), ConvexCurveMotion()(u, Grid()))
    with pytest.raises(ValueError, match="a single channel is class 1; regions name the class 0"):
        ConvexCurveMotion(regions=[[0]])(u, Grid())


@pytest.mark.parametrize("edge", [0.05, 1.0, 10.0])
def test_in_units_of_the_voxel_nothing_depends_on_its_size(edge: float) -> None:
    u = torch.randn(1, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = ConvexCurveMotion(epsilon=0.3)(u, Grid())
    found = ConvexCurveMotion(epsilon=0.3 / edge)(u, Grid(edge)) * edge**2
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_region_pushes_its_neighbour_back() -> None:
    """Disjoint regions: what one gains the other loses, where they meet; said in the docstring."""
    x, y = positions(32, PLANE)
    notch = np.hypot(x, y) < 5
    around = (np.maximum(abs(x), abs(y)) < 12) & ~(np.hypot(x, y - 2) < 7) & (y < 6)
    u = torch.from_numpy(np.stack([0 * x, np.where(notch, 5.0, -5.0), np.where(around, 5.0, -5.0)]))[None]
    after = torch.as_tensor(Evolve(ConvexCurveMotion(), dt=2.0, num_steps=100)(u[0])).argmax(0)
    assert int((after == 2).sum()) > int((u[0].argmax(0) == 2).sum())
    alone = torch.as_tensor(Evolve(ConvexCurveMotion(regions=[[1]]), dt=2.0, num_steps=100)(u[0])).argmax(0)
    assert torch.equal(alone == 1, u[0].argmax(0) == 1)


def test_classes_outside_the_regions_are_left_alone() -> None:
    u = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    rate = ConvexCurveMotion(regions=[[1, 3]])(u, Grid())
    assert float(rate[:, [0, 2]].abs().max()) == 0
    torch.testing.assert_close(rate[:, 1], rate[:, 3], atol=0, rtol=0)


def test_windows_are_in_mm() -> None:
    """A window of 4 mm is 8 voxels of half a mm: a fine and a coarse sampling fill the same notch."""
    filled = []
    for h in (1.0, 0.5):
        mask = concave("bitten disc", (h, h))
        term = ConvexCurveMotion("region", radii_mm=[6.0])
        out = torch.as_tensor(
            Evolve(term, dt=0.4 * h, num_steps=round(60 / h), spacing=h)(signed_distance(mask, (h, h))[0])
        )
        filled.append(float((out > 0).sum()) * h**2 - float(mask.sum()) * h**2)
    assert filled[0] == pytest.approx(filled[1], rel=0.15)


def test_the_reach_is_that_of_the_windows_or_of_the_hole_that_closes() -> None:
    assert ConvexCurveMotion("region", radii_mm=[4, 7]).reach_mm(8.0) == 7
    assert ConvexCurveMotion().reach_mm(8.0) == 8


@pytest.mark.parametrize(("gap", "time"), [(9, 8.0), (5, 2.0), (22, 50.0)])
def test_objects_beyond_the_reach_are_not_joined(gap: int, time: float) -> None:
    a, b = positions(64, PLANE)
    mask = (np.hypot(a - 12 - gap / 2, b) < 12) | (np.hypot(a + 12 + gap / 2, b) < 12)
    assert gap > ConvexCurveMotion().reach_mm(time)
    after = evolved(signed_distance(mask, PLANE), "curvature", PLANE, 1.0, round(time))
    assert convexity_of((after[0, 0] > 0).numpy(), 1.0).components == 2


def test_it_can_be_summed_with_heat_and_steps_with_its_share() -> None:
    u, grid = nested_logits(), Grid()
    curvature = ConvexCurveMotion(regions=NESTED)
    both = SumTerm([HeatDiffusion(), curvature], weights=[0.25, 0.5])
    expected = 0.25 * HeatDiffusion()(u, grid) + 0.5 * curvature.step_rate(u, grid, 0.2)
    torch.testing.assert_close(both.step_rate(u, grid, 0.4), expected, atol=1e-12, rtol=0)
    assert isinstance(both, EvolutionTerm)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="criterion must be one of curvature, region; got 'curvatur'"):
        ConvexCurveMotion("curvatur")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="radii_mm must be a finite number above 0; got -1"):
        ConvexCurveMotion("region", radii_mm=[5, -1])
    with pytest.raises(ValueError, match="radii_mm must hold at least one radius"):
        ConvexCurveMotion("region", radii_mm=[])
    with pytest.raises(ValueError, match=r"radii_mm=\(0\.4,\) are all below the voxel size \(1\.0, 1\.0\) mm"):
        ConvexCurveMotion("region", radii_mm=[0.4])(torch.zeros(1, 2, 5, 5), Grid())
    with pytest.raises(ValueError, match="the tensor has 2 channels"):
        ConvexCurveMotion(regions=[[2]])(torch.zeros(1, 2, 5, 5), Grid())
