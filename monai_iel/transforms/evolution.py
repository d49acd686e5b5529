"""What the transforms that run an evolution share: which tensors they take, and where the spacing comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_iel.layers.stepping import Stepping
from monai_iel.numerics.grid import Boundary, Grid, voxel_sizes
from monai_iel.numerics.schemes import Scheme
from monai_iel.terms.base import EvolutionTerm

__all__ = ["EvolutionTransform", "EvolutionTransformd", "grid_of_image"]


class EvolutionTransform(Transform, ABC):
    """Applies an evolution to one channel-first image; the subclass says in which direction.

    Args:
        term: the evolution.
        dt: step; mm^2 for second-order evolutions.
        gain: factor on the finest pattern, instead of ``dt``; linear evolutions only.
        num_steps: number of steps.
        scheme: ``"euler"``, or ``"exponential"`` for the continuous flow of a linear evolution.
        spacing: voxel size in mm, per axis or one number; None takes it from the image's affine (MetaTensor), or 1 mm
            where there is none.
        boundary: ``"neumann"`` (zero flux), ``"dirichlet"`` or ``"periodic"``.
    """

    backend: ClassVar[list[str]] = [TransformBackends.TORCH, TransformBackends.NUMPY]

    def __init__(
        self,
        term: EvolutionTerm,
        *,
        dt: float | None = None,
        gain: float | None = None,
        num_steps: int = 20,
        scheme: Scheme = "euler",
        spacing: float | Sequence[float] | None = None,
        boundary: Boundary = "neumann",
    ) -> None:
        self.term, self.spacing, self.boundary = term, spacing, boundary
        self.dt, self.gain, self.num_steps, self.scheme = dt, gain, num_steps, scheme
        self.stepping(Grid(1.0 if spacing is None else spacing, boundary))  # refuses bad arguments here, not at use

    def stepping(self, grid: Grid) -> Stepping:
        """How far the evolution goes on a grid: ``stepping(grid).describe()`` says it in words."""
        return Stepping(self.term, grid, dt=self.dt, gain=self.gain, num_steps=self.num_steps, scheme=self.scheme)

    @abstractmethod
    def _evolved(self, u: torch.Tensor, grid: Grid) -> torch.Tensor:
        """The result for ``B C H [W [D]]`` in float32 or float64."""

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Evolve one channel-first image or map."""
        u: torch.Tensor = convert_to_tensor(img, track_meta=False)
        if not u.is_floating_point():
            if u.shape[0] == 1 and u.numel() and int(u.max()) > 1:
                raise ValueError(
                    f"{type(self).__name__} takes logits, probabilities or one-hot maps, but got a class map (one "
                    f"channel, {u.dtype}, values up to {int(u.max())}): use AsDiscrete(to_onehot=...) before it"
                )
            u = u.float()
        grid = grid_of_image(img, u.ndim - 1, self.spacing, self.boundary)
        computed = u if u.dtype == torch.float64 else u.float()
        with torch.no_grad():
            out = self._evolved(computed.unsqueeze(0), grid).squeeze(0).to(u.dtype)
        if not torch.isfinite(out).all() and torch.isfinite(u).all():
            steps = self.stepping(grid).describe()
            raise ValueError(
                f"{type(self).__name__} of {self.term} ({steps}) gave values that are not finite in {out.dtype}, from "
                f"values in [{float(u.min()):.4g}, {float(u.max()):.4g}]: lower dt or gain, or give it float32"
            )
        result: NdarrayOrTensor = convert_to_dst_type(out, img, dtype=out.dtype)[0]
        return result


def grid_of_image(
    img: NdarrayOrTensor, spatial_dims: int, spacing: float | Sequence[float] | None, boundary: Boundary
) -> Grid:
    """The grid with the given spacing; where that is None, with the image's own (MetaTensor), or 1 mm."""
    if spacing is not None:
        return Grid(spacing, boundary)
    if isinstance(img, MetaTensor):
        return Grid(voxel_sizes(img.affine, spatial_dims)[0], boundary)
    return Grid(1.0, boundary)


class EvolutionTransformd(MapTransform):
    """Dictionary form of an `EvolutionTransform`; the subclass says of which.

    Args:
        keys: keys of the predictions.
        term: the evolution.
        dt: step; mm^2 for second-order evolutions.
        gain: factor on the finest pattern, instead of ``dt``; linear evolutions only.
        num_steps: number of steps.
        scheme: ``"euler"``, or ``"exponential"`` for the continuous flow of a linear evolution.
        spacing: voxel size in mm; None takes it from the image's affine.
        boundary: ``"neumann"``, ``"dirichlet"`` or ``"periodic"``.
        allow_missing_keys: pass over keys that are absent.
    """

    array: ClassVar[type[EvolutionTransform]]
    backend = EvolutionTransform.backend

    def __init__(
        self,
        keys: KeysCollection,
        term: EvolutionTerm,
        *,
        dt: float | None = None,
        gain: float | None = None,
        num_steps: int = 20,
        scheme: Scheme = "euler",
        spacing: float | Sequence[float] | None = None,
        boundary: Boundary = "neumann",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = self.array(
            term, dt=dt, gain=gain, num_steps=num_steps, scheme=scheme, spacing=spacing, boundary=boundary
        )

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Evolve the images under the keys."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key])
        return out
