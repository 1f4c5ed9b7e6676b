"""Power, against published sizes, the exact noncentral t and simulation."""

import numpy as np
import pytest
from scipy import stats
from statistics_study import ARM, VISIT, design, trial

from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import Interaction, build_design
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.power import (
    alpha_of_threshold,
    detectable_difference,
    effective_sd,
    group_sizes,
    needed_per_arm,
)


def test_sizes_are_those_of_cohen_s_table():
    # two-sided 5 %, power 80 %: Cohen 1988, table 2.4.1 (which has 393 for the first; G*Power 3.1 has 394)
    np.testing.assert_array_equal(
        needed_per_arm(np.ones(4), np.array([0.2, 0.5, 0.8, 1.0])), [394, 64, 26, 17]
    )


@pytest.mark.parametrize(("n", "power", "alpha"), [(4, 0.8, 0.05), (20, 0.9, 0.01), (60, 0.8, 1e-5)])
def test_the_detectable_difference_has_the_power(n, power, alpha):
    difference = detectable_difference(np.array([2.0]), n, power, alpha)[0]
    shift, dof = difference / (2.0 * np.sqrt(2.0 / n)), 2 * n - 2
    critical = stats.t.isf(alpha / 2, dof)
    assert stats.nct.sf(critical, dof, shift) == pytest.approx(power, abs=1e-5)


def test_the_detectable_difference_is_found_as_often_in_simulated_trials():
    table = trial(24, (0,))
    rng = np.random.default_rng(0)
    difference = detectable_difference(np.ones(1), 12, power=0.8, alternative="greater")[0]
    values = rng.normal(size=(24, 6000)) + difference * (table.labels("arm") == "denosumab")[:, None]
    answered = fit_least_squares(values, build_design(table, [ARM])).test("denosumab − placebo", "greater")
    assert np.mean(answered.p < 0.05) == pytest.approx(0.8, abs=0.016)


def test_size_and_difference_are_inverse():
    sd, difference = np.full(5, 3.0), np.array([0.1, 0.7, 1.3, 2.9, 6.0])
    needed = needed_per_arm(sd, difference, covariates=3)
    for one, n in zip(difference, needed.astype(int)):
        assert detectable_difference(np.array([3.0]), n, covariates=3)[0] <= one * (1 + 1e-4)
        if n > 5:
            assert detectable_difference(np.array([3.0]), n - 1, covariates=3)[0] > one * (1 - 1e-4)


def test_what_no_trial_can_find_needs_infinitely_many():
    needed = needed_per_arm(np.array([1.0, 1.0, np.nan]), np.array([1e-5, 50.0, 1.0]))
    assert needed[0] == np.inf
    assert needed[1] == 2
    assert np.isnan(needed[2])


def test_the_effective_spread_is_that_of_a_participant():
    table = trial(40, (0, 12, 36))
    built = build_design(table, [ARM, VISIT, Interaction((ARM, VISIT))])
    rng = np.random.default_rng(1)
    values = 0.6 * rng.normal(size=(40, 3000))[built.participants] + 0.8 * rng.normal(size=(120, 3000))
    sizes = group_sizes(built, read_contrast(built, "denosumab − placebo at visit 36"))
    assert sizes == (20, 20)
    model = fit_mixed_model(values, built)
    one_visit = effective_sd(model.test("denosumab − placebo at visit 36"), sizes)
    change = effective_sd(model.test("denosumab − placebo in the change from visit 0 to visit 36"), sizes)
    assert np.sqrt(np.mean(one_visit**2)) == pytest.approx(1.0, rel=0.02)
    assert np.sqrt(np.mean(change**2)) == pytest.approx(0.8 * np.sqrt(2.0), rel=0.02)


def test_a_corrected_threshold_asks_for_more():
    alpha = alpha_of_threshold(4.5, 78)
    assert alpha == pytest.approx(2 * stats.t.sf(4.5, 78), rel=1e-9)
    assert needed_per_arm(np.ones(1), 0.5, alpha=alpha)[0] > 150


def test_settings_out_of_bounds_are_refused():
    with pytest.raises(SettingError, match="no degree of freedom"):
        detectable_difference(np.ones(1), 1)
    with pytest.raises(SettingError, match="power above alpha"):
        detectable_difference(np.ones(1), 10, power=0.01)
    with pytest.raises(StatisticsError, match="one comparison"):
        effective_sd(
            fit_least_squares(np.ones((93, 1)), design()).test("interaction of arm and visit"), (9, 9)
        )
    with pytest.raises(StatisticsError, match="compares participants with themselves"):
        group_sizes(design(), read_contrast(design(), "visit 36 − visit 0"))
    with pytest.raises(StatisticsError, match="compares no two groups"):
        group_sizes(design(), read_contrast(design(), "slope of age"))
