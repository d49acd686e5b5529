"""Counts in boxes against counting, and at a cost that the radius does not change."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from monai_iel.numerics.windows import BoxCounts, dilated


def counted(mask: torch.Tensor, radii: list[int]) -> torch.Tensor:
    found = torch.zeros(mask.shape)
    for at in mask.nonzero().tolist():
        box = [slice(max(0, p - r), p + r + 1) for p, r in zip(at[2:], radii, strict=True)]
        found[(at[0], at[1], *box)] += 1
    return found


@pytest.mark.parametrize(
    ("shape", "radii"),
    [((7,), [2]), ((6, 9), [1, 3]), ((6, 9), [0, 20]), ((5, 4, 6), [2, 1, 3]), ((5, 4, 6), [5, 3, 4])],
    ids=str,
)
def test_counts_are_those_of_counting_and_nothing_lies_outside(shape: tuple[int, ...], radii: list[int]) -> None:
    mask = torch.rand(2, 2, *shape, generator=torch.Generator().manual_seed(1)) < 0.4
    before = mask.clone()
    assert torch.equal(BoxCounts(mask)(radii), counted(mask, radii))
    assert torch.equal(mask, before)


def test_the_work_does_not_depend_on_the_radius() -> None:
    class Elements(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.written = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            self.written += out.numel() if isinstance(out, torch.Tensor) else 0
            return out

    written = []
    for radius in (2, 20):
        with Elements() as counter:
            BoxCounts(torch.ones(1, 1, 64, 64, dtype=torch.bool))([radius, radius])
        written.append(counter.written)
    assert written[1] <= written[0] * 1.1


def test_dilation_takes_all_neighbours() -> None:
    mask = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    mask[0, 0, 2, 2] = True
    assert int(dilated(mask).sum()) == 9
    assert bool(dilated(mask)[0, 0, 1:4, 1:4].all())
