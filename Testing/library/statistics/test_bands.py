"""Simultaneous bands, against the quantiles of independent, equal and equicorrelated t, and simulation."""

import numpy as np
import pytest
from scipy import integrate, stats
from statistics_study import ARM, VISIT, trial

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.statistics.inference.bands import simultaneous_bands
from CorticalBoneMappingLib.statistics.model.design import (
    Categorical,
    Continuous,
    Interaction,
    build_design,
)
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.table import Table

DIFFERENCE = "denosumab − placebo"


def _fit(people: int, columns: int, seed: int, common: float = 0.0):
    table = trial(people, (0,))
    rng = np.random.default_rng(seed)
    values = np.sqrt(1 - common) * rng.normal(size=(people, columns)) + np.sqrt(common) * rng.normal(
        size=(people, 1)
    )
    return fit_least_squares(values, build_design(table, [ARM]))


@pytest.mark.parametrize(("alternative", "tail"), [("two-sided", 0.025), ("greater", 0.05), ("less", 0.05)])
def test_one_region_has_its_own_interval(alternative, tail):
    fit = _fit(30, 1, seed=1)
    bands = simultaneous_bands([fit], [DIFFERENCE], alternative)
    assert bands.critical == pytest.approx(stats.t.isf(tail, 28), abs=0.015)
    alone = fit.test(DIFFERENCE, alternative)
    np.testing.assert_allclose([bands.lower[0], bands.upper[0]], alone.confidence_interval(), atol=0.01)
    assert bands.p[0][0] == pytest.approx(alone.p[0], abs=0.004)


def test_many_independent_regions_need_sidak_s_quantile():
    bands = simultaneous_bands([_fit(4000, 10, seed=2)], [DIFFERENCE])
    assert bands.critical == pytest.approx(stats.norm.isf((1 - 0.95**0.1) / 2), abs=0.015)


def test_equal_regions_need_no_more_than_one():
    fit = _fit(30, 1, seed=3)
    same = fit_least_squares(np.tile(fit.residuals, (1, 8)) * np.arange(1, 9), fit.design)
    bands = simultaneous_bands([same], [DIFFERENCE])
    assert bands.critical == pytest.approx(stats.t.isf(0.025, 28), abs=0.015)


def test_equicorrelated_regions_have_the_quantile_of_the_integral():
    columns, common = 6, 0.7
    bands = simultaneous_bands([_fit(4000, columns, seed=4, common=common)], [DIFFERENCE])

    def inside(shared: float) -> float:
        reach = np.array([-bands.critical, bands.critical])
        below = stats.norm.cdf((reach - np.sqrt(common) * shared) / np.sqrt(1 - common))
        return (below[1] - below[0]) ** columns * stats.norm.pdf(shared)

    assert integrate.quad(inside, -8, 8)[0] == pytest.approx(0.95, abs=0.003)


def test_all_bands_hold_all_effects_as_often_as_they_say():
    held, count = 0, 600
    table = trial(24, (0,))
    built = build_design(table, [ARM, Continuous("age")])
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(7, 7)) + 1.5
    effects = np.linspace(-1.0, 1.0, 7)
    treated = (table.labels("arm") == "denosumab")[:, None]
    for study in range(count):
        values = rng.normal(size=(24, 7)) @ mixing + treated * effects
        bands = simultaneous_bands([fit_least_squares(values, built)], [DIFFERENCE], seed=study, n_draws=4000)
        held += np.all((bands.lower[0] < effects) & (bands.upper[0] > effects))
    assert held / count == pytest.approx(0.95, abs=0.027)  # three standard errors


def test_contrasts_that_share_an_arm_are_known_to_be_correlated():
    # Dunnett 1955, table 2a: two-sided 5 %, two treatments against one control, many people: 2.21
    table = Table.of({"dose": [("none", "low", "high")[i % 3] for i in range(6000)]})
    values = np.random.default_rng(6).normal(size=(6000, 1))
    fit = fit_least_squares(values, build_design(table, [Categorical("dose", "none")]))
    bands = simultaneous_bands([fit], ["low − none", "high − none"])
    assert bands.critical == pytest.approx(2.21, abs=0.015)


def test_two_models_and_two_contrasts_are_one_family():
    one, other = _fit(3000, 3, seed=7), _fit(3000, 2, seed=8)
    bands = simultaneous_bands([one, other], [DIFFERENCE, "mean at arm placebo"])
    assert [len(lower) for lower in bands.lower] == [3, 3, 2, 2]
    # columns are independent; the contrasts of a column have a correlation of -1/√2
    rng = np.random.default_rng(0)
    pair = rng.multivariate_normal([0, 0], [[1, -np.sqrt(0.5)], [-np.sqrt(0.5), 1]], (100_000, 5))
    expected = np.quantile(np.abs(pair).max(axis=(1, 2)), 0.95)
    assert bands.critical == pytest.approx(expected, abs=0.025)


def test_a_copy_of_a_model_adds_nothing():
    fit = _fit(40, 4, seed=9, common=0.3)
    alone, twice = (
        simultaneous_bands([fit] * n, [DIFFERENCE, "mean at arm placebo"], n_draws=100_000) for n in (1, 2)
    )
    assert twice.critical == pytest.approx(alone.critical, abs=0.03)


def test_the_mixed_model_has_bands_too():
    table = trial(30, (0, 36))
    built = build_design(table, [VISIT, Interaction((VISIT, ARM))])
    rng = np.random.default_rng(10)
    values = rng.normal(size=(60, 5)) + rng.normal(size=(30, 5))[built.participants]
    bands = simultaneous_bands([fit_mixed_model(values, built)], [f"{DIFFERENCE} at visit 36"])
    assert stats.t.isf(0.025, 58) < bands.critical < stats.t.isf(0.025 / 5, 25)


def test_a_region_that_was_not_measured_does_not_count():
    fit = _fit(30, 3, seed=11)
    values = fit.residuals.copy()
    values[:, 1] = np.nan
    bands = simultaneous_bands([fit_least_squares(values, fit.design)], [DIFFERENCE])
    fewer = simultaneous_bands([fit_least_squares(values[:, [0, 2]], fit.design)], [DIFFERENCE])
    assert np.isnan(bands.lower[0][1])
    assert np.isnan(bands.p[0][1])
    assert bands.critical == pytest.approx(fewer.critical, abs=1e-9)


def test_the_same_seed_gives_the_same_bands():
    fit = _fit(30, 3, seed=12)
    one, same, other = (
        simultaneous_bands([fit], [DIFFERENCE], seed=s, n_draws=5000).critical for s in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_what_is_not_a_family_of_single_effects_is_refused():
    fit = _fit(30, 2, seed=13)
    with pytest.raises(StatisticsError, match="same rows"):
        simultaneous_bands([fit, _fit(32, 2, seed=13)], [DIFFERENCE])
    table = Table.of({"dose": [("none", "low", "high")[i % 3] for i in range(30)]})
    doses = fit_least_squares(fit.residuals, build_design(table, [Categorical("dose")]))
    with pytest.raises(StatisticsError, match="single effects"):
        simultaneous_bands([doses], ["any difference in dose"])
