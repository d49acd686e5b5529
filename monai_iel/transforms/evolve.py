"""The evolution run forwards: a smoother for predictions."""

from __future__ import annotations

import torch

from monai_iel.layers.explicit_engine import rate_of
from monai_iel.layers.spectral_engine import SpectralEngine
from monai_iel.numerics.grid import Grid
from monai_iel.numerics.schemes import euler
from monai_iel.transforms.evolution import EvolutionTransform, EvolutionTransformd

__all__ = ["Evolve", "EvolveD", "EvolveDict", "Evolved"]


class Evolve(EvolutionTransform):
    r"""Runs an evolution forwards on logits or probabilities: the smoother that undoes an inverse evolution layer.

    .. math:: v = (I + \Delta t\, A)^{-N} u, \qquad A = -F

    for a linear evolution: that is N steps of implicit Euler, stable for any step (``scheme="exponential"``: the
    continuous flow :math:`\exp(-N \Delta t\, A)`). With the arguments of an :class:`monai_iel.InverseEvolution` it is
    that layer's exact inverse. It costs no training, so it is what an IEL has to be compared with: the plain network,
    smoothed afterwards.

    Other evolutions take explicit steps :math:`v_{k+1} = v_k + \Delta t\, F(v_k)`, and steps above their stability
    bound are refused; one's own term without a ``largest_rate`` has no bound to check, only that the result is finite.

    Smoothing probabilities by heat keeps their range and their sum; other evolutions may miss one or the other a
    little. Smoothing logits is what the layer's theory speaks of. The two give different masks. Do not use it on class
    maps: make them one-hot first. Lopsided logits (background larger than organ) shrink organs when smoothed over long
    distances.

    Args:
        term: the evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: the factor by which the finest pattern is damped, instead of ``dt``; linear evolutions only.
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
        ValueError: an integer class map (one channel, values above 1); arguments out of range; an explicit step above
            the stability bound; a result that is not finite; a spacing with another number of axes than the image.

    References:
        J. Weickert et al., "Efficient and reliable schemes for nonlinear diffusion filtering", IEEE Trans. Image
        Process. 7 (1998), eq. (9) for the semi-implicit step; here all axes are solved together, in the eigenbasis.

    Example:
        >>> from monai_iel import HeatDiffusion, TotalVariationFlow
        >>> smooth = Evolve(HeatDiffusion(), dt=0.5, num_steps=4)
        >>> smooth(torch.rand(3, 16, 16)).shape, smooth(torch.rand(2, 8, 8, 8)).shape
        (torch.Size([3, 16, 16]), torch.Size([2, 8, 8, 8]))
        >>> Evolve(TotalVariationFlow(epsilon=0.1), dt=0.02)(torch.rand(3, 16, 16)).shape
        torch.Size([3, 16, 16])
    """

    def _evolved(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        stepping = self.stepping(grid)
        dt = stepping.dt(u.ndim - 2)
        if stepping.linear is not None:
            return SpectralEngine(stepping, forwards=True)(u, grid, dt)
        stepping.check_stable_forwards(u.ndim - 2)
        return euler(u, rate_of(self.term, grid, dt), dt, stepping.num_steps)


class Evolved(EvolutionTransformd):
    """Dictionary form of :class:`Evolve`.

    Args:
        keys: keys of the predictions.
        term: the evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: damping of the finest pattern, instead of ``dt``; linear evolutions only.
        num_steps: number of steps.
        scheme: ``"euler"``, or ``"exponential"`` for the continuous flow of a linear evolution.
        spacing: voxel size in mm; None takes it from the image's affine.
        boundary: ``"neumann"``, ``"dirichlet"`` or ``"periodic"``.
        allow_missing_keys: pass over keys that are absent.

    Raises:
        TypeError, ValueError: as :class:`Evolve`.

    Example:
        >>> from monai_iel import HeatDiffusion
        >>> smooth = Evolved("pred", HeatDiffusion(), gain=38)
        >>> smooth({"pred": torch.rand(2, 16, 16)})["pred"].shape
        torch.Size([2, 16, 16])
    """

    array = Evolve


EvolveD = EvolveDict = Evolved
