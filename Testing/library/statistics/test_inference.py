"""Random field theory, clusters, false discovery rate, conjunction and equivalence."""

import json
from pathlib import Path

import inference_case as case
import numpy as np
import pytest
from scipy import stats

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.statistics.inference.clusters import find_clusters
from CorticalBoneMappingLib.statistics.inference.compound_tests import conjunction, equivalence
from CorticalBoneMappingLib.statistics.inference.euler_density import (
    f_densities,
    sampled_densities,
    t_densities,
)
from CorticalBoneMappingLib.statistics.inference.false_discovery import false_discovery_test, q_values
from CorticalBoneMappingLib.statistics.inference.random_field import (
    cluster_p,
    peak_threshold,
    random_field_clusters,
    random_field_peaks,
)
from CorticalBoneMappingLib.statistics.inference.smoothness import Smoothness, estimate_smoothness
from CorticalBoneMappingLib.statistics.inference.statistic_map import TMap, at_common_dof
from CorticalBoneMappingLib.statistics.model.contrast_map import ContrastMap
from CorticalBoneMappingLib.statistics.model.contrasts import Contrast

REFERENCES = json.loads((Path(__file__).parents[1] / "data" / "statistics_inference.json").read_text())
DOF = 21.0


@pytest.fixture(scope="module")
def surface() -> Surface:
    return Surface(*case.mesh())


@pytest.fixture(scope="module")
def group_effect(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """The t of the group and the residuals, by the plainest least squares."""
    values, design = case.maps(surface.points), case.design()
    coefficients, *_ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ coefficients
    variance = (residuals**2).sum(axis=0) / DOF
    return coefficients[1] / np.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1]), residuals


def t_map(t: np.ndarray, alternative: str = "two-sided", dof: float = DOF) -> TMap:
    return TMap(t, np.full(t.shape, dof), alternative)


@pytest.fixture(params=["whole", "masked"])
def part(request, surface, group_effect):
    """The whole surface, or all but a cap: BrainStat's answers and our smoothness."""
    tested = case.tested(surface.points) if request.param == "masked" else None
    return REFERENCES[request.param], estimate_smoothness(surface, group_effect[1], tested)


def test_resels_agree_with_brainstat(part):
    reference, smoothness = part
    np.testing.assert_allclose(smoothness.resels, reference["resels"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("tail", "alternative"), [(0, "greater"), (1, "less")])
def test_peaks_and_clusters_agree_with_brainstat(surface, group_effect, part, tail, alternative):
    expected, smoothness = part[0]["tails"][tail], part[1]
    tested = t_map(group_effect[0], alternative)
    peaks = random_field_peaks(tested, smoothness, between_vertices=False)
    np.testing.assert_allclose(peaks.p[expected["peak_vertex"]], expected["peak_p"], rtol=0.01)
    found = random_field_clusters(
        surface, tested, smoothness, cluster_forming_p=REFERENCES["cluster_forming_p"]
    ).clusters
    np.testing.assert_allclose(found.resels, expected["cluster_resels"], rtol=1e-6)
    np.testing.assert_array_equal(found.n_vertices, expected["cluster_vertices"])
    np.testing.assert_allclose(found.p, expected["cluster_p"], rtol=0.01)
    assert set(found.peak_vertex) <= set(expected["peak_vertex"])


def test_a_peak_between_vertices_must_be_higher_by_the_turn_to_the_nearest_vertex():
    """Against 4,000 places of the disc and the cosine itself; nothing changes on an infinitely fine mesh."""
    dof, radius = 17.0, 0.3
    t = np.array([4.0, 6.0])
    angles = np.sqrt((np.arange(4000) + 0.5) / 4000) * radius
    cosine = t / np.sqrt(t**2 + dof)
    needed = cosine / np.cos(angles)[:, None]
    tops = np.sqrt(dof) * needed / np.sqrt(1.0 - needed**2)
    expected = t_densities(tops.ravel(), dof).reshape(3, *tops.shape).mean(axis=1)
    found = sampled_densities(t, dof, 1, True, np.pi * radius**2)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=5e-3)
    np.testing.assert_allclose(sampled_densities(t, dof, 1, True, 0.0), t_densities(t, dof), rtol=1e-9)
    f = sampled_densities(t**2, dof, 1, False, 0.05)
    np.testing.assert_allclose(f, 2.0 * sampled_densities(t, dof, 1, True, 0.05), rtol=1e-9)


