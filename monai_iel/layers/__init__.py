"""The inverse evolution layer. Needs torch only."""

from monai_iel.layers.inverse_evolution import InverseEvolution

__all__ = ["InverseEvolution"]
