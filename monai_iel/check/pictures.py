"""A small picture of a case in which something was found."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_iel.visualize import best_slice, outline_overlay, take_slice

__all__ = ["picture_of"]

_SIZE = 128  # pixels; a larger slice loses rows and columns
_SHOWN = 160  # pixels, about, to which a smaller one is magnified, so that outlines stay thin


def picture_of(
    values: np.ndarray[Any, Any],
    shape: tuple[int, ...],
    classes: np.ndarray[Any, Any] | None,
    voxel: tuple[int, ...] = (),
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A small slice through ``voxel``, else the one with the most foreground, with the outlines of the classes.

    Args:
        values: of the image, as they are stored.
        shape: the spatial part of their shape.
        classes: class map of that shape; ``None``: no outlines, and the middle slice.
        voxel: indices of what is worth showing, where there is such.
    """
    channels = values.reshape(*shape, -1)
    colour = len(shape) == 2 and channels.shape[-1] == 3
    image = channels if colour else channels[..., 0]
    # Pictures have rows first, volumes run to the patient's right, front and head.
    if len(shape) == 3:
        index = voxel[-1] if voxel else None if classes is None else best_slice(classes)
        image = take_slice(image, index=index)
        classes = None if classes is None else take_slice(classes, index=index)
    step = max(1, -(-max(image.shape[:2]) // _SIZE))
    masks = {} if classes is None else {"label": classes[::step, ::step]}
    small = image[::step, ::step]
    return outline_overlay(small, masks, scale=max(1, _SHOWN // max(small.shape[:2])))
