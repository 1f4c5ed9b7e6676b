"""Smoothing on surfaces, held against Gaussians and exponentials that are known."""

import numpy as np
import pytest
import vtk

from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface, from_polydata
from CorticalBoneMappingLib.mesh.smoothing import smooth

_SIGMA_OF_FWHM = 1.0 / np.sqrt(8.0 * np.log(2.0))


def _plane(n: int = 81, spacing: float = 1.0, jitter: float = 0.25) -> Surface:
    """An irregular triangulation of a square about the origin; its middle vertex stays at the origin."""
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    points = np.stack([i, j, 0.0 * i], axis=-1).reshape(-1, 3) - [n // 2, n // 2, 0.0]
    inner = (np.abs(points[:, :2]).max(axis=1) < n // 2) & np.any(points != 0.0, axis=1)
    points[inner, :2] += np.random.default_rng(3).uniform(-jitter, jitter, (inner.sum(), 2))
    corner = (i[:-1, :-1] * n + j[:-1, :-1]).ravel()
    lower = np.stack([corner, corner + n, corner + n + 1], axis=1)
    upper = np.stack([corner, corner + n + 1, corner + 1], axis=1)
    return Surface(points * spacing, np.concatenate([lower, upper]))


def _sphere(radius: float) -> Surface:
    source = vtk.vtkPlatonicSolidSource()
    source.SetSolidTypeToIcosahedron()
    divided = vtk.vtkLinearSubdivisionFilter()
    divided.SetNumberOfSubdivisions(4)
    divided.SetInputConnection(source.GetOutputPort())
    divided.Update()
    sphere = from_polydata(divided.GetOutput())
    points = sphere.points / np.linalg.norm(sphere.points, axis=1, keepdims=True)
    return Surface(radius * points, sphere.triangles)


@pytest.fixture(scope="module")
def plane() -> Surface:
    return _plane()


@pytest.fixture(scope="module")
def sphere() -> Surface:
    return _sphere(24.0)


@pytest.mark.parametrize("fwhm", [6.0, 10.0, 15.0])
def test_an_impulse_on_a_plane_spreads_with_the_variance_of_a_gaussian_of_that_width(plane, fwhm):
    impulse = np.zeros(len(plane.points))
    impulse[np.argmin(np.linalg.norm(plane.points, axis=1))] = 1.0
    weights = smooth(plane, impulse, fwhm) * plane.point_areas
    variance = (weights[:, None] * plane.points[:, :2] ** 2).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(variance, (fwhm * _SIGMA_OF_FWHM) ** 2, rtol=0.01)


def test_half_of_the_height_is_reached_at_half_of_the_full_width(plane):
    fwhm = 12.0
    impulse = np.zeros(len(plane.points))
    impulse[np.argmin(np.linalg.norm(plane.points, axis=1))] = 1.0
    response = smooth(plane, impulse, fwhm)
    distance = np.linalg.norm(plane.points, axis=1)
    ring = np.abs(distance - fwhm / 2) < 0.3
    assert response[ring].mean() / response.max() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_on_a_sphere_fade_as_the_heat_equation_says(sphere, degree):
    fwhm = 10.0
    height = sphere.points[:, 2] / 24.0
    harmonic = {1: height, 2: 1.5 * height**2 - 0.5, 3: 2.5 * height**3 - 1.5 * height}[degree]
    time = fwhm**2 / (16.0 * np.log(2.0))
    factor = np.exp(-degree * (degree + 1) * time / 24.0**2)
    np.testing.assert_allclose(smooth(sphere, harmonic, fwhm), factor * harmonic, atol=0.006)


def test_white_noise_loses_the_variance_that_a_gaussian_kernel_takes(plane):
    fwhm = 8.0
    noise = np.random.default_rng(0).standard_normal((len(plane.points), 40)) / np.sqrt(
        plane.point_areas[:, None]
    )
    middle = np.abs(plane.points[:, :2]).max(axis=1) < 25
    expected = 1.0 / (4.0 * np.pi * (fwhm * _SIGMA_OF_FWHM) ** 2)
    assert smooth(plane, noise, fwhm)[middle].var() == pytest.approx(expected, rel=0.08)


def test_a_constant_map_stays_exactly_what_it_is(sphere):
    values = np.full(len(sphere.points), 1.7)
    np.testing.assert_array_equal(smooth(sphere, values, 10.0), values)
    values[::7] = np.nan
    np.testing.assert_array_equal(smooth(sphere, values, 10.0), values)


@pytest.mark.parametrize("fwhm", [1.0, 10.0, 300.0])
def test_the_area_weighted_mean_is_kept_and_no_width_is_unstable(sphere, fwhm):
    values = np.random.default_rng(1).uniform(0.3, 6.0, len(sphere.points))
    smoothed = smooth(sphere, values, fwhm)
    areas = sphere.point_areas
    assert np.average(smoothed, weights=areas) == pytest.approx(np.average(values, weights=areas), rel=1e-9)
    assert smoothed.min() >= 0.3
    assert smoothed.max() <= 6.0


def test_unknown_values_neither_spread_nor_pull_nor_are_filled(plane):
    values = 2.0 + 0.1 * plane.points[:, 0]
    gap = np.linalg.norm(plane.points[:, :2] - [5.0, 3.0], axis=1) < 6.0
    wrong = values.copy()
    wrong[gap] = np.nan
    smoothed = smooth(plane, wrong, 6.0)
    np.testing.assert_array_equal(np.isnan(smoothed), gap)
    # Near the gap only the known side counts: the value moves by no more than the slope over a kernel.
    inside = ~gap & (np.abs(plane.points[:, :2]).max(axis=1) < 30)
    assert np.abs(smoothed - values)[inside].max() < 0.1 * 6.0


def test_a_gap_in_a_linear_map_is_filled_with_what_belongs_there_when_asked(plane):
    values = 2.0 + 0.1 * plane.points[:, 0]
    gap = np.linalg.norm(plane.points[:, :2], axis=1) < 4.0
    wrong = np.where(gap, np.nan, values)
    filled = smooth(plane, wrong, 8.0, fill=True)
    assert np.all(np.isfinite(filled))
    assert filled[gap].mean() == pytest.approx(values[gap].mean(), abs=0.02)


def test_maps_with_different_gaps_are_smoothed_as_if_each_were_alone(sphere):
    rng = np.random.default_rng(2)
    maps = rng.standard_normal((len(sphere.points), 3))
    maps[rng.random(len(maps)) < 0.1, 0] = np.nan
    maps[:500, 2] = np.nan
    alone = np.stack([smooth(sphere, column, 7.0) for column in maps.T], axis=1)
    np.testing.assert_allclose(smooth(sphere, maps, 7.0), alone, atol=1e-12)


def test_infinite_values_are_refused_in_words(sphere):
    values = np.zeros(len(sphere.points))
    with pytest.raises(SurfaceError, match="width is -1"):
        smooth(sphere, values, -1.0)
    with pytest.raises(SurfaceError, match="do not belong"):
        smooth(sphere, values[:-1], 10.0)
    values[3] = np.inf
    with pytest.raises(SurfaceError, match="infinity"):
        smooth(sphere, values, 10.0)