def test_two_sided_peaks_cost_twice_the_p_of_one_side(group_effect, part):
    t, smoothness = group_effect[0], part[1]
    two = random_field_peaks(t_map(t), smoothness)
    one = random_field_peaks(t_map(np.abs(t), "greater"), smoothness)
    strong = two.p < 0.5
    assert strong.sum() > 5
    np.testing.assert_allclose(two.p[strong], 2.0 * one.p[strong], rtol=1e-12)
    np.testing.assert_array_equal(
        two.significant[smoothness.tested], (np.abs(t) > two.threshold)[smoothness.tested]
    )


def test_untested_vertices_have_no_p_and_are_never_significant(surface, group_effect):
    tested = case.tested(surface.points)
    smoothness = estimate_smoothness(surface, group_effect[1], tested)
    peaks = random_field_peaks(t_map(group_effect[0]), smoothness)
    clusters = random_field_clusters(surface, t_map(group_effect[0]), smoothness)
    for test in (peaks, clusters):
        np.testing.assert_array_equal(np.isfinite(test.p), tested)
        assert not test.significant[~tested].any()


def test_densities_of_f_with_one_dof_are_twice_those_of_t():
    t = np.linspace(0.5, 6.0, 12)
    np.testing.assert_allclose(f_densities(t**2, 1, 17.0), 2.0 * t_densities(t, 17.0), rtol=1e-10)


def test_densities_of_f_agree_with_brainstat():
    reference = REFERENCES["f_peaks"]
    p = np.array(reference["resels"]) @ f_densities(np.array(reference["height"]), 3, 21.0)
    np.testing.assert_allclose(p, reference["p"], rtol=0.01)


def test_densities_of_t_tend_to_those_of_a_gaussian_field():
    height = np.array([1.0, 2.5, 4.0])
    gaussian = np.exp(-(height**2) / 2.0)
    expected = [
        stats.norm.sf(height),
        np.sqrt(4 * np.log(2)) / (2 * np.pi) * gaussian,
        4 * np.log(2) / (2 * np.pi) ** 1.5 * height * gaussian,
    ]
    np.testing.assert_allclose(t_densities(height, 1e7), expected, rtol=1e-5)


def test_peaks_are_never_stricter_than_bonferroni():
    """So rough that every vertex is a resel of its own many times over."""
    n = 200
    rough = Smoothness(np.array([2.0, 0.0, 1e5]), np.full(n, 500.0), np.ones(n, dtype=bool), 0.1, 1.0)
    assert peak_threshold(0.05, rough, 30.0) == pytest.approx(stats.t.isf(0.05 / n, 30.0), rel=1e-6)


def test_extent_of_clusters_follows_its_product_of_random_variables():
    """The p of one cluster against 400,000 draws of the product that the theory names (Hayasaka 2004)."""
    random, dof, threshold = np.random.default_rng(4), 12.0, 3.0
    chi = {n: random.chisquare(n, 400_000) / n for n in (dof - 1, dof + 1, dof, dof - 2)}
    again = {n: random.chisquare(n, 400_000) / n for n in (dof - 1, dof)}
    beta = random.beta(1.0, (dof - 2.0) / 2.0, 400_000)
    product = beta * chi[dof - 1] * (chi[dof + 1] * chi[dof]) ** -0.5
    product *= (again[dof - 1] * chi[dof - 2]) ** 0.5 / again[dof]
    density = t_densities(np.array([threshold]), dof)[2, 0]
    mean = stats.t.sf(threshold, dof) / density
    extents = mean * np.array([0.3, 1.0, 2.5, 5.0])
    one = (product / product.mean() * mean > extents[:, None]).mean(axis=1)
    resels = np.array([2.0, 0.0, 30.0])
    p = cluster_p(extents, threshold, resels, dof)
    np.testing.assert_allclose(p, -np.expm1(-one * resels[2] * density), rtol=0.03)


