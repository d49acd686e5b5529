"""Inverse Evolution Layers for MONAI: losses, transforms and bundles.

Import from here; the subpackages are where to look for the code. Arrows point down: ``numerics``, ``terms``, ``layers``
(torch only), then ``losses``, ``transforms``, ``metrics``, ``handlers`` (MONAI), then ``data``, ``report``, ``study``,
``cli``.
"""

from monai_iel.handlers import *  # noqa: F403
from monai_iel.handlers import __all__ as _handlers
from monai_iel.layers import InverseEvolution
from monai_iel.losses import InverseEvolutionLoss
from monai_iel.metrics import *  # noqa: F403
from monai_iel.metrics import __all__ as _metrics
from monai_iel.numerics import Grid
from monai_iel.terms import *  # noqa: F403
from monai_iel.terms import __all__ as _terms
from monai_iel.transforms import *  # noqa: F403
from monai_iel.transforms import __all__ as _transforms

__version__ = "0.1.0"

__all__ = ["Grid", "InverseEvolution", "InverseEvolutionLoss"]
__all__ += [*_terms, *_transforms, *_metrics, *_handlers]
