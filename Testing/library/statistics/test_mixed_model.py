"""The mixed model, against statsmodels, dense algebra and balanced designs whose answers are known."""

import numpy as np
import pytest
from statistics_study import ARM, AT_36, REFERENCE, VALUES, VISIT, design, trial

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.statistics.model.design import Continuous, Design, Interaction, build_design
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.model.mixed_model import MixedFit, fit_mixed_model


@pytest.mark.parametrize("sides", [False, True])
def test_effects_and_variances_agree_with_statsmodels(sides):
    expected = REFERENCE["sides" if sides else "participants"]
    fit = fit_mixed_model(VALUES, design(), sides, small_sample=False)
    answered = fit.test(AT_36)
    np.testing.assert_allclose(answered.effect, expected["effect"], rtol=1e-4)
    np.testing.assert_allclose(fit.variance, expected["variance"], rtol=1e-4)
    np.testing.assert_allclose(fit.ratios[:, 0], expected["ratio"], rtol=2e-3)
    # statsmodels takes standard errors from the Hessian of all parameters together, hence not 1e-4
    assert np.abs(answered.statistic - expected["t"]).mean() < 0.001
    assert fit.converged.all()


def _dense(fit: MixedFit, vertex: int, rows: np.ndarray) -> np.ndarray:
    """V of some rows, written out."""
    covariance = np.eye(len(rows))
    for ratio, block in zip(fit.ratios[vertex], (fit.design.participants, fit.units)):
        covariance += ratio * (block[rows][:, None] == block[rows])
    return covariance


def _deviance(covariance: np.ndarray, matrix: np.ndarray, y: np.ndarray) -> float:
    inverse = np.linalg.inv(covariance)
    gram = matrix.T @ inverse @ matrix
    residual = y - matrix @ np.linalg.solve(gram, matrix.T @ inverse @ y)
    dof = len(y) - matrix.shape[1]
    logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(gram)[1]
    return dof * np.log(residual @ inverse @ residual) + logs


@pytest.mark.parametrize("sides", [False, True])
def test_it_is_generalised_least_squares_at_the_maximum_of_the_dense_restricted_likelihood(sides):
    values = VALUES.copy()
    values[::7, 1] = np.nan  # gaps at one vertex
    fit = fit_mixed_model(values, design(), sides)
    unscaled = fit.plain_covariance / fit.variance[:, None, None]
    for vertex in range(VALUES.shape[1]):
        rows = np.flatnonzero(np.isfinite(values[:, vertex]))
        matrix, y = fit.design.matrix[rows], values[rows, vertex]
        covariance = _dense(fit, vertex, rows)
        inverse = np.linalg.inv(covariance)
        expected = np.linalg.solve(matrix.T @ inverse @ matrix, matrix.T @ inverse @ y)
        np.testing.assert_allclose(fit.coefficients[:, vertex], expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(
            unscaled[vertex], np.linalg.inv(matrix.T @ inverse @ matrix), rtol=1e-7, atol=1e-10
        )
        best = _deviance(covariance, matrix, y)
        for block, ratio in zip((fit.design.participants, fit.units), fit.ratios[vertex]):
            together = block[rows][:, None] == block[rows]
            for step in (-0.02, 0.02):
                assert _deviance(covariance + step * ratio * together, matrix, y) > best


def _balanced(people: int, seed: int, wide: float) -> tuple[np.ndarray, Design]:
    table = trial(people, (0, 12, 24, 36))
    built = build_design(table, [VISIT, ARM, Interaction((VISIT, ARM))])
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(table), 200)) + wide * rng.normal(size=(people, 200))[built.participants]
    return values, built


def test_degrees_of_freedom_are_exact_in_a_balanced_trial():
    values, built = _balanced(people=20, seed=2, wide=1.5)
    fit = fit_mixed_model(values, built)
    inside = fit.ratios[:, 0] > 0
    change = fit.test("denosumab − placebo in the change from visit 0 to visit 36")
    between = fit.test("denosumab − placebo")
    np.testing.assert_allclose(change.dof[inside], (20 - 2) * (4 - 1), rtol=1e-6)
    np.testing.assert_allclose(between.dof[inside], 20 - 2, rtol=1e-4)
    assert inside.sum() > 150


def test_an_arm_effect_in_a_balanced_trial_is_the_t_test_of_participants_means():
    values, built = _balanced(people=20, seed=3, wide=1.5)
    answered = fit_mixed_model(values, built).test("denosumab − placebo")
    means = values.reshape(20, 4, -1).mean(axis=1)
    treated, untreated = means[1::2], means[0::2]
    pooled = (treated.var(axis=0, ddof=1) + untreated.var(axis=0, ddof=1)) / 2.0
    t = (treated.mean(axis=0) - untreated.mean(axis=0)) / np.sqrt(pooled * 2 / 10)
    inside = answered.dof < 19
    np.testing.assert_allclose(answered.statistic[inside], t[inside], rtol=1e-5)