def test_width_of_noise_is_measured_whatever_the_scale_of_the_maps(surface):
    """Plane waves of a Gaussian spectrum make noise of a known width: FWHM = 2 √(2 ln 2) / (√2 σ_k)."""
    random, sigma = np.random.default_rng(8), 0.1
    points = surface.points
    noise = np.zeros((60, len(points)))
    for _ in range(150):
        phase = points @ random.normal(scale=sigma, size=3) + random.uniform(0, 2 * np.pi)
        noise += random.normal(size=(60, 1)) * np.cos(phase)
        noise += random.normal(size=(60, 1)) * np.sin(phase)
    scaled = noise * random.uniform(0.1, 10.0, len(points))
    expected = 2.0 * np.sqrt(np.log(2.0)) / sigma
    assert estimate_smoothness(surface, noise).fwhm_mm == pytest.approx(expected, rel=0.05)
    assert estimate_smoothness(surface, scaled).fwhm_mm == pytest.approx(
        estimate_smoothness(surface, noise).fwhm_mm, rel=1e-9
    )


def test_missing_values_hardly_change_the_smoothness(surface, group_effect):
    residuals = group_effect[1].copy()
    whole = estimate_smoothness(surface, residuals)
    residuals[np.random.default_rng(3).random(residuals.shape) < 0.1] = np.nan
    gaps = estimate_smoothness(surface, residuals)
    assert gaps.resels[2] == pytest.approx(whole.resels[2], rel=0.05)
    zeros = estimate_smoothness(surface, np.nan_to_num(residuals))
    np.testing.assert_array_equal(zeros.resels, gaps.resels)


def test_rough_maps_few_subjects_and_lax_clusters_are_warned_of(surface, group_effect):
    random = np.random.default_rng(1)
    rough = estimate_smoothness(surface, random.normal(size=(8, len(surface.points))))
    test = random_field_peaks(t_map(group_effect[0], dof=7.0), rough)
    assert any("mm smooth" in sentence for sentence in test.warnings)
    assert any("degrees of freedom" in sentence for sentence in test.warnings)
    smooth = estimate_smoothness(surface, group_effect[1])
    assert random_field_peaks(t_map(group_effect[0]), smooth).warnings == ()
    few = random_field_clusters(surface, t_map(group_effect[0]), smooth)
    assert any("21 degrees of freedom" in sentence for sentence in few.warnings)
    many = t_map(group_effect[0], dof=70.0)
    assert random_field_clusters(surface, many, smooth).warnings == ()
    lax = random_field_clusters(surface, t_map(group_effect[0]), smooth, cluster_forming_p=0.05)
    assert any("0.05" in sentence for sentence in lax.warnings)


def test_statistics_of_differing_dof_keep_their_p(surface):
    random = np.random.default_rng(6)
    t, dof = random.normal(size=500) * 3, random.integers(5, 40, 500).astype(float)
    common, mean = at_common_dof(TMap(t, dof))
    assert mean == pytest.approx(dof.mean())
    np.testing.assert_allclose(stats.t.sf(np.abs(common), mean), stats.t.sf(np.abs(t), dof), rtol=1e-6)
    np.testing.assert_array_equal(np.sign(common), np.sign(t))


def test_false_discovery_rate_is_that_of_scipy_and_blind_to_missing_values():
    random = np.random.default_rng(2)
    p = random.uniform(size=400) ** 2
    p[::7] = np.nan
    known = np.isfinite(p)
    np.testing.assert_allclose(q_values(p)[known], stats.false_discovery_control(p[known]), rtol=1e-12)
    assert np.isnan(q_values(p)[~known]).all()
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        q_values(np.array([0.1, 1.2]))


