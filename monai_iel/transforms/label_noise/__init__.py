"""Annotation noise: wrong labels as raters make them, fixed per case, in 2D and 3D."""

from __future__ import annotations

from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.block import (
    BlockLabelNoise,
    BlockLabelNoiseD,
    BlockLabelNoised,
    BlockLabelNoiseDict,
)
from monai_iel.transforms.label_noise.bumps import BumpLabelNoise, BumpLabelNoiseD, BumpLabelNoised, BumpLabelNoiseDict
from monai_iel.transforms.label_noise.composed import (
    ChoiceLabelNoise,
    ChoiceLabelNoiseD,
    ChoiceLabelNoised,
    ChoiceLabelNoiseDict,
    SequentialLabelNoise,
    SequentialLabelNoiseD,
    SequentialLabelNoised,
    SequentialLabelNoiseDict,
)
from monai_iel.transforms.label_noise.dictionary import LabelNoiseD, LabelNoised, LabelNoiseDict
from monai_iel.transforms.label_noise.morphology import (
    MorphologyLabelNoise,
    MorphologyLabelNoiseD,
    MorphologyLabelNoised,
    MorphologyLabelNoiseDict,
)
from monai_iel.transforms.label_noise.presets import label_noise_preset
from monai_iel.transforms.label_noise.rand_block import (
    RandBlockLabelNoise,
    RandBlockLabelNoiseD,
    RandBlockLabelNoised,
    RandBlockLabelNoiseDict,
)
from monai_iel.transforms.label_noise.voxel import (
    VoxelLabelNoise,
    VoxelLabelNoiseD,
    VoxelLabelNoised,
    VoxelLabelNoiseDict,
)

__all__ = [
    "LabelNoise",
    "LabelNoised",
    "LabelNoiseD",
    "LabelNoiseDict",
    "BlockLabelNoise",
    "BlockLabelNoised",
    "BlockLabelNoiseD",
    "BlockLabelNoiseDict",
    "RandBlockLabelNoise",
    "RandBlockLabelNoised",
    "RandBlockLabelNoiseD",
    "RandBlockLabelNoiseDict",
    "VoxelLabelNoise",
    "VoxelLabelNoised",
    "VoxelLabelNoiseD",
    "VoxelLabelNoiseDict",
    "MorphologyLabelNoise",
    "MorphologyLabelNoised",
    "MorphologyLabelNoiseD",
    "MorphologyLabelNoiseDict",
    "BumpLabelNoise",
    "BumpLabelNoised",
    "BumpLabelNoiseD",
    "BumpLabelNoiseDict",
    "SequentialLabelNoise",
    "SequentialLabelNoised",
    "SequentialLabelNoiseD",
    "SequentialLabelNoiseDict",
    "ChoiceLabelNoise",
    "ChoiceLabelNoised",
    "ChoiceLabelNoiseD",
    "ChoiceLabelNoiseDict",
    "label_noise_preset",
]
