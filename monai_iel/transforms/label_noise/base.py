"""What all annotation-noise models have in common: reading a label, the case's own random numbers, writing it back."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_numpy, get_equivalent_dtype
from numpy.typing import NDArray

from monai_iel.transforms.label_noise.checks import check_strength, check_whole

__all__ = ["LabelNoise", "NoiseModel", "derive_generator", "name_case", "read_label", "write_label"]


def derive_generator(*identity: Any) -> np.random.Generator:
    """Return a generator that depends on nothing but ``identity`` (values that JSON can hold).

    The seed is a SHA-256 of canonical JSON: the same in every process, on every platform and for every hash seed of
    Python, and unrelated for identities that differ in one digit.
    """
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def read_label(label: NdarrayOrTensor) -> tuple[NDArray[np.int32], tuple[float, ...]]:
    """Return the class map of a channel-first label as an array of its own, and the spacing in mm per axis."""
    if not isinstance(label, (np.ndarray, torch.Tensor)):
        raise TypeError(
            f"label is a {type(label).__name__}, expected a numpy array or a torch tensor of shape 1 H W [D]"
        )
    shape = tuple(label.shape)
    if len(shape) not in (3, 4):
        raise ValueError(
            f"label has shape {shape}, expected 1 H W or 1 H W D; add the channel with EnsureChannelFirstd"
        )
    if shape[0] != 1:
        raise ValueError(
            f"label has {shape[0]} channels (shape {shape}), expected one channel of class numbers, 1 H W [D]; use "
            "AsDiscreted(argmax=True) for a one-hot label, EnsureChannelFirstd for one without a channel"
        )
    values = convert_to_numpy(label)[0]
    with np.errstate(invalid="ignore"):  # NaN and infinity are reported below
        whole = np.array(values, dtype=np.int32)  # always a copy: the models may write into it
    if not np.array_equal(whole, values):
        found = values[whole != values].flat[0]
        raise ValueError(
            f"label holds the value {found}, expected whole class numbers below 2^31; resample labels with "
            "mode='nearest'"
        )
    return whole, read_spacing(label)


def read_spacing(label: NdarrayOrTensor) -> tuple[float, ...]:
    """Return the voxel size in mm per spatial axis of a MetaTensor, 1 mm for an array without geometry."""
    axes = label.ndim - 1
    if not isinstance(label, MetaTensor):
        return (1.0,) * axes
    # All rows of the affine count: an oblique 2D slice has parts of its in-plane axes in the third one.
    spacing = affine_to_spacing(label.affine, r=len(label.affine) - 1)
    return tuple(float(size) for size in spacing[:axes])


def write_label(noisy: NDArray[np.int32], like: NdarrayOrTensor) -> NdarrayOrTensor:
    """Return ``noisy`` with a channel in the container, dtype, device and geometry of ``like``."""
    dtype = np.dtype(get_equivalent_dtype(like.dtype, np.ndarray))
    highest = {"b": 1, "f": 2**31}.get(dtype.kind) or np.iinfo(dtype).max
    if noisy.size and noisy.max() > highest:
        raise ValueError(
            f"the noise drew class {noisy.max()}, but the label's dtype {like.dtype} holds at most {highest}; "
            "convert the label to a wider dtype first, for instance with CastToTyped"
        )
    return convert_to_dst_type(noisy[None], like)[0]


@contextmanager
def name_case(label: Any, case_id: Any = None) -> Iterator[None]:
    """Put the case id and the label's file, where known, in front of a ValueError that is raised inside."""
    try:
        yield
    except ValueError as error:
        file = label.meta.get("filename_or_obj") if isinstance(label, MetaTensor) else None
        names = [] if case_id is None else [f"case {case_id!r}"]
        names += [] if file is None else [str(file)]
        if not names:
            raise
        raise ValueError(f"{', '.join(names)}: {error}") from error


class NoiseModel:
    """A name, parameters and a seed: what identifies a noise in random numbers, manifests and ``repr``.

    A subclass sets ``model`` and keeps every argument of its ``__init__`` in an attribute of the same name, as plain
    Python numbers, strings and tuples.
    """

    model: ClassVar[str]
    seed: int

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of the constructor except seed and strength."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if name not in ("seed", "strength")}

    def describe(self, case_id: str | int) -> dict[str, Any]:
        """Return what a manifest records of this noise for one case; ``json.dumps`` takes it."""
        return {"case": check_case_id(case_id), "model": self.model, "parameters": self.parameters, "seed": self.seed}

    def __repr__(self) -> str:
        arguments = {**self.parameters, "seed": self.seed}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def check_case_id(case_id: str | int) -> str:
    """Return the case id as text; 7 and "7" are the same case."""
    if isinstance(case_id, bool) or not isinstance(case_id, (str, int, np.integer)) or case_id == "":
        raise TypeError(
            f"case_id is {case_id!r} ({type(case_id).__name__}), expected a name or a whole number that is the same on "
            "every machine; give each entry of the data list an 'id'"
        )
    return str(case_id)


