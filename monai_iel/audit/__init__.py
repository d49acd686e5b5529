"""The label audit: which annotations are probably wrong, and where."""

from __future__ import annotations

from monai_iel.audit.case import REASONS, AuditCase, CaseScores, Finding
from monai_iel.audit.evaluate import AuditEvaluation, evaluate_audit
from monai_iel.audit.outputs import AuditedCase
from monai_iel.audit.prediction_folder import find_predictions
from monai_iel.audit.probabilities import read_probabilities
from monai_iel.audit.proposal import error_map, propose
from monai_iel.audit.rankings import Estimate, RankingComparison, RankingQuality, compare_rankings
from monai_iel.audit.run import Audit, audit
from monai_iel.audit.score import Examination, examine, score_case
from monai_iel.audit.temperature import TemperatureFit, apply_temperature, fit_temperature, sample_voxels

__all__ = [
    "Audit",
    "AuditCase",
    "AuditEvaluation",
    "AuditedCase",
    "CaseScores",
    "Estimate",
    "Examination",
    "Finding",
    "REASONS",
    "RankingComparison",
    "RankingQuality",
    "TemperatureFit",
    "apply_temperature",
    "audit",
    "compare_rankings",
    "error_map",
    "evaluate_audit",
    "examine",
    "find_predictions",
    "fit_temperature",
    "propose",
    "read_probabilities",
    "sample_voxels",
    "score_case",
]