def test_an_interaction_in_a_balanced_trial_has_the_f_of_the_analysis_of_variance():
    values, built = _balanced(people=20, seed=4, wide=1.5)
    fit = fit_mixed_model(values, built)
    answered = fit.test("interaction of visit and arm")
    cube = values.reshape(20, 4, -1)
    cube = cube - cube.mean(axis=1, keepdims=True)
    treated, untreated = cube[1::2], cube[0::2]
    explained = 10 / 2 * ((treated.mean(axis=0) - untreated.mean(axis=0)) ** 2).sum(axis=0) / 3
    within = ((treated - treated.mean(axis=0)) ** 2).sum(axis=(0, 1))
    within += ((untreated - untreated.mean(axis=0)) ** 2).sum(axis=(0, 1))
    inside = fit.ratios[:, 0] > 0
    np.testing.assert_allclose(answered.statistic[inside], (explained / (within / 54))[inside], rtol=1e-6)
    np.testing.assert_allclose(answered.dof[inside], 54, rtol=1e-5)


def test_without_spread_between_participants_it_is_least_squares():
    values, built = _balanced(people=12, seed=5, wide=0.0)
    fit = fit_mixed_model(values, built)
    none = fit.ratios[:, 0] == 0
    assert 50 < none.sum() < 150  # half of the estimates are on the bound
    mixed, plain = (
        f.test("denosumab − placebo at visit 36") for f in (fit, fit_least_squares(values, built))
    )
    np.testing.assert_allclose(mixed.statistic[none], plain.statistic[none], rtol=1e-9)
    np.testing.assert_allclose(mixed.dof[none], plain.dof[none], rtol=1e-9)


def test_gaps_at_a_vertex_are_as_if_its_rows_were_not_in_the_table():
    values = VALUES.copy()
    missing = np.arange(len(values)) % 5 == 0
    values[missing] = np.nan
    values[:, 0] = VALUES[:, 0]  # one vertex is whole
    whole = design()
    part = build_design(
        whole.table.take(~missing), [ARM, VISIT, Interaction((ARM, VISIT)), Continuous("age")]
    )
    with_gaps = fit_mixed_model(values, whole, sides=True).test(AT_36)
    without = fit_mixed_model(VALUES[~missing], part, sides=True).test(AT_36)
    np.testing.assert_allclose(with_gaps.statistic[1:], without.statistic[1:], rtol=1e-5)
    np.testing.assert_allclose(with_gaps.dof[1:], without.dof[1:], rtol=1e-3)


@pytest.mark.parametrize("sides", [False, True])
def test_standardised_residuals_are_whitened(sides):
    values = VALUES.copy()
    values[3, 2] = np.nan
    fit = fit_mixed_model(values, design(), sides)
    u = fit.standardised_residuals()
    np.testing.assert_allclose((u**2).sum(axis=0), 1.0, rtol=1e-9)
    assert u[3, 2] == 0.0
    # Uᵀ U between two vertices of equal V is rᵀV⁻¹s, whichever root of V⁻¹ was used
    fit.ratios[:] = fit.ratios[0]
    u = fit.standardised_residuals() * np.sqrt(fit.variance * fit.dof)
    inverse = np.linalg.inv(_dense(fit, 0, np.arange(len(values))))
    expected = fit.residuals[:, 0] @ inverse @ fit.residuals[:, 1]
    assert u[:, 0] @ u[:, 1] == pytest.approx(expected, rel=1e-9)


def test_the_order_of_rows_does_not_matter():
    order = np.random.default_rng(0).permutation(len(VALUES))
    whole = design()
    shuffled = build_design(
        whole.table.take(order), [ARM, VISIT, Interaction((ARM, VISIT)), Continuous("age")]
    )
    one, other = (fit_mixed_model(v, d).test(AT_36) for v, d in ((VALUES, whole), (VALUES[order], shuffled)))
    np.testing.assert_allclose(one.statistic, other.statistic, rtol=1e-6)


def test_one_row_a_participant_is_refused():
    table = trial(10, (0,))
    with pytest.raises(StatisticsError, match="use least squares"):
        fit_mixed_model(np.ones((10, 1)), build_design(table, [ARM]))


def test_sides_that_are_not_separable_are_refused():
    table = trial(10, (0,), ("left", "right"))
    with pytest.raises(StatisticsError, match="at several visits"):
        fit_mixed_model(np.ones((20, 1)), build_design(table, [ARM]), sides=True)


