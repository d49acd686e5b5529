"""Methods of others, re-implemented from their publications to compare with; not the product of this package."""

from monai_iel.peers.quasi_concavity import QuasiConcavityLoss
from monai_iel.peers.refine import (
    QuasiConcavityRefine,
    QuasiConcavityRefineD,
    QuasiConcavityRefined,
    QuasiConcavityRefineDict,
)

__all__ = [
    "QuasiConcavityLoss",
    "QuasiConcavityRefine",
    "QuasiConcavityRefineD",
    "QuasiConcavityRefineDict",
    "QuasiConcavityRefined",
]
