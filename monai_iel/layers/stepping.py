"""How far an evolution goes: number of steps, step, gain and length."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, get_args

import torch

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.schemes import Scheme, dt_for_gain, gain_of, growth
from monai_iel.terms.base import EvolutionTerm

__all__ = ["Stepping"]

_LARGEST_GAIN = 1e30  # near the largest float32; rounding errors are as large as logits from 1e6 on


class Stepping:
    """How far an evolution goes: ``num_steps`` steps of ``dt``, or of the ``dt`` that makes the gain ``gain``.

    Args:
        term: the evolution.
        grid: spacing and boundary condition.
        dt: step, in mm^2 for second-order evolutions.
        gain: amplification of the fastest mode of the grid over all steps. Exactly one of ``dt`` and ``gain``.
        num_steps: number of steps.
        scheme: ``"euler"`` or, for linear evolutions, ``"exponential"``.

    Raises:
        TypeError: no evolution; a number that is none.
        ValueError: both or neither of ``dt`` and ``gain``; a value out of range; a gain or the exponential scheme for a
            nonlinear evolution; a linear one of which nothing decays.
    """

    def __init__(
        self,
        term: EvolutionTerm,
        grid: Grid,
        *,
        dt: float | None,
        gain: float | None,
        num_steps: int,
        scheme: Scheme = "euler",
    ) -> None:
        if not isinstance(term, EvolutionTerm):
            raise TypeError(f"term must be an EvolutionTerm such as HeatDiffusion(); got {type(term).__name__}")
        if (dt is None) == (gain is None):
            raise ValueError(f"set one of dt (in mm^2) and gain (a number above 1); got dt={dt}, gain={gain}")
        steps: Any = num_steps
        if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
            raise ValueError(f"num_steps must be a whole number of at least 1; got {num_steps!r}")
        numbers: dict[str, Any] = {"dt": dt, "gain": gain}
        for name, value in numbers.items():
            if value is not None and not isinstance(value, Real):
                raise TypeError(f"{name} must be a number; got {value!r}")
        if dt is not None and not (math.isfinite(dt) and dt > 0):
            raise ValueError(f"dt must be positive and finite; got {dt}")
        if gain is not None and not (math.isfinite(gain) and gain > 1):
            raise ValueError(f"gain must be a finite number above 1 (1 would change nothing); got {gain}")
        if scheme not in get_args(Scheme):
            raise ValueError(f"scheme must be one of {', '.join(get_args(Scheme))}; got {scheme!r}")
        self.linear = term.as_linear()
        if self.linear is None and gain is not None:
            raise ValueError(f"gain is defined for linear evolutions only; give {type(term).__name__} a dt")
        if self.linear is None and scheme == "exponential":
            raise ValueError(f"the exponential scheme needs a linear evolution; use scheme='euler' for {term}")
        self.term, self.grid, self.num_steps, self.scheme = term, grid, int(steps), scheme
        self._dt, self._gain = dt, gain
        for spatial_dims in self._possible_dims() if self.linear is not None else []:
            if not self._largest_rate(spatial_dims) > 0:
                raise ValueError(
                    f"{term} has no pattern that decays on voxels of {grid.spacings(spatial_dims)} mm: the largest "
                    f"rate of its symbol is {self._largest_rate(spatial_dims):.4g}, and has to be above 0"
                )

    def dt(self, spatial_dims: int) -> float:
        """The step, in mm^2 for second-order evolutions."""
        if self._dt is not None:
            return self._dt
        assert self._gain is not None
        return dt_for_gain(self._gain, self._largest_rate(spatial_dims), self.num_steps, self.scheme)

    def gain(self, spatial_dims: int) -> float | None:
        """Amplification of the fastest mode; None for nonlinear evolutions."""
        if self._gain is not None or self.linear is None:
            return self._gain
        return gain_of(self.dt(spatial_dims), self._largest_rate(spatial_dims), self.num_steps, self.scheme)

    def growth(self, rates: torch.Tensor, dt: float) -> torch.Tensor:
        """Amplification of modes that decay at ``rates``, run backwards in time with the step ``dt``."""
        return growth(rates, dt, self.num_steps, self.scheme)

    def length(self, spatial_dims: int) -> float | None:
        """How far the evolution reaches, in mm; None where it has no such length."""
        return None if self.linear is None else self.linear.length(self.num_steps * self.dt(spatial_dims))

    def check_gain_backwards(self) -> None:
        """Refuse an amplification that float32 cannot hold. Forwards it would be a damping, which may be as strong.

        Raises:
            ValueError: a gain above 1e30.
        """
        for spatial_dims in self._possible_dims():
            gain = self.gain(spatial_dims)
            if gain is not None and gain > _LARGEST_GAIN:
                raise ValueError(
                    f"dt={self.dt(spatial_dims):.4g} amplifies the finest pattern by {gain:.3g} in {spatial_dims}D, "
                    f"and float32 holds {_LARGEST_GAIN:g}: lower dt or num_steps, or give a gain (3 to 40)"
                )

    def check_stable_forwards(self, spatial_dims: int) -> None:
        """Refuse explicit steps forwards that are too large.

        Raises:
            ValueError: ``dt`` above 2 / the evolution's largest rate.
        """
        rate = self.term.largest_rate(self.grid, spatial_dims)
        if rate is not None and self.dt(spatial_dims) * rate > 2 * (1 + 1e-9):
            steps = math.ceil(self.dt(spatial_dims) * self.num_steps * rate / 2 * (1 - 1e-9))
            bound = f"{2 / rate:.4g}"
            if float(bound) > 2 / rate:  # what is advised has to be taken
                bound = f"{2 / rate * 0.999:.4g}"
            raise ValueError(
                f"dt={self.dt(spatial_dims):.6g} is above the bound for stable explicit steps of {self.term} on voxels "
                f"of {self.grid.spacings(spatial_dims)} mm: set dt={bound} or less; the same time is {steps} steps"
            )

    def growth_where_flat(self, spatial_dims: int) -> float | None:
        """Of a nonlinear evolution backwards: the most that faint noise may grow, where its rate is largest."""
        rate = self.term.largest_rate(self.grid, spatial_dims)
        return None if self.linear is not None or rate is None else gain_of(self.dt(spatial_dims), rate, self.num_steps)

    def describe(self) -> str:
        """Steps, gain and length, for each number of axes that the grid admits."""
        parts = []
        for d in self._possible_dims():
            gain, length = self.gain(d), self.length(d)
            figures = [f"dt={self.dt(d):.4g}"]
            figures += [f"gain={gain:.4g}"] if gain is not None else []
            flat = self.growth_where_flat(d)
            figures += [f"faint noise grows up to {flat:.3g} times"] if flat is not None else []
            figures += [f"length={length:.3g} mm"] if length is not None else []
            parts.append(f"{d}D: {', '.join(figures)}")
        return f"num_steps={self.num_steps}, " + "; ".join(parts)

    def _possible_dims(self) -> list[int]:
        given = self.grid.spatial_dims or self.term.spatial_dims
        return [given] if given else [2, 3]

    def _largest_rate(self, spatial_dims: int) -> float:
        assert self.linear is not None
        return self.linear.largest_rate(self.grid, spatial_dims)
