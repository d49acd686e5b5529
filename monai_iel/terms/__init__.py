"""Evolutions, one per file. Needs torch only."""

from monai_iel.terms.base import EvolutionTerm, LinearTerm
from monai_iel.terms.heat import HeatDiffusion

__all__ = ["EvolutionTerm", "HeatDiffusion", "LinearTerm"]