class LabelNoise(NoiseModel, Transform):
    """Base of the annotation-noise models that are fixed per case.

    A wrong annotation stays wrong in every epoch. So the noise is a function of (model, parameters, seed, case id) and
    of its strength; it is not ``Randomizable``, and `CacheDataset` caches its result. Two noises in one chain with
    equal model, parameters and seed draw the same numbers: give them different seeds.

    The strength is a factor on what the model says it is (a length, a rate). It takes no part in the random numbers:
    where these are places or structures of the clean label, the same ones are hit at every strength, harder. Not all
    models draw such: a walk (markov) has the same first steps, of which more strength takes more; ``every`` of slices
    and ``vertices`` of outline are set anew; and in a sequence a later noise finds what the former ones left.
    `monai_iel.noisy_labels.calibrate` finds the strength at which a noise does a given damage.

    To add a model, write one file with one subclass: ``model`` (its name), ``__init__`` with keyword-only arguments,
    ``seed=0`` and ``strength=1.0``, `corrupt`, and `max_strength` where there is one. All lengths are in mm, all loops
    over axes, so that 2D and 3D share the code. `corrupt` draws the same numbers at every strength. Its dictionary
    twin is a `NamedLabelNoised`.

    Args:
        seed: chooses another realisation of the noise for all cases.
        strength: factor on what the model names, 0 or more; 0 leaves every label as it is.

    Shape:
        - label: ``1 H W [D]``, whole class numbers, any integer or float dtype; numpy array, torch tensor or
            MetaTensor.
        - output: the same shape, container, dtype, device, affine and metadata. The label itself stays as it is.

    Raises:
        ValueError: if the label has another shape, more than one channel, fractions, or drawn classes that its dtype
            cannot hold; if the strength exceeds `max_strength`.
        TypeError: if the label is no array, or the case id neither text nor a whole number.

    The numbers come from `numpy.random.default_rng`; NumPy promises its streams within a version, and states every
    change in its release notes.

    Example::

        >>> import numpy as np
        >>> class Shift(LabelNoise):
        ...     '''Every annotation is displaced by 0 to `most` voxels along the first axis.'''
        ...     model = "shift"
        ...     def __init__(self, *, most, seed=0, strength=1.0):
        ...         super().__init__(seed=seed, strength=strength)
        ...         self.most = most
        ...     def corrupt(self, label, spacing, rng):
        ...         return np.roll(label, round(self.strength * rng.integers(0, self.most + 1)), axis=0)
        >>> noise = Shift(most=3)
        >>> disc, ball = np.zeros((1, 8, 8)), np.zeros((1, 8, 8, 8))
        >>> noise(disc, "case-1").shape, noise(ball, "case-1").shape
        ((1, 8, 8), (1, 8, 8, 8))
        >>> noise.describe("case-1")
        {'case': 'case-1', 'model': 'shift', 'parameters': {'most': 3}, 'seed': 0, 'strength': 1.0}
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012  (MONAI's own class attribute)

    def __init__(self, *, seed: int = 0, strength: float = 1.0) -> None:
        self.seed = check_whole("seed", seed)
        self.strength = check_strength("strength", strength)

    @property
    def max_strength(self) -> float:
        """The strength from which on the noise can do no more; infinity where it has no such limit."""
        return math.inf

    def at_strength(self, strength: float) -> Self:
        """Return the same noise, with the same random numbers, at another strength."""
        other = copy.copy(self)
        other.strength = check_strength("strength", strength)
        return other

    def describe(self, case_id: str | int) -> dict[str, Any]:
        """Return what a manifest records of this noise for one case; ``json.dumps`` takes it."""
        return {**super().describe(case_id), "strength": self.strength}

    def __repr__(self) -> str:
        return super().__repr__() if self.strength == 1.0 else f"{super().__repr__()[:-1]}, strength={self.strength!r})"

    def __call__(self, label: NdarrayOrTensor, case_id: str | int) -> NdarrayOrTensor:
        """Return the noisy copy of the label that belongs to ``case_id``."""
        clean, spacing = read_label(label)
        return write_label(self.corrupt_case(clean, spacing, case_id), label)

    def corrupt_case(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], case_id: str | int
    ) -> NDArray[np.int32]:
        """Return the noisy class map of one case; ``label``, of shape ``H W [D]``, may be written into."""
        self.check_limit()
        rng = self.generator(case_id)
        return label if self.strength == 0 else self.corrupt(label, spacing, rng)

    def check_limit(self) -> None:
        """Refuse a strength beyond `max_strength`."""
        if self.strength > self.max_strength * (1 + 1e-9):
            raise ValueError(f"strength is {self.strength}, but {self!r} can do no more than at {self.max_strength:g}")

    def generator(self, case_id: str | int) -> np.random.Generator:
        """Return the random numbers of one case: the only source of chance in all models."""
        return derive_generator(self.model, self.parameters, self.seed, check_case_id(case_id))

    def corrupt(
        self, label: NDArray[np.int32], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Return the noisy class map at `strength`, which is above 0.

        Args:
            label: class map of shape ``H W [D]``, a copy that may be written into.
            spacing: voxel size in mm along each axis of ``label``.
            rng: the case's random numbers; draw from nothing else.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method corrupt(label, spacing, rng)")
