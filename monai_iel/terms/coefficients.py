"""Factors that most evolutions have: one per class, one per axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import torch

__all__ = ["AxisCoefficients", "ClassCoefficients", "positive", "total"]


class ClassCoefficients:
    """A factor on an evolution: one number for all classes, or one per class, 0 for classes to be left alone.

    Raises:
        ValueError: negative or not finite numbers, or none above 0.
    """

    name = "diffusivity"

    def __init__(self, value: float | Sequence[float]) -> None:
        given: Any = value
        self.one = isinstance(given, Real)  # NumPy's scalars too
        self.values = _numbers([given] if self.one else given, self.name)
        if not self.values or not all(math.isfinite(c) and c >= 0 for c in self.values) or max(self.values) == 0:
            raise ValueError(f"{self.name} must be finite, not negative, and above 0 for a class; got {value!r}")

    @property
    def largest(self) -> float:
        """The largest factor of any class."""
        return max(self.values)

    def times_rate(self, rate: torch.Tensor) -> torch.Tensor:
        """``rate`` of shape ``B C H [W [D]]``, each channel times its factor.

        Raises:
            ValueError: another number of channels.
        """
        if self.one:
            return rate if self.values[0] == 1 else self.values[0] * rate
        if rate.shape[1] != len(self.values):
            raise ValueError(
                f"{self.name} has {len(self.values)} numbers (one per class), but the tensor has {rate.shape[1]} "
                f"channels"
            )
        return rate.new_tensor(self.values).view(-1, *([1] * (rate.ndim - 2))) * rate

    def times_symbol(self, rates: torch.Tensor) -> torch.Tensor:
        """``rates`` of the spatial shape times the factor, or stacked per class."""
        if self.one:
            return self.values[0] * rates
        return rates.new_tensor(self.values).view(-1, *([1] * rates.ndim)) * rates

    def __repr__(self) -> str:
        return repr(self.values[0] if self.one else self.values)


class AxisCoefficients:
    """Factors on the second derivative along each axis; None is 1 for any number of axes.

    Raises:
        ValueError: negative or not finite numbers, or none above 0.
    """

    name = "axis_diffusivity"

    def __init__(self, values: Sequence[float] | None) -> None:
        self.values = None if values is None else _numbers(values, self.name)
        found = self.values
        if found is not None and (not all(math.isfinite(a) and a >= 0 for a in found) or max(found, default=0) == 0):
            raise ValueError(f"{self.name} must be finite, not negative, and above 0 for an axis; got {values!r}")

    @property
    def largest(self) -> float:
        """The largest factor of any axis."""
        return 1.0 if self.values is None else max(self.values)

    @property
    def spatial_dims(self) -> int | None:
        """Number of axes, or None: any."""
        return None if self.values is None else len(self.values)

    def over(self, spatial_dims: int) -> tuple[float, ...]:
        """The factor of each axis.

        Raises:
            ValueError: another number of axes.
        """
        if self.values is None:
            return (1.0,) * spatial_dims
        if len(self.values) != spatial_dims:
            raise ValueError(
                f"{self.name} has {len(self.values)} numbers (one per spatial axis), but there are {spatial_dims} axes"
            )
        return self.values


def positive(value: float, name: str) -> float:
    """The number as a float.

    Raises:
        ValueError: not finite, or not above 0.
    """
    if not isinstance(value, Real) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0; got {value!r}")
    return float(value)


def total(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of at least one tensor."""
    first, *rest = tensors
    return sum(rest, start=first)


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable) or not all(isinstance(v, Real) for v in values):
        raise ValueError(f"{name} must be finite numbers; got {values!r}")
    return tuple(float(v) for v in values)
