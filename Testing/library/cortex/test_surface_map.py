"""surface-map: the bone shares one field of density, weighed by the precision of each place."""

from dataclasses import replace

import numpy as np
import pytest
from ball_phantom import CORTEX, scanned, surface_near_the_ball, truth
from scipy.spatial.distance import cdist

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.measures import VertexStatus
from CorticalBoneMappingLib.cortex import CortexSettings, measure_cortex
from CorticalBoneMappingLib.cortex.methods.density_field import (
    FIELD,
    DensityField,
    MeasuredDensity,
    Spread,
)
from CorticalBoneMappingLib.cortex.methods.scatter import scatter
from CorticalBoneMappingLib.cortex.model.profiles import sample_profiles
from CorticalBoneMappingLib.cortex.scan.scan import Scan
from CorticalBoneMappingLib.cortex.scan.sensitivity import density_sensitivity


def scan_of_ball(volume, surface):
    settings = CortexSettings()
    profiles = sample_profiles(surface.points, surface.normals, volume, settings)
    everywhere = np.ones(len(surface.points), dtype=bool)
    return Scan(surface, np.arange(len(surface.points)), profiles, everywhere, settings)


def scan_of_ball_with_blur(factor):
    settings = CortexSettings(in_plane_sigma_mm=0.57 * factor, cortical_density=CORTEX)
    surface = surface_near_the_ball(800)
    profiles = sample_profiles(surface.points, surface.normals, scanned(), settings)
    everywhere = np.ones(len(surface.points), dtype=bool)
    return Scan(surface, np.arange(len(surface.points)), profiles, everywhere, settings)


@pytest.fixture(scope="module")
def ball():
    return scan_of_ball(scanned(), surface_near_the_ball(800))


def fit_at(scan, density):
    return scan.fit(np.full(len(scan.points), density))


def test_thickness_follows_density_as_in_a_new_fit(ball):
    below, here, above = (fit_at(ball, CORTEX + step) for step in (-10.0, 0.0, 10.0))
    sensitivity = density_sensitivity(ball, here)
    refitted = (above.thickness - below.thickness) / 20.0
    _, true = truth(ball.surface)
    clear = here.converged & (true > 0.8)
    # Thin cortex is mass over density: the derivative is about -t / (y1 - background).
    assert np.median(np.abs(sensitivity.thickness_by_density - refitted)[clear]) < 0.05 * np.median(
        np.abs(refitted[clear])
    )


def test_the_density_of_a_profile_is_the_minimum_of_its_cost(ball):
    sensitivity = density_sensitivity(ball, fit_at(ball, CORTEX * 0.97))
    _, true = truth(ball.surface)
    thick = true > 2.5
    assert np.median(sensitivity.density[thick]) == pytest.approx(CORTEX, rel=0.01)
    scatter = (sensitivity.density[thick] - CORTEX) * np.sqrt(sensitivity.precision[thick])
    assert 0.5 < np.std(scatter) < 1.6  # the stated precision is that of the estimates


def test_thin_cortex_does_not_determine_its_density(ball):
    sensitivity = density_sensitivity(ball, fit_at(ball, CORTEX))
    _, true = truth(ball.surface)
    assert np.median(sensitivity.precision[true < 0.7]) < 0.02 * np.median(sensitivity.precision[true > 2.5])


def spread_points(count, seed=0):
    """Points as far apart as the knots, so all are knots and the low-rank form is exact, and directions."""
    points = np.stack(np.meshgrid(*[np.arange(8) * 8.0] * 3), axis=-1).reshape(-1, 3)[:count]
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def directions_of(normals):
    x, y, _ = normals.T
    return np.stack([x, y, x**2 - y**2, 2 * x * y])


def prior_covariance(points, thickness, level, spread):
    """Of the bone's density, without that which goes with direction."""
    scaled = np.sqrt(3) * cdist(points, points) / FIELD.correlation_mm
    trend = np.exp(-thickness / 2.0)
    field = (spread.field * level) ** 2 * (1 + scaled) * np.exp(-scaled)
    return field + (0.03 * level) ** 2 + (0.10 * level) ** 2 * np.outer(trend, trend)


def measured_density(density, precision, error=0.0, by_blur=0.0):
    count = len(density)
    return MeasuredDensity(density, precision, np.full(count, error), 1.0, np.full((count, 2), by_blur))


