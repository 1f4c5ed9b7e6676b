"""Least squares, against BrainStat, statsmodels and textbook formulas."""

import numpy as np
import pytest
from scipy import stats
from statistics_study import ARM, AT_36, REFERENCE, TABLE, VALUES, VISIT, design, trial

from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.statistics.maps import scalars
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import Categorical, Interaction, build_design
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.table import Table

EXPECTED = REFERENCE["least_squares"]


def test_effects_and_t_agree_with_brainstat():
    answered = fit_least_squares(VALUES, design()).test(AT_36)
    np.testing.assert_allclose(answered.effect, EXPECTED["effect"], atol=1e-8)
    np.testing.assert_allclose(answered.standard_error, EXPECTED["standard_error"], atol=1e-8)
    np.testing.assert_allclose(answered.statistic, EXPECTED["t"], atol=1e-8)


def test_f_agrees_with_statsmodels():
    answered = fit_least_squares(VALUES, design()).test("interaction of visit and arm")
    np.testing.assert_allclose(answered.statistic, EXPECTED["interaction_f"], rtol=1e-8)
    np.testing.assert_allclose(answered.p, EXPECTED["interaction_p"], rtol=1e-8)


def test_weights_agree_with_statsmodels_and_a_common_factor_does_not_matter():
    weights = np.array(EXPECTED["weights"])
    for given in (weights, 10.0 * weights, np.tile(weights[:, None], (1, VALUES.shape[1]))):
        answered = fit_least_squares(VALUES, design(), given).test(AT_36)
        np.testing.assert_allclose(answered.statistic, EXPECTED["weighted_t"], rtol=1e-9)


def test_gaps_agree_with_statsmodels_on_the_rows_that_are_there():
    values = VALUES.copy()
    for vertex in range(values.shape[1]):
        values[np.arange(len(values)) % 5 == vertex % 5, vertex] = np.nan
    fit = fit_least_squares(values, design())
    answered = fit.test(AT_36)
    np.testing.assert_allclose(answered.statistic, EXPECTED["gaps_t"], rtol=1e-9)
    np.testing.assert_array_equal(fit.dof, np.isfinite(values).sum(axis=0) - 7)
    assert np.array_equal(np.isnan(fit.residuals), np.isnan(values))


def test_a_weight_of_nought_is_a_missing_value():
    weights = np.ones(VALUES.shape)
    weights[::4] = 0.0
    values = np.where(weights > 0, VALUES, np.nan)
    weighted, gapped = (fit_least_squares(VALUES, design(), weights), fit_least_squares(values, design()))
    np.testing.assert_allclose(weighted.test(AT_36).statistic, gapped.test(AT_36).statistic, rtol=1e-10)


