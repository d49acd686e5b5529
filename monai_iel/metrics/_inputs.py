"""What the surface metrics share: checked inputs, spacing in mm, one value per case and structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.data import MetaTensor
from monai.metrics.utils import ignore_background

from monai_iel.numerics.grid import voxel_sizes

__all__ = ["Spacing", "binary_pair", "per_structure", "spacing_per_item"]

Spacing = float | Sequence[float] | None
Measure = Callable[[torch.Tensor, torch.Tensor, tuple[float, ...]], float]

_SPACING_TOLERANCE = 0.01  # relative; headers round, grids do not differ by less


def check_shapes(y_pred: torch.Tensor, y: torch.Tensor) -> None:
    """Refuse anything but two tensors of one shape ``B C H W [D]``."""
    for name, value in (("y_pred", y_pred), ("y", y)):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; give a torch.Tensor of shape B C H W [D].")
    if y_pred.shape != y.shape:
        raise ValueError(
            f"y_pred has shape {tuple(y_pred.shape)} and y has {tuple(y.shape)}; both must be B C H W [D] with "
            "the same channels: make y one-hot (AsDiscrete(to_onehot=...)), and bring both to one grid."
        )
    if y_pred.ndim not in (4, 5):
        raise ValueError(f"y_pred has shape {tuple(y_pred.shape)}; expected B C H W (2D) or B C H W D (3D).")


def binary_pair(
    y_pred: torch.Tensor, y: torch.Tensor, *, include_background: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two masks as plain boolean tensors, without channel 0 where the background is left out.

    Like MONAI, a single channel is never taken for the background.
    """
    check_shapes(y_pred, y)
    masks = []
    for name, value in (("y_pred", y_pred), ("y", y)):
        plain = value.as_tensor() if isinstance(value, MetaTensor) else value
        mask = plain > 0.5
        if not bool((mask == plain).all()):
            raise ValueError(
                f"{name} holds values other than 0 and 1 (from {plain.min().item():g} to {plain.max().item():g}); "
                "binarise it first: AsDiscrete(argmax=True, to_onehot=...) or AsDiscrete(threshold=0.5)."
            )
        masks.append(mask)
    pred, ref = masks
    if include_background:
        return pred, ref
    pred, ref = ignore_background(pred, ref)
    return pred, ref


def spacing_per_item(y_pred: torch.Tensor, y: torch.Tensor, spacing: Spacing = None) -> list[tuple[float, ...]]:
    """Millimetres per voxel, one tuple in axis order for each item of the batch.

    ``spacing`` wins where it is given. Otherwise the affine of ``y`` speaks, else that of ``y_pred``, else 1 mm.
    Two affines that disagree mean two grids, on which a voxel-by-voxel comparison says nothing: refused.
    """
    ndim, batch = y.ndim - 2, y.shape[0]
    if spacing is not None:
        values = (float(spacing),) * ndim if isinstance(spacing, (int, float)) else tuple(float(s) for s in spacing)
        if len(values) != ndim or not all(0 < v < float("inf") for v in values):
            raise ValueError(
                f"spacing is {spacing!r}; expected one positive number in mm, or {ndim} of them for this {ndim}D image."
            )
        return [values] * batch
    known = [(name, _from_affine(t, ndim, batch)) for name, t in (("y", y), ("y_pred", y_pred))]
    found = [(name, s) for name, s in known if s is not None]
    if not found:
        return [(1.0,) * ndim] * batch
    if len(found) == 2:
        for a, b in zip(found[0][1], found[1][1], strict=True):
            if any(abs(p - q) > _SPACING_TOLERANCE * p for p, q in zip(a, b, strict=True)):
                raise ValueError(
                    f"y has a spacing of {_mm(a)} and y_pred of {_mm(b)}; bring both to one grid (Invertd), or give "
                    "spacing=... where the header of one is known to be wrong."
                )
    return found[0][1]


def _mm(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{s:g}" for s in spacing) + " mm"


def _from_affine(tensor: torch.Tensor, ndim: int, batch: int) -> list[tuple[float, ...]] | None:
    if not isinstance(tensor, MetaTensor):
        return None
    sizes = voxel_sizes(tensor.affine, ndim)
    return sizes if tensor.affine.ndim == 3 else sizes * batch  # collated, or one item with a batch axis added


def per_structure(
    y_pred: torch.Tensor,
    y: torch.Tensor,
    *,
    include_background: bool,
    spacing: Spacing,
    found: Measure,
    missed: Callable[[float], float],
) -> torch.Tensor:
    """A value for each case and structure, shape ``B C``: ``found`` where both masks have it, ``missed`` where one has.

    ``found`` gets the two masks of one structure (``1 1 H W [D]``) and the spacing; ``missed`` gets the diagonal of
    the image in mm. NaN where neither mask has the structure: nothing was to be found, and nothing was.
    """
    spacings = spacing_per_item(y_pred, y, spacing)
    pred, ref = binary_pair(y_pred, y, include_background=include_background)
    values = torch.full(pred.shape[:2], float("nan"), dtype=torch.float32, device=pred.device)
    for b, mm in enumerate(spacings):
        diagonal = sum((n * h) ** 2 for n, h in zip(pred.shape[2:], mm, strict=True)) ** 0.5
        for c in range(pred.shape[1]):
            one, other = pred[b : b + 1, c : c + 1], ref[b : b + 1, c : c + 1]
            in_pred, in_ref = bool(one.any()), bool(other.any())
            if in_pred and in_ref:
                values[b, c] = found(one, other, mm)
            elif in_pred or in_ref:
                values[b, c] = missed(diagonal)
    return values
