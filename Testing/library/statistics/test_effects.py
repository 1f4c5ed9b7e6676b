"""Percent effects, changes from baseline, and weights, against known ratios and simulation."""

import numpy as np
import pytest
from scipy import stats
from statistics_study import ARM, AT_36, TABLE, VALUES, VISIT, design, trial

from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.design import Categorical, Interaction, build_design
from CorticalBoneMappingLib.statistics.model.effects import change_from_baseline, percent_effect
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares, measurement_weights
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.table import Table


def test_a_percentage_is_the_difference_of_means_over_the_reference():
    table = trial(20, (0,))
    values = np.random.default_rng(1).normal(10.0, 1.0, (20, 3))
    treated = table.labels("arm") == "denosumab"
    found = percent_effect(fit_least_squares(values, build_design(table, [ARM])), "denosumab − placebo")
    high, low = values[treated].mean(axis=0), values[~treated].mean(axis=0)
    np.testing.assert_allclose(found.percent, 100.0 * (high - low) / low, rtol=1e-10)
    np.testing.assert_allclose(found.reference, low, rtol=1e-10)


@pytest.mark.parametrize("fit", [fit_least_squares, fit_mixed_model])
def test_percent_bounds_hold_the_truth_as_often_as_they_say(fit):
    table = trial(24, (0, 36))
    built = build_design(table, [ARM, VISIT, Interaction((ARM, VISIT))])
    treated = (table.labels("arm") == "denosumab") & (table.labels("visit") == "36")
    rng = np.random.default_rng(2)
    spread = rng.normal(0.0, 0.3, (24, 4000))[built.participants] if fit is fit_mixed_model else 0.0
    values = 2.0 + 0.3 * treated[:, None] + spread + rng.normal(0.0, 0.2, (48, 4000))
    found = percent_effect(fit(values, built), "denosumab − placebo at visit 36")
    inside = (found.lower < 15.0) & (found.upper > 15.0)
    # three standard errors of 4000 yes-or-noes at 95 %
    assert inside.mean() == pytest.approx(0.95, abs=0.011)


def test_percent_bounds_and_those_of_the_effect_hold_nought_together():
    rng = np.random.default_rng(3)
    fit = fit_least_squares(50.0 + rng.normal(size=(len(TABLE), 2000)), design())
    found, answered = percent_effect(fit, AT_36), fit.test(AT_36)
    lower, upper = answered.confidence_interval()
    together = ((found.lower > 0) == (lower > 0)) & ((found.upper < 0) == (upper < 0))
    assert together.mean() > 0.995


def test_one_sided_percentages_have_one_bound():
    found = percent_effect(fit_least_squares(VALUES, design()), AT_36, "greater")
    assert np.isinf(found.upper).all()
    two_sided = percent_effect(fit_least_squares(VALUES, design()), AT_36, level=0.9)
    np.testing.assert_allclose(found.lower, two_sided.lower)


def test_a_reference_that_is_not_positive_has_no_percentage():
    values = VALUES.copy()
    values[:, 2] -= 100.0
    found = percent_effect(fit_least_squares(values, design()), AT_36)
    assert np.isnan([found.percent[2], found.lower[2], found.upper[2]]).all()
    assert np.isfinite(found.percent[[0, 1, 3, 4, 5]]).all()


def test_a_contrast_without_reference_has_no_percentage():
    with pytest.raises(StatisticsError, match="has no percentage"):
        percent_effect(fit_least_squares(VALUES, design()), "interaction of arm and visit")


def test_changes_are_from_the_same_bone():
    table = Table.of(
        {
            "participant": ["a", "a", "a", "b", "b", "c"],
            "visit": [0, 12, 12, 0, 12, 12],
            "side": ["left", "left", "right", "left", "left", "left"],
        }
    )
    values = np.array([[2.0, 4.0], [3.0, 3.0], [9.0, 9.0], [-1.0, 5.0], [1.0, np.nan], [7.0, 7.0]])
    maps = Maps(values, table, "cortical_thickness", "mm")
    by_kind = {kind: change_from_baseline(maps, "0", kind) for kind in ("absolute", "percent", "log")}
    assert list(by_kind["percent"].table.column("participant")) == ["a", "a", "b", "c"]
    expected = np.full((4, 2), np.nan)
    expected[0] = [1.0, -1.0]
    expected[2, 0] = 2.0
    np.testing.assert_allclose(by_kind["absolute"].values, expected)
    expected[2, 0] = np.nan  # the baseline is negative
    np.testing.assert_allclose(by_kind["percent"].values, expected * [50.0, 25.0])
    expected[0] = 100.0 * np.log([1.5, 0.75])
    np.testing.assert_allclose(by_kind["log"].values, expected)
    assert by_kind["percent"].unit == "%"
    assert by_kind["absolute"].unit == "mm"


def test_an_unknown_baseline_or_kind_is_refused():
    maps = Maps(VALUES, TABLE)
    with pytest.raises(StatisticsError, match="No row is of visit '6'; the visits are 0, 12, 36"):
        change_from_baseline(maps, "6")
    with pytest.raises(SettingError, match="absolute, percent, log"):
        change_from_baseline(maps, "0", "relative")


def test_weights_find_the_spread_between_people():
    rng = np.random.default_rng(4)
    table = trial(60, (0,))
    built = build_design(table, [ARM])
    sd = rng.uniform(0.5, 2.0, (60, 3000))
    values = rng.normal(0.0, 1.5, sd.shape) + sd * rng.normal(size=sd.shape)
    values[7, :10] = np.nan
    weights = measurement_weights(Maps(values, table, sd=sd), built)
    between = 1.0 / weights[0] - sd[0] ** 2
    assert between.mean() == pytest.approx(1.5**2, rel=0.03)
    assert not weights[7, :10].any()


def test_weighing_by_the_measurement_narrows_the_error_and_keeps_the_level():
    rng = np.random.default_rng(5)
    table = trial(60, (0,))
    built = build_design(table, [ARM])
    sd = np.tile(rng.choice([0.2, 3.0], (60, 1)), (1, 3000))
    values = rng.normal(0.0, 0.5, sd.shape) + sd * rng.normal(size=sd.shape)
    maps = Maps(values, table, sd=sd)
    plain = fit_least_squares(maps, built).test("denosumab − placebo")
    weighted = fit_least_squares(maps, built, measurement_weights(maps, built)).test("denosumab − placebo")
    assert weighted.effect.std() < 0.5 * plain.effect.std()
    assert np.mean(weighted.p < 0.05) == pytest.approx(0.05, abs=0.015)


def test_maps_without_standard_deviations_cannot_weigh():
    with pytest.raises(StatisticsError, match="no standard deviations"):
        measurement_weights(Maps(VALUES, TABLE), design())
    sd = np.ones(VALUES.shape)
    sd[4, 2] = 0.0
    with pytest.raises(StatisticsError, match="row 6"):
        measurement_weights(Maps(VALUES, TABLE, sd=sd), design())


def test_a_paired_percent_change_is_the_one_sample_t_test():
    maps = change_from_baseline(Maps(100.0 + VALUES, TABLE), "0")
    kept = (maps.table.labels("visit") == "36") & (maps.table.labels("side") == "left")
    maps = maps.take(kept)
    maps = maps.take(maps.measured[:, 0])
    answered = fit_least_squares(maps, build_design(maps.table, [Categorical("arm")])).test(
        "denosumab − placebo"
    )
    treated = maps.table.labels("arm") == "denosumab"
    expected = stats.ttest_ind(maps.values[treated], maps.values[~treated]).statistic
    np.testing.assert_allclose(answered.statistic, expected, rtol=1e-9)
