"""Slices interpolated between those of the scanner are found and left out; none of the scanner's are."""

import numpy as np
import pytest
from scipy import ndimage

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_warnings import without_interpolated_slices

SPACING_MM = 2.0


def scanned(seed=3, slices=60, noise=12.0, overlap=0):
    """A smooth object with noise; with overlap, each slice shares noise with those beside it."""
    random = np.random.default_rng(seed)
    object_ = 600.0 * ndimage.gaussian_filter(random.normal(size=(slices, 30, 30)), 2.0)
    own = ndimage.uniform_filter1d(random.normal(size=object_.shape), overlap + 1, axis=0)
    matrix = np.diag([0.8, 0.8, SPACING_MM, 1.0])
    matrix[:3, 3] = [-10.0, 5.0, -300.0]
    return Volume(np.round(object_ + noise * own).astype(np.float32), matrix)


def resampled(volume, factor, order, first=0):
    """So many slices for each one of the scanner, which is among them; `first` of them are cut off."""
    n = len(volume.array)
    at = np.arange(first, (n - 1) * factor + 1) / factor
    array = ndimage.map_coordinates(
        volume.array,
        np.meshgrid(at, *(np.arange(size) for size in volume.array.shape[1:]), indexing="ij"),
        order=order,
    )
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = volume.points_of(np.array([0, 0, first / factor]))
    matrix[:3, 2] /= factor
    return Volume(np.round(array).astype(np.float32), matrix)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("first", [0, 1])
def test_what_the_scanner_measured_is_left(factor, order, first):
    volume = scanned()
    found = without_interpolated_slices(resampled(volume, factor, order, first))
    lost = int(first > 0)
    np.testing.assert_allclose(found.array, volume.array[lost:], atol=0.5 + 1e-3)
    np.testing.assert_allclose(found.points_of([3, 4, 5]), volume.points_of([3, 4, 5 + lost]), atol=1e-9)
    (warning,) = found.warnings
    assert "resampled from 2 mm to" in warning


@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize("noise", [0.5, 12.0])
def test_slices_of_the_scanner_stay_also_where_they_overlap(overlap, noise):
    volume = scanned(noise=noise, overlap=overlap)
    assert without_interpolated_slices(volume) is volume


def test_a_scan_without_noise_or_with_few_slices_stays():
    for volume in (
        scanned(noise=0.0),
        scanned(slices=8),
        Volume(np.zeros((60, 5, 5), np.float32), np.eye(4)),
    ):
        assert without_interpolated_slices(volume) is volume
