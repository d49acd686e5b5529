"""Label quality: cleanlab's own scores on images, the same in volumes."""

from __future__ import annotations

import numpy as np
import pytest

from monai_iel.audit import quality
from monai_iel.audit.quality import self_confidence, slice_quality, softmin, surprise

rank = pytest.importorskip("cleanlab.segmentation.rank", reason="comes with the extra 'audit'")


def random_case(shape: tuple[int, ...], classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(len(shape))
    probabilities = rng.dirichlet(np.full(classes, 0.4), shape).astype(np.float32)
    return np.moveaxis(probabilities, -1, 0), rng.integers(0, classes, shape).astype(np.int32)


def test_of_an_image_voxel_and_image_scores_are_those_of_cleanlab() -> None:
    probabilities, label = random_case((14, 11))
    image, pixels = rank.get_label_quality_scores(label[None], probabilities[None], verbose=False)
    found = self_confidence(probabilities, label)
    np.testing.assert_array_equal(found, pixels[0])
    assert softmin(found) == image[0]
    assert slice_quality(found) == (image[0],)


def test_slices_of_a_volume_are_scored_as_cleanlab_scores_images() -> None:
    probabilities, label = random_case((9, 8, 5))
    images, _ = rank.get_label_quality_scores(
        np.moveaxis(label, -1, 0), np.moveaxis(probabilities, -1, 0), verbose=False
    )
    assert slice_quality(self_confidence(probabilities, label)) == tuple(images)


def test_softmin_of_a_volume_is_the_mean_weighed_towards_low_quality() -> None:
    voxels = np.random.default_rng(0).random((4, 5, 6))
    weights = np.exp((1 - voxels) / 0.1)
    assert softmin(voxels) == pytest.approx(float((weights * voxels).sum() / weights.sum()))
    assert voxels.min() < softmin(voxels) < np.median(voxels)


def test_annotations_drawn_from_the_probabilities_are_as_surprising_as_expected() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 200_000).T.astype(np.float32)
    drawn = (rng.random(200_000) > np.cumsum(probabilities, axis=0)[:-1]).sum(axis=0).astype(np.int32)
    found = surprise(probabilities, drawn)
    assert found.mean() == pytest.approx(0, abs=4 * found.std() / np.sqrt(found.size))
    assert surprise(probabilities, probabilities.argmin(axis=0)).mean() > 1


def test_surprise_is_bounded_where_the_networks_are_sure() -> None:
    saturated = np.array([[1.0], [0.0]], dtype=np.float32)
    assert surprise(saturated, np.array([1]))[0] == pytest.approx(np.log(1000), rel=1e-5)
    assert surprise(saturated, np.array([0]))[0] == pytest.approx(0, abs=1e-6)


def test_without_cleanlab_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs cleanlab.*pip install 'monai-iel\[audit\]'"):
        softmin(np.ones((3, 3)))
