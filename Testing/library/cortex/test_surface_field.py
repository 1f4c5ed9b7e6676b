"""Neighbours share thickness: structure averages out, the cortex beneath stays."""

import numpy as np
import pytest
from ball_phantom import surface_near_the_ball

from CorticalBoneMappingLib.cortex.methods.surface_field import FIELD, shared_field

LOCAL_SD = 0.15


@pytest.fixture(scope="module")
def ball():
    return surface_near_the_ball(2500, error_mm=0.0)


def cortex_of(ball):
    """Between 1 and 2 mm, as smooth as that of a bone."""
    x, y, z = (ball.points - ball.points.mean(axis=0)).T / 18.0
    return 1.5 + 0.3 * x + 0.2 * y * z


def shared(ball, values, sd, known=None):
    everywhere = np.arange(len(ball.points))
    known = np.ones(len(values), bool) if known is None else known
    return shared_field(ball, everywhere, values, np.full(len(values), sd**2), known)


def white(ball, seed):
    return np.random.default_rng(seed).normal(0.0, LOCAL_SD, len(ball.points))


def test_what_is_without_structure_stays_what_it_is(ball):
    true = cortex_of(ball)
    assert np.abs(shared(ball, true, 0.005).values - true).max() < 0.004


def test_structure_averages_out_and_the_standard_deviations_say_what_is_left(ball):
    true, covered, ratios = cortex_of(ball), [], []
    for seed in range(4):
        found = shared(ball, true + white(ball, seed), LOCAL_SD)
        error = found.values - true
        covered.append(np.abs(error) < 1.96 * np.sqrt(found.variance))
        ratios.append(error.std() / LOCAL_SD)
        assert abs(error.mean()) < 0.01
    assert max(ratios) < 0.4
    assert 0.93 < np.mean(covered) <= 1.0


def test_neighbours_that_see_the_same_structure_are_fewer_witnesses(ball):
    distance = np.linalg.norm(ball.points[:, None] - ball.points[None], axis=2)
    kernel = np.exp(-0.5 * (distance / 1.2) ** 2)
    kernel /= np.linalg.norm(kernel, axis=1, keepdims=True)
    noise = white(ball, 1)
    alike, apart = (shared(ball, cortex_of(ball) + e, LOCAL_SD) for e in (kernel @ noise, noise))
    area = ball.point_areas.mean()
    assert apart.extent_mm2 < 1.4 * area
    # The correlation of such a kernel is exp(-d²/4s²), its integral 4πs².
    assert alike.extent_mm2 == pytest.approx(4.0 * np.pi * 1.2**2, rel=0.2)
    assert np.median(alike.variance) > 1.5 * np.median(apart.variance)


@pytest.mark.parametrize(("width_mm", "least"), [(14.0, 0.9), (6.0, 0.7)])
def test_a_focal_thinning_keeps_its_depth(ball, width_mm, least):
    true, noise = cortex_of(ball), white(ball, 3)
    squared = ((ball.points - ball.points[100]) ** 2).sum(axis=1)
    thinning = 0.35 * true * np.exp(-4.0 * np.log(2.0) * squared / width_mm**2)
    whole, thinned = (shared(ball, values + noise, LOCAL_SD).values for values in (true, true - thinning))
    kept = ((whole - thinned) @ thinning) / (thinning @ thinning)
    assert least < kept < 1.1


def test_one_line_that_contradicts_all_around_it_hardly_counts(ball):
    true = cortex_of(ball) + 0.2 * white(ball, 5)
    wrong = true.copy()
    wrong[50] += 3.0
    moved = shared(ball, wrong, 0.2 * LOCAL_SD).values - shared(ball, true, 0.2 * LOCAL_SD).values
    assert np.abs(moved).max() < 0.1


def test_gaps_are_filled_from_their_neighbours_with_less_certainty(ball):
    true = cortex_of(ball)
    gap = np.linalg.norm(ball.points - ball.points[200], axis=1) < 4.0
    found = shared(ball, np.where(gap, np.nan, true), 0.05, ~gap)
    assert np.all(np.isfinite(found.values))
    assert np.abs(found.values - true)[gap].max() < 0.15
    assert found.variance[gap].min() > np.median(found.variance[~gap])


def test_far_from_everything_known_it_is_as_uncertain_as_its_prior(ball):
    known = ball.points[:, 2] > ball.points[:, 2].mean() + 15.0
    found = shared(ball, np.where(known, 1.5, np.nan), 0.05, known)
    far = ball.points[:, 2] < ball.points[:, 2].mean() - 12.0
    assert np.sqrt(found.variance[far]).min() > 0.8 * FIELD.amplitude * 1.5
