"""Methods of others, re-implemented from their publications to compare with; not the product of this package."""

from monai_iel.peers.cross_entropies import (
    GeneralizedCrossEntropyLoss,
    MeanAbsoluteErrorLoss,
    SymmetricCrossEntropyLoss,
)
from monai_iel.peers.early_learning import EarlyLearningRegularizationLoss
from monai_iel.peers.label_smoothing import SpatiallyVaryingLabelSmoothingLoss
from monai_iel.peers.mean_teacher import MeanTeacherHandler
from monai_iel.peers.noise_robust_dice import NoiseRobustDiceLoss
from monai_iel.peers.quasi_concavity import QuasiConcavityLoss
from monai_iel.peers.refine import (
    QuasiConcavityRefine,
    QuasiConcavityRefineD,
    QuasiConcavityRefined,
    QuasiConcavityRefineDict,
)
from monai_iel.peers.smoothness import SmoothnessPenaltyLoss, TotalVariationPenaltyLoss
from monai_iel.peers.t_loss import TLoss

__all__ = [
    "EarlyLearningRegularizationLoss",
    "GeneralizedCrossEntropyLoss",
    "MeanAbsoluteErrorLoss",
    "MeanTeacherHandler",
    "NoiseRobustDiceLoss",
    "QuasiConcavityLoss",
    "QuasiConcavityRefine",
    "QuasiConcavityRefineD",
    "QuasiConcavityRefineDict",
    "QuasiConcavityRefined",
    "SmoothnessPenaltyLoss",
    "SpatiallyVaryingLabelSmoothingLoss",
    "SymmetricCrossEntropyLoss",
    "TLoss",
    "TotalVariationPenaltyLoss",
]
