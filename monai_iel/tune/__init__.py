"""Evolution and strength for a data set, chosen from its noisy labels alone."""

from __future__ import annotations

from monai_iel.tune.candidates import Candidate, convex_regions, default_candidates
from monai_iel.tune.criteria import (
    CRITERIA,
    Choice,
    Evidence,
    Scores,
    choose,
    choose_by_discrepancy,
    halves_scores,
)
from monai_iel.tune.maps import ClassMapHandler, agreement
from monai_iel.tune.measure import Networks, halves_of, measure
from monai_iel.tune.of_study import StudyGroup, groups_of, tune_study
from monai_iel.tune.regret import mean_regret, regret_table
from monai_iel.tune.run import Tuned, Tuning

__all__ = [
    "CRITERIA",
    "Candidate",
    "Choice",
    "ClassMapHandler",
    "Evidence",
    "Networks",
    "Scores",
    "StudyGroup",
    "Tuned",
    "Tuning",
    "agreement",
    "choose",
    "choose_by_discrepancy",
    "convex_regions",
    "default_candidates",
    "groups_of",
    "halves_of",
    "halves_scores",
    "mean_regret",
    "measure",
    "regret_table",
    "tune_study",
]
