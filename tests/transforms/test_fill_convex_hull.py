"""Hulls of the structures of a segmentation: which voxels change, into what, and that all else stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_iel.convexity import convex_hull_mask
from monai_iel.transforms import FillConvexHull, FillConvexHullD, FillConvexHulld, FillConvexHullDict


def bitten(shape, centre, radius, bite):
    """A disc or ball around ``centre`` of which the quarter beyond ``bite`` along two axes is missing."""
    x = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return ((x**2).sum(axis=0) <= radius**2) & ~((x[0] > bite) & (x[1] > bite))


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_binary_map_becomes_its_hull(ndim):
    mask = bitten((25,) * ndim, (12,) * ndim, 10, 1)
    filled = FillConvexHull()(mask[None])
    assert filled.dtype == bool
    assert np.array_equal(filled[0], convex_hull_mask(mask))
    assert filled.sum() > mask.sum()
    assert np.array_equal(FillConvexHull()(filled), filled)


@pytest.mark.parametrize("ndim", [2, 3])
def test_structures_grow_into_the_background_but_not_into_each_other(ndim):
    """A C of class 1 with class 2 in its opening, both of them to be filled."""
    classes = np.zeros((1, 15, 15, 9)[: ndim + 1], dtype=np.int16)
    classes[0, 2:13, 2:13] = 1
    classes[0, 5:10, 6:13] = 0
    classes[0, 7, 8:10] = 2
    classes[0, 7, 12] = 2
    filled = FillConvexHull()(classes)
    assert (filled[classes == 1] == 1).all()
    assert (filled[classes == 2] == 2).all()
    assert (filled[0, 2:13, 2:13] != 0).all()
    # Class 1 comes first and takes the two voxels between those of class 2.
    assert (filled[0, 7, 10:12] == 1).all()
    assert (FillConvexHull([[2], [1]])(classes)[0, 7, 10:12] == 2).all()
    # Alone, class 1 leaves class 2 be, which belongs to no region.
    alone = FillConvexHull([[1]])(classes)
    assert (alone[classes == 2] == 2).all()
    assert np.array_equal(alone, filled)


def nested():
    """A disc of 13 x 13 in which the cup (2) reaches the rim's outside at a notch, and has a notch of its own."""
    classes = np.zeros((1, 17, 17), dtype=np.uint8)
    classes[0, 2:15, 2:15] = 1
    classes[0, 5:12, 5:12] = 2
    classes[0, 2:8, 8] = 0  # through the rim into the cup
    classes[0, 9:12, 10] = 1  # rim in the cup
    return classes


@pytest.mark.parametrize("regions", [[[1, 2], [2]], [[2], [2, 1]]])
def test_a_cup_grows_into_the_disc_and_both_are_convex(regions):
    classes = nested()
    before = classes.copy()
    filled = FillConvexHull(regions)(classes)
    assert np.array_equal(classes, before)
    assert np.array_equal(filled[0] > 0, convex_hull_mask(before[0] > 0))
    cup = np.zeros((17, 17), dtype=bool)
    cup[5:12, 5:12] = True
    assert np.array_equal(filled[0] == 2, cup)
    assert (filled[0, 2:5, 8] == 1).all()  # what was added to the disc has the class of the nearest voxel


def test_without_regions_the_cup_does_not_take_the_rims_voxels():
    filled = FillConvexHull()(nested())
    assert (filled[0, 9:12, 10] == 1).all()
    assert np.array_equal(filled[0, 5:8, 8], [1, 1, 1])  # the rim is filled first, up to the cup


def test_the_nearest_voxel_is_the_nearest_in_mm():
    """Class 1 above and class 2 left of a gap: in voxels the gap's corner is nearer to 2, in mm to 1."""
    classes = np.zeros((1, 9, 9), dtype=np.float32)
    classes[0, 0, :], classes[0, :, 0] = 1, 2
    spacings = {"plain": None, "tall": (1.0, 5.0), "wide": (5.0, 1.0)}
    found = {}
    for name, spacing in spacings.items():
        label = classes if spacing is None else MetaTensor(classes, affine=np.diag([*spacing, 1.0, 1.0]))
        found[name] = int(FillConvexHull([[1, 2]])(label)[0, 3, 2])
    assert found == {"plain": 2, "tall": 1, "wide": 2}