def test_false_discovery_test_calls_significant_what_is_beyond_its_threshold():
    t = np.random.default_rng(5).normal(size=1000)
    t[:100] += 4.0
    test = false_discovery_test(t_map(t))
    assert 60 < test.significant.sum() < 130
    np.testing.assert_array_equal(test.significant, np.abs(t) >= test.threshold)
    assert "two-sided" in test.method


def test_clusters_are_described_by_area_side_and_peak(surface):
    """Two caps of an ellipsoid, one positive and one negative, and a single vertex."""
    z, area = surface.points[:, 2], surface.point_areas
    t = np.where(z > 20.0, z / 5.0, np.where(z < -25.0, z / 5.0, 0.0))
    single = int(np.argmin(np.abs(z)))
    t[single] = 9.0
    found = find_clusters(surface, t, 2.0)
    np.testing.assert_allclose(found.area_mm2, [area[z > 20].sum(), area[z < -25].sum(), area[single]])
    np.testing.assert_array_equal(found.sign, [1, -1, 1])
    np.testing.assert_array_equal(found.peak_vertex, [z.argmax(), z.argmin(), single])
    np.testing.assert_allclose(found.mass[0], ((t - 2.0) * area)[z > 20].sum())
    np.testing.assert_array_equal(found.label == 2, z < -25)
    assert len(find_clusters(surface, t, 2.0, "less")) == 1
    assert len(find_clusters(surface, t, 100.0)) == 0


def test_conjunction_is_significant_only_where_both_effects_are():
    first, second = np.array([5.0, 5.0, -5.0, 0.1, np.nan]), np.array([4.0, -4.0, -6.0, 7.0, 5.0])
    both = conjunction([t_map(first, dof=30.0), t_map(second, dof=30.0)])
    np.testing.assert_allclose(both.statistic, [4.0, 0.0, -5.0, 0.1, np.nan])
    less = conjunction([t_map(first, "less"), t_map(second, "less")])
    np.testing.assert_allclose(less.statistic, [5.0, 5.0, -5.0, 7.0, np.nan])
    np.testing.assert_array_equal(both.p[:3] < 0.01, [True, False, True])
    with pytest.raises(StatisticsError, match="different sides"):
        conjunction([t_map(first), t_map(second, "less")])


def test_conjunction_holds_its_level_when_one_effect_is_there_and_the_other_not():
    random = np.random.default_rng(7)
    strong = t_map(random.normal(size=20_000) + 8.0, dof=1e6)
    null = t_map(random.normal(size=20_000), dof=1e6)
    assert np.mean(conjunction([strong, null]).p < 0.05) == pytest.approx(0.025, abs=0.004)


def contrast_map(effect: np.ndarray, error: float, dof: float) -> ContrastMap:
    errors = np.full(effect.shape, error)
    return ContrastMap(
        Contrast("a − b", np.eye(1)), "two-sided", effect, errors, effect / error, np.full(effect.shape, dof)
    )


def test_equivalence_is_the_ninety_percent_interval_inside_the_margin():
    effect, error, dof = np.linspace(-2.0, 2.0, 81), 0.4, 25.0
    answer = equivalence(contrast_map(effect, error, dof), (-1.0, 1.5))
    reach = stats.t.ppf(0.95, dof) * error
    inside = (effect - reach > -1.0) & (effect + reach < 1.5)
    np.testing.assert_array_equal(answer.p < 0.05, inside)
    with pytest.raises(StatisticsError, match="encloses 0"):
        equivalence(contrast_map(effect, error, dof), (0.5, 1.0))


def test_equivalence_holds_its_level_for_effects_at_the_margin():
    effect = np.random.default_rng(9).normal(1.0, 0.3, 20_000)
    answer = equivalence(contrast_map(effect, 0.3, 1e6), 1.0)
    assert np.mean(answer.p < 0.05) == pytest.approx(0.05, abs=0.006)