def test_field_is_the_posterior_of_a_gaussian_process():
    random = np.random.default_rng(0)
    points, normals = spread_points(60)
    thickness = random.uniform(0.5, 5.0, 60)
    measured, precision = random.normal(1000, 40, 60), random.uniform(0, 1 / 30.0**2, 60)
    level, spread = 1000.0, Spread(0.04, 0.02)
    given = measured_density(measured, precision, by_blur=10.0)
    field = DensityField(points, normals, level, 0.03).posterior(thickness, given, spread)

    bone = prior_covariance(points, thickness, level, spread)
    direction = directions_of(normals)
    shown = bone + (spread.direction * level) ** 2 * direction.T @ direction
    inverse = np.linalg.inv(shown + np.diag(1.0 / precision))
    assert np.abs(field.apparent - (level + shown @ inverse @ (measured - level))).max() < 0.1
    assert np.abs(field.density - (level + bone @ inverse @ (measured - level))).max() < 0.1
    assert np.abs(field.apparent_variance - np.diag(shown - shown @ inverse @ shown)).max() < 2.0
    assert np.abs(field.density_variance - np.diag(bone - bone @ inverse @ bone)).max() < 2.0
    assert np.abs(field.covariance - np.diag(bone - bone @ inverse @ shown)).max() < 2.0
    assert np.abs(field.apparent_by_blur[:, 0] - shown @ inverse @ np.full(60, 10.0)).max() < 0.1


def test_field_without_data_is_the_prior():
    points, normals = spread_points(50)
    prior = DensityField(points, normals, 1100.0, 0.03)
    thickness = np.full(50, 2.0)
    field = prior.posterior(thickness, measured_density(np.zeros(50), np.zeros(50)), Spread(0.04, 0.01))
    assert field.density == pytest.approx(np.full(50, 1100.0), rel=1e-9)
    expected = prior_covariance(points, thickness, 1100.0, Spread(0.04, 0.01))
    assert field.density_variance == pytest.approx(np.diag(expected), rel=1e-3)


@pytest.mark.parametrize("true", [Spread(0.01, 0.001), Spread(0.04, 0.001), Spread(0.01, 0.05)])
def test_the_spread_of_bones_drawn_from_the_prior_is_learnt_and_its_intervals_hold_them(true):
    count, level, noise = 256, 1000.0, 10.0
    points, normals = spread_points(count)
    covered, found = [], []
    for seed in range(5):
        random = np.random.default_rng(seed)
        thickness = random.uniform(0.5, 5.0, count)
        covariance = prior_covariance(points, thickness, level, true)
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(count))
        density = level + root @ random.normal(size=count)
        shown = density + true.direction * level * random.normal(size=4) @ directions_of(normals)
        given = measured_density(shown + random.normal(0, noise, count), np.full(count, noise**-2.0))
        prior = DensityField(points, normals, level, 0.03)
        found.append(prior.learn(thickness, given))
        field = prior.posterior(thickness, given, found[-1])
        covered.append(np.abs(field.density - density) < 1.96 * np.sqrt(field.density_variance))
    assert 0.92 < np.mean(covered) < 0.98
    assert np.median([spread.field for spread in found]) == true.field
    large = true.direction > 0.01  # four coefficients estimate their own size roughly
    assert all((spread.direction >= 0.01) == large for spread in found)


def test_density_and_thickness_follow_the_blur_as_in_a_new_fit(ball):
    def with_sigma(factor):
        changed = scan_of_ball_with_blur(factor)
        return changed, changed.fit(np.full(len(changed.points), CORTEX))

    (narrow, below), (here, middle), (wide, above) = (with_sigma(factor) for factor in (0.98, 1.0, 1.02))
    said = density_sensitivity(here, middle)
    _, true = truth(here.surface)
    clear = middle.converged & (true > 1.0)
    refitted = (above.thickness - below.thickness) / 0.04
    difference = np.abs(said.thickness_by_blur[:, 0] - refitted)[clear]
    assert np.median(difference) < 0.15 * np.median(np.abs(refitted[clear]))  # weights follow the blur, too
    density = [density_sensitivity(*pair).density for pair in ((narrow, below), (wide, above))]
    refitted = (density[1] - density[0]) / 0.04
    difference = np.abs(said.density_by_blur[:, 0] - refitted)[clear & (true > 2.0)]
    assert np.median(difference) < 0.15 * np.median(np.abs(refitted[clear & (true > 2.0)]))


