"""Connected components of the classes of a label, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_iel.transforms.label_noise.geometry import Box, Mask, box_around, foreground_classes

__all__ = ["Components", "Connectivity", "find_components"]

Connectivity = Literal["faces", "corners"]


@dataclass(frozen=True)
class Components:
    """The connected components of the chosen classes, numbered from 1 by class, then by their first voxel.

    Attributes:
        box: bounding box of all components, with one voxel around it where the array has one.
        numbers: the component of each voxel of the box; 0 where there is none.
        classes: class of each component; that of component ``k`` is ``classes[k - 1]``.
    """

    box: Box
    numbers: NDArray[np.int32]
    classes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.classes)

    def sizes(self) -> NDArray[np.int64]:
        """Return the number of voxels of each component."""
        return np.bincount(self.numbers.ravel(), minlength=len(self) + 1)[1:]

    def replace(self, label: NDArray[np.int32], classes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the label with component ``k`` in class ``classes[k - 1]``."""
        noisy = label.copy()
        found = self.numbers > 0
        noisy[self.box][found] = classes[self.numbers[found] - 1]
        return noisy

    def surroundings(self, label: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the class that most face neighbours of each component have, its own where it fills the array.

        A neighbour counts once for each face; equally frequent classes: the lowest.
        """
        present, places = np.unique(label[self.box], return_inverse=True)
        places = places.reshape(self.numbers.shape)
        votes = np.zeros((len(self) + 1) * len(present), dtype=np.int64)
        for axis in range(label.ndim):
            low, high = ((slice(None),) * axis + (side,) for side in (slice(None, -1), slice(1, None)))
            for here, there in ((low, high), (high, low)):
                edge: Mask = (self.numbers[here] > 0) & (places[here] != places[there])
                votes += np.bincount(
                    self.numbers[here][edge] * len(present) + places[there][edge], minlength=votes.size
                )
        counts = votes.reshape(-1, len(present))[1:]
        return np.where(counts.any(axis=1), present[counts.argmax(axis=1)], self.classes).astype(np.int32)


def find_components(
    label: NDArray[np.int32], classes: tuple[int, ...] | None = None, connectivity: Connectivity = "faces"
) -> Components | None:
    """Return the components of ``classes`` (None: all foreground classes), or None where the label has none of them."""
    chosen = foreground_classes(label) if classes is None else classes
    mask = np.isin(label, chosen) if classes is not None else label > 0
    if not mask.any():
        return None
    box = box_around(mask, (1,) * label.ndim)
    part = label[box]
    structure = ndimage.generate_binary_structure(label.ndim, 1 if connectivity == "faces" else label.ndim)
    numbers = np.zeros(part.shape, dtype=np.int32)
    owners: list[int] = []
    for number in chosen:
        found, count = ndimage.label(part == number, structure=structure)
        inside = found > 0
        numbers[inside] = found[inside] + len(owners)
        owners += [number] * count
    return Components(box, numbers, np.array(owners, dtype=np.int32))
