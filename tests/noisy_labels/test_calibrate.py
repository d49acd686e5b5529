"""The strength at which a noise does a given damage."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from monai_iel import (
    BlockLabelNoise,
    BumpLabelNoise,
    LabelNoise,
    MorphologyLabelNoise,
    SequentialLabelNoise,
    UnknownLabelNoise,
    VoxelLabelNoise,
)
from monai_iel.noisy_labels import Evaluation, UnreachableTargetError, calibrate, label_damage
from monai_iel.noisy_labels.calibrate import read_source
from monai_iel.processes import map_in_order

SPACING = (1.0, 1.0)


def discs(number: int = 12) -> list:
    grid = np.indices((48, 48)) - 24
    return [(f"case-{i}", ((np.hypot(*grid) < 12 + i % 5).astype(np.int32), SPACING)) for i in range(number)]


class Curve(LabelNoise):
    """Erases rows from the top: a share of the label that is a given function of the strength."""

    model = "curve"
    share = staticmethod(lambda strength: min(1.0, strength / 10))
    most = np.inf

    def __init__(self, *, seed: int = 0, strength: float = 1.0) -> None:
        super().__init__(seed=seed, strength=strength)

    @property
    def max_strength(self) -> float:
        return self.most

    def corrupt(self, label, spacing, rng):
        label[: round(self.share(self.strength) * len(label))] = 0
        return label


def column() -> list:
    return [("a", (np.ones((1000, 2), dtype=np.int32), SPACING))]


@pytest.mark.parametrize(
    "noise",
    [
        VoxelLabelNoise(rate=0.01, num_classes=2),
        BlockLabelNoise(scale=2, keep=0.99, num_classes=2),
        MorphologyLabelNoise(radius=(1, 4)),
        BumpLabelNoise(radius=(1, 3), fraction=0.1),
    ],
    ids=lambda noise: noise.model,
)
def test_different_noises_reach_the_same_dice(noise: LabelNoise) -> None:
    cases = discs()
    found = calibrate(noise, cases, target_dice=0.85, tolerance=0.01)
    dice = []
    for name, (clean, spacing) in cases:
        noisy = found.noise.corrupt_case(clean.copy(), spacing, name)
        dice.append(label_damage(noisy, clean, spacing).dice)
    assert np.mean(dice) == pytest.approx(found.reached) == pytest.approx(0.85, abs=0.01)
    assert found.noise.strength == found.strength
    assert found.is_monotone


def test_a_surface_distance_is_reached_in_mm() -> None:
    cases = [(name, (clean, (0.5, 0.5))) for name, (clean, _) in discs()]
    noise = MorphologyLabelNoise(radius=(0.5, 1))
    found = calibrate(noise, cases, target_distance_mm=1.2, tolerance=0.05)
    assert found.measure == "distance_mm"
    distances = [label_damage(found.noise.corrupt_case(c.copy(), s, n), c, s).distance_mm for n, (c, s) in cases]
    assert np.mean(distances) == pytest.approx(1.2, abs=0.05)


def test_the_search_ends_within_the_tolerance_and_keeps_what_it_saw() -> None:
    found = calibrate(Curve(), column(), target_dice=0.5)  # dice = 2 (1 - s) / (2 - s) of the share s: 2 / 3
    assert found.strength == pytest.approx(20 / 3, rel=0.01)
    assert found.reached == pytest.approx(0.5, abs=0.002)
    assert [one.strength for one in found.evaluations][:4] == [1, 2, 4, 8]
    again = json.loads(json.dumps(found.as_dict()))
    assert (again["strength"], again["reached"], again["is_monotone"]) == (found.strength, found.reached, True)


def test_evaluations_of_an_earlier_call_are_not_done_again() -> None:
    seen: list[Evaluation] = []
    first = calibrate(Curve(), column(), target_dice=0.5, on_evaluation=seen.append)
    assert seen == list(first.evaluations)

    def never(work, cases):
        raise AssertionError("evaluated again")

    again = calibrate(Curve(), column(), target_dice=0.5, known=seen, map_cases=never)
    assert again.as_dict() == first.as_dict()
    part = calibrate(Curve(), column(), target_dice=0.5, known=seen[:3], on_evaluation=(rest := []).append)
    assert (part.as_dict(), rest) == (first.as_dict(), seen[3:])


def test_what_a_noise_that_saturates_can_reach_is_said() -> None:
    noise = type("Half", (VoxelLabelNoise,), {"max_strength": property(lambda self: 1.0)})(rate=0.05, num_classes=2)
    with pytest.raises(
        UnreachableTargetError,
        match=r"a mean Dice of 0.5 cannot be reached .*: the nearest is 0.9\d* at strength 1, and from strength 1 on",
    ) as caught:
        calibrate(noise, discs(), target_dice=0.5)
    assert caught.value.nearest.strength == 1
    assert isinstance(caught.value, ValueError)


def test_a_damage_that_stops_growing_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Curve, "share", staticmethod(lambda strength: 0.3 * min(1, strength / 4)))
    with pytest.raises(
        UnreachableTargetError, match=r"nearest is 0.82\d* at strength 4, and up to strength 16 the damage does"
    ):
        calibrate(Curve(), column(), target_dice=0.5)


def test_a_jump_over_the_target_is_said_and_taken_within_a_larger_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Curve, "share", staticmethod(lambda strength: 0.5 if strength >= 3 else 0.1))
    jump = (
        r"the damage jumps there, from 0\.9474 at strength 2\.9999\d* to 0\.6667 at strength 3; .* tolerance of 0\.14,"
    )
    with pytest.raises(UnreachableTargetError, match=jump):
        calibrate(Curve(), column(), target_dice=0.8)  # 0.947 or 0.667
    found = calibrate(Curve(), column(), target_dice=0.8, tolerance=0.14)
    assert found.reached in (pytest.approx(2 / 3), pytest.approx(1.8 / 1.9))


@pytest.mark.parametrize("target", [0.92, 0.8, 0.71, 0.5, 0.4])
def test_the_tolerance_that_is_advised_is_enough(target: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # Steps, a slow rise after the last of them, and a fall.
    monkeypatch.setattr(Curve, "share", staticmethod(lambda s: 0.1 * min(4, s // 1.3) + 0.004 * min(s, 20 - s)))
    with pytest.raises(UnreachableTargetError) as caught:
        calibrate(Curve(), column(), target_dice=target, tolerance=1e-4)
    (advised,) = re.findall(r"allow a tolerance of ([0-9.e-]+),", str(caught.value))
    found = calibrate(Curve(), column(), target_dice=target, tolerance=float(advised))
    assert abs(found.reached - target) <= float(advised)


@pytest.mark.parametrize("target", [0.85, 0.69])
def test_of_a_damage_that_falls_off_again_the_first_rise_is_taken(
    target: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of the label at strength 5.5, between the strengths 4 and 8 that doubling looks at, and none from 11 on.
    monkeypatch.setattr(Curve, "share", staticmethod(lambda s: max(0.0, 0.5 * (1 - abs(s - 5.5) / 5.5))))
    found = calibrate(Curve(), column(), target_dice=target)
    assert found.reached == pytest.approx(target, abs=0.002)
    assert found.strength < 5.5
    assert found.is_monotone is (target == 0.85)


def test_a_case_without_foreground_is_left_out_of_the_mean() -> None:
    empty = ("empty", (np.zeros((1000, 2), dtype=np.int32), SPACING))
    one, two = (calibrate(Curve(), cases, target_dice=0.7) for cases in (column(), [*column(), empty]))
    assert one.as_dict() == two.as_dict()
    with pytest.raises(ValueError, match="none of the 1 cases has any known foreground"):
        calibrate(Curve(), [empty], target_dice=0.7)


def test_functions_are_called_once_per_strength() -> None:
    calls = []

    def read():
        calls.append(1)
        return np.ones((100, 2), dtype=np.uint8), SPACING

    found = calibrate(Curve(), [("a", read)], target_dice=0.8, tolerance=0.02)
    assert len(calls) == len(found.evaluations)
    label, spacing = read_source(read)
    assert (label.dtype, spacing) == (np.int32, SPACING)


def test_a_noise_that_only_hides_does_no_damage_alone_or_in_a_sequence() -> None:
    hiding = UnknownLabelNoise(fraction=0.5, scale=4)
    for noise in (hiding, SequentialLabelNoise(noises=[hiding])):
        with pytest.raises(
            UnreachableTargetError, match=r"the nearest is 1 at .*from strength 2 on the noise can do no more"
        ) as caught:
            calibrate(noise, discs(), target_dice=0.8)
        assert caught.value.nearest.value == 1


def test_the_labels_are_not_modified() -> None:
    cases = column()
    calibrate(Curve(), cases, target_dice=0.7)
    assert cases[0][1][0].all()


def test_a_noise_that_refuses_a_label_names_the_case() -> None:
    with pytest.raises(ValueError, match=r"case 'case-0': label holds classes from 0 to 2, but num_classes=2"):
        calibrate(
            VoxelLabelNoise(rate=0.1, num_classes=2), [("case-0", (np.array([[0, 2]]), SPACING))], target_dice=0.9
        )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "target_dice is None, target_distance_mm None; give exactly one"),
        ({"target_dice": 0.8, "target_distance_mm": 1}, "give exactly one of them"),
        ({"target_dice": 80}, "target_dice is 80, expected a number between 0 and 1"),
        ({"target_distance_mm": 0}, "target_distance_mm is 0, expected a positive length"),
        ({"target_dice": 0.8, "tolerance": -1}, "tolerance is -1, expected a positive number"),
    ],
)
def test_targets_that_are_none_are_refused(options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        calibrate(Curve(), column(), **options)


def test_no_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="cases is empty"):
        calibrate(Curve(), [], target_dice=0.8)


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="workers is 0, expected 1 or more"), map_in_order(0):
        pass
