"""The measurement of the cortex, on eccentric balls that are scanned by brute force."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ball_phantom import (
    CORTEX,
    SIGMA,
    SOFT,
    TRABECULAR,
    bias_by_bin,
    scanned,
    surface_near_the_ball,
    truth,
)
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.errors import MeasurementError, SettingError
from CorticalBoneMappingLib.core.measures import MEASURES, VertexStatus
from CorticalBoneMappingLib.cortex import METHODS, CortexSettings, measure_cortex
from CorticalBoneMappingLib.cortex.model.levenberg_marquardt import fit_batch

HU = Calibration.none()
TRUE = CortexSettings(cortical_density=CORTEX)


def test_constant_density_finds_the_thickness_on_a_fine_scan():
    surface = surface_near_the_ball()
    outer, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, settings=TRUE, method="constant-density")
    error = measured.thickness - thickness
    assert np.mean(measured.quality == VertexStatus.GOOD) > 0.99
    assert np.nanmean(np.abs(error)) < 0.03
    assert np.max(np.abs(bias_by_bin(error, thickness))) < 0.03
    assert np.nanmean(np.abs(measured.periosteal_offset - outer)) < 0.03
    assert abs(np.nanmean(measured.trabecular_density) - TRABECULAR) < 5.0
    np.testing.assert_allclose(
        measured.mass_surface_density, measured.thickness * measured.density / 10.0, rtol=1e-12
    )


def test_constant_density_holds_on_thick_slices():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(
        surface, scanned(pixel=4, slice_=13, noise=24.0), HU, settings=TRUE, method="constant-density"
    )
    error = measured.thickness - thickness
    assert np.mean(measured.quality == VertexStatus.GOOD) > 0.95
    assert np.nanmean(np.abs(error)) < 0.08
    assert np.max(np.abs(bias_by_bin(error, thickness))) < 0.05


def test_blur_and_density_are_estimated_from_the_thick_cortex():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method="constant-density")
    assert measured.used["in_plane_sigma_mm"] == pytest.approx(SIGMA, rel=0.06)
    assert measured.used["cortical_density"] == pytest.approx(CORTEX, rel=0.01)
    assert measured.used["noise"] == pytest.approx(14.0, rel=0.35)  # the spline smooths it
    assert np.max(np.abs(bias_by_bin(measured.thickness - thickness, thickness))) < 0.03


def test_half_maximum_overestimates_thin_cortex_and_not_thick():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method="half-maximum")
    bias = bias_by_bin(measured.thickness - thickness, thickness)
    assert bias[0] > 0.4
    assert bias[0] > bias[1] > bias[2] > bias[3]
    assert abs(bias[4]) < 0.06
    thin, thick = thickness < 0.8, thickness > 3.0
    assert np.nanmean(measured.density[thin]) < 0.75 * CORTEX
    assert np.nanmean(measured.density[thick]) == pytest.approx(CORTEX, rel=0.04)


def test_half_maximum_meets_the_crossings_of_a_brute_force_profile_without_noise():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(noise=0.0), HU, method="half-maximum")
    in_plane = np.flatnonzero(np.abs(surface.normals[:, 2]) < 0.05)
    x = np.arange(-15.0, 20.0, 0.01)
    difference = []
    for point in in_plane:
        steps = np.where(x < 0, SOFT, np.where(x < thickness[point], CORTEX, TRABECULAR))
        profile = ndimage.gaussian_filter1d(steps, SIGMA / 0.01)
        level = 0.5 * (profile.max() + np.where(x < x[profile.argmax()], SOFT, TRABECULAR))
        above = x[profile > level]
        difference.append(measured.thickness[point] - (above[-1] - above[0]))
    assert abs(np.mean(difference)) < 0.03


def test_a_turned_scan_gives_the_same_map():
    surface, volume = surface_near_the_ball(400), scanned()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [20.0, -35.0, 70.0], degrees=True).as_matrix()
    turn[:3, 3] = [10.0, -40.0, 300.0]
    turned = replace(surface, points=surface.points @ turn[:3, :3].T + turn[:3, 3])
    turned_volume = replace(volume, ijk_to_ras=turn @ volume.ijk_to_ras)
    before = measure_cortex(surface, volume, HU, settings=TRUE, method="constant-density")
    after = measure_cortex(turned, turned_volume, HU, settings=TRUE, method="constant-density")
    # A sample half way between two slices may go to either: that, and rounding, is all that may differ.
    difference = np.abs(after.thickness - before.thickness)
    assert np.nanmedian(difference) < 1e-6
    assert np.nanmean(difference) < 2e-3


def test_calibration_scales_density_and_leaves_thickness():
    surface, volume = surface_near_the_ball(400), scanned()
    line = Calibration.linear(0.8, -5.0)
    in_hu = measure_cortex(
        surface, volume, HU, settings=replace(TRUE, in_plane_sigma_mm=SIGMA), method="constant-density"
    )
    settings = CortexSettings(cortical_density=0.8 * CORTEX - 5.0, in_plane_sigma_mm=SIGMA)
    in_mg = measure_cortex(surface, volume, line, settings=settings, method="constant-density")
    np.testing.assert_allclose(in_mg.thickness, in_hu.thickness, atol=2e-3)
    np.testing.assert_allclose(in_mg.density, 0.8 * in_hu.density - 5.0, rtol=1e-9)


def test_a_neighbouring_bone_does_not_spoil_the_fit():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(
        surface, scanned(neighbour_mm=3.0), HU, settings=TRUE, method="constant-density"
    )
    near = surface.normals[:, 2] > 0.1
    error = np.abs(measured.thickness - thickness)
    assert np.mean(measured.quality[near] == VertexStatus.GOOD) > 0.97
    assert np.nanmean(error[near]) < 2.0 * np.nanmean(error[~near])


def test_bone_without_a_shell_is_a_finding():
    surface, settings = surface_near_the_ball(), replace(TRUE, in_plane_sigma_mm=SIGMA)
    measured = measure_cortex(surface, scanned(shell=False), HU, settings=settings, method="constant-density")
    assert np.mean(measured.quality == VertexStatus.NO_CORTEX) > 0.97


def test_metal_is_flagged_where_it_is_and_changes_nothing_elsewhere():
    surface, volume = surface_near_the_ball(), scanned()
    with_metal = volume.array.copy()
    places = volume.points_of(np.stack(np.indices(volume.array.shape)[::-1], axis=-1))
    with_metal[np.linalg.norm(places - [0.0, 0.0, 14.0], axis=-1) < 3.0] = 8000.0
    settings = replace(TRUE, in_plane_sigma_mm=SIGMA)
    clean = measure_cortex(surface, volume, HU, settings=settings, method="constant-density")
    measured = measure_cortex(
        surface, replace(volume, array=with_metal), HU, settings=settings, method="constant-density"
    )
    metal = measured.quality == VertexStatus.METAL
    assert np.all(metal[surface.normals[:, 2] > 0.99])
    far = surface.normals[:, 2] < 0.0
    assert not np.any(metal[far])
    np.testing.assert_allclose(measured.thickness[far], clean.thickness[far], atol=1e-3)


def test_points_beyond_the_scan_and_excluded_points_have_no_value():
    surface, volume = surface_near_the_ball(), scanned()
    keep = int(volume.index_of(np.array([0.0, 0.0, 5.0]))[2])
    cut = replace(volume, array=volume.array[:keep])
    excluded = surface.points[:, 2] < -14.0
    measured = measure_cortex(surface, cut, HU, settings=TRUE, excluded=excluded)
    assert np.all(measured.quality[surface.points[:, 2] > 8.0] == VertexStatus.OUTSIDE_SCAN)
    np.testing.assert_array_equal(measured.quality == VertexStatus.NOT_MEASURED, excluded)
    arrays = measured.arrays()
    assert set(arrays) == set(MEASURES) | {"periosteal_offset", "quality"}
    for name in MEASURES:
        np.testing.assert_array_equal(np.isfinite(arrays[name]), measured.quality == VertexStatus.GOOD)
    assert sum(measured.counts.values()) == len(surface.points)
    assert json.loads(json.dumps(measured.used, allow_nan=False))["counts"] == measured.counts


def test_what_a_bone_of_thin_cortex_does_not_show_is_assumed_and_recorded():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    used = measure_cortex(surface, scanned(), HU, excluded=thickness > 0.9, method="constant-density").used
    assert used["cortical_density_from"].startswith("assumed")
    assert used["in_plane_sigma_from"].startswith("assumed")
    assert used["thick_cortex_points"] == 0


def test_a_surface_beside_the_scan_is_an_error_in_words():
    surface = surface_near_the_ball(50)
    with pytest.raises(MeasurementError, match="lies outside the scan"):
        measure_cortex(
            replace(surface, points=surface.points + 500.0), scanned(), HU, method="constant-density"
        )
    with pytest.raises(MeasurementError, match="nothing is left"):
        measure_cortex(surface, scanned(), HU, excluded=np.ones(50, dtype=bool), method="constant-density")


def test_settings_out_of_bounds_are_refused_in_words():
    with pytest.raises(SettingError, match="cortical density is 5: choose a value from 100"):
        CortexSettings(cortical_density=5.0)
    with pytest.raises(SettingError, match="outside mm is nan"):
        CortexSettings(outside_mm=float("nan"))
    with pytest.raises(SettingError, match=", ".join(METHODS)):
        measure_cortex(surface_near_the_ball(50), scanned(), HU, method="wishful")


def test_batched_fit_agrees_with_scipy_one_by_one():
    rng = np.random.default_rng(3)
    x = np.linspace(0.0, 4.0, 30)
    true = rng.uniform([0.5, 0.3, -1.0], [3.0, 2.0, 1.0], size=(40, 3))
    data = true[:, :1] * np.exp(-true[:, 1:2] * x) + true[:, 2:] + rng.normal(0, 0.05, (40, 30))
    lower, upper = np.tile([0.0, 0.0, -0.5], (40, 1)), np.tile([5.0, 5.0, 5.0], (40, 1))

    def model(which, p):
        fall = np.exp(-p[:, 1:2] * x)
        jacobian = np.stack([fall, -p[:, :1] * x * fall, np.ones_like(fall)])
        return p[:, :1] * fall + p[:, 2:] - data[which], jacobian

    start = np.tile([1.0, 1.0, 0.0], (40, 1))
    fit = fit_batch(model, start, lower, upper, np.ones(3))
    assert np.all(fit.converged)
    for k in range(40):
        one = least_squares(
            lambda p, k=k: model(np.array([k]), p[None])[0][0], start[k], bounds=(lower[k], upper[k])
        )
        assert fit.cost[k] == pytest.approx(2 * one.cost, rel=1e-4)
    assert np.any(fit.parameters[:, 2] == -0.5)  # some press on their bound
