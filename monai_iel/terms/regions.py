"""Regions of a segmentation: unions of classes, their margins, and how a margin is moved without moving another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from monai_iel.regions import check_regions

__all__ = ["Level", "Regions"]


@dataclass(frozen=True)
class Level:
    """Regions that no other region of the level touches, each of them in the same enclosing ones.

    Args:
        regions: classes of each region.
        parents: of each region, the classes of the smallest region that encloses it; None at the outermost level.
        num_channels: of the network.
        sigmoid: each channel is a binary segmentation of its own.
    """

    regions: tuple[tuple[int, ...], ...]
    parents: tuple[tuple[int, ...] | None, ...]
    num_channels: int
    sigmoid: bool

    def margins(self, u: torch.Tensor) -> torch.Tensor:
        r"""``B K H [W [D]]``: :math:`m = \log\sum_{c \in R} e^{u_c} - \log\sum_{c \notin R} e^{u_c}`.

        Above 0 where the region has more than half of the probability; with sigmoid it is the logit itself.
        """
        if self.sigmoid:
            channels = [c for region in self.regions for c in region]
            return u if channels == list(range(u.shape[1])) else u[:, channels]
        found = []
        for region in self.regions:
            found.append(_logsumexp(u, region) - _logsumexp(u, self._rest(region)))
        return torch.cat(found, dim=1)

    def masks(self, u: torch.Tensor) -> torch.Tensor:
        """``B K H [W [D]]`` boolean: where a class of the region has the largest logit."""
        if self.sigmoid:
            return self.margins(u) > 0
        return torch.cat([_largest(u, region) > _largest(u, self._rest(region)) for region in self.regions], dim=1)

    def moved(self, u: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """What has to be added to ``u`` so that the margins of this level move by ``change``, ``B K H [W [D]]``.

        Where a region lies in another, its classes move by ``change`` against the rest of that other one, whose own
        margin stays.
        """
        added = self._spread(change)
        for parent in dict.fromkeys(self.parents):
            if parent is None:
                continue
            excess = _logsumexp(u + added, parent) - _logsumexp(u, parent)
            added = added - excess * self._membership(u, parent)
        return added

    def rates(self, u: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
        """`moved` for an infinitely small change, per unit of it."""
        added = self._spread(rate)
        for parent in dict.fromkeys(self.parents):
            if parent is None:
                continue
            share = torch.softmax(u[:, list(parent)], dim=1)
            excess = (share * added[:, list(parent)]).sum(dim=1, keepdim=True)
            added = added - excess * self._membership(u, parent)
        return added

    def gathered(self, grad: torch.Tensor) -> torch.Tensor:
        """The transpose of how a change of margins is spread over the classes: ``B C`` to ``B K``."""
        found = []
        for region in self.regions:
            together = grad[:, region[0], None]
            for channel in region[1:]:
                together = together + grad[:, channel, None]
            found.append(together)
        return torch.cat(found, dim=1)

    def _spread(self, change: torch.Tensor) -> torch.Tensor:
        """``B K`` to ``B C``: every class gets the change of its region, 0 where it has none."""
        owner = {c: k for k, region in enumerate(self.regions) for c in region}
        if list(owner.items()) == [(c, c) for c in range(self.num_channels)]:
            return change
        nothing = torch.zeros_like(change[:, :1])
        return torch.cat([change[:, owner[c], None] if c in owner else nothing for c in range(self.num_channels)], 1)

    def _rest(self, region: tuple[int, ...]) -> list[int]:
        return [c for c in range(self.num_channels) if c not in region]

    def _membership(self, u: torch.Tensor, region: tuple[int, ...]) -> torch.Tensor:
        inside = [float(c in region) for c in range(self.num_channels)]
        return u.new_tensor(inside).view(-1, *([1] * (u.ndim - 2)))


@dataclass(frozen=True)
class Regions:
    """Unions of classes that are disjoint or nested.

    Args:
        classes: per region its classes; None: each foreground class by itself (with sigmoid, each channel).
        sigmoid: each channel is a binary segmentation of its own; one channel always is.

    Raises:
        ValueError: no region, an empty one, one that is there twice, a class below 0, regions that overlap without one
            enclosing the other, or a union where each channel is a segmentation of its own.
    """

    classes: tuple[tuple[int, ...], ...] | None = None
    sigmoid: bool = False

    @classmethod
    def of(cls, regions: Sequence[Sequence[int]] | None, *, sigmoid: bool = False) -> Regions:
        """From what a person writes: ``[[1, 2], [2]]``."""
        found = check_regions(regions)
        if found is None:
            return cls(None, sigmoid)
        _check_nesting(found)
        if sigmoid and any(len(region) > 1 for region in found):
            raise ValueError(f"with sigmoid each channel is a region of its own, so there are no unions; got {regions}")
        return cls(found, sigmoid)

    def levels(self, num_channels: int) -> list[Level]:
        """The regions from the outermost to the innermost, for a network with so many channels.

        Raises:
            ValueError: a class that the network does not have, or a region of all its classes.
        """
        sigmoid = self.sigmoid or num_channels == 1
        classes = self.classes
        if classes is None:
            classes = tuple((c,) for c in range(0 if sigmoid else 1, num_channels))
        elif num_channels == 1 and not self.sigmoid:
            classes = tuple(_of_single_channel(region) for region in classes)
        for region in classes:
            if max(region) >= num_channels:
                raise ValueError(
                    f"regions name the class {max(region)}, but the tensor has {num_channels} channels "
                    f"(classes 0 to {num_channels - 1})"
                )
            if len(region) == num_channels and not sigmoid:
                raise ValueError(f"the region {list(region)} holds all {num_channels} classes, so it has no outline")
        parents = [_parent(region, classes) for region in classes]
        depths = [_depth(region, classes) for region in classes]
        levels = []
        for depth in range(max(depths) + 1):
            members = [i for i, d in enumerate(depths) if d == depth]
            regions = tuple(classes[i] for i in members)
            levels.append(Level(regions, tuple(parents[i] for i in members), num_channels, sigmoid))
        return levels

    @cached_property
    def depth(self) -> int:
        """Number of levels."""
        return 1 if self.classes is None else 1 + max(_depth(region, self.classes) for region in self.classes)

    @property
    def shown(self) -> list[list[int]] | None:
        """As a person writes it."""
        return None if self.classes is None else [list(region) for region in self.classes]


def _of_single_channel(region: tuple[int, ...]) -> tuple[int, ...]:
    if region != (1,):
        wrong = next(c for c in region if c != 1)
        raise ValueError(f"a single channel is class 1; regions name the class {wrong}")
    return (0,)


def _check_nesting(found: Sequence[tuple[int, ...]]) -> None:
    if len(set(found)) < len(found):
        raise ValueError(f"regions name a region twice: {[list(region) for region in found]}")
    for a in found:
        for b in found:
            if set(a) & set(b) and not (set(a) <= set(b) or set(b) <= set(a)):
                raise ValueError(
                    f"the regions {list(a)} and {list(b)} overlap, but neither encloses the other; they must be "
                    f"disjoint or nested"
                )


def _parent(region: tuple[int, ...], classes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    return min((other for other in classes if set(region) < set(other)), key=len, default=None)


def _depth(region: tuple[int, ...], classes: Sequence[tuple[int, ...]]) -> int:
    return sum(set(region) < set(other) for other in classes)


def _logsumexp(u: torch.Tensor, channels: Sequence[int]) -> torch.Tensor:
    """Pair by pair, in a quarter of the time of torch's ``logsumexp`` over the axis of channels."""
    found = u[:, channels[0], None]
    for channel in channels[1:]:
        found = torch.logaddexp(found, u[:, channel, None])
    return found


def _largest(u: torch.Tensor, channels: Sequence[int]) -> torch.Tensor:
    """The largest of some channels, one after the other: torch's ``amax`` over them takes ten times as long."""
    largest = u[:, channels[0], None]
    for channel in channels[1:]:
        largest = torch.maximum(largest, u[:, channel, None])
    return largest
