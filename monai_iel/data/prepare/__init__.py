"""Public data sets in their published layout -> a data list with training, validation and test by hash."""

from __future__ import annotations

from monai_iel.data.prepare.decathlon import prepare_decathlon
from monai_iel.data.prepare.drive import prepare_drive
from monai_iel.data.prepare.dsb2018 import prepare_dsb2018
from monai_iel.data.prepare.refuge import prepare_refuge
from monai_iel.data.prepare.wbc import prepare_wbc

__all__ = ["prepare_decathlon", "prepare_drive", "prepare_dsb2018", "prepare_refuge", "prepare_wbc"]