def test_arms_taken_as_equal_at_baseline_adjust_for_it_as_analysis_of_covariance_does():
    # Two visits, nothing missing: the two agree but for the degrees of freedom (Liang and Zeger 2000).
    table = trial(400, (0, 36))
    built = build_design(table, [VISIT, Interaction((VISIT, ARM))])
    rng = np.random.default_rng(6)
    values = rng.normal(size=(800, 20)) + 2.0 * rng.normal(size=(400, 20))[built.participants]
    adjusted = fit_mixed_model(values, built).test("denosumab − placebo at visit 36, adjusted for baseline")
    start, stop = values[0::2], values[1::2]
    treated = (np.arange(400) % 2).astype(float)
    for vertex in range(20):
        matrix = np.stack([np.ones(400), treated, start[:, vertex]], axis=1)
        effect = np.linalg.lstsq(matrix, stop[:, vertex], rcond=None)[0][1]
        assert adjusted.effect[vertex] == pytest.approx(effect, abs=0.1 * adjusted.standard_error[vertex])


def test_one_row_a_participant_at_a_vertex_is_least_squares_there():
    table = trial(20, (0, 12, 36))
    built = build_design(table, [ARM, Continuous("age")])
    values = np.random.default_rng(7).normal(size=(60, 2))
    values[np.arange(60) % 3 != 0, 0] = np.nan
    mixed, plain = (
        f(values, built).test("denosumab − placebo") for f in (fit_mixed_model, fit_least_squares)
    )
    assert mixed.statistic[0] == pytest.approx(plain.statistic[0], rel=1e-9)
    assert mixed.dof[0] == pytest.approx(17, rel=1e-6)


def test_one_side_at_a_vertex_is_the_model_without_sides_there():
    table = trial(12, (0, 12, 36), ("left", "right"))
    right = table.labels("side") == "right"
    values = np.random.default_rng(8).normal(size=(72, 2)) + np.repeat(np.arange(12) % 5, 6)[:, None]
    values[~right, 0] = np.nan
    terms = [ARM, Continuous("age")]
    both = fit_mixed_model(values, build_design(table, terms)).test("denosumab − placebo")
    alone = fit_mixed_model(values[right], build_design(table.take(right), terms)).test("denosumab − placebo")
    assert both.statistic[0] == pytest.approx(alone.statistic[0], rel=1e-5)
    assert both.dof[0] == pytest.approx(alone.dof[0], rel=1e-4)


def test_equal_rows_of_every_participant_have_no_fit():
    table = trial(20, (0, 12, 36))
    values = np.repeat(np.random.default_rng(9).normal(size=(20, 2)), 3, axis=0)
    values[:, 1] += np.random.default_rng(10).normal(size=60)
    fit = fit_mixed_model(values, build_design(table, [ARM]))
    np.testing.assert_array_equal(fit.converged, [False, True])
    assert np.isnan(fit.test("denosumab − placebo").statistic[0])
    assert np.isnan(fit.coefficients[:, 0]).all()


@pytest.mark.parametrize("sides", [False, True])
def test_the_small_sample_correction_is_kenward_and_roger_s_written_out(sides):
    values = VALUES.copy()
    values[::7, 1] = np.nan
    fit = fit_mixed_model(values, design(), sides)
    for vertex in range(values.shape[1]):
        rows = np.flatnonzero(np.isfinite(values[:, vertex]))
        matrix, sigma2 = fit.design.matrix[rows], fit.variance[vertex]
        covariance = sigma2 * _dense(fit, vertex, rows)
        inverse = np.linalg.inv(covariance)
        phi = np.linalg.inv(matrix.T @ inverse @ matrix)
        blocks = [fit.design.participants, fit.units][: fit.ratios.shape[1]]
        # derivatives of the covariance by the residual variance and by each variance component
        parts = [np.eye(len(rows)), *((b[rows][:, None] == b[rows]).astype(float) for b in blocks)]
        projection = inverse - inverse @ matrix @ phi @ matrix.T @ inverse
        projected = projection @ (values[rows, vertex])
        information = np.array(
            [[0.5 * projected @ a @ projection @ b @ projected for b in parts] for a in parts]
        )
        weights = np.linalg.inv(information)
        p = [-matrix.T @ inverse @ a @ inverse @ matrix for a in parts]
        inner = sum(
            weights[i, j] * (matrix.T @ inverse @ a @ inverse @ b @ inverse @ matrix - p[i] @ phi @ p[j])
            for i, a in enumerate(parts)
            for j, b in enumerate(parts)
        )
        expected = phi + 2.0 * phi @ inner @ phi
        np.testing.assert_allclose(fit.covariance[vertex], expected, rtol=1e-4, atol=1e-7)


def test_adjusting_for_the_baseline_keeps_the_level_with_twelve_participants():
    table = trial(12, (0, 36))
    built = build_design(table, [VISIT, Interaction((VISIT, ARM))])
    rng = np.random.default_rng(11)
    values = rng.normal(size=(24, 8000)) + rng.normal(size=(12, 8000))[built.participants]
    plain, corrected = (
        fit_mixed_model(values, built, small_sample=small).test("denosumab − placebo at visit 36").p
        for small in (False, True)
    )
    assert np.mean(plain < 0.05) > 0.058  # what the correction is for
    assert np.mean(corrected < 0.05) == pytest.approx(0.05, abs=0.0075)