@pytest.mark.parametrize("shape", [(17, 17), (17, 17, 5)])
def test_one_hot_maps_change_as_their_class_maps_do(shape):
    classes = torch.from_numpy(nested().astype(np.int64))
    classes = classes if len(shape) == 2 else classes[..., None].expand(1, *shape).contiguous()
    fill = FillConvexHull([[1, 2], [2]])
    one_hot = torch.nn.functional.one_hot(classes[0], 4).movedim(-1, 0)  # class 3 is absent
    assert torch.equal(fill(one_hot).argmax(dim=0, keepdim=True), fill(classes))
    assert (fill(one_hot).sum(dim=0) == 1).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float16])
def test_type_dtype_and_metadata_are_kept(channels, dtype):
    classes = torch.from_numpy(nested())
    values = classes if channels == 1 else torch.nn.functional.one_hot(classes[0].long(), 3).movedim(-1, 0)
    label = MetaTensor(values.to(dtype), affine=np.diag([2.0, 3.0, 1.0, 1.0]), meta={"filename_or_obj": "a.nii"})
    fill = FillConvexHull([[1, 2], [2]])
    filled = fill(label)
    assert isinstance(filled, MetaTensor)
    assert (filled.dtype, filled.shape, filled.meta["filename_or_obj"]) == (dtype, label.shape, "a.nii")
    assert torch.equal(filled.affine, label.affine)
    plain = fill(values.to(dtype))
    assert type(plain) is torch.Tensor
    assert torch.equal(plain, filled.as_tensor())
    array = fill(values.to(dtype).numpy())
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, plain.numpy())
    assert array.dtype == values.to(dtype).numpy().dtype


def test_the_dictionary_form_fills_its_keys_and_no_others():
    data = {"pred": nested(), "label": nested(), "name": "a"}
    filled = FillConvexHulld("pred", [[1, 2], [2]])(data)
    assert np.array_equal(filled["pred"], FillConvexHull([[1, 2], [2]])(nested()))
    assert filled["label"] is data["label"]
    assert np.array_equal(data["pred"], nested())
    assert FillConvexHulld(["pred", "absent"], allow_missing_keys=True)(data).keys() == data.keys()
    with pytest.raises(KeyError, match="absent"):
        FillConvexHulld("absent")(data)
    assert FillConvexHullD is FillConvexHulld
    assert FillConvexHullDict is FillConvexHulld


def test_empty_segmentations_stay_empty():
    empty = np.zeros((1, 6, 7), dtype=np.uint8)
    assert not FillConvexHull()(empty).any()
    assert not FillConvexHull([[1, 2]])(empty).any()
    one_hot = np.stack([np.ones((6, 7)), np.zeros((6, 7))])
    assert np.array_equal(FillConvexHull()(one_hot), one_hot)


def test_what_is_no_segmentation_is_refused():
    fill = FillConvexHull()
    with pytest.raises(ValueError, match=r"label holds the value 0\.5, expected whole class numbers"):
        fill(np.full((1, 4, 4), 0.5))
    for wrong in (np.ones((2, 4, 4)), np.zeros((2, 4, 4)), np.full((2, 4, 4), 0.5)):
        with pytest.raises(ValueError, match=r"label has 2 channels \(shape \(2, 4, 4\)\) that are not one-hot"):
            fill(wrong)
    with pytest.raises(ValueError, match=r"label has shape \(4, 4\)"):
        fill(np.zeros((4, 4)))
    with pytest.raises(TypeError, match="label is a list"):
        fill([[1]])
    with pytest.raises(ValueError, match=r"regions is \[\[0, 1\]\]; expected foreground classes"):
        FillConvexHull([[0, 1]])
    with pytest.raises(ValueError, match="expected a list of lists of class numbers"):
        FillConvexHulld("pred", regions=[1])


def test_a_class_beyond_the_channels_of_a_one_hot_map_is_named() -> None:
    one_hot = np.stack([np.zeros((5, 5)), np.ones((5, 5))])
    with pytest.raises(ValueError, match="regions name the class 7, but the label has 2 channels"):
        FillConvexHull([[7]])(one_hot)
