"""The guard in front of convex evolutions: what it finds, when it warns, what it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist

from monai_iel import BumpLabelNoise
from monai_iel.data import ConvexityWarning, RegionFigures, guard_convexity, make_phantom_case, sort_by_hash
from monai_iel.data.convexity_figures import mean_shape_map, smallest_gap

Labels = Iterable[NDArray[Any]]
ORGAN = ("background", "organ")


def guarded(
    labels: Labels, class_names: Sequence[str] = ORGAN, spacing: Sequence[float] | None = None, **options: Any
) -> list[RegionFigures]:
    """The guard over class maps of one spacing."""
    cases = [{"case_id": f"c{i}", "map": label} for i, label in enumerate(labels)]

    def load(case: dict[str, Any]) -> dict[str, Any]:
        label = torch.from_numpy(np.ascontiguousarray(case["map"]))[None]
        size = spacing or (1.0,) * (label.ndim - 1)
        affine = np.diag([*size, *[1.0] * (4 - len(size))])
        return {"label": MetaTensor(label, affine=affine)}

    return guard_convexity(cases, load, class_names=class_names, progress=False, **options)


def silent(*arguments: Any, **options: Any) -> list[RegionFigures]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return guarded(*arguments, **options)


def phantoms(kind: str, number: int, dims: int) -> list[NDArray[np.uint8]]:
    grid = {} if dims == 2 else {"shape": (32, 32, 32), "spacing": (1.5, 1.5, 1.5)}
    return [make_phantom_case(case, kind=kind, spatial_dims=dims, **grid)[1] for case in range(number)]


def bitten(labels: Labels, **options: Any) -> list[NDArray[Any]]:
    """Two bites out of every class of every label, fixed per case; lengths in voxels."""
    noise = BumpLabelNoise(count=2, mode="remove", **options)
    return [noise(label[None], f"c{i}")[0] for i, label in enumerate(labels)]


def crescents(number: int, dims: int = 2) -> list[NDArray[np.uint8]]:
    """A ball with a ball of nearly its size taken from one side: concave at the same place in all cases."""
    x = np.indices((32,) * dims) - 16.0
    first = (x**2).sum(axis=0) <= 11**2
    x[0] -= 9
    return [(first & ((x**2).sum(axis=0) > (6 + i % 3) ** 2)).astype(np.uint8) for i in range(number)]


@pytest.mark.parametrize("dims", [2, 3])
def test_convex_organs_pass_without_a_word(dims: int) -> None:
    names = ("background", "bladder", "prostate")
    figures = silent(phantoms("convex_organs", 6, dims), names, (1.0, 1.0, 1.2)[:dims], reach_mm=5.0, strict=True)
    assert [found.name for found in figures] == ["bladder", "prostate"]
    for found in figures:
        assert found.solidity == pytest.approx((1.0, 1.0, 1.0), abs=0.005)
        assert found.mean_solidity > 0.99
        assert (found.cases, found.several, found.smallest_gap_mm, found.within_reach) == (6, 0, None, 0)
        assert found.deepest_mm < 0.5


@pytest.mark.parametrize("dims", [2, 3])
def test_bites_in_every_label_do_not_make_a_convex_organ_concave(dims: int) -> None:
    names = ("background", "bladder", "prostate")
    labels = bitten(phantoms("convex_organs", 24, dims), radius=(5.0, 9.0) if dims == 2 else (3.0, 5.0))
    figures = silent(labels, names, strict=True)
    for found in figures:
        assert found.solidity[2] < 0.97, "no bites"
        assert found.depth_mm > 2
        assert found.mean_solidity > 0.98


@pytest.mark.parametrize("dims", [2, 3])
def test_a_concave_organ_is_found_though_single_labels_look_no_worse_than_with_bites(dims: int) -> None:
    with pytest.warns(ConvexityWarning, match=r"(?s)organ:.*concave at the same place in most cases.*solidity 0\."):
        (crescent,) = guarded(crescents(20, dims))
    radius = (12.0, 16.0) if dims == 2 else (4.0, 5.0)
    discs = bitten(phantoms("cup_in_disc", 20, dims), radius=radius, classes="foreground")
    (bites,) = silent(discs, ("background", "rim", "cup"), regions=[[1, 2]])
    assert crescent.mean_solidity < 0.93 < 0.97 < bites.mean_solidity
    assert abs(crescent.solidity[1] - bites.solidity[1]) < 0.05


def test_nested_regions_are_judged_and_not_their_classes() -> None:
    discs = phantoms("cup_in_disc", 5, 2)
    names = ("background", "rim", "cup")
    disc, cup = silent(discs, names, regions=[[1, 2], [2]], strict=True)
    assert (disc.name, disc.classes) == ("rim + cup", (1, 2))
    assert (cup.name, cup.classes) == ("cup", (2,))
    with pytest.warns(ConvexityWarning, match=r"rim:\n") as caught:
        rim, _ = guarded(discs, names)
    assert rim.solidity[2] < 0.9
    assert "  cup:" not in str(caught[0].message), "the cup is convex"


def test_strict_raises_what_is_warned_otherwise() -> None:
    labels = crescents(17)
    with pytest.warns(ConvexityWarning) as caught:
        guarded(labels)
    with pytest.raises(ValueError, match="a convex evolution would harm these regions") as raised:
        guarded(labels, strict=True)
    assert str(raised.value) == str(caught[0].message)
    assert "17 training cases" in str(raised.value)
    assert "so few cases" not in str(raised.value)
    with pytest.raises(ValueError, match="so few cases"):
        guarded(labels[:3], strict=True)


def test_the_thresholds_can_be_set() -> None:
    silent(crescents(20), min_solidity=0.5, min_case_solidity=0.5)
    with pytest.warns(ConvexityWarning, match="hardly a case is near convex.*expected at least 0.95"):
        guarded(crescents(20), min_solidity=0.5, min_case_solidity=0.95)


def test_an_organ_that_is_convex_in_some_cases_only_is_found() -> None:
    x = np.indices((40, 40)) - 20.0
    square = (abs(x) <= 10).all(axis=0)
    cross = square & (abs(x) <= 3).any(axis=0)
    with pytest.warns(ConvexityWarning, match="convex in some cases and far from it in others"):
        (found,) = guarded([label.astype(np.uint8) for label in [square, cross, square, square, cross]])
    assert found.mean_solidity > 0.95


def test_organs_that_lack_the_same_in_every_case_are_found_however_little_it_is() -> None:
    """Kidneys with a small hilum, left and right; and two discs that touch."""
    x, y = np.meshgrid(np.arange(64) - 31.5, np.arange(64) - 31.5, indexing="ij")
    for sides in ((1,), (1, -1)):
        kidneys = [
            ((np.hypot(x, y) < 20) & ~(np.hypot(x - 20 * sides[k % len(sides)], y) < 8)).astype(np.uint8)
            for k in range(12)
        ]
        with pytest.warns(ConvexityWarning, match="lacks about the same in every case"):
            guarded(kidneys)
    touching = [((np.hypot(x - 11, y) < 12) | (np.hypot(x + 11, y) < 12)).astype(np.uint8) for _ in range(12)]
    with pytest.warns(ConvexityWarning, match="it is concave at the same place"):
        guarded(touching)


def test_a_class_that_no_case_has_is_named_and_the_others_measured() -> None:
    disc = (np.hypot(*np.meshgrid(np.arange(32) - 15.5, np.arange(32) - 15.5)) < 10).astype(np.uint8)
    with pytest.warns(ConvexityWarning, match=r"rare:\n    - no case has it"):
        (found,) = guarded([disc] * 3, ("background", "organ", "rare"))
    assert found.name == "organ"


def two_squares(gap: int, spacing: Sequence[float], reach: float | None) -> RegionFigures:
    label = np.zeros((20, 20), dtype=np.uint8)
    label[4:9, 4:9] = label[9 + gap : 14 + gap, 4:9] = 1
    (found,) = guarded([label], spacing=spacing, reach_mm=reach)
    return found


def test_objects_within_the_reach_are_found_by_their_distance_in_mm() -> None:
    assert silent_squares(3, (1.0, 1.0), 3.9).within_reach == 0
    with pytest.warns(ConvexityWarning, match=r"joined: in 1 of 1 cases.*reach of 4 mm, the nearest 4\.0 mm apart"):
        found = two_squares(3, (1.0, 1.0), 4.0)
    assert (found.several, found.smallest_gap_mm, found.within_reach) == (1, 4.0, 1)
    assert silent_squares(3, (2.5, 1.0), 9.9).smallest_gap_mm == pytest.approx(10.0)
    assert silent_squares(1, (1.0, 1.0), None).within_reach is None


def silent_squares(gap: int, spacing: Sequence[float], reach: float | None) -> RegionFigures:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return two_squares(gap, spacing, reach)


def test_specks_and_rare_splinters_are_no_objects() -> None:
    whole = np.zeros((24, 24), dtype=np.uint8)
    whole[2:14, 2:14] = 1
    speck, split = whole.copy(), whole.copy()
    speck[16, 16] = 1
    split[2:14, 7] = 0
    (found,) = silent([speck] * 10 + [whole] * 29 + [split], reach_mm=5.0)
    assert (found.several, found.smallest_gap_mm, found.within_reach) == (1, 2.0, 1)
    with pytest.warns(ConvexityWarning, match="in 2 of 40 cases"):
        guarded([whole] * 38 + [split] * 2, reach_mm=5.0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 2.0), (1.0, 1.5, 2.5)])
def test_the_smallest_gap_is_that_of_all_pairs_of_voxels(spacing: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        objects = np.zeros((14, 12, 10)[: len(spacing)], dtype=int)
        for number in (1, 2, 3):
            corner = [int(rng.integers(0, size - 3)) for size in objects.shape]
            box = tuple(slice(c, c + int(rng.integers(1, 4))) for c in corner)
            objects[box] = np.where(objects[box] == 0, number, objects[box])
        numbers = np.unique(objects[objects > 0])
        points = {k: np.argwhere(objects == k) * spacing for k in numbers}
        pairs = [cdist(points[a], points[b]).min() for a in numbers for b in numbers if a < b]
        found = smallest_gap(objects, spacing)
        assert found == (pytest.approx(min(pairs)) if pairs else None)


def test_the_mean_shape_does_not_know_where_the_organ_is_or_how_large() -> None:
    x = np.indices((64, 64))
    masks = [((x[0] - a) / r) ** 2 + ((x[1] - b) / (2 * r)) ** 2 <= 1 for a, b, r in ((20, 25, 8), (36, 30, 14))]
    first, second = (mean_shape_map(mask) for mask in masks)
    assert first.shape == (24, 24)
    assert np.abs(first - second).mean() < 0.03
    assert (first[0] == 0).all()


def test_a_case_without_the_region_counts_nothing() -> None:
    x = np.indices((16, 16)) - 8
    disc = ((x**2).sum(axis=0) <= 25).astype(np.uint8)
    (found,) = silent([disc, np.zeros_like(disc), disc])
    assert found.cases == 2


def test_one_label_at_a_time_is_held() -> None:
    loaded: list[str] = []

    def load(case: dict[str, str]) -> dict[str, torch.Tensor]:
        loaded.append(case["case_id"])
        return {"label": torch.ones(1, 6, 6)}

    cases = [{"case_id": name} for name in "abc"]
    guard_convexity(cases, load, class_names=ORGAN, progress=False)
    assert loaded == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "cases is empty"),
        ([np.zeros((8, 8))], {"strict": True}, r"organ:\n    - no case has it"),
        ([np.full((8, 8), 2)], {}, r"case 'c0': found class 2, expected 0 \.\. 1 \(background, organ\)"),
        ([np.full((8, 8), -1)], {}, r"case 'c0': found class -1"),
        ([np.full((8, 8), 0.5)], {}, r"case 'c0': label holds the value 0.5"),
        ([np.ones((8, 8))], {"regions": [[1, 2]]}, r"regions are \[\[1, 2\]\] and class_names"),
        ([np.ones((8, 8))], {"regions": [[0]]}, r"regions are \[\[0\]\].*classes of 1 and more"),
        ([np.ones((8, 8))], {"regions": []}, "expected a list of lists"),
        ([np.ones((8, 8))], {"class_names": ["background"]}, "expected classes of 1 and more that have a name"),
    ],
)
def test_bad_input_is_named(labels: Labels, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        guarded(labels, **options)


@pytest.fixture
def cells(shared_data: Path) -> list[NDArray[np.uint8]]:
    names = sort_by_hash([path.stem for path in (shared_data / "wbc/labels").glob("*.png")])[:60]
    return [np.array(Image.open(shared_data / f"wbc/labels/{name}.png")) for name in names]


def test_real_cells_are_convex_with_bites_too_and_their_parts_are_not(cells: list[NDArray[np.uint8]]) -> None:
    whole = [(cell > 0).astype(np.uint8) for cell in cells]
    (clean,) = silent(whole, strict=True)
    assert clean.solidity[0] > 0.98
    (bites,) = silent(bitten(whole, radius=(8.0, 18.0), classes="foreground"), strict=True)
    assert bites.solidity[1] < 0.93
    with pytest.warns(ConvexityWarning, match=r"(?s)cytoplasm:.*same place.*nucleus:.*convex in some cases"):
        guarded(cells, ("background", "cytoplasm", "nucleus"))


def test_real_hippocampi_are_concave_and_nuclei_of_one_class_too_close(
    shared_data: Path, read: Callable[..., NDArray[np.uint8]]
) -> None:
    names = sort_by_hash([path.name for path in (shared_data / "hippocampus/labelsTr").glob("*.nii.gz")])[:24]
    hippocampi = [read(shared_data / "hippocampus/labelsTr" / name) for name in names]
    with pytest.warns(ConvexityWarning, match=r"(?s)posterior:.*same place.*anterior \+ posterior:.*same place"):
        guarded(hippocampi, ("background", "anterior", "posterior"), regions=[[1], [2], [1, 2]])
    pictures = sort_by_hash([path.name for path in (shared_data / "dsb2018/labels").glob("*.png")])[:24]
    nuclei = [(np.array(Image.open(shared_data / "dsb2018/labels" / name)) > 0).astype(np.uint8) for name in pictures]
    with pytest.warns(ConvexityWarning, match="its objects may be joined"):
        guarded(nuclei, ("background", "nucleus"), reach_mm=5.0)


@pytest.fixture
def read() -> Callable[[Path], NDArray[np.uint8]]:
    return lambda path: np.asarray(nibabel.load(path).dataobj).astype(np.uint8)
