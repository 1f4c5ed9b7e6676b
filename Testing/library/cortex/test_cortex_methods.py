"""The methods that measure point by point, their models, and the bound that physics sets them."""

from dataclasses import replace

import numpy as np
import pytest
from ball_phantom import (
    CORTEX,
    OUTER_MM,
    SIGMA,
    SOFT,
    TRABECULAR,
    bias_by_bin,
    scanned,
    surface_near_the_ball,
    truth,
)
from scipy import ndimage

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.cortex import METHODS, CortexSettings, measure_cortex
from CorticalBoneMappingLib.cortex.methods.endocortical_ramp import fit_ramp
from CorticalBoneMappingLib.cortex.methods.mass_conserving import rise_with_mass
from CorticalBoneMappingLib.cortex.model.blur import Blur, LineBlur, blurred_ramp, blurred_step, model_peak
from CorticalBoneMappingLib.cortex.model.profile_features import find_features
from CorticalBoneMappingLib.cortex.model.profiles import Profiles, sample_profiles
from CorticalBoneMappingLib.cortex.scan.noise import Noise, estimate_noise
from CorticalBoneMappingLib.simulation.scanner.optics import correlated_noise
from validation.measurement.cramer_rao import Layers, cramer_rao_bound

HU = Calibration.none()
NEW = ("mass-conserving", "independent", "endocortical-ramp")
GIVEN = CortexSettings(cortical_density=CORTEX, in_plane_sigma_mm=SIGMA)
FINE = 0.004
PLACES = FINE * np.arange(-4000, 6000)


def rectangle(half_width):
    """Kernel of a rectangle on fine cells; those at its ends count by their part."""
    cells = int(np.ceil(half_width / FINE + 0.5))
    places = FINE * np.arange(-cells, cells + 1)
    part = np.clip((half_width - np.abs(places)) / FINE + 0.5, 0.0, 1.0)
    return part / part.sum()


def blurred_by_brute_force(values, sigma, half_width):
    """Convolve fine samples with a Gaussian, then with a rectangle."""
    blurred = ndimage.gaussian_filter1d(values, sigma / FINE, truncate=7.0, mode="nearest")
    if half_width == 0:
        return blurred
    return ndimage.convolve1d(blurred, rectangle(half_width), mode="nearest")


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.2])
@pytest.mark.parametrize("half_width", [0.0, 0.05, 0.5, 1.5])
@pytest.mark.parametrize("width", [0.0, 0.02, 0.4, 3.0])
def test_blurred_ramp_agrees_with_brute_force_convolution(sigma, half_width, width):
    places = PLACES + FINE / 2  # a step between two samples, where it is sharp
    ramp = np.clip(places / width, 0.0, 1.0) if width else (places > 0).astype(float)
    brute = blurred_by_brute_force(ramp, sigma, half_width)
    x = np.linspace(-5.0, 8.0, 200)
    value, _, _ = blurred_ramp(x, np.array(width), sigma, half_width)
    assert np.max(np.abs(value - np.interp(x, places, brute))) < 1e-4


@pytest.mark.parametrize("half_width", [0.0, 0.6])
@pytest.mark.parametrize("width", [0.4, 3.0])
def test_edge_enhanced_ramp_is_the_mean_of_enhanced_steps_over_its_width(half_width, width):
    x = np.linspace(-4.0, 7.0, 120)
    places = width * (np.arange(2000) + 0.5) / 2000
    steps = [blurred_step(x - place, 0.6, half_width, 0.8)[0] for place in places]
    value, _, _ = blurred_ramp(x, np.array(width), 0.6, half_width, 0.8)
    assert np.max(np.abs(value - np.mean(steps, axis=0))) < 2e-5


@pytest.mark.parametrize("enhancement", [0.0, 0.8])
@pytest.mark.parametrize("width", [0.02, 0.4, 3.0])
@pytest.mark.parametrize("half_width", [0.0, 0.5])
def test_derivatives_of_the_ramp_are_difference_quotients(width, half_width, enhancement):
    x, h = np.linspace(-3.0, 6.0, 91), 1e-4

    def value(x, width):
        return blurred_ramp(x, np.array(width), 0.6, half_width, enhancement)[0]

    _, slope, by_width = blurred_ramp(x, np.array(width), 0.6, half_width, enhancement)
    assert np.max(np.abs(slope - (value(x + h, width) - value(x - h, width)) / (2 * h))) < 1e-5
    quotient = (value(x, width + h) - value(x, width - h)) / (2 * h)
    assert np.max(np.abs(by_width - quotient)) < 2e-4  # second differences cancel in a narrow ramp


