"""A local right-hand side evaluated block by block, so that its temporary tensors are no larger than a block.

An evolution like mean-curvature motion makes some thirty passes over the image, and as many temporary tensors. Over a
slab of a few planes these are small, and nearer to the processor: at 96^3 that saved a tenth to a third of the time of
mean-curvature motion. The planes that a slab's own result depends on are computed along and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from monai_iel.numerics.grid import Boundary

__all__ = ["LocalRate"]

_BLOCK = 600_000  # elements: 2.4 MB; of 0.15 to 3 million the fastest on a core of an EPYC, smaller is leaner


@dataclass(frozen=True)
class LocalRate:
    """``F(u)`` for ``B C H [W [D]]``, evaluated in slabs along the first spatial axis, or a few of the batch at a time.

    Args:
        rate: F; it must treat each element of the batch by itself.
        vector_jacobian_of: the transposed Jacobian of F at its first argument times its second.
        reach: how many voxels away F(u) at a voxel looks, along the first spatial axis; None: unknown, so there are no
            slabs.
        boundary: of the image. Under ``"periodic"`` the ends of a slab would be joined, so there are no slabs.
    """

    rate: Callable[[torch.Tensor], torch.Tensor]
    vector_jacobian_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    reach: int | None
    boundary: Boundary

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        """F(u); records no gradient."""
        with torch.no_grad():
            blocks = list(self._blocks(u))
            if len(blocks) <= 1:
                return self.rate(u)
            out = torch.empty_like(u)
            for block in blocks:
                block.kept(out).copy_(block.inner(self.rate(block.given(u))))
        return out

    def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        """The transposed Jacobian of F at ``u`` times ``grad``; records no gradient."""
        with torch.no_grad():
            blocks = list(self._blocks(u))
            if len(blocks) <= 1:
                return self.vector_jacobian_of(u, grad)
            out = torch.zeros_like(u)
            for block in blocks:
                given = block.given(u)
                seen = torch.zeros_like(given)  # the gradient of the planes that are thrown away is zero
                block.inner(seen).copy_(block.kept(grad))
                block.given(out).add_(self.vector_jacobian_of(given, seen))
        return out

    def _blocks(self, u: torch.Tensor) -> Iterator[_Block]:
        planes, reach = u.shape[2], self.reach
        plane = u.shape[1] * math.prod(u.shape[3:])
        together = max(1, _BLOCK // max(1, plane * planes))  # elements of the batch
        thickness = max(1, _BLOCK // max(1, plane))
        if u.device.type != "cpu":
            together, thickness = len(u), planes
        elif reach is None or self.boundary == "periodic":
            thickness = planes
        for element in range(0, len(u), together):
            for start in range(0, planes, thickness):
                elements = slice(element, element + together)
                yield _Block(elements, start, min(start + thickness, planes), reach or 0, planes)


@dataclass(frozen=True)
class _Block:
    """Some elements of the batch, planes ``start`` to ``stop``, and up to ``reach`` planes more on each side."""

    elements: slice
    start: int
    stop: int
    reach: int
    planes: int

    def given(self, t: torch.Tensor) -> torch.Tensor:
        """The planes that the result depends on."""
        first = max(0, self.start - self.reach)
        last = min(self.planes, self.stop + self.reach)
        return t[self.elements].narrow(2, first, last - first)

    def kept(self, t: torch.Tensor) -> torch.Tensor:
        """The planes of the result, in the whole image."""
        return t[self.elements].narrow(2, self.start, self.stop - self.start)

    def inner(self, t: torch.Tensor) -> torch.Tensor:
        """The planes of the result, in what was computed from `given`."""
        return t.narrow(2, min(self.start, self.reach), self.stop - self.start)
