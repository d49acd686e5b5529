from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_iel.metrics import ConvexityMetric, compute_convexity


def slit(shape: tuple[int, ...], depth: int) -> torch.Tensor:
    """``2 H W [D]``: class 1 fills the image but for a slit along the first axis, ``depth`` voxels deep."""
    mask = torch.zeros(2, *shape)
    mask[1] = 1
    mask[(1, slice(depth), *(n // 2 for n in shape[1:]))] = 0
    mask[0] = 1 - mask[1]
    return mask


def placed(mask: torch.Tensor, spacing: tuple[float, ...]) -> MetaTensor:
    return MetaTensor(mask, affine=np.diag([*spacing, *[1.0] * (4 - len(spacing))]))


@pytest.mark.parametrize("shape", [(15, 21), (15, 21, 23)])
def test_each_measure_of_a_slit_is_that_of_its_drawing(shape):
    mask, size = slit(shape, 5)[None], math.prod(shape)
    values = {m: ConvexityMetric(m)(mask) for m in ("solidity", "concavity_depth", "nonconvex_fraction", "components")}
    assert {m: (v.shape, v.dtype) for m, v in values.items()} == dict.fromkeys(values, ((1, 1), torch.float32))
    assert {m: v.item() for m, v in values.items()} == pytest.approx(
        {
            "solidity": (size - 5) / size,
            "concavity_depth": 4.0,
            "nonconvex_fraction": 5 / (size - 5),
            "components": 1.0,
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("shape", [(15, 21), (15, 21, 23)])
def test_items_of_a_list_and_of_a_collated_batch_are_measured_in_their_own_spacing(shape):
    spacings = [(s, 1.0, 2.0)[: len(shape)] for s in (1.0, 0.5, 1.5)]
    items = [placed(slit(shape, 5), s) for s in spacings]
    metric = ConvexityMetric("concavity_depth")
    assert metric(items).flatten().tolist() == [4.0, 2.0, 6.0]
    assert metric(list_data_collate(items)).flatten().tolist() == [4.0, 2.0, 6.0]
    assert compute_convexity(list_data_collate(items), measure="concavity_depth").flatten().tolist() == [4.0, 2.0, 6.0]
    assert metric.aggregate().item() == 4.0


def test_y_gives_the_spacing_and_nothing_else():
    plain, metric = slit((15, 21), 5), ConvexityMetric("concavity_depth")
    other = placed(torch.zeros(1, 15, 21), (2.0, 3.0))  # a class map; another number of channels
    assert metric([plain], [other]).tolist() == [[8.0]]
    assert metric(plain[None], torch.zeros(1, 1, 15, 21)).tolist() == [[4.0]]
    with pytest.raises(ValueError, match=r"y has a spacing of 2 x 3 mm and y_pred of 1 x 3 mm"):
        metric([placed(plain, (1.0, 3.0))], [other])
    with pytest.raises(ValueError, match=r"y_pred has shape \(1, 2, 15, 21\) and y has \(1, 1, 9, 9\); bring both"):
        metric(plain[None], torch.zeros(1, 1, 9, 9))


def test_spacing_given_by_hand_wins():
    item = placed(slit((15, 21), 5), (2.0, 3.0))
    assert ConvexityMetric("concavity_depth", spacing=0.5)([item]).item() == 2.0
    assert ConvexityMetric("concavity_depth")([item], spacing=(1.5, 1.0)).item() == 6.0
    assert compute_convexity(item[None], measure="concavity_depth", spacing=0.5).item() == 2.0


@pytest.mark.parametrize("measure", ["solidity", "concavity_depth", "nonconvex_fraction", "components"])
def test_an_absent_structure_is_nan_and_leaves_the_mean(measure):
    present = torch.zeros(3, 9, 9)
    present[1, 2:5, 2:5] = 1
    metric = ConvexityMetric(measure, get_not_nans=True)
    values = metric([present, torch.zeros(3, 9, 9)])
    assert values.isnan().tolist() == [[False, True], [True, True]]
    mean, count = metric.aggregate()
    assert mean.item() == {"concavity_depth": 0, "nonconvex_fraction": 0}.get(measure, 1)
    assert count.item() == 1
    metric.reset()
    metric([torch.zeros(3, 9, 9)])
    assert metric.aggregate()[0].isnan().all()


def cup_in_disc() -> torch.Tensor:
    """Rim (1) and cup (2) one-hot; the cup is open to one side of the disc, which is a full square."""
    classes = torch.ones(11, 11, dtype=torch.int64)
    classes[3:8, 3:8] = 2
    classes[3:6, 5] = 1  # a notch in the cup
    return torch.nn.functional.one_hot(classes, 3).movedim(-1, 0)[None]


def test_regions_are_united_and_stand_in_the_order_given():
    mask = cup_in_disc()
    assert ConvexityMetric()(mask).tolist() == [pytest.approx([(121 - 22) / 121, 22 / 25])]
    assert ConvexityMetric(regions=[[1, 2], [2]])(mask).tolist() == [pytest.approx([1.0, 22 / 25])]
    assert compute_convexity(mask, regions=[[2], [2, 1], [0, 1, 2]]).tolist() == [pytest.approx([22 / 25, 1, 1])]


def test_a_single_channel_is_class_1_and_the_background_is_measured_on_demand():
    mask = slit((9, 9), 3)[None]
    assert compute_convexity(mask[:, 1:]).tolist() == compute_convexity(mask).tolist()
    assert compute_convexity(mask[:, 1:], regions=[[1]]).tolist() == compute_convexity(mask).tolist()
    assert compute_convexity(mask, include_background=True)[0].tolist() == [1.0, compute_convexity(mask).item()]
    with pytest.raises(ValueError, match=r"regions name the classes \[0\], but y_pred has class 1 \(1 channels\)"):
        compute_convexity(mask[:, 1:], regions=[[0]])


def test_the_result_is_a_plain_tensor_and_the_argument_stays_as_it_is():
    item = placed(slit((9, 9), 3), (1.0, 1.0))[None].bool()
    before = item.clone()
    assert type(compute_convexity(item)) is torch.Tensor
    assert torch.equal(item, before)


def test_wrong_arguments_are_refused():
    mask = slit((9, 9), 3)[None]
    with pytest.raises(ValueError, match="By 'solidty', did you mean 'solidity'"):
        ConvexityMetric("solidty")
    with pytest.raises(ValueError, match=r"Unsupported option 'concavity', Available options are .*'concavity_depth'"):
        compute_convexity(mask, measure="concavity")
    with pytest.raises(ValueError, match=r"regions is \[1, 2\]; expected a list of lists"):
        ConvexityMetric(regions=[1, 2])
    with pytest.raises(ValueError, match=r"regions name the classes \[1, 2\], but y_pred has classes 0 to 1"):
        compute_convexity(mask, regions=[[1, 2]])
    with pytest.raises(ValueError, match=r"y_pred holds values other than 0 and 1.*AsDiscrete"):
        compute_convexity(mask * 0.7)
    with pytest.raises(ValueError, match=r"expected B C H W \(2D\)"):
        compute_convexity(mask[0])
    with pytest.raises(TypeError, match="y_pred is a ndarray"):
        compute_convexity(mask.numpy())
    with pytest.raises(ValueError, match=r"expected one positive number in mm, or 2 of them"):
        compute_convexity(mask, spacing=(1.0, 1.0, 1.0))