def test_a_ramp_without_width_is_a_step():
    x = np.linspace(-4.0, 4.0, 81)
    for half_width in (0.0, 0.7):
        ramp, _, _ = blurred_ramp(x, np.array(0.0), 0.5, half_width)
        step, _ = blurred_step(x, 0.5, half_width)
        assert np.max(np.abs(ramp - step)) < 2e-5


@pytest.mark.parametrize("half_width", [0.0, 0.6])
def test_peak_of_the_model_is_the_highest_value_of_a_brute_force_profile(half_width):
    thickness = np.array([0.4, 0.8, 1.5, 3.0, 5.0])
    layers = [np.full(5, value) for value in (SOFT, CORTEX, TRABECULAR)]
    peak = model_peak(thickness, *layers, LineBlur(np.full(5, SIGMA), np.full(5, half_width), 0.0))
    for t, found in zip(thickness, peak, strict=True):
        steps = np.where(PLACES < 0, SOFT, np.where(t > PLACES, CORTEX, TRABECULAR))
        highest = blurred_by_brute_force(steps, SIGMA, half_width).max()
        assert found == pytest.approx(highest, abs=0.01 * (CORTEX - SOFT) if half_width else 1.0)


def test_rise_of_the_peak_with_mass_is_that_of_a_blurred_cortex_between_like_tissues():
    thickness = np.array([0.3, 0.6, 1.2, 2.4])
    for t, found in zip(
        thickness, rise_with_mass(thickness * (CORTEX - SOFT), SOFT, CORTEX, SIGMA), strict=True
    ):
        cortex = np.where((PLACES >= 0) & (t > PLACES), CORTEX, SOFT)
        assert found == pytest.approx(blurred_by_brute_force(cortex, SIGMA, 0.0).max(), abs=1.0)


@pytest.mark.parametrize("method", NEW)
def test_thick_cortex_is_measured_blind_by_every_method(method):
    surface = surface_near_the_ball()
    outer, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method=method)
    thick = thickness > 2.0
    error = (measured.thickness - thickness)[thick]
    assert np.mean(measured.quality[thick] == VertexStatus.GOOD) > 0.99
    assert np.nanmean(np.abs(error)) < 0.04
    assert abs(np.nanmean(error)) < 0.02
    assert np.nanmean(np.abs(measured.periosteal_offset - outer)[thick]) < 0.03
    assert np.nanmean(measured.density[thick]) == pytest.approx(CORTEX, rel=0.01)
    assert np.nanmean(measured.trabecular_density[thick]) == pytest.approx(TRABECULAR, abs=8.0)


def test_mass_conserving_measures_thin_cortex_with_the_density_it_finds():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method="mass-conserving")
    assert measured.used["cortical_density"] == pytest.approx(CORTEX, rel=0.01)
    assert measured.used["cortical_density_from"].startswith("where the peak levels off")
    assert np.mean(measured.quality == VertexStatus.GOOD) > 0.99
    assert np.max(np.abs(bias_by_bin(measured.thickness - thickness, thickness))) < 0.03


def test_mass_conserving_records_that_the_bone_has_only_thin_cortex():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    used = measure_cortex(surface, scanned(), HU, method="mass-conserving", excluded=thickness > 0.8).used
    assert "assumed" in used["cortical_density_from"]


def test_independent_conserves_the_mass_of_thin_cortex_though_not_its_thickness():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method="independent")
    thin = (thickness < 0.8) & (measured.quality == VertexStatus.GOOD)
    mass = measured.mass_surface_density[thin] / (thickness[thin] * CORTEX / 10.0) - 1.0
    assert abs(np.mean(mass)) < 0.07
    assert np.mean(np.abs(measured.thickness - thickness)[thin]) > 0.1  # one profile does not determine it
    assert np.mean(thin[thickness < 0.8]) > 0.5


