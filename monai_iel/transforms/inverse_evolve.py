"""What the inverse evolution layer makes of an image, to look at."""

from __future__ import annotations

import torch

from monai_iel.layers.inverse_evolution import InverseEvolution
from monai_iel.numerics.grid import Grid
from monai_iel.transforms.evolution import EvolutionTransform, EvolutionTransformd

__all__ = ["InverseEvolve", "InverseEvolveD", "InverseEvolveDict", "InverseEvolved"]


class InverseEvolve(EvolutionTransform):
    r"""Runs an evolution backwards on one image: what the loss sees behind an :class:`monai_iel.InverseEvolution`.

    For looking at the layer: save its output of a network's logits, and see which defects it amplifies and from how
    far. It is no post-processing: it makes predictions worse. :class:`monai_iel.Evolve` undoes it where the evolution
    is linear.

    Args:
        term: the evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: the factor by which the finest pattern is amplified, instead of ``dt``; linear evolutions only.
        num_steps: N.
        scheme: ``"euler"``, or ``"exponential"`` for the continuous flow of a linear evolution.
        spacing: voxel size in mm, per axis or one number; None takes it from the image's affine (MetaTensor), or 1 mm
            where there is none.
        boundary: ``"neumann"`` (zero flux), ``"dirichlet"`` or ``"periodic"``.

    Shape:
        - ``img``: ``C H [W [D]]``, channel first without batch, NumPy array, tensor or MetaTensor. Integers and
          booleans (one-hot maps) become float32. The result has the input's type, its metadata and its floating dtype.

    Raises:
        TypeError: a term that is no evolution.
        ValueError: an integer class map (one channel, values above 1); arguments out of range; a result that is not
            finite; a spacing with another number of axes than the image.

    References:
        Liu et al., arXiv 2307.07344, eq. (5) and (6).

    Example:
        >>> from monai_iel import HeatDiffusion
        >>> amplify = InverseEvolve(HeatDiffusion(), gain=38)
        >>> amplify(torch.rand(3, 16, 16)).shape, amplify(torch.rand(2, 8, 8, 8)).shape
        (torch.Size([3, 16, 16]), torch.Size([2, 8, 8, 8]))
    """

    def _evolved(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        layer = InverseEvolution(
            self.term, grid=grid, dt=self.dt, gain=self.gain, num_steps=self.num_steps, scheme=self.scheme
        )
        out: torch.Tensor = layer(u)
        return out


class InverseEvolved(EvolutionTransformd):
    """Dictionary form of :class:`InverseEvolve`.

    Args:
        keys: keys of the logits.
        term: the evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: amplification of the finest pattern, instead of ``dt``; linear evolutions only.
        num_steps: number of steps.
        scheme: ``"euler"``, or ``"exponential"`` for the continuous flow of a linear evolution.
        spacing: voxel size in mm; None takes it from the image's affine.
        boundary: ``"neumann"``, ``"dirichlet"`` or ``"periodic"``.
        allow_missing_keys: pass over keys that are absent.

    Raises:
        TypeError, ValueError: as :class:`InverseEvolve`.

    Example:
        >>> from monai_iel import HeatDiffusion
        >>> amplify = InverseEvolved("pred", HeatDiffusion(), gain=38)
        >>> amplify({"pred": torch.rand(2, 16, 16)})["pred"].shape
        torch.Size([2, 16, 16])
    """

    array = InverseEvolve


InverseEvolveD = InverseEvolveDict = InverseEvolved
