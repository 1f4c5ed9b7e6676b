"""Which axis runs across the slices, and that every order of storing gives the same scan."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import SimpleITK as sitk
from known_volumes import ct

from CorticalBoneMappingLib.core.slice_axis import as_stored, slice_axis, slices_along_k
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import read_header, read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.segmentation import periosteal_surface

ORDERS = list(permutations(range(3)))


def grid(spacing, axes="RAS"):
    """Matrix of a grid whose axes i, j, k run along some of R, A, S."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, ["RAS".index(axis) for axis in axes]] * spacing
    return matrix


@pytest.mark.parametrize(
    ("spacing", "axes", "across"),
    [
        ((0.9, 0.9, 2.0), "RAS", 2),
        ((2.0, 0.9, 0.9), "SRA", 0),
        ((0.9, 2.0, 0.9), "RSA", 1),
        ((0.9, 2.0, 0.9), "RAS", 1),  # a coronal reformat: its slices are coronal
        ((0.98, 0.98, 0.5), "RAS", 2),  # slices finer than pixels
        ((0.5, 0.98, 0.98), "SRA", 0),
        ((0.7, 0.8, 2.0), "RAS", 2),
        ((3.0, 3.0, 3.0), "SAR", 0),  # cubes: across is nearest to superior
        ((1.0, 0.98, 0.98), "RSA", 1),
        ((0.6, 1.4, 2.4), "ASR", 2),
    ],
)
def test_the_slice_axis_is_the_one_whose_spacing_differs_or_superior(spacing, axes, across):
    assert slice_axis(grid(spacing, axes)) == across


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("flip", [None, 0, 1, 2])
def test_every_order_of_the_axes_becomes_the_same_scan_with_slices_last(order, flip):
    plain = slices_along_k(replace(ct(), stored_axes=None))
    array, matrix = ct().array.transpose([2 - n for n in order[::-1]]), ct().ijk_to_ras[:, [*order, 3]]
    if flip is not None:
        matrix = matrix.copy()
        matrix[:3, 3] += matrix[:3, flip] * (array.shape[2 - flip] - 1)
        matrix[:3, flip] *= -1
        array = np.flip(array, 2 - flip)
    stored = Volume(array, matrix)
    volume = slices_along_k(stored)
    np.testing.assert_allclose(volume.spacing_mm, plain.spacing_mm)
    assert volume.spacing_mm[2] == pytest.approx(2.0)
    index = np.moveaxis(np.indices(plain.array.shape[::-1]), 0, -1)
    np.testing.assert_array_equal(volume.sample(plain.points_of(index), order=0), plain.array.T)
    back = as_stored(volume)
    np.testing.assert_array_equal(back.array, stored.array)
    np.testing.assert_array_equal(back.ijk_to_ras, stored.ijk_to_ras)


def test_a_volume_whose_order_is_known_is_left_alone():
    known = Volume(np.zeros((4, 5, 6), np.float32), grid((2.0, 0.9, 0.9)), stored_axes=(0, 1, 2))
    assert slices_along_k(known) is known


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_what_is_derived_from_a_scan_is_written_on_the_grid_of_its_file(tmp_path, ending):
    plain = ct()
    stored = Volume(plain.array.transpose(2, 0, 1), plain.ijk_to_ras[:, [1, 2, 0, 3]])
    write_volume(tmp_path / f"ct{ending}", stored)
    volume = read_volume(tmp_path / f"ct{ending}")
    assert volume.array.shape == plain.array.shape
    assert volume.spacing_mm[2] == pytest.approx(2.0)
    assert read_header(tmp_path / f"ct{ending}").array.shape == plain.array.shape
    write_volume(tmp_path / f"m{ending}", replace(volume, array=(volume.array > -3000).astype(np.uint8)))
    image, labels = (sitk.ReadImage(str(tmp_path / f"{name}{ending}")) for name in ("ct", "m"))
    assert labels.GetSize() == image.GetSize()
    np.testing.assert_allclose(labels.GetDirection(), image.GetDirection())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(labels) > 0, sitk.GetArrayFromImage(image) > -3000)
    again = read_labelmap(tmp_path / f"m{ending}")
    np.testing.assert_array_equal(again.array > 0, volume.array > -3000)


def test_a_surface_does_not_depend_on_how_its_label_map_is_stored(tmp_path):
    k, j, i = np.indices((16, 24, 20))
    inside = ((k - 7.6) / 5.0) ** 2 + ((j - 11.2) / 9.0) ** 2 + ((i - 9.1) / 7.0) ** 2 < 1.0
    plain = Volume(inside.astype(np.uint8), grid((-1.0, -1.0, 2.0)))
    expected = periosteal_surface(plain, 1, 2.0).surface.points
    for order, flips in (((0, 1, 2), (0,)), ((0, 1, 2), (0, 1, 2)), ((2, 0, 1), ()), ((1, 2, 0), (1, 2))):
        array = plain.array.transpose([2 - n for n in order[::-1]])
        matrix = plain.ijk_to_ras[:, [*order, 3]].copy()
        for axis in flips:
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[2 - axis] - 1)
            matrix[:3, axis] *= -1
            array = np.flip(array, 2 - axis)
        write_volume(tmp_path / "m.nrrd", Volume(array, matrix))
        points = periosteal_surface(read_labelmap(tmp_path / "m.nrrd"), 1, 2.0).surface.points
        np.testing.assert_allclose(points, expected, atol=1e-4)
