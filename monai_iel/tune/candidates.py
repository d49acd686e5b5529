"""What is chosen from: an evolution with its strength in training, smoothing afterwards, or neither."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from monai.bundle import ConfigParser

from monai_iel.data.convexity_guard import ConvexityWarning, guard_convexity
from monai_iel.resources import overlay
from monai_iel.study import BundleRun

__all__ = ["Candidate", "convex_regions", "default_candidates", "smoothings"]

_NONE = ("none", "iel/none")
_SMOOTHING = ("validate#smoothing", "validate::smoothing")
_GAINS, _STEPS = (3.0, 10.0, 38.0), 20
_LENGTHS = (3, 6)  # voxels
_CURVATURE = "iel/convex_curvature"


@dataclass(frozen=True)
class Candidate:
    """A training, and what is done to the network's logits at inference.

    Candidates that differ in the latter alone share a training.

    Args:
        name: what it is called in tables.
        overlays: of the training, behind that of the data; none is plain training.
        settings: config ids and values of the training.
        after: overlays of the evaluation, which set ``validate#smoothing`` and nothing else of ``validate``.
        after_settings: config ids and values for these.
    """

    name: str
    overlays: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    after_settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        overlays: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        after: Sequence[str] = (),
        after_settings: Mapping[str, Any] | None = None,
    ) -> Candidate:
        """A candidate that is called by what it consists of; ``none`` among the overlays is left out.

        Raises:
            ValueError: an overlay is not there, or one of ``after`` does more than smooth; settings without an overlay.

        >>> Candidate.of(["iel/heat"], {"iel_gain": 3}).name
        'iel/heat iel_gain=3'
        >>> Candidate.of(["none"], after=["evolve"], after_settings={"iel_gain": 3, "iel_steps": 20}).name
        'none + evolve iel_gain=3 iel_steps=20'
        """
        trained = tuple(name for name in overlays if name not in _NONE)
        settings, after_settings = dict(settings or {}), dict(after_settings or {})
        found = cls("", trained, settings, tuple(after), after_settings)
        name = " + ".join([_called(trained, settings), *([found.after_name] if after else [])])
        for one in trained:
            overlay(one)
        for one in after:
            _check_smooths(one)
        if after_settings and not after:
            raise ValueError(
                f"candidate {name!r} has {', '.join(after_settings)} for the inference, but no overlay there; add one, "
                "e.g. evolve"
            )
        return replace(found, name=name)

    @property
    def training(self) -> Candidate:
        """The same without what is done afterwards: whose network it takes."""
        return replace(self, name=_called(self.overlays, self.settings), after=(), after_settings={})

    @property
    def after_name(self) -> str:
        """What is done at inference, empty for nothing."""
        return _called(self.after, self.after_settings) if self.after else ""

    @property
    def kind(self) -> int:
        """0: nothing is done; 1: at inference alone; 2: in training. The lower is the simpler."""
        return 2 if self.overlays or self.settings else int(bool(self.after))


def _called(overlays: Sequence[str], settings: Mapping[str, Any]) -> str:
    values = (
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={json.dumps(value, separators=(',', ':'))}"
        for key, value in settings.items()
    )
    return " ".join([*(overlays or ["none"]), *values])


def _check_smooths(name: str) -> None:
    keys = [key.removeprefix("+") for key in ConfigParser.load_config_file(overlay(name))]
    others = [key for key in keys if key.startswith("validate") and key not in _SMOOTHING]
    if others or not any(key in _SMOOTHING for key in keys):
        what = f"sets {others[0]!r}" if others else f"does not set {_SMOOTHING[0]!r}"
        raise ValueError(f"overlay {name!r} {what}; behind '+' stand overlays that smooth the logits, such as evolve")


def default_candidates(run: BundleRun) -> list[Candidate]:
    """Those that are compared where none are given, from the simplest on.

    None; `smoothings` afterwards; the heat layer at each of their strengths; a power of the Laplacian; total variation;
    convex curve motion by curvature for the regions that are convex, if any.

    Args:
        run: plain training on the noisy labels.

    Raises:
        ValueError: the data cannot be used.
    """
    (spacing,) = run.content("@spacing")
    found = [Candidate.of(), *smoothings(spacing)]
    found += [Candidate.of(["iel/heat"], {"iel_gain": gain, "iel_steps": _STEPS}) for gain in _GAINS]
    found += [Candidate.of(["iel/laplacian_power"]), Candidate.of(["iel/total_variation"])]
    found += [
        Candidate.of(["iel/heat_one_step"], {"one_step_gain": _gain_of_length(length, spacing)}) for length in _LENGTHS
    ]
    if regions := convex_regions(replace(run, overlays=(*run.overlays, _CURVATURE))):
        found.append(Candidate.of([_CURVATURE], {"convex_regions": regions}))
    return found


def smoothings(spacing: Sequence[float]) -> list[Candidate]:
    """Plain training, its logits smoothed by heat at inference.

    At gains 3, 10 and 38 in 20 steps, and in one step that reaches 3 and 6 voxels.

    Args:
        spacing: of the voxels in mm.

    >>> [one.name for one in smoothings([1.0, 1.0])][-1]
    'none + evolve iel_gain=145 iel_steps=1'
    """
    strengths = [(gain, _STEPS) for gain in _GAINS] + [(_gain_of_length(length, spacing), 1) for length in _LENGTHS]
    return [
        Candidate.of(after=["evolve"], after_settings={"iel_gain": gain, "iel_steps": steps})
        for gain, steps in strengths
    ]


def _gain_of_length(voxels: float, spacing: Sequence[float]) -> float:
    """Gain of one step of heat that reaches so many voxels, sqrt(2 dt); of the smallest edge where they differ."""
    dt = (voxels * min(spacing)) ** 2 / 2
    return float(f"{1 + dt * sum(4 / h**2 for h in spacing):.3g}")


def convex_regions(run: BundleRun) -> list[list[int]]:
    """The regions that the guard finds convex in the training labels, each looked at by itself.

    Args:
        run: a training with an IEL for convex organs, whose reach is asked for.

    Raises:
        ValueError: a label cannot be read.
    """
    cases, load, names, regions, reach = run.content(
        *(f"@guard::{name}" for name in ("cases", "load", "class_names", "regions", "reach_mm"))
    )
    of_run = [list(region) for region in regions or [[number] for number in range(1, len(names))]]

    def are_convex(looked_at: list[list[int]]) -> bool:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvexityWarning)
            guard_convexity(cases, load, class_names=names, regions=looked_at, reach_mm=reach, progress=False)
        return not any(issubclass(one.category, ConvexityWarning) for one in said)

    return of_run if are_convex(of_run) else [region for region in of_run if len(of_run) > 1 and are_convex([region])]
