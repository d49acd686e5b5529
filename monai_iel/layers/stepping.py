"""How far an evolution goes: number of steps, step, gain and length."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from monai_iel.numerics.grid import Grid
from monai_iel.numerics.schemes import dt_for_gain, gain_of
from monai_iel.numerics.spectral import largest_eigenvalue
from monai_iel.terms.base import EvolutionTerm, LinearTerm

__all__ = ["Stepping"]


class Stepping:
    """How far an evolution goes: ``num_steps`` steps of ``dt``, or of the ``dt`` that makes the gain ``gain``.

    Args:
        term: the evolution.
        grid: spacing and boundary condition.
        dt: step, in mm^2 for second-order evolutions.
        gain: ``(1 + dt * rate)^num_steps`` for the fastest mode of the grid. Exactly one of ``dt`` and ``gain``.
        num_steps: number of steps.

    Raises:
        ValueError: both or neither of ``dt`` and ``gain``; a value out of range; a gain for a nonlinear evolution.
    """

    def __init__(
        self, term: EvolutionTerm, grid: Grid, *, dt: float | None, gain: float | None, num_steps: int
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
        if gain is not None and not isinstance(term, LinearTerm):
            raise ValueError(f"gain is defined for linear evolutions only; give {type(term).__name__} a dt")
        self.term, self.grid, self.num_steps = term, grid, int(steps)
        self._dt, self._gain = dt, gain

    def dt(self, spatial_dims: int) -> float:
        """The step, in mm^2 for second-order evolutions."""
        if self._dt is not None:
            return self._dt
        assert self._gain is not None
        return dt_for_gain(self._gain, self._largest_rate(spatial_dims), self.num_steps)

    def gain(self, spatial_dims: int) -> float | None:
        """Amplification of the fastest mode; None for nonlinear evolutions."""
        if self._gain is not None or not isinstance(self.term, LinearTerm):
            return self._gain
        return gain_of(self.dt(spatial_dims), self._largest_rate(spatial_dims), self.num_steps)

    def length(self, spatial_dims: int) -> float | None:
        """How far the evolution reaches, in mm; None where it has no such length."""
        return self.term.length(self.num_steps * self.dt(spatial_dims)) if isinstance(self.term, LinearTerm) else None

    def describe(self) -> str:
        """Steps, gain and length, for each number of axes that the grid admits."""
        dims = [self.grid.spatial_dims] if self.grid.spatial_dims else [2, 3]
        parts = []
        for d in dims:
            gain, length = self.gain(d), self.length(d)
            figures = [f"dt={self.dt(d):.4g}"]
            figures += [f"gain={gain:.4g}"] if gain is not None else []
            figures += [f"length={length:.3g} mm"] if length is not None else []
            parts.append(f"{d}D: {', '.join(figures)}")
        return f"num_steps={self.num_steps}, " + "; ".join(parts)

    def _largest_rate(self, spatial_dims: int) -> float:
        assert isinstance(self.term, LinearTerm)
        return self.term.largest_rate(largest_eigenvalue(self.grid, spatial_dims))
