"""Annotation noise: wrong labels as raters make them, fixed per case, in 2D and 3D."""

from __future__ import annotations

from monai_iel.transforms.label_noise.affine import (
    AffineLabelNoise,
    AffineLabelNoiseD,
    AffineLabelNoised,
    AffineLabelNoiseDict,
)
from monai_iel.transforms.label_noise.area_ratio import (
    AreaRatioLabelNoise,
    AreaRatioLabelNoiseD,
    AreaRatioLabelNoised,
    AreaRatioLabelNoiseDict,
)
from monai_iel.transforms.label_noise.base import LabelNoise
from monai_iel.transforms.label_noise.block import (
    BlockLabelNoise,
    BlockLabelNoiseD,
    BlockLabelNoised,
    BlockLabelNoiseDict,
)
from monai_iel.transforms.label_noise.bumps import BumpLabelNoise, BumpLabelNoiseD, BumpLabelNoised, BumpLabelNoiseDict
from monai_iel.transforms.label_noise.classes import (
    ClassLabelNoise,
    ClassLabelNoiseD,
    ClassLabelNoised,
    ClassLabelNoiseDict,
)
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
from monai_iel.transforms.label_noise.elastic import (
    ElasticLabelNoise,
    ElasticLabelNoiseD,
    ElasticLabelNoised,
    ElasticLabelNoiseDict,
)
from monai_iel.transforms.label_noise.instances import (
    InstanceLabelNoise,
    InstanceLabelNoiseD,
    InstanceLabelNoised,
    InstanceLabelNoiseDict,
)
from monai_iel.transforms.label_noise.markov import (
    MarkovLabelNoise,
    MarkovLabelNoiseD,
    MarkovLabelNoised,
    MarkovLabelNoiseDict,
)
from monai_iel.transforms.label_noise.morphology import (
    MorphologyLabelNoise,
    MorphologyLabelNoiseD,
    MorphologyLabelNoised,
    MorphologyLabelNoiseDict,
)
from monai_iel.transforms.label_noise.outline import (
    OutlineLabelNoise,
    OutlineLabelNoiseD,
    OutlineLabelNoised,
    OutlineLabelNoiseDict,
)
from monai_iel.transforms.label_noise.presets import label_noise_of_preset, label_noise_preset
from monai_iel.transforms.label_noise.rand_block import (
    RandBlockLabelNoise,
    RandBlockLabelNoiseD,
    RandBlockLabelNoised,
    RandBlockLabelNoiseDict,
)
from monai_iel.transforms.label_noise.slices import (
    SliceLabelNoise,
    SliceLabelNoiseD,
    SliceLabelNoised,
    SliceLabelNoiseDict,
)
from monai_iel.transforms.label_noise.unknown import (
    UnknownLabelNoise,
    UnknownLabelNoiseD,
    UnknownLabelNoised,
    UnknownLabelNoiseDict,
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
    "AreaRatioLabelNoise",
    "AreaRatioLabelNoised",
    "AreaRatioLabelNoiseD",
    "AreaRatioLabelNoiseDict",
    "ElasticLabelNoise",
    "ElasticLabelNoised",
    "ElasticLabelNoiseD",
    "ElasticLabelNoiseDict",
    "AffineLabelNoise",
    "AffineLabelNoised",
    "AffineLabelNoiseD",
    "AffineLabelNoiseDict",
    "OutlineLabelNoise",
    "OutlineLabelNoised",
    "OutlineLabelNoiseD",
    "OutlineLabelNoiseDict",
    "MarkovLabelNoise",
    "MarkovLabelNoised",
    "MarkovLabelNoiseD",
    "MarkovLabelNoiseDict",
    "SliceLabelNoise",
    "SliceLabelNoised",
    "SliceLabelNoiseD",
    "SliceLabelNoiseDict",
    "InstanceLabelNoise",
    "InstanceLabelNoised",
    "InstanceLabelNoiseD",
    "InstanceLabelNoiseDict",
    "ClassLabelNoise",
    "ClassLabelNoised",
    "ClassLabelNoiseD",
    "ClassLabelNoiseDict",
    "UnknownLabelNoise",
    "UnknownLabelNoised",
    "UnknownLabelNoiseD",
    "UnknownLabelNoiseDict",
    "SequentialLabelNoise",
    "SequentialLabelNoised",
    "SequentialLabelNoiseD",
    "SequentialLabelNoiseDict",
    "ChoiceLabelNoise",
    "ChoiceLabelNoised",
    "ChoiceLabelNoiseD",
    "ChoiceLabelNoiseDict",
    "label_noise_of_preset",
    "label_noise_preset",
]
