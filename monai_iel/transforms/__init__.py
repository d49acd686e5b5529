"""Transforms: evolutions run forwards or backwards on predictions, convex hulls, and noise for annotations."""

from monai_iel.transforms.evolve import Evolve, EvolveD, Evolved, EvolveDict
from monai_iel.transforms.fill_convex_hull import (
    FillConvexHull,
    FillConvexHullD,
    FillConvexHulld,
    FillConvexHullDict,
)
from monai_iel.transforms.inverse_evolve import InverseEvolve, InverseEvolveD, InverseEvolved, InverseEvolveDict
from monai_iel.transforms.label_noise import *  # noqa: F403 - its __all__ is the list
from monai_iel.transforms.label_noise import __all__ as _label_noise

__all__ = ["Evolve", "Evolved", "EvolveD", "EvolveDict"]
__all__ += ["InverseEvolve", "InverseEvolved", "InverseEvolveD", "InverseEvolveDict"]
__all__ += ["FillConvexHull", "FillConvexHulld", "FillConvexHullD", "FillConvexHullDict"]
__all__ += _label_noise
