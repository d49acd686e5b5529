"""Evolutions, one per file. Needs torch and the numerics only."""

from monai_iel.terms.base import EvolutionTerm, LinearTerm
from monai_iel.terms.convex_curve_motion import ConvexCurveMotion
from monai_iel.terms.heat import HeatDiffusion
from monai_iel.terms.laplacian_power import LaplacianPower
from monai_iel.terms.mean_curvature import MeanCurvatureMotion
from monai_iel.terms.nonlinear_diffusion import NonlinearDiffusion
from monai_iel.terms.perona_malik import PeronaMalikDiffusion
from monai_iel.terms.sobolev import SobolevDiffusion
from monai_iel.terms.sum import SumTerm
from monai_iel.terms.total_variation import TotalVariationFlow

__all__ = [
    "ConvexCurveMotion",
    "EvolutionTerm",
    "HeatDiffusion",
    "LaplacianPower",
    "LinearTerm",
    "MeanCurvatureMotion",
    "NonlinearDiffusion",
    "PeronaMalikDiffusion",
    "SobolevDiffusion",
    "SumTerm",
    "TotalVariationFlow",
]