def test_two_groups_give_the_two_sample_t_test_and_its_interval():
    table = trial(24, (0,))
    values = np.random.default_rng(4).normal(size=(24, 5))
    treated = table.labels("arm") == "denosumab"
    answered = fit_least_squares(values, build_design(table, [ARM])).test("denosumab − placebo")
    expected = stats.ttest_ind(values[treated], values[~treated])
    np.testing.assert_allclose(answered.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(answered.p, expected.pvalue, rtol=1e-10)
    interval = expected.confidence_interval(0.9)
    lower, upper = answered.confidence_interval(0.9)
    np.testing.assert_allclose(lower, interval.low, rtol=1e-10)
    np.testing.assert_allclose(upper, interval.high, rtol=1e-10)


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_one_sided_answers_are_those_of_the_one_sided_t_test(alternative):
    table = trial(24, (0,))
    values = np.random.default_rng(5).normal(size=(24, 5))
    treated = table.labels("arm") == "denosumab"
    answered = fit_least_squares(values, build_design(table, [ARM])).test("denosumab − placebo", alternative)
    expected = stats.ttest_ind(values[treated], values[~treated], alternative=alternative)
    np.testing.assert_allclose(answered.p, expected.pvalue, rtol=1e-10)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(answered.confidence_interval(), [interval.low, interval.high], rtol=1e-10)


def test_the_far_tail_keeps_its_digits():
    values = np.random.default_rng(6).normal(size=(60, 1))
    values[1::2] += 30.0
    answered = fit_least_squares(values, build_design(trial(60, (0,)), [ARM])).test("denosumab − placebo")
    assert 0.0 < answered.p[0] < 1e-50


def test_a_vertex_without_a_fit_has_no_answer_and_leaves_the_others_alone():
    values = VALUES.copy()
    treated = TABLE.labels("arm") == "denosumab"
    values[treated, 0] = np.nan  # an arm is missing
    values[:, 1] = np.nan  # nothing at all
    values[8:, 2] = np.nan  # one row more than columns, at most
    values[:, 3] = 7.0  # no spread
    fit = fit_least_squares(values, design())
    answered = fit.test(AT_36)
    assert np.isnan(answered.statistic[:4]).all()
    assert not fit.fitted[:4].any()
    whole = VALUES.copy()
    whole[:, 3] = 7.0
    assert np.isnan(fit_least_squares(whole, design()).test(AT_36).statistic[3])
    np.testing.assert_allclose(answered.statistic[4:], np.array(EXPECTED["t"])[4:], rtol=1e-8)
    assert np.isfinite(fit.standardised_residuals()).all()


def test_standardised_residuals_have_unit_length():
    weights = np.array(EXPECTED["weights"])
    values = VALUES.copy()
    values[5, 1] = np.nan
    u = fit_least_squares(values, design(), weights).standardised_residuals()
    np.testing.assert_allclose((u**2).sum(axis=0), 1.0, rtol=1e-10)
    # whitened residuals are orthogonal to the whitened design
    assert np.abs(u[:, 0] @ (design().matrix * np.sqrt(weights)[:, None])).max() < 1e-9


def test_standardised_residuals_leave_the_fit_as_it_was():
    values = VALUES.copy()
    values[5, 1] = np.nan
    fit = fit_least_squares(values, design())
    fit.standardised_residuals()
    assert np.isnan(fit.residuals[5, 1])


def test_scalars_are_fitted_like_maps():
    rng = np.random.default_rng(7)
    columns = {"areal_bmd": rng.normal(1.0, 0.1, 24), "steps": rng.normal(5000, 900, 24)}
    table = trial(24, (0,))
    table = Table.of({name: table.column(name) for name in table.columns} | columns)
    endpoints = scalars(table, ["areal_bmd", "steps"])
    answered = fit_least_squares(endpoints, build_design(table, [ARM])).test("denosumab − placebo")
    treated = table.labels("arm") == "denosumab"
    for index, values in enumerate(columns.values()):
        expected = stats.ttest_ind(values[treated], values[~treated])
        assert answered.statistic[index] == pytest.approx(expected.statistic, rel=1e-9)


def test_float32_maps_are_fitted_in_double_precision():
    single = VALUES.astype(np.float32)
    one, other = (fit_least_squares(v, design()).test(AT_36) for v in (single, single.astype(np.float64)))
    np.testing.assert_array_equal(one.statistic, other.statistic)


def test_weights_that_are_missing_or_negative_are_refused():
    for wrong in (-1.0, np.nan):
        weights = np.ones(len(VALUES))
        weights[3] = wrong
        with pytest.raises(StatisticsError, match="6 values have no weight"):
            fit_least_squares(VALUES, design(), weights)


def test_maps_of_another_number_of_rows_are_refused():
    with pytest.raises(StatisticsError, match="93 rows"):
        fit_least_squares(VALUES[:-1], design())


def test_an_unknown_alternative_and_a_one_sided_f_are_refused():
    fit = fit_least_squares(VALUES, design())
    with pytest.raises(SettingError, match="two-sided, greater, less"):
        fit.test(AT_36, "bigger")
    with pytest.raises(SettingError, match="no one-sided test"):
        fit.test("interaction of visit and arm", "greater")


def test_any_difference_between_three_visits_is_the_analysis_of_variance():
    table = trial(30, (0,))
    group = np.arange(30) % 3
    table = Table.of({"arm": [("a", "b", "c")[g] for g in group], "x": table.column("age")})
    values = np.random.default_rng(8).normal(size=(30, 4))
    answered = fit_least_squares(values, build_design(table, [Categorical("arm")])).test(
        "any difference in arm"
    )
    expected = stats.f_oneway(*(values[group == g] for g in range(3)))
    np.testing.assert_allclose(answered.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(answered.p, expected.pvalue, rtol=1e-9)


def test_arms_equal_at_baseline_are_asked_for_by_leaving_the_arm_out():
    built = build_design(TABLE, [VISIT, Interaction((VISIT, ARM))])
    contrast = read_contrast(built, "denosumab − placebo at visit 0")
    assert not contrast.matrix.any()
    at_12 = read_contrast(built, "denosumab − placebo at visit 12").matrix[0]
    assert at_12[built.columns.index("visit 12 × arm denosumab")] == 1.0
    assert at_12.sum() == 1.0


def test_least_squares_does_not_pretend_to_adjust_for_the_baseline():
    built = build_design(TABLE, [VISIT, Interaction((VISIT, ARM))])
    with pytest.raises(StatisticsError, match="only the mixed model"):
        fit_least_squares(VALUES, built).test("denosumab − placebo at visit 36")
