"""What every annotation noise promises, run over a list of instances: add a new model here."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import monai.transforms
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, MetaTensor, PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose

import monai_iel.transforms.label_noise as package
from monai_iel.transforms.label_noise import (
    AffineLabelNoise,
    AreaRatioLabelNoise,
    BlockLabelNoise,
    BlockLabelNoised,
    BumpLabelNoise,
    ChoiceLabelNoise,
    ClassLabelNoise,
    ElasticLabelNoise,
    InstanceLabelNoise,
    LabelNoise,
    LabelNoised,
    MarkovLabelNoise,
    MorphologyLabelNoise,
    OutlineLabelNoise,
    RandBlockLabelNoise,
    SequentialLabelNoise,
    SliceLabelNoise,
    UnknownLabelNoise,
    VoxelLabelNoise,
)

REPO = Path(__file__).resolve().parents[3]

NOISES = [
    BlockLabelNoise(scale=2, keep=0.8, num_classes=3),
    VoxelLabelNoise(rate=0.1, num_classes=3),
    MorphologyLabelNoise(radius=(1, 3)),
    BumpLabelNoise(radius=(1, 4), fraction=0.1),
    BumpLabelNoise(radius=(3, 6), count=(1, 3), mode="remove", classes="foreground"),
    AreaRatioLabelNoise(ratio=0.5),
    ElasticLabelNoise(displacement=1.5, correlation=5),
    AffineLabelNoise(rotation=(5, 20), shift=(1, 3), scale=(0.9, 1.1)),
    OutlineLabelNoise(tolerance=(1, 3)),
    OutlineLabelNoise(vertices=7),
    MarkovLabelNoise(steps=40, expand=0.8, flip=0.1, random_flip=0.1),
    MarkovLabelNoise(steps=20, expand=0.2, flip=0.1, classes="foreground"),
    SliceLabelNoise(missing=0.5),
    SliceLabelNoise(missing=0.7, interpolate=True),
    InstanceLabelNoise(fraction=0.5, size_preference=0.5, become="surrounding"),
    ClassLabelNoise(confusion=[[1, 0, 0], [0.1, 0.5, 0.4], [0.1, 0.4, 0.5]]),
    UnknownLabelNoise(fraction=0.3, scale=4, ignore_index=9),
]
COMPOSED = [
    SequentialLabelNoise(noises=[BumpLabelNoise(radius=(1, 4), fraction=0.1), MorphologyLabelNoise(radius=(1, 2))]),
    ChoiceLabelNoise(noises=[MorphologyLabelNoise(radius=(1, 3)), BumpLabelNoise(radius=3, count=2)], weights=[1, 3]),
]
one_noise = pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.model)
every_noise = pytest.mark.parametrize("noise", [*NOISES, *COMPOSED], ids=lambda noise: noise.model)


def arguments(noise: LabelNoise) -> dict:
    """What the constructor takes except seed and strength."""
    return {**noise.parameters, **({"noises": noise.noises} if hasattr(noise, "noises") else {})}


def reseeded(noise: LabelNoise, seed: int) -> LabelNoise:
    if hasattr(noise, "noises"):
        return type(noise)(**{**arguments(noise), "noises": [reseeded(part, seed) for part in noise.noises]}, seed=seed)
    return type(noise)(**noise.parameters, seed=seed)


def organ(*shape: int) -> np.ndarray:
    """A ball of class 1 with a smaller ball of class 2 off its centre, and a cell of either class in each corner."""
    grid = np.indices(shape) - np.array([size / 2 for size in shape]).reshape(-1, *[1] * len(shape))
    label = (np.sqrt((grid**2).sum(0)) < min(shape) * 0.35).astype(np.uint8)
    label[np.sqrt(((grid + 2) ** 2).sum(0)) < min(shape) * 0.17] = 2
    for corner in np.ndindex(*[2] * len(shape)):
        label[tuple(slice(1, 3) if low else slice(-3, -1) for low in corner)] = 1 + sum(corner) % 2
    return label[None]


IMAGE, VOLUME = organ(40, 36), organ(26, 24, 22)


def fitting(noise: LabelNoise, label: np.ndarray) -> np.ndarray:
    """The label, or the volume in its place for a noise that takes no images."""
    return VOLUME if isinstance(noise, SliceLabelNoise) else label


def fingerprint(noise: LabelNoise) -> str:
    both = noise(fitting(noise, IMAGE), "case-7").tobytes() + noise(VOLUME, "case-7").tobytes()
    return hashlib.sha256(both).hexdigest()


@every_noise
@pytest.mark.parametrize("label", [IMAGE, VOLUME], ids=["2d", "3d"])
def test_noise_is_the_same_at_every_call_and_another_for_each_case_and_seed(noise, label):
    # Of several cases and seeds, as a single draw of a morphology may be alike.
    label = fitting(noise, label)
    names = [f"case-{number}" for number in range(6)]
    first = [noise(label, name) for name in names]
    again = [noise(label, name) for name in names]
    other_seed = [reseeded(noise, 1)(label, name) for name in names]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(result, label) for result in first)
    assert len({result.tobytes() for result in first}) >= 4
    assert any(not np.array_equal(a, b) for a, b in zip(first, other_seed, strict=True))


def test_noise_is_the_same_in_another_process_with_another_hash_seed():
    # The folder is no package: load this very file by its path.
    code = (
        f"import importlib.util as u; s = u.spec_from_file_location('contract', {__file__!r}); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); "
        "print([m.fingerprint(n) for n in [*m.NOISES, *m.COMPOSED]])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(REPO)}
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == str([fingerprint(noise) for noise in [*NOISES, *COMPOSED]])


def test_the_case_numbers_are_those_of_a_written_down_recipe():
    # Guards the published noise against a refactoring: sha256 of canonical JSON of [model, parameters, seed, case id].
    noise = VoxelLabelNoise(rate=0.25, num_classes=2, seed=3)
    text = '["voxel",{"num_classes":2,"rate":0.25},3,"case-1"]'
    expected = np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest(), 16))
    assert np.array_equal(noise.generator("case-1").random(5), expected.random(5))


@every_noise
def test_a_number_and_its_text_are_the_same_case(noise):
    assert np.array_equal(noise(VOLUME, 12), noise(VOLUME, "12"))
    assert np.array_equal(noise(VOLUME, np.int64(12)), noise(VOLUME, "12"))


@every_noise
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64]
)
def test_numpy_labels_keep_dtype_and_values_stay_the_same_for_every_dtype(noise, dtype):
    label = VOLUME.astype(dtype)
    result = noise(label, "a")
    assert type(result) is np.ndarray
    assert result.dtype == dtype
    assert result.shape == label.shape
    assert np.array_equal(result.astype(np.uint8), noise(VOLUME, "a"))


@every_noise
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32], ids=str)
def test_torch_labels_keep_container_and_dtype(noise, dtype):
    label = fitting(noise, IMAGE)
    result = noise(torch.from_numpy(label).to(dtype), "a")
    assert type(result) is torch.Tensor
    assert result.dtype == dtype
    assert np.array_equal(result.numpy().astype(np.uint8), noise(label, "a"))


@every_noise
def test_metatensors_keep_affine_and_metadata_of_their_own(noise):
    affine = torch.diag(torch.tensor([0.5, 2.0, 1.5, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([-7.0, 3.0, 11.0])
    label = MetaTensor(torch.from_numpy(VOLUME).float(), affine=affine, meta={"filename_or_obj": "x.nii.gz"})
    result = noise(label, "a")
    assert isinstance(result, MetaTensor)
    assert result.dtype == torch.float32
    assert torch.equal(result.affine, affine)
    assert result.meta["filename_or_obj"] == "x.nii.gz"
    result.meta["filename_or_obj"] = "changed"
    assert label.meta["filename_or_obj"] == "x.nii.gz"


@every_noise
@pytest.mark.parametrize("kind", ["numpy", "int32", "torch"])
def test_the_label_itself_is_not_modified(noise, kind):
    # int32 is the dtype inside, where a missing copy would show.
    label = {"numpy": VOLUME.copy(), "int32": VOLUME.astype(np.int32), "torch": torch.from_numpy(VOLUME).int()}[kind]
    result = noise(label, "a")
    assert np.array_equal(np.asarray(label), VOLUME)
    result[...] = 9
    assert np.array_equal(np.asarray(label), VOLUME)


@every_noise
def test_only_classes_of_the_label_appear(noise):
    assert set(np.unique(noise(VOLUME, "a"))) <= {0, 1, 2, noise.parameters.get("ignore_index", 0)}


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.model)
def test_a_label_without_any_outline_is_returned_unchanged(noise, value):
    if noise.model in {"block", "voxel", "unknown"} or (value and noise.model in {"slices", "classes"}):
        return  # these change voxels, slices or names, outline or not
    label = np.full((1, 9, 8, 7), value, dtype=np.uint8)
    assert np.array_equal(noise(label, "a"), label)


@every_noise
def test_noise_survives_pickling_and_pickles_by_its_parameters(noise):
    again = pickle.loads(pickle.dumps(noise))
    assert fingerprint(again) == fingerprint(noise)
    assert pickle_hashing([reseeded(noise, 0)]) == pickle_hashing([reseeded(noise, 0)])
    assert pickle_hashing([reseeded(noise, 0)]) != pickle_hashing([reseeded(noise, 1)])


def test_pickled_bytes_differ_for_every_parameter():
    variants = [
        {"radius": (1, 3)},
        {"radius": (1, 4)},
        {"radius": (1, 3), "dilate_probability": 0.3},
        {"radius": (1, 3), "erode_probability": 0.3},
        {"radius": (1, 3), "classes": (1,)},
        {"radius": (1, 3), "allow_vanish": True},
    ]
    assert len({pickle.dumps(MorphologyLabelNoise(**variant)) for variant in variants}) == len(variants)


@one_noise
def test_the_description_holds_all_that_makes_the_noise_and_fits_into_json(noise):
    record = json.loads(json.dumps(noise.describe(7)))
    assert record["case"] == "7"
    assert record["model"] == noise.model
    assert (record["seed"], record["strength"]) == (0, 1.0)
    rebuilt = type(noise)(**record["parameters"], seed=record["seed"])
    assert fingerprint(rebuilt) == fingerprint(noise)


def test_the_repr_names_the_parameters():
    assert repr(NOISES[0]) == "BlockLabelNoise(scale=2, keep=0.8, num_classes=3, seed=0)"
    assert repr(NOISES[0].at_strength(2)) == "BlockLabelNoise(scale=2, keep=0.8, num_classes=3, seed=0, strength=2.0)"


@every_noise
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_volume_of_one_slice_gets_the_noise_of_the_image(noise, axis):
    if noise.model == "slices":
        return  # it takes no images
    for case in range(4):
        slice_of_it = noise(np.expand_dims(IMAGE, axis), case)
        assert np.array_equal(slice_of_it.squeeze(axis), noise(IMAGE, case))


@every_noise
def test_strength_0_changes_nothing_and_more_strength_changes_more(noise):
    names = [f"case-{number}" for number in range(8)]
    changed = [
        sum(np.count_nonzero(noise.at_strength(strength)(VOLUME, name) != VOLUME) for name in names)
        for strength in (0, 0.3, 0.6, 1)
    ]
    assert changed[0] == 0
    assert changed == sorted(changed)
    assert changed[1] < changed[3]


@every_noise
def test_another_strength_is_another_noise_for_caches_and_manifests(noise):
    weaker = noise.at_strength(0.5)
    assert (noise.strength, weaker.strength) == (1.0, 0.5)
    assert weaker.describe("a")["strength"] == 0.5
    assert pickle.dumps(weaker) != pickle.dumps(noise)
    assert np.array_equal(weaker.generator("a").random(3), noise.generator("a").random(3))


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(ValueError, match=r"strength is .*, expected a finite number of 0 or more"):
        NOISES[0].at_strength(strength)


def test_more_than_all_is_refused():
    assert NOISES[0].max_strength == pytest.approx(5)
    with pytest.raises(ValueError, match=r"case 'a': strength is 6.0, but BlockLabelNoise.*can do no more than at 5"):
        LabelNoised("label", NOISES[0].at_strength(6))({"label": IMAGE, "case_id": "a"})


@every_noise
def test_the_dictionary_form_gives_what_the_array_form_gives(noise):
    twin = getattr(package, type(noise).__name__ + "d")
    transform = twin(["label", "second"], **arguments(noise), case_key="name")
    second = fitting(noise, IMAGE)
    data = {"label": VOLUME, "second": second, "image": IMAGE, "name": "case-3"}
    result = transform(data)
    assert np.array_equal(result["label"], noise(VOLUME, "case-3"))
    assert np.array_equal(result["second"], noise(second, "case-3"))
    assert result["image"] is IMAGE
    assert data["label"] is VOLUME
    assert transform.describe("case-3") == noise.describe("case-3")
    for alias in ("D", "Dict"):
        assert getattr(package, type(noise).__name__ + alias) is twin


def test_public_names_do_not_clash_with_those_of_monai():
    assert not [name for name in package.__all__ if hasattr(monai.transforms, name)]


class CountingNoise(VoxelLabelNoise):
    """Counts its calls."""

    calls = 0

    def corrupt(self, label, spacing, rng):
        CountingNoise.calls += 1
        return super().corrupt(label, spacing, rng)


def test_a_cache_dataset_corrupts_each_case_once():
    CountingNoise.calls = 0
    data = [{"label": IMAGE, "case_id": str(number)} for number in range(3)]
    transform = Compose([LabelNoised("label", CountingNoise(rate=0.1, num_classes=3))])
    dataset = CacheDataset(data, transform, num_workers=0, progress=False)
    epochs = [[dataset[number]["label"] for number in range(3)] for _ in range(3)]
    assert CountingNoise.calls == 3
    assert all(np.array_equal(a, b) for a, b in zip(epochs[0], epochs[2], strict=True))


def test_a_persistent_dataset_notices_another_seed_only_with_hash_transform(tmp_path):
    data = [{"label": torch.from_numpy(IMAGE), "case_id": "a"}]

    def first_label(seed, folder, **options):
        transform = Compose([BlockLabelNoised("label", scale=2, keep=0.5, num_classes=3, seed=seed)])
        return PersistentDataset(data, transform, cache_dir=tmp_path / folder, **options)[0]["label"]

    hashed = [first_label(seed, "hashed", hash_transform=pickle_hashing) for seed in (0, 1)]
    stale = [first_label(seed, "stale") for seed in (0, 1)]
    assert not torch.equal(*hashed)
    assert torch.equal(*stale)  # why the docstring asks for hash_transform


def test_hashing_the_transforms_of_a_compose_tells_seeds_apart():
    def hashed(seed):
        compose = Compose([BlockLabelNoised("label", scale=2, keep=0.5, num_classes=3, seed=seed)])
        return pickle_hashing(list(compose.flatten().transforms))

    assert hashed(0) == hashed(0)
    assert hashed(0) != hashed(1)


def test_spacing_follows_the_axes_of_the_tensor():
    class Spy(LabelNoise):
        model = "spy"

        def corrupt(self, label, spacing, rng):
            self.seen = spacing
            return label

    spy = Spy()
    turned = torch.tensor([[0.0, 2.0, 0, 0], [0.5, 0, 0, 0], [0, 0, 3.0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    spy(MetaTensor(torch.zeros(1, 4, 4, 4), affine=turned), "a")
    assert spy.seen == (0.5, 2.0, 3.0)
    spy(MetaTensor(torch.zeros(1, 4, 4), affine=turned), "a")
    assert spy.seen == (0.5, 2.0)
    # A 2D slice that lies obliquely: its second axis has a part along the third row.
    oblique = torch.tensor([[1.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 4.0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    spy(MetaTensor(torch.zeros(1, 4, 4), affine=oblique), "a")
    assert spy.seen == (1.0, 5.0)
    spy(np.zeros((1, 4, 4)), "a")
    assert spy.seen == (1.0, 1.0)


@pytest.mark.parametrize("noise", [*NOISES, RandBlockLabelNoise(scale=2, keep=0.5, num_classes=3, shared_mask=True)])
@pytest.mark.parametrize(
    ("label", "error", "match"),
    [
        (
            np.zeros((4, 4)),
            ValueError,
            r"label has shape \(4, 4\), expected 1 H W or 1 H W D; add .*EnsureChannelFirstd",
        ),
        (np.zeros((2, 1, 4, 4, 4)), ValueError, r"label has shape \(2, 1, 4, 4, 4\)"),
        (np.zeros((3, 4, 4)), ValueError, r"label has 3 channels .*use AsDiscreted\(argmax=True\)"),
        (np.full((1, 4, 4), 0.5), ValueError, "label holds the value 0.5, .*resample labels with mode='nearest'"),
        (np.full((1, 4, 4), np.nan), ValueError, "label holds the value nan"),
        (np.full((1, 4, 4), np.inf), ValueError, "label holds the value inf"),
        (np.full((1, 4, 4), 2**31), ValueError, "label holds the value 2147483648"),
        ([[[0, 1], [0, 1]]], TypeError, "label is a list, expected a numpy array or a torch tensor"),
    ],
)
def test_what_is_no_class_map_is_refused(noise, label, error, match):
    with pytest.raises(error, match=match):
        noise(label, "a") if isinstance(noise, LabelNoise) else noise(label)


def test_a_class_that_the_dtype_cannot_hold_is_refused():
    noise = BlockLabelNoise(scale=1, keep=0.0, num_classes=300)
    with pytest.raises(ValueError, match=r"the noise drew class 29[0-9], but .* uint8 holds at most 255; convert"):
        noise(np.zeros((1, 100, 100), dtype=np.uint8), "a")
    with pytest.raises(ValueError, match=r"the noise drew class 2, but .* torch.bool holds at most 1"):
        NOISES[0](torch.zeros(1, 30, 30, dtype=torch.bool), "a")


@pytest.mark.parametrize("case_id", [None, "", 1.5, True, Path("a")])
def test_a_case_id_that_names_no_case_is_refused(case_id):
    with pytest.raises(TypeError, match=r"case_id is .*expected a name or a whole number"):
        NOISES[0](IMAGE, case_id)


def test_a_missing_case_id_is_reported_with_the_mend():
    transform = LabelNoised("label", NOISES[0])
    with pytest.raises(KeyError, match=r"no 'case_id' in the data \(keys: \['label'\]\).*load_datalist.*case_key"):
        transform({"label": IMAGE})


def test_a_missing_label_is_an_error_unless_allowed():
    data = {"image": IMAGE, "case_id": "a"}
    with pytest.raises(KeyError, match="label"):
        LabelNoised("label", NOISES[0])(data)
    assert LabelNoised("label", NOISES[0], allow_missing_keys=True)(data) == data


def test_a_seed_with_a_fraction_is_refused():
    with pytest.raises(ValueError, match=r"seed is 0.5, expected a whole number"):
        VoxelLabelNoise(rate=0.1, num_classes=2, seed=0.5)
