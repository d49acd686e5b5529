"""The evolution run forwards: a smoother for predictions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import ClassVar

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_iel.layers.stepping import Stepping
from monai_iel.numerics.grid import Boundary, Grid, voxel_sizes
from monai_iel.numerics.spectral import apply_multiplier, computing_dtype, eigenvalues
from monai_iel.terms.base import LinearTerm

__all__ = ["Evolve", "EvolveD", "EvolveDict", "Evolved"]


class Evolve(Transform):
    r"""Runs an evolution forwards on logits or probabilities: the smoother that undoes an inverse evolution layer.

    .. math:: v = (I + \Delta t\, A)^{-N} u, \qquad A = -F

    that is N steps of implicit Euler, stable for any step. With the arguments of an
    :class:`monai_iel.InverseEvolution` it is that layer's exact inverse. It costs no training, so it is what an IEL
    has to be compared with: the plain network, smoothed afterwards.

    Smoothing probabilities keeps their range and their sum; smoothing logits is what the layer's theory speaks of. The
    two give different masks. Do not use it on class maps: make them one-hot first. Lopsided logits (background larger
    than organ) shrink organs when smoothed over long distances.

    Args:
        term: a linear evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: the factor by which the finest pattern is damped, instead of ``dt``.
        num_steps: N.
        spacing: voxel size in mm, per axis or one number; None takes it from the image's affine (MetaTensor), or 1 mm
            where there is none.
        boundary: ``"neumann"`` (zero flux), ``"dirichlet"`` or ``"periodic"``.

    Shape:
        - ``img``: ``C H [W [D]]``, channel first without batch, NumPy array, tensor or MetaTensor. Integers and
          booleans (one-hot maps) become float32. The result has the input's type, its metadata and its floating dtype.

    Raises:
        TypeError: a term that is not linear.
        ValueError: an integer class map (one channel, values above 1); arguments out of range; a spacing with another
            number of axes than the image.

    References:
        J. Weickert et al., "Efficient and reliable schemes for nonlinear diffusion filtering", IEEE Trans. Image
        Process. 7 (1998), eq. (9) for the semi-implicit step; here all axes are solved together, in the eigenbasis.

    Example:
        >>> from monai_iel import HeatDiffusion
        >>> smooth = Evolve(HeatDiffusion(), dt=0.5, num_steps=4)
        >>> smooth(torch.rand(3, 16, 16)).shape, smooth(torch.rand(2, 8, 8, 8)).shape
        (torch.Size([3, 16, 16]), torch.Size([2, 8, 8, 8]))
    """

    backend: ClassVar[list[str]] = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(
        self,
        term: LinearTerm,
        *,
        dt: float | None = None,
        gain: float | None = None,
        num_steps: int = 20,
        spacing: float | tuple[float, ...] | None = None,
        boundary: Boundary = "neumann",
    ) -> None:
        if not isinstance(term, LinearTerm):
            raise TypeError(f"Evolve needs a linear evolution such as HeatDiffusion(); got {type(term).__name__}")
        self.term, self.spacing, self.boundary = term, spacing, boundary
        self.dt, self.gain, self.num_steps = dt, gain, num_steps
        self._stepping(Grid(1.0 if spacing is None else spacing, boundary))  # refuses bad arguments here, not at use

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Smooth one channel-first image or map."""
        u: torch.Tensor = convert_to_tensor(img, track_meta=False)
        if not u.is_floating_point():
            if u.shape[0] == 1 and u.numel() and int(u.max()) > 1:
                raise ValueError(
                    f"Evolve smooths logits, probabilities or one-hot maps, but got a class map (one channel, "
                    f"{u.dtype}, values up to {int(u.max())}): use AsDiscrete(to_onehot=...) before it"
                )
            u = u.float()
        out = self._smoothed(u, self._grid(img, u.ndim - 1))
        result: NdarrayOrTensor = convert_to_dst_type(out, img, dtype=out.dtype)[0]
        return result

    def _smoothed(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        dtype = computing_dtype(u)
        dt = self._stepping(grid).dt(u.ndim - 1)
        rates = self.term.symbol(eigenvalues(u.shape[1:], grid))
        multiplier = ((1 + dt * rates) ** -self.num_steps).to(dtype=dtype, device=u.device)
        return apply_multiplier(u.to(dtype).unsqueeze(0), multiplier, grid.boundary).squeeze(0).to(u.dtype)

    def _stepping(self, grid: Grid) -> Stepping:
        return Stepping(self.term, grid, dt=self.dt, gain=self.gain, num_steps=self.num_steps)

    def _grid(self, img: NdarrayOrTensor, spatial_dims: int) -> Grid:
        if self.spacing is not None:
            return Grid(self.spacing, self.boundary)
        if isinstance(img, MetaTensor):
            return Grid(voxel_sizes(img.affine, spatial_dims)[0], self.boundary)
        return Grid(1.0, self.boundary)


class Evolved(MapTransform):
    """Dictionary form of :class:`Evolve`.

    Args:
        keys: keys of the predictions.
        term: a linear evolution, e.g. ``HeatDiffusion()``.
        dt: step; mm^2 for heat.
        gain: damping of the finest pattern, instead of ``dt``.
        num_steps: number of steps.
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

    backend = Evolve.backend

    def __init__(
        self,
        keys: KeysCollection,
        term: LinearTerm,
        *,
        dt: float | None = None,
        gain: float | None = None,
        num_steps: int = 20,
        spacing: float | tuple[float, ...] | None = None,
        boundary: Boundary = "neumann",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.evolve = Evolve(term, dt=dt, gain=gain, num_steps=num_steps, spacing=spacing, boundary=boundary)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Smooth the predictions under the keys."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.evolve(out[key])
        return out


EvolveD = EvolveDict = Evolved
