"""Pictures of segmentations: a slice of the image with the outlines of one or more class maps drawn on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import diamond, dilation, erosion

__all__ = ["OKABE_ITO", "PictureOrientation", "best_slice", "outline_overlay", "shaded", "take_slice"]

Colour = tuple[int, int, int]
PictureOrientation = Literal["ras", "xy", "rows"]

_SCALE_OF_CASING = 3  # from here on a darkened pixel beside an outline is a small part of a voxel

OKABE_ITO: Mapping[str, Colour] = MappingProxyType(
    {
        "orange": (230, 159, 0),
        "sky blue": (86, 180, 233),
        "bluish green": (0, 158, 115),
        "yellow": (240, 228, 66),
        "blue": (0, 114, 178),
        "vermillion": (213, 94, 0),
        "reddish purple": (204, 121, 167),
        "black": (0, 0, 0),
    }
)
"""RGB colours that people with any common colour blindness tell apart (Okabe and Ito, "Color universal design")."""


def outline_overlay(
    image: NDArray[Any],
    masks: Mapping[str, NDArray[Any]],
    *,
    colours: Mapping[str, Colour] | None = None,
    scale: int = 1,
) -> NDArray[np.uint8]:
    """The image in grey or colour with the outlines of class maps, one pixel wide, drawn on it.

    The image is stretched from its 1st to its 99th percentile (over all channels together, so that hues stay). An
    outline lies just inside a structure; between two touching classes it lies in the one with the higher number. Where
    outlines coincide, the later mask covers the earlier one. From ``scale`` 3 on the pixels beside an outline are
    darkened, so that it shows on bright images too.

    Args:
        image: ``H W`` grey or ``H W 3`` colour, any number type; NaN is drawn black.
        masks: name -> ``H W`` integer class map, 0 being background.
        colours: name -> RGB in 0-255; by default the colours of ``OKABE_ITO`` in their order.
        scale: magnification by repeating pixels before the outlines are drawn, so that they stay thin.

    Returns:
        ``uint8`` array, ``H * scale`` by ``W * scale`` by 3.

    Raises:
        ValueError: for an image that is neither grey nor RGB, a mask of another shape or of fractions, a name without a
            colour, or a ``scale`` below 1.

    Example:
        >>> image = np.linspace(0.0, 1.0, 64).reshape(8, 8)
        >>> label = np.zeros((8, 8), dtype=int)
        >>> label[2:6, 2:6] = 1
        >>> picture = outline_overlay(image, {"label": label}, colours={"label": (255, 0, 0)}, scale=2)
        >>> picture.shape, int((picture == (255, 0, 0)).all(axis=-1).sum())
        ((16, 16, 3), 28)
    """
    if scale < 1 or scale != int(scale):
        raise ValueError(f"scale is {scale!r}; expected a whole number, 1 or more.")
    picture = _stretch(np.asarray(image))
    chosen = _colours(masks, colours)
    outlines = {name: _outline(name, np.asarray(mask), picture.shape[:2], int(scale)) for name, mask in masks.items()}
    picture = _magnify(picture, int(scale))
    if scale >= _SCALE_OF_CASING and outlines:
        beside = dilation(np.logical_or.reduce(list(outlines.values())), diamond(1))
        picture[beside] //= 2
    for name, outline in outlines.items():
        picture[outline] = chosen[name]
    return picture


def _colours(masks: Mapping[str, NDArray[Any]], colours: Mapping[str, Colour] | None) -> dict[str, Colour]:
    if colours is None:
        palette = list(OKABE_ITO.values())
        return {name: palette[i % len(palette)] for i, name in enumerate(masks)}
    missing = [name for name in masks if name not in colours]
    if missing:
        raise ValueError(f"colours has no entry for {missing}; it has {sorted(colours)}.")
    return dict(colours)


def _stretch(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] != 3) or image.size == 0:
        raise ValueError(
            f"image has shape {image.shape}; expected H W (grey) or H W 3 (RGB). Use take_slice for a volume."
        )
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    low, high = np.percentile(values[finite], (1, 99)) if finite.any() else (0.0, 0.0)
    if high <= low:  # nearly constant: a mask, or one bright spot in the dark
        low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    unit = np.where(finite, values - low, 0.0) / (high - low if high > low else 1.0)
    grey = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return grey if image.ndim == 3 else np.repeat(grey[..., None], 3, axis=-1)


def _magnify(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _outline(name: str, mask: NDArray[Any], shape: tuple[int, ...], scale: int) -> NDArray[np.bool_]:
    if mask.shape != shape:
        raise ValueError(f"mask {name!r} has shape {mask.shape}, the image has {shape}; draw both from the same slice.")
    whole = np.rint(mask).astype(np.int64) if np.isfinite(mask).all() else None
    if whole is None or not np.array_equal(whole, mask):
        raise ValueError(f"mask {name!r} holds values that are no class numbers; give the argmax, not probabilities.")
    classes = _magnify(whole, scale)
    # A pixel is on an outline if a neighbour has a lower class: one-sided, so that the line is one pixel wide.
    drawn: NDArray[np.bool_] = erosion(classes, diamond(1)) < classes
    return drawn


def shaded(
    picture: NDArray[np.uint8], where: NDArray[np.bool_], colour: Colour, *, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """A picture with a part of it tinted.

    Args:
        picture: ``H W 3`` of ``uint8``, such as `outline_overlay` makes.
        where: ``H W`` boolean mask, or of the size that ``picture`` is a whole multiple of.
        colour: RGB in 0-255.
        opacity: share of the colour, from 0 to 1.

    Returns:
        A new picture.

    Raises:
        ValueError: for a mask whose size times a whole number is not the picture's.

    Example:
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> shaded(picture, np.eye(2, dtype=bool), (200, 100, 0))[..., 0]
        array([[100, 100,   0,   0],
               [100, 100,   0,   0],
               [  0,   0, 100, 100],
               [  0,   0, 100, 100]], dtype=uint8)
    """
    scale = picture.shape[0] // max(1, where.shape[0])
    if tuple(n * scale for n in where.shape) != picture.shape[:2]:
        raise ValueError(f"where has shape {where.shape}, the picture {picture.shape[:2]}; expected a whole multiple.")
    found, tinted = _magnify(where, scale), picture.copy()
    tinted[found] = np.rint(picture[found] * (1 - opacity) + np.asarray(colour) * opacity).astype(np.uint8)
    return tinted


def best_slice(label: NDArray[Any], axis: int = -1) -> int:
    """Index of the slice with the most foreground along an axis; among equals, and where there is none, the middle one.

    Args:
        label: class map of any dimension, 0 being background.
        axis: the axis across which slices are taken.

    Example:
        >>> label = np.zeros((8, 8, 9), dtype=int)
        >>> label[2:6, 2:6, 5:7] = 1
        >>> label[3, 3, 1] = 2
        >>> best_slice(label), best_slice(np.zeros((8, 8, 9))), best_slice(label, axis=0)
        (5, 4, 3)
    """
    label = np.asarray(label)
    others = tuple(a for a in range(label.ndim) if a != axis % label.ndim)
    counts = np.count_nonzero(label, axis=others)
    best = np.flatnonzero(counts == counts.max())
    return int(best[(len(best) - 1) // 2])


def take_slice(
    volume: NDArray[Any], *, axis: int = -1, index: int | None = None, orientation: PictureOrientation | None = None
) -> NDArray[Any]:
    """One slice of a volume, or a 2D image, turned so that it looks upright as a picture (rows downwards).

    ``"ras"`` is for arrays whose axes run to the patient's right, front and head (a NIfTI in RAS+): the first remaining
    axis runs to the right of the picture and the second one upwards, so the patient's right is on the right of the
    picture. ``"xy"`` is for 2D images whose first axis is x (what MONAI's PILReader gives). ``"rows"`` leaves the order
    as it is.

    Args:
        volume: ``X Y Z``, or ``X Y`` for an image.
        axis: the axis across which the slice is taken; ignored for an image.
        index: which slice, the middle one by default; :func:`best_slice` finds a telling one.
        orientation: ``"ras"`` (default in 3D), ``"xy"`` (default in 2D) or ``"rows"``.

    Returns:
        A view of the volume, ``H W``.

    Raises:
        ValueError: for an array that is neither 2D nor 3D, an index outside it, or an unknown orientation.

    Example:
        >>> volume = np.zeros((4, 5, 6))
        >>> volume[0, 4, 3] = 1  # left and front
        >>> picture = take_slice(volume, index=3)
        >>> picture.shape, np.argwhere(picture).tolist()  # upper left
        ((5, 4), [[0, 0]])
    """
    volume = np.asarray(volume)
    if volume.ndim not in (2, 3):
        raise ValueError(f"volume has shape {volume.shape}; expected X Y Z or X Y: take one channel first.")
    plane = volume
    if volume.ndim == 3:
        size = volume.shape[axis]
        at = size // 2 if index is None else index
        if not 0 <= at < size:
            raise ValueError(
                f"index is {index}, but the volume of shape {volume.shape} has {size} slices along axis {axis}."
            )
        plane = np.take(volume, at, axis=axis)
    chosen = orientation or ("ras" if volume.ndim == 3 else "xy")
    if chosen == "ras":
        return np.rot90(plane)
    if chosen == "xy":
        return plane.T
    if chosen == "rows":
        return plane
    raise ValueError(f"orientation is {orientation!r}; expected 'ras', 'xy' or 'rows'.")
