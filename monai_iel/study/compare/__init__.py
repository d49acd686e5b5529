"""Studies: data sets, noises, numbers of cases, methods and seeds, run through the bundles and compared in pairs."""

from __future__ import annotations

from monai_iel.study.compare.cells import Cell, cells_of, selected, shard_of
from monai_iel.study.compare.outputs import write_outputs
from monai_iel.study.compare.run import default_jobs, run_cells
from monai_iel.study.compare.run_cell import CellRun, Outcome, run_cell
from monai_iel.study.compare.study import Study
from monai_iel.study.compare.study_file import load_study

__all__ = [
    "Cell",
    "CellRun",
    "Outcome",
    "Study",
    "cells_of",
    "default_jobs",
    "load_study",
    "run_cell",
    "run_cells",
    "selected",
    "shard_of",
    "write_outputs",
]
