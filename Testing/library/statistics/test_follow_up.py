"""One patient against repeat scans and against controls, held against textbook formulas and simulation."""

import numpy as np
import pytest
from scipy import stats
from statistics_study import trial

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.statistics.follow_up import (
    Precision,
    compare_scans,
    compare_with_controls,
    precision_from_repeats,
)
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.design import Categorical, Continuous, build_design
from CorticalBoneMappingLib.statistics.model.least_squares import fit_least_squares
from CorticalBoneMappingLib.statistics.table import Table


def _repeats() -> Maps:
    table = Table.of({"participant": ["a", "a", "b", "b", "b", "c"], "scan": [1, 2, 1, 2, 3, 1]})
    values = np.random.default_rng(1).normal(2.0, 0.1, (6, 4))
    values[0, 1] = np.nan
    values[:, 3] = np.nan
    return Maps(values, table)


def test_precision_is_the_root_mean_square_of_the_bones_spread():
    maps = _repeats()
    found = precision_from_repeats(maps)
    a, b = maps.values[:2, 0], maps.values[2:5, 0]
    pooled = (a.var(ddof=1) + 2 * b.var(ddof=1)) / 3
    assert found.sd[0] == pytest.approx(np.sqrt(pooled), rel=1e-12)
    assert found.sd[1] == pytest.approx(maps.values[2:5, 1].std(ddof=1), rel=1e-12)
    np.testing.assert_array_equal(found.dof, [3, 2, 3, 0])
    assert np.isnan(found.sd[3])


def test_the_least_significant_change_of_many_repeats_is_the_known_one():
    # Glüer 1999: 2.77 times the precision error
    change = Precision(np.array([1.0]), np.array([1e6])).least_significant_change()
    assert change[0] == pytest.approx(2.77, abs=0.005)


@pytest.mark.parametrize("bones", [3, 12])
def test_unchanged_bones_are_called_changed_as_rarely_as_it_says(bones):
    rng = np.random.default_rng(2)
    table = Table.of({"participant": np.repeat([f"P{i}" for i in range(bones)], 2)})
    repeats = Maps(rng.normal(0.0, 0.1, (2 * bones, 8000)) + 2.0, table)
    first, second = 2.0 + rng.normal(0.0, 0.1, (2, 8000))
    found = compare_scans(first, second, precision_from_repeats(repeats))
    assert np.mean(found.direction != 0) == pytest.approx(0.05, abs=0.0075)
    np.testing.assert_array_equal(found.direction != 0, found.p < 0.05)
    assert np.mean((found.lower > 0) | (found.upper < 0)) == np.mean(found.direction != 0)


def test_a_change_is_given_with_its_direction_and_percentage():
    precision = Precision(np.array([0.1, 0.1, 0.1, np.nan]), np.array([20.0, 20.0, 20.0, 0.0]))
    found = compare_scans(np.array([2.0, 2.0, -1.0, 2.0]), np.array([3.0, 1.5, -1.05, 9.0]), precision)
    np.testing.assert_array_equal(found.direction, [1, -1, 0, 0])
    np.testing.assert_allclose(found.percent[:2], [50.0, -25.0])
    assert np.isnan(found.percent[2])
    assert np.isnan(found.p[3])


def _controls(people: int, vertices: int, seed: int):
    rng = np.random.default_rng(seed)
    table = Table.of(
        {
            "participant": [f"C{i}" for i in range(people)],
            "age": rng.uniform(50.0, 80.0, people),
            "sex": ["female" if i % 3 else "male" for i in range(people)],
        }
    )
    built = build_design(table, [Continuous("age"), Categorical("sex", "female")])
    values = 4.0 - 0.02 * table.column("age")[:, None] + rng.normal(0.0, 0.3, (people, vertices))
    return table, built, values


