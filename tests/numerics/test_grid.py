from __future__ import annotations

import pytest

from monai_iel import Grid


def test_one_number_stands_for_every_axis() -> None:
    assert Grid(spacing=2).spacings(3) == (2.0, 2.0, 2.0)
    assert Grid(spacing=2).spatial_dims is None


def test_a_list_from_a_config_compares_and_hashes_like_a_tuple() -> None:
    assert Grid(spacing=[1, 2]) == Grid(spacing=(1.0, 2.0))
    assert hash(Grid(spacing=[1, 2])) == hash(Grid(spacing=(1.0, 2.0)))


@pytest.mark.parametrize("spacing", [0, -1.0, float("nan"), float("inf"), (1.0, 0.0), ()])
def test_a_spacing_that_is_no_size_is_refused(spacing: object) -> None:
    with pytest.raises(ValueError, match="spacing must be positive and finite"):
        Grid(spacing=spacing)  # type: ignore[arg-type]


def test_an_unknown_boundary_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="neumann, dirichlet, periodic"):
        Grid(boundary="reflect")  # type: ignore[arg-type]


def test_another_number_of_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 numbers, but the tensor has 3 spatial axes"):
        Grid(spacing=(1.0, 2.0)).spacings(3)


def test_pixdim_within_one_percent_passes_and_beyond_is_refused() -> None:
    grid = Grid(spacing=(1.0, 2.0))
    grid.check_spacing((1.009, 1.981))
    with pytest.raises(ValueError, match=r"Grid\(spacing=\(1.02, 2.0\)\)"):
        grid.check_spacing((1.02, 2.0))


def test_swapped_anisotropic_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="rotation by 90 degrees"):
        Grid(spacing=(1.0, 2.0)).check_spacing((2.0, 1.0))


def test_a_coarsened_grid_has_larger_voxels_and_the_same_boundary() -> None:
    assert Grid((1.0, 2.0), "periodic").coarsened([2, 4]) == Grid((2.0, 8.0), "periodic")
