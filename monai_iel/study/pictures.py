"""Pictures of a study: outlines on a telling slice, and the concavities of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation
from numpy.typing import NDArray

from monai_iel.convexity import convex_hull_mask
from monai_iel.study.runs import BundleRun, label_map_of
from monai_iel.visualize import best_slice, outline_overlay, shaded, take_slice

__all__ = ["LABEL", "NOISY", "LabelMaps", "concavities", "concavity_picture", "picture"]

LABEL, NOISY = "clean label", "noisy label"
Colour = tuple[int, int, int]
Masks = Mapping[str, NDArray[Any]]


class LabelMaps:
    """The test cases of a study, with their clean labels and the label maps of its methods.

    Args:
        run: a run of the bundle, for its data list.
        folders: method -> folder of its label maps.
    """

    def __init__(self, run: BundleRun, folders: Mapping[str, Path]) -> None:
        dims, num_classes, regions = run.content("@spatial_dims", "@num_classes", "@convex_regions")
        turn = [Orientation("RAS", labels=None)] if dims == 3 else []
        self.folders = dict(folders)
        self.cases = run.test_cases()
        self.regions: list[list[int]] = regions or [[c] for c in range(1, num_classes)]
        self._read = Compose([LoadImage(image_only=True), EnsureChannelFirst(), *turn])

    def load(self, case: Mapping[str, str]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """The image of a case, channel first, and its class maps by name, the clean label first."""
        images = [other["image"] for other in self.cases]
        paths = {LABEL: Path(case["label"])}
        paths.update({m: label_map_of(case["image"], images, folder) for m, folder in self.folders.items()})
        return np.asarray(self._read(case["image"])), {n: np.asarray(self._read(p))[0] for n, p in paths.items()}


def picture(image: Any, masks: Mapping[str, Any], colours: Mapping[str, Colour]) -> NDArray[np.uint8]:
    """The slice with most clean foreground, with every mask's outline."""
    arrays = {name: np.asarray(mask) for name, mask in masks.items()}
    pixels, index = np.asarray(image), _telling_slice(arrays[LABEL])
    slices = {name: take_slice(array, index=index) for name, array in arrays.items()}
    channels = [take_slice(channel, index=index) for channel in pixels]
    drawn = np.stack(channels, axis=-1) if len(channels) == 3 else channels[0]
    scale = max(1, round(256 / min(drawn.shape[:2])))
    return outline_overlay(drawn, slices, colours=dict(colours), scale=scale)


def concavity_picture(
    image: NDArray[Any], masks: Masks, name: str, regions: Sequence[Sequence[int]], colours: Mapping[str, Colour]
) -> NDArray[np.uint8]:
    """As `picture`, of the clean label and one class map, whose concavities are shaded.

    Args:
        image: channel first.
        masks: class maps by name.
        name: which of them.
        regions: lists of classes that should be convex together.
        colours: of the clean label, of ``"the method"`` and of a ``"concavity"``.
    """
    shown = {LABEL: masks[LABEL], **({} if name == LABEL else {"the method": masks[name]})}
    where = take_slice(concavities(masks[name], regions), index=_telling_slice(masks[LABEL]))
    return shaded(picture(image, shown, colours), where, colours["concavity"])


def concavities(classes: NDArray[Any], regions: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Where a class map lacks something of the convex hulls of its regions."""
    found = np.zeros(classes.shape, dtype=bool)
    for region in regions:
        mask = np.isin(classes, list(region))
        if mask.any():
            found |= convex_hull_mask(mask) & ~mask
    return found


def _telling_slice(label: NDArray[Any]) -> int | None:
    return best_slice(label) if label.ndim == 3 else None
