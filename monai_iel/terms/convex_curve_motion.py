"""Convex curve motion: the evolutions that fill the concavities of an outline and leave convex ones alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch

from monai_iel.numerics.curvature import largest_tangential_derivative, largest_tangential_vector_jacobian
from monai_iel.numerics.grid import Grid
from monai_iel.numerics.stencils import upwind_growth, upwind_growth_vector_jacobian
from monai_iel.numerics.windows import BoxCounts, dilated
from monai_iel.terms.base import EvolutionTerm
from monai_iel.terms.coefficients import positive, total
from monai_iel.terms.regions import Level, Regions

__all__ = ["ConvexCurveMotion"]

Criterion = Literal["curvature", "region"]

# Of t^T H t behind the binomial filter the largest symbol over all waves and unit vectors t, in 1 / h^2, is 16/27 in 2D
# and 0.616 in 3D.
_FASTEST = 0.625


class ConvexCurveMotion(EvolutionTerm):
    r"""Convex curve motion: fills the concavities of a region's outline, and leaves convex outlines alone.

    The region R is a class or a union of classes. What moves is its margin, the log odds of R,

    .. math:: m = \log\sum_{c \in R} e^{u_c} - \log\sum_{c \notin R} e^{u_c}

    (the logit itself with one channel, or with sigmoid channels), by adding the same to every logit of R:

    - ``"curvature"``: :math:`m_t = \max(0, \lambda_{\max}(P H P))\, |\nabla m|^2 / (|\nabla m|^2 + \varepsilon^2)`, H
      the Hessian of m and :math:`P = I - n n^T` the projection on its level set, :math:`n = \nabla m / |\nabla m|`. All
      superlevel sets of m are convex exactly where this is 0. A concave outline moves outwards with its (largest)
      curvature, so a dent of depth d needs a time of about :math:`d^2 / 2`. Right in the limit, slow over long
      distances. The last factor leaves plateaus alone: their noise has curvature too, but no outline.
    - ``"region"``: :math:`m_t = 1_Z |\nabla m|`. Z holds the voxels outside the region around which some centred box of
      half-width ``radii_mm`` is more than half full of it (no convex set does that to a point outside it), and the
      voxels of the region next to them. The outline moves by 1 mm per unit of time. Fast, but blind to dents that are
      larger than the largest box.

    Normals, slopes, boxes and masks are constants in the backward pass: a gradient through them makes training worse.

    Nested regions (a cup in a disc, ``[[1, 2], [2]]``) go from the outermost to the innermost, and a step of an inner
    region moves it against the rest of the outer one, whose margin stays where it is.

    Regions beside each other share a border: what one gains there the other loses, so a dent is filled at the cost of a
    neighbour that lies in it.

    Not for organs that are concave, and not where objects of one class lie within `reach_mm` of each other: they are
    joined. With ``Evolve`` give it logits, not probabilities. It says nothing of how many pieces a region has: a
    convex satellite is convex.

    Args:
        criterion: ``"curvature"`` or ``"region"``.
        regions: classes of each region, disjoint or nested; None: each foreground class by itself (every channel with
            ``sigmoid``). A single channel is class 1.
        radii_mm: half-widths of the boxes, for ``"region"``.
        sigmoid: each channel is a binary segmentation of its own. One channel always is.
        epsilon: slope of the margin, in logits per mm, below which there is no outline, for ``"curvature"``.

    Shape:
        - ``u``: logits ``B C H [W [D]]``; the result has the same shape and dtype. Time is in mm^2 for
          ``"curvature"``, where 4 steps of ``dt = 2 h^2`` are usual in training and steps up to ``3.2 h^2`` are stable
          forwards, and in mm for ``"region"``. Logits must be finite.

    Raises:
        ValueError: a misspelt criterion; regions that overlap without nesting, or name classes that ``u`` does not
            have; radii that are not above 0, or all below the voxel size.

    References:
        Liu et al., arXiv 2307.07344, section 3.3, for the region form: there with discs in pixels, for one class in 2D;
        here with boxes in mm and an upwind gradient. The curvature form is the flow of S. Osher and J. Sethian, J.
        Comput. Phys. 79 (1988), with the positive part of the largest principal curvature for speed.

    Example:
        >>> x = torch.arange(-8.0, 9.0)
        >>> hole = (x[:, None] ** 2 + x**2).sqrt()[None, None] - 4  # the outline of a round hole: F is about 1 / r
        >>> ConvexCurveMotion(epsilon=1e-3)(hole, Grid())[0, 0, 8, 12:15].round(decimals=2)
        tensor([0.2400, 0.1900, 0.1600])
        >>> bool((ConvexCurveMotion()(-hole, Grid()) < 1e-6).all())  # a disc stays
        True
        >>> cup_in_disc = ConvexCurveMotion("region", regions=[[1, 2], [2]], radii_mm=[3, 5])
        >>> cup_in_disc(torch.randn(1, 3, 8, 8, 8), Grid()).shape
        torch.Size([1, 3, 8, 8, 8])
    """

    def __init__(
        self,
        criterion: Criterion = "curvature",
        *,
        regions: Sequence[Sequence[int]] | None = None,
        radii_mm: Sequence[float] = (5.0, 10.0, 15.0),
        sigmoid: bool = False,
        epsilon: float = 0.3,
    ) -> None:
        super().__init__()
        if criterion not in get_args(Criterion):
            raise ValueError(f"criterion must be one of {', '.join(get_args(Criterion))}; got {criterion!r}")
        self.criterion = criterion
        self.regions = Regions.of(regions, sigmoid=sigmoid)
        self.radii_mm = tuple(positive(r, "radii_mm") for r in radii_mm)
        if not self.radii_mm:
            raise ValueError("radii_mm must hold at least one radius; got none")
        self.epsilon = positive(epsilon, "epsilon")
        # The filter looks 2 voxels far and the differences 1, of what the level before has moved.
        self.reach = 3 * self.regions.depth if criterion == "curvature" else None

    def forward(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """How fast each logit moves: at the start of a step, all regions at once."""
        levels = self.regions.levels(u.shape[1])
        return total(level.rates(u, self._speed(level, u, grid)) for level in levels)

    def step_rate(self, u: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """The mean rate over a step; with nested regions one level after the other, each keeping the outer margins."""
        levels = self.regions.levels(u.shape[1])
        if len(levels) == 1:
            return self(u, grid)
        added = torch.zeros_like(u)
        for level in levels:
            now = u + added
            added = added + level.moved(now, dt * self._speed(level, now, grid))
        return added / dt

    def vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Written down without nesting, which is the usual case; else by autograd."""
        levels = self.regions.levels(u.shape[1])
        if len(levels) > 1:
            return self._by_autograd(u, grad, lambda v: self(v, grid))
        (level,) = levels
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            margins = level.margins(leaf)
        plain, seen = margins.detach(), level.gathered(grad)
        if self.criterion == "curvature":
            by_margin = largest_tangential_vector_jacobian(plain, seen * self._steepness(plain, grid), grid)
        else:
            where = self._concave(level.masks(u.detach()), grid)
            if _is_nowhere(where):
                return torch.zeros_like(u)
            by_margin = upwind_growth_vector_jacobian(plain, seen * where, grid)
        return torch.autograd.grad(margins, leaf, by_margin)[0]

    def step_vector_jacobian(self, u: torch.Tensor, grad: torch.Tensor, grid: Grid, dt: float) -> torch.Tensor:
        """Of `step_rate`; normals, slopes, boxes and masks are constants."""
        if len(self.regions.levels(u.shape[1])) == 1:
            return self.vector_jacobian(u, grad, grid)
        return self._by_autograd(u, grad, lambda v: self.step_rate(v, grid, dt))

    @staticmethod
    def _by_autograd(
        u: torch.Tensor, grad: torch.Tensor, rate_of: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            rate = rate_of(leaf)
        return torch.autograd.grad(rate, leaf, grad)[0] if rate.requires_grad else torch.zeros_like(u)

    def largest_rate(self, grid: Grid, spatial_dims: int) -> float:
        """``5/8 / min h^2`` for curvature: along a level set it is heat in one dimension, of what the filter leaves.

        For region ``2 sqrt(sum 1 / h^2)``: steps up to 2 / rate stay below the largest neighbour.
        """
        spacings = grid.spacings(spatial_dims)
        if self.criterion == "curvature":
            return _FASTEST / min(spacings) ** 2
        return 2 * math.sqrt(sum(1 / h**2 for h in spacings))

    def reach_mm(self, time: float) -> float:
        """Gap in mm between two objects of a region from which on they are not joined in a time, ``num_steps * dt``.

        For ``"curvature"`` a round hole of that width closes in the time; for ``"region"`` it is the largest box.
        """
        return max(self.radii_mm) if self.criterion == "region" else 2 * math.sqrt(2 * time)

    def extra_repr(self) -> str:
        """Criterion and regions."""
        radii = f", radii_mm={self.radii_mm}" if self.criterion == "region" else f", epsilon={self.epsilon}"
        sigmoid = ", sigmoid=True" if self.regions.sigmoid else ""
        return f"{self.criterion!r}, regions={self.regions.shown}{radii}{sigmoid}"

    def _speed(self, level: Level, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """``m_t`` of each region of a level, ``B K H [W [D]]``."""
        if self.criterion == "curvature":
            margins = level.margins(u)
            return largest_tangential_derivative(margins, grid).relu() * self._steepness(margins, grid)
        with torch.no_grad():
            where = self._concave(level.masks(u.detach()), grid)
        # Any slope will do where nothing moves, and that of the margins costs most of a step.
        slope = u[:, : where.shape[1]] if _is_nowhere(where) else upwind_growth(level.margins(u), grid)
        return slope * where.to(u.dtype)

    def _steepness(self, margins: torch.Tensor, grid: Grid) -> torch.Tensor:
        """0 where m is flat, 1 at an outline; the slope is that towards larger neighbours, so that pits are filled."""
        with torch.no_grad():
            squares = upwind_growth(margins.detach(), grid).square_()
            return squares.div_(squares + self.epsilon**2)

    def _concave(self, organ: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Z of each region: outside it where a box is more than half full of it, and the organ's voxels next to that.

        Beyond the image there is no organ, so none is invented at its border.
        """
        spacings = grid.spacings(organ.ndim - 2)
        boxes = {tuple(math.floor(radius / h + 1e-6) for h in spacings) for radius in self.radii_mm}
        boxes.discard((0,) * len(spacings))
        if not boxes:
            raise ValueError(f"radii_mm={self.radii_mm} are all below the voxel size {spacings} mm; give larger ones")
        found, counts = torch.zeros_like(organ), BoxCounts(organ)
        for box in sorted(boxes):
            found |= counts(box) > math.prod(2 * r + 1 for r in box) / 2
        found &= ~organ
        if _is_nowhere(found):
            return found
        return found | (organ & dilated(found))


def _is_nowhere(mask: torch.Tensor) -> bool:
    """Whether a mask is known to be empty; on other devices than the CPU asking would wait for all work before."""
    return mask.device.type == "cpu" and not bool(mask.any())