def test_scatter_is_that_of_the_errors_and_not_of_the_bone(ball):
    random = np.random.default_rng(2)
    x, y, _ = ball.surface.points.T / 18.0
    smooth = 2.0 + 0.5 * x + 0.4 * x * y
    expected, everywhere = np.full(len(x), 0.05), np.ones(len(x), dtype=bool)
    upper = ball.surface.points[:, 2] > 0
    noisy = smooth + random.normal(0, 1, len(x)) * np.where(upper, 0.3, 0.1)
    around, usual = scatter(ball, noisy, expected, everywhere)
    assert 2.0 < usual < 6.0
    assert np.median(around[ball.surface.points[:, 2] > 8.0]) == pytest.approx(6.0, rel=0.2)
    assert np.median(around[ball.surface.points[:, 2] < -8.0]) == pytest.approx(2.0, rel=0.35)
    around, usual = scatter(ball, smooth, expected, everywhere)
    assert usual == 1.0
    assert np.all(around < 1.0)


@pytest.fixture(scope="module")
def blind():
    surface = surface_near_the_ball(1500)
    volume = scanned()
    return surface, measure_cortex(surface, volume, Calibration.none(), method="surface-map")


def test_thickness_is_measured_without_a_given_density(blind):
    surface, found = blind
    _, true = truth(surface)
    good = found.quality == VertexStatus.GOOD
    error = (found.thickness - true)[good]
    assert good.mean() > 0.97
    assert np.abs(error).mean() < 0.05
    for low, high in ((0.5, 0.8), (0.8, 1.2), (1.2, 2.0), (2.0, 3.0), (3.0, 5.3)):
        inside = (true[good] >= low) & (true[good] < high)
        assert abs(error[inside].mean()) < 0.05, (low, high)


def test_its_standard_deviations_cover_the_truth(blind):
    surface, found = blind
    _, true = truth(surface)
    good = found.quality == VertexStatus.GOOD
    for error, sd in (
        (found.thickness - true, found.thickness_sd),
        (found.density - CORTEX, found.density_sd),
        (found.mass_surface_density - true * CORTEX / 10.0, found.mass_sd),
    ):
        assert np.all(np.isfinite(sd[good]))
        assert np.mean(np.abs(error[good]) < 1.96 * sd[good]) > 0.9
    # They do not hide the rest: a thickness of 3 mm is known to better than 5 %.
    thick = good & (true > 3.0)
    assert np.median(found.thickness_sd[thick] / true[thick]) < 0.05


def test_points_without_a_value_have_no_standard_deviation():
    surface = surface_near_the_ball(800)
    excluded = surface.points[:, 2] > 10.0
    found = measure_cortex(surface, scanned(), Calibration.none(), method="surface-map", excluded=excluded)
    assert np.all(np.isnan(found.thickness_sd[excluded]))
    assert np.all(found.quality[excluded] == VertexStatus.NOT_MEASURED)


@pytest.mark.parametrize("given", [CORTEX * 0.96, CORTEX * 1.04])
def test_a_given_density_that_is_wrong_is_corrected_by_the_bone(given):
    surface = surface_near_the_ball(800)
    settings = CortexSettings(cortical_density=given)
    found = measure_cortex(surface, scanned(), Calibration.none(), method="surface-map", settings=settings)
    _, true = truth(surface)
    thick = true > 2.0
    assert np.nanmean(found.density[thick]) == pytest.approx(CORTEX, rel=0.012)


@pytest.mark.parametrize("shown", ["no shell", "noise"])
def test_where_neighbours_show_no_cortex_one_line_makes_none(shown):
    surface, volume = surface_near_the_ball(800), scanned(shell=False)
    if shown == "noise":
        noise = np.random.default_rng(0).normal(40.0, 14.0, volume.array.shape).astype(np.float32)
        volume = replace(volume, array=noise)
    found = measure_cortex(surface, volume, Calibration.none(), method="surface-map")
    assert np.all(found.quality == VertexStatus.NO_CORTEX)
    assert np.all(np.isnan(found.thickness))