def test_a_patient_against_controls_is_the_t_of_a_column_of_their_own():
    table, built, values = _controls(14, 5, seed=3)
    patient = np.array([1.0, 2.5, 3.0, 2.0, 4.0])
    row = Table.of({"age": [66.0], "sex": ["male"]})
    found = compare_with_controls(patient, row, fit_least_squares(values, built))
    # an indicator of the patient, in a model of all fifteen, has the same t (Crawford and Howell 1998)
    x = np.column_stack([np.ones(14), table.column("age"), table.labels("sex") == "male", np.zeros(14)])
    x = np.vstack([x, [1.0, 66.0, 1.0, 1.0]])
    y = np.vstack([values, patient])
    beta, squares, *_ = np.linalg.lstsq(x, y, rcond=None)
    t = beta[3] / np.sqrt(squares / 11 * np.linalg.inv(x.T @ x)[3, 3])
    np.testing.assert_allclose(found.t, t, rtol=1e-9)
    np.testing.assert_allclose(found.percentile, 100.0 * stats.t.cdf(t, 11), rtol=1e-9)
    np.testing.assert_allclose(stats.norm.cdf(found.z), stats.t.cdf(t, 11), rtol=1e-9)
    np.testing.assert_allclose(found.difference, beta[3], rtol=1e-9)


def test_healthy_people_are_called_abnormal_as_rarely_as_it_says_even_with_few_controls():
    _, built, values = _controls(8, 8000, seed=4)
    rng = np.random.default_rng(5)
    patient = 4.0 - 0.02 * 60.0 + rng.normal(0.0, 0.3, 8000)
    row = Table.of({"age": [60.0], "sex": ["female"]})
    found = compare_with_controls(patient, row, fit_least_squares(values, built))
    assert np.mean(found.p < 0.05) == pytest.approx(0.05, abs=0.0075)
    assert np.std(found.z) == pytest.approx(1.0, abs=0.03)


def test_far_deviations_keep_their_sign_and_digits():
    _, built, values = _controls(60, 2, seed=6)
    row = Table.of({"age": [60.0], "sex": ["female"]})
    found = compare_with_controls(np.array([-30.0, 30.0]), row, fit_least_squares(values, built))
    assert found.z[0] < -10
    assert found.z[1] > 10
    assert np.isfinite(found.z).all()


def test_a_place_without_value_has_no_comparison():
    _, built, values = _controls(14, 3, seed=7)
    values[:, 1] = np.nan
    row = Table.of({"age": [60.0], "sex": ["female"]})
    found = compare_with_controls(np.array([np.nan, 2.0, 2.0]), row, fit_least_squares(values, built))
    assert np.isnan(found.z[:2]).all()
    assert np.isfinite(found.z[2])


def test_what_is_not_comparable_is_refused():
    _, built, values = _controls(14, 3, seed=8)
    controls, patient = fit_least_squares(values, built), np.full(3, 2.0)
    with pytest.raises(StatisticsError, match="has no 'age'"):
        compare_with_controls(patient, Table.of({"age": [None], "sex": ["male"]}), controls)
    with pytest.raises(StatisticsError, match="No control has sex 'unknown'"):
        compare_with_controls(patient, Table.of({"age": [60.0], "sex": ["unknown"]}), controls)
    with pytest.raises(StatisticsError, match="one row"):
        compare_with_controls(patient, Table.of({"age": [60.0, 61.0]}), controls)
    with pytest.raises(StatisticsError, match="No bone was scanned twice"):
        precision_from_repeats(Maps(np.ones((3, 2)), Table.of({"participant": ["a", "b", "c"]})))
    with pytest.raises(StatisticsError, match="same average femur"):
        compare_scans(np.ones(4), np.ones(5), Precision(np.ones(5), np.ones(5)))


def test_controls_with_several_rows_a_person_are_refused():
    table = trial(6, (0, 12))
    fit = fit_least_squares(
        np.random.default_rng(0).normal(size=(12, 1)), build_design(table, [Continuous("age")])
    )
    with pytest.raises(StatisticsError, match="one side and one visit of each"):
        compare_with_controls(np.ones(1), Table.of({"age": [70.0]}), fit)