def test_independent_follows_a_density_that_differs_over_the_bone():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    volume = scanned()
    across = volume.points_of(np.stack(np.indices(volume.array.shape)[::-1], axis=-1))[..., 0]
    share = 1.0 - 0.2 / (1.0 + np.exp(-across / 5.0))  # falls by a fifth from left to right
    lighter = replace(volume, array=(volume.array * share).astype(np.float32))
    measured = measure_cortex(surface, lighter, HU, method="independent")
    true = CORTEX * (1.0 - 0.2 / (1.0 + np.exp(-surface.points[:, 0] / 5.0)))
    thick = (thickness > 2.5) & (measured.quality == VertexStatus.GOOD)
    assert np.ptp(true[thick]) > 0.15 * CORTEX
    assert np.mean(np.abs(measured.density[thick] / true[thick] - 1.0)) < 0.02
    assert np.corrcoef(measured.density[thick], true[thick])[0, 1] > 0.9


def ramp_profiles(width, half_width, noise=0.0, count=200, seed=0):
    """Lines across a cortex of 2.5 mm that ends in a ramp, blurred by brute force."""
    share = np.clip((PLACES - 2.5) / width, 0, 1)
    layers = np.where(PLACES < 0, SOFT, CORTEX + (TRABECULAR - CORTEX) * share)
    blurred = blurred_by_brute_force(layers, SIGMA, half_width)
    line = np.arange(-7.0, 13.0, 0.3)
    random = np.random.default_rng(seed)
    depth = np.tile(line, (count, 1)) + random.uniform(-0.15, 0.15, (count, 1))
    values = np.interp(depth, PLACES + FINE / 2, blurred) + random.normal(0.0, noise, depth.shape)
    return made_profiles(depth, line, values=values, slice_mm=1.0, pixel_mm=0.6)


def made_profiles(depth, line, values=None, slice_mm=1.0, pixel_mm=1e-3):
    """Lines in the plane of the slices."""
    count = len(depth)
    return Profiles(
        depth=depth,
        values=np.zeros_like(depth) if values is None else values,
        valid=np.ones(depth.shape, dtype=bool),
        across=np.zeros(count),
        samples_per_voxel=np.ones(count),
        slice_thickness_mm=slice_mm,
        pixel_mm=pixel_mm,
        line=line,
    )


def test_ramp_is_found_where_there_is_one():
    for width in (0.8, 2.0):
        profiles = ramp_profiles(width, 0.0, noise=5.0)
        fit = fit_ramp(profiles, find_features(profiles), Blur(SIGMA), CORTEX, 5.0)
        assert np.all(fit.converged)
        assert np.mean(fit.width) == pytest.approx(width, abs=0.05)
        assert np.mean(fit.compact) == pytest.approx(2.5, abs=0.03)
        assert np.mean(fit.outer_edge) == pytest.approx(0.0, abs=0.01)


def test_ramp_sees_a_step_where_there_is_a_step():
    surface = surface_near_the_ball()
    _, thickness = truth(surface)
    measured = measure_cortex(surface, scanned(), HU, method="endocortical-ramp", settings=GIVEN)
    assert np.max(np.abs(bias_by_bin(measured.thickness - thickness, thickness))) < 0.03
    assert measured.used["median_endocortical_width_mm"] < 0.4  # 0.55 mm of blur hide less


@pytest.mark.parametrize("method", NEW)
def test_bone_without_a_shell_is_a_finding_of_every_method(method):
    surface = surface_near_the_ball()
    measured = measure_cortex(surface, scanned(shell=False), HU, method=method, settings=GIVEN)
    assert np.mean(measured.quality == VertexStatus.NO_CORTEX) > 0.97


@pytest.mark.parametrize("method", NEW)
def test_an_impossibly_dense_cortex_is_rejected_and_not_filled(method):
    surface = surface_near_the_ball(400)
    settings = CortexSettings(cortical_density=CORTEX, in_plane_sigma_mm=SIGMA, highest_density=900.0)
    measured = measure_cortex(surface, scanned(), HU, method=method, settings=settings)
    _, thickness = truth(surface)
    thick = thickness > 2.0
    assert np.all(measured.quality[thick] == VertexStatus.FIT_FAILED)
    assert np.all(np.isnan(measured.thickness[thick]))
    assert measured.counts["FIT_FAILED"] >= np.count_nonzero(thick)


def layers_of(thickness, count=1):
    return Layers(*(np.full(count, value) for value in (0.0, thickness, 0.0, 1200.0, 200.0)))


def bound_at(thickness, *, known, noise=Noise(30.0), profiles=None, sigma=0.9):  # noqa: B008
    line = np.arange(-7.0, 13.01, 0.5)
    profiles = profiles or made_profiles(line[None], line)
    return cramer_rao_bound(profiles, layers_of(thickness), Blur(sigma), noise, density_known=known)


