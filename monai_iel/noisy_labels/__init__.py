"""Data sets with noisy annotations: how much damage a noise does, the strength for a given damage, and the files."""

from __future__ import annotations

from monai_iel.noisy_labels.calibrate import Calibration, Evaluation, UnreachableTargetError, calibrate
from monai_iel.noisy_labels.case_list import class_names_of, num_classes_of
from monai_iel.noisy_labels.correlation import BoundaryCorrelation, correlation_length
from monai_iel.noisy_labels.damage import ClassDamage, LabelDamage, label_damage
from monai_iel.noisy_labels.label_file import LabelFile
from monai_iel.noisy_labels.named import LABEL_NOISE_MODELS, label_noise_of_model
from monai_iel.noisy_labels.write import NoisyDataset, NoisyLabelWarning, write_noisy_dataset

__all__ = [
    "BoundaryCorrelation",
    "correlation_length",
    "ClassDamage",
    "LabelDamage",
    "label_damage",
    "Calibration",
    "Evaluation",
    "UnreachableTargetError",
    "calibrate",
    "LABEL_NOISE_MODELS",
    "label_noise_of_model",
    "LabelFile",
    "class_names_of",
    "num_classes_of",
    "NoisyDataset",
    "NoisyLabelWarning",
    "write_noisy_dataset",
]
