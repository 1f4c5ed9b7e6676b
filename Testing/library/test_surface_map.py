"""surface-map: the bone shares one field of density, weighed by what each place can tell."""

import numpy as np
import pytest
from ball_phantom import CORTEX, scanned, surface_near_the_ball, truth
from scipy.spatial.distance import cdist

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.cortex import CortexSettings, measure_cortex
from CorticalBoneMappingLib.cortex.density_field import CORRELATION_MM, DensityField
from CorticalBoneMappingLib.cortex.profiles import sample_profiles
from CorticalBoneMappingLib.cortex.scan import Scan
from CorticalBoneMappingLib.cortex.sensitivity import density_sensitivity
from CorticalBoneMappingLib.cortex.surface_map import _scatter
from CorticalBoneMappingLib.measures import Quality


def scan_of_ball(volume, surface):
    settings = CortexSettings()
    profiles = sample_profiles(surface.points, surface.normals, volume, settings)
    everywhere = np.ones(len(surface.points), dtype=bool)
    return Scan(surface, np.arange(len(surface.points)), profiles, everywhere, settings)


@pytest.fixture(scope="module")
def ball():
    return scan_of_ball(scanned(), surface_near_the_ball(800))


def fit_at(scan, density):
    return scan.fit(np.full(len(scan.points), density))


def test_thickness_follows_density_as_refitting_says(ball):
    below, here, above = (fit_at(ball, CORTEX + step) for step in (-10.0, 0.0, 10.0))
    told = density_sensitivity(ball, here)
    refitted = (above.thickness - below.thickness) / 20.0
    _, true = truth(ball.surface)
    clear = here.converged & (true > 0.8)
    # Thin cortex is mass over density: the derivative is about -t / (y1 - background).
    assert np.median(np.abs(told.thickness_by_density - refitted)[clear]) < 0.05 * np.median(
        np.abs(refitted[clear])
    )


def test_density_that_a_profile_tells_is_the_minimum_of_its_cost(ball):
    told = density_sensitivity(ball, fit_at(ball, CORTEX * 0.97))
    _, true = truth(ball.surface)
    thick = true > 2.5
    assert np.median(told.density[thick]) == pytest.approx(CORTEX, rel=0.01)
    scatter = (told.density[thick] - CORTEX) * np.sqrt(told.precision[thick])
    assert 0.5 < np.std(scatter) < 1.6  # the stated precision is that of the estimates


def test_thin_cortex_tells_nothing_of_its_density(ball):
    told = density_sensitivity(ball, fit_at(ball, CORTEX))
    _, true = truth(ball.surface)
    assert np.median(told.precision[true < 0.7]) < 0.02 * np.median(told.precision[true > 2.5])


def test_field_is_the_posterior_of_a_gaussian_process():
    random = np.random.default_rng(0)
    # Points as far apart as the knots are all knots, so the low-rank form is exact.
    points = np.stack(np.meshgrid(*[np.arange(4) * 8.0] * 3), axis=-1).reshape(-1, 3)[:60]
    thickness = random.uniform(0.5, 5.0, 60)
    measured, precision = random.normal(1000, 40, 60), random.uniform(0, 1 / 30.0**2, 60)
    level = 1000.0
    field = DensityField(points, level, 0.03).posterior(thickness, measured, precision)

    scaled = np.sqrt(3) * cdist(points, points) / CORRELATION_MM
    trend = np.exp(-thickness / 2.0)
    prior = (0.04 * level) ** 2 * (1 + scaled) * np.exp(-scaled)
    prior += (0.03 * level) ** 2 + (0.05 * level) ** 2 * np.outer(trend, trend)
    mean = level - 0.10 * level * trend
    gain = prior @ np.linalg.inv(prior + np.diag(1.0 / precision))
    assert np.abs(field.mean - (mean + gain @ (measured - mean))).max() < 0.1
    assert np.abs(field.sd - np.sqrt(np.diag(prior - gain @ prior))).max() < 0.1


def test_field_without_data_is_the_prior():
    points = np.random.default_rng(1).uniform(0, 40, (50, 3))
    prior = DensityField(points, 1100.0, 0.03)
    thickness = np.full(50, 2.0)
    field = prior.posterior(thickness, np.zeros(50), np.zeros(50))
    assert field.mean == pytest.approx(prior.prior(thickness), rel=1e-9)
    assert np.all(field.sd > 0.04 * 1100.0)


def test_scatter_is_that_of_the_errors_and_not_of_the_bone(ball):
    random = np.random.default_rng(2)
    x, y, _ = ball.surface.points.T / 18.0
    smooth = 2.0 + 0.5 * x + 0.4 * x * y
    expected, everywhere = np.full(len(x), 0.05), np.ones(len(x), dtype=bool)
    noisy = smooth + random.normal(0, 0.15, len(x))
    assert _scatter(ball, noisy, expected, everywhere) == pytest.approx(3.0, rel=0.12)
    assert _scatter(ball, smooth, expected, everywhere) == 1.0


@pytest.fixture(scope="module")
def blind():
    surface = surface_near_the_ball(1500)
    volume = scanned()
    return surface, measure_cortex(surface, volume, Calibration.none(), method="surface-map")


def test_thickness_is_measured_without_being_told_the_density(blind):
    surface, found = blind
    _, true = truth(surface)
    good = found.quality == Quality.GOOD
    error = (found.thickness - true)[good]
    assert good.mean() > 0.97
    assert np.abs(error).mean() < 0.05
    for low, high in ((0.5, 0.8), (0.8, 1.2), (1.2, 2.0), (2.0, 3.0), (3.0, 5.3)):
        inside = (true[good] >= low) & (true[good] < high)
        assert abs(error[inside].mean()) < 0.05, (low, high)


def test_its_standard_deviations_cover_the_truth(blind):
    surface, found = blind
    _, true = truth(surface)
    good = found.quality == Quality.GOOD
    for error, sd in (
        (found.thickness - true, found.thickness_sd),
        (found.density - CORTEX, found.density_sd),
        (found.mass_surface_density - true * CORTEX / 10.0, found.mass_sd),
    ):
        assert np.all(np.isfinite(sd[good]))
        assert np.mean(np.abs(error[good]) < 1.96 * sd[good]) > 0.9
    # They are no excuse either: a thickness of 3 mm is known to better than 5 %.
    thick = good & (true > 3.0)
    assert np.median(found.thickness_sd[thick] / true[thick]) < 0.05


def test_points_without_a_value_have_no_standard_deviation():
    surface = surface_near_the_ball(800)
    excluded = surface.points[:, 2] > 10.0
    found = measure_cortex(surface, scanned(), Calibration.none(), method="surface-map", excluded=excluded)
    assert np.all(np.isnan(found.thickness_sd[excluded]))
    assert np.all(found.quality[excluded] == Quality.NOT_MEASURED)


@pytest.mark.parametrize("given", [CORTEX * 0.96, CORTEX * 1.04])
def test_a_given_density_that_is_wrong_is_overruled_by_the_bone(given):
    surface = surface_near_the_ball(800)
    settings = CortexSettings(cortical_density=given)
    found = measure_cortex(surface, scanned(), Calibration.none(), method="surface-map", settings=settings)
    _, true = truth(surface)
    thick = true > 2.0
    assert np.nanmean(found.density[thick]) == pytest.approx(CORTEX, rel=0.012)