def test_bound_is_the_one_in_the_methods_page_for_soft_tissue_0_cortex_1200_inside_200():
    """σ 0.9 mm, 30 HU independent noise, 0.5 mm steps from −7 to 13 mm, blur known."""
    assert bound_at(1.0, known=False).thickness[0] == pytest.approx(0.54, abs=0.01)
    assert bound_at(0.5, known=False).thickness[0] == pytest.approx(2.0, abs=0.1)
    assert bound_at(1.0, known=False).mass[0] / 120.0 == pytest.approx(0.08, abs=0.005)
    assert bound_at(1.0, known=True).thickness[0] == pytest.approx(0.04, abs=0.003)
    assert bound_at(0.5, known=True).thickness[0] == pytest.approx(0.04, abs=0.003)


def test_bound_follows_noise_and_is_large_where_nothing_is_sampled():
    assert bound_at(1.0, known=True, noise=Noise(60.0)).thickness[0] == pytest.approx(
        2 * bound_at(1.0, known=True).thickness[0]
    )
    line = np.arange(-7.0, -3.0, 0.5)
    blind = bound_at(1.0, known=True, profiles=made_profiles(line[None], line))
    assert blind.thickness[0] > 100.0


def test_bound_is_met_by_a_fit_to_the_same_model():
    """20 noisy scans of one ball: spread of the fit at each point against its bound."""
    surface = surface_near_the_ball(300)
    outer, thickness = truth(surface)
    clean = scanned(noise=0.0)
    noise = Noise(20.0, in_plane_mm=0.54, across_mm=0.4)
    lengths, spacing = (0.4, 0.54, 0.54), clean.spacing_mm[::-1]
    found = []
    for seed in range(20):
        rough = noise.sd * correlated_noise(clean.array.shape, spacing, lengths, np.random.default_rng(seed))
        noisy = replace(clean, array=clean.array + rough)
        found.append(measure_cortex(surface, noisy, HU, settings=GIVEN).thickness)
    spread = np.std(found, axis=0, ddof=1)
    layers = Layers(outer, thickness, *(np.full(300, value) for value in (SOFT, CORTEX, TRABECULAR)))
    profiles = sample_profiles(surface.points, surface.normals, clean, GIVEN)
    bound = cramer_rao_bound(profiles, layers, Blur(SIGMA), noise, density_known=True).thickness
    ratio = np.sqrt(np.mean(spread**2) / np.mean(bound**2))
    assert 0.97 < ratio < 1.3


@pytest.mark.parametrize("length", [0.0, 0.6, 1.0])
def test_noise_is_estimated_fully_though_neighbours_share_it(length):
    spacing, random = np.array([1.0, 0.6, 0.6]), np.random.default_rng(5)
    shape = (60, 150, 150)
    rough = 14.0 * correlated_noise(shape, spacing, (0.0, length, length), random)
    z, y, x = np.indices(shape)
    tissue = np.where((x // 25 + y // 31 + z // 20) % 2, 55.0, -90.0)  # muscles in fat
    tissue[:, 60:75, 60:75] = 900.0
    volume = Volume(np.round(tissue + rough).astype(np.float32), np.diag([0.6, 0.6, 1.0, 1.0]))
    noise = estimate_noise(volume, np.array([[30.0, 30.0, 20.0], [60.0, 60.0, 40.0]]))
    assert noise.sd == pytest.approx(14.0, rel=0.06)
    assert noise.in_plane_mm == pytest.approx(length, abs=0.06)
    assert noise.across_mm == 0.0


def test_noise_is_not_guessed_without_soft_tissue():
    volume = Volume(np.full((40, 60, 60), 900.0, dtype=np.float32), np.diag([0.6, 0.6, 1.0, 1.0]))
    assert estimate_noise(volume, np.array([[18.0, 18.0, 20.0]])) is None


def test_every_method_of_the_registry_gives_a_map_that_is_finite_exactly_where_it_is_good():
    surface = surface_near_the_ball(300, error_mm=0.4)
    assert np.max(np.linalg.norm(surface.points, axis=1)) < OUTER_MM + 0.5
    for method in METHODS:
        measured = measure_cortex(surface, scanned(), HU, method=method, settings=GIVEN)
        good = measured.quality == VertexStatus.GOOD
        for values in (
            measured.thickness,
            measured.density,
            measured.mass_surface_density,
            measured.residual,
        ):
            np.testing.assert_array_equal(np.isfinite(values), good)
