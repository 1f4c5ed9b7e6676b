"""The attribution of a change in mass, against known truth, the bootstrap and brute force."""

import numpy as np
import pytest
from statistics_study import ARM, VISIT, trial

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.attribution import Attribution, attribute
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import Continuous, Design, Interaction, build_design
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.model.participant_errors import leave_one_out
from CorticalBoneMappingLib.statistics.table import Table

QUESTION = "denosumab − placebo at visit 36, adjusted for baseline and age"
SHARE = 2.0 / 3.0


def _generalised(built: Design, y: np.ndarray, rows: np.ndarray, ratio: float, row: np.ndarray) -> float:
    """Effect by dense generalised least squares on some rows."""
    block = built.participants[rows]
    inverse = np.linalg.inv(np.eye(len(block)) + ratio * (block[:, None] == block))
    matrix = built.matrix[rows]
    return row @ np.linalg.solve(matrix.T @ inverse @ matrix, matrix.T @ inverse @ y[rows])


def _study(people: int, vertices: int, seed: int, effect: float = 0.054) -> tuple[Table, Design, Maps, Maps]:
    """Mass rises by `effect` (in logarithm), two thirds of it by thickness; people differ, visits too."""
    table = trial(people, (0, 12, 36))
    built = build_design(table, [VISIT, Interaction((VISIT, ARM)), Continuous("age")])
    rng = np.random.default_rng(seed)
    treated = ((table.labels("arm") == "denosumab") * table.numbers("visit") / 36.0)[:, None]

    def noise(wide, narrow):
        person = rng.normal(0.0, wide, (people, vertices))[built.participants]
        return person + rng.normal(0.0, narrow, (len(table), vertices))

    thickness = 2.0 * np.exp(SHARE * effect * treated + noise(0.1, 0.03))
    density = 900.0 * np.exp((1.0 - SHARE) * effect * treated + noise(0.04, 0.02))
    return table, built, Maps(thickness, table), Maps(density, table)


def test_the_parts_are_those_that_were_put_in_and_add_up_to_the_mass():
    _, built, thickness, density = _study(80, 300, seed=1)
    found = attribute(thickness, density, built, QUESTION)
    mass = fit_mixed_model(np.log(thickness.values * density.values / 10.0), built).test(QUESTION)
    # vertices of nearly the same variance ratio share weights
    np.testing.assert_allclose(found.mass, 100.0 * mass.effect, atol=0.01 * 100.0 * mass.standard_error.max())
    whole = found.over(np.ones((300, 1)))
    assert whole.mass[0] == pytest.approx(5.4, abs=0.1)
    share, lower, upper = whole.share_of_thickness()
    assert share[0] == pytest.approx(SHARE, abs=0.02)
    assert lower[0] < share[0] < upper[0]
    np.testing.assert_allclose(found.reference_mass, 180.0, rtol=0.08)


def test_each_replicate_is_the_fit_without_that_participant():
    _, built, thickness, density = _study(10, 4, seed=2)
    logs = np.log(np.stack([thickness.values, density.values]))
    logs[:, 5, 2:] = np.nan
    logs[:, 12, 3] = np.nan
    row = read_contrast(built, QUESTION).matrix[0]
    effect, replicates = leave_one_out(logs, built, row)
    for person in range(-1, 10):
        for measure in range(2):
            for vertex in range(4):
                y = logs[measure, :, vertex]
                kept = (built.participants != person) & np.isfinite(y)
                beta = np.linalg.lstsq(built.matrix[kept], y[kept], rcond=None)[0]
                got = effect[measure, vertex] if person < 0 else replicates[measure, person, vertex]
                assert got == pytest.approx(row @ beta, rel=1e-8, abs=1e-12)


def test_each_replicate_of_repeated_visits_is_generalised_least_squares_without_that_participant():
    _, built, thickness, _ = _study(10, 3, seed=2)
    logs = np.log(thickness.values)[None]
    logs[:, 5, 2] = np.nan
    mixed = fit_mixed_model(logs[0], built)
    row = read_contrast(built, QUESTION).matrix[0]
    effect, replicates = leave_one_out(logs, built, row, mixed)
    for vertex in range(3):
        present = np.isfinite(logs[0, :, vertex])
        ratio = mixed.ratios[vertex, 0]
        whole = _generalised(built, logs[0, :, vertex], present, ratio, row)
        assert effect[0, vertex] == pytest.approx(whole, rel=1e-8)
        for person in range(10):
            kept = present & (built.participants != person)
            expected = _generalised(built, logs[0, :, vertex], kept, ratio, row)
            assert replicates[0, person, vertex] == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_intervals_hold_the_truth_as_often_as_they_say():
    _, built, thickness, density = _study(40, 4000, seed=3)
    found = attribute(thickness, density, built, QUESTION)
    truth = {"mass": 5.4, "thickness": 5.4 * SHARE, "density": 5.4 * (1 - SHARE)}
    for part, value in truth.items():
        lower, upper = found.interval(part)
        # three standard errors of 4000 yes-or-noes, and the jackknife errs to the wide side
        assert 0.94 < np.mean((lower < value) & (upper > value)) < 0.97


def test_the_share_s_interval_holds_the_truth_where_it_is_determined():
    _, built, thickness, density = _study(80, 3000, seed=4, effect=0.12)
    share, lower, upper = attribute(thickness, density, built, QUESTION).share_of_thickness()
    determined = np.isfinite(share)
    assert determined.mean() > 0.99
    assert 0.94 < np.mean((lower < SHARE)[determined] & (upper > SHARE)[determined]) < 0.97


def test_the_share_of_nothing_is_not_determined():
    _, built, thickness, density = _study(40, 1000, seed=5, effect=0.0)
    found = attribute(thickness, density, built, QUESTION)
    share, lower, upper = found.share_of_thickness()
    low, high = found.interval("mass")
    np.testing.assert_array_equal(np.isfinite(share), (low > 0) | (high < 0))
    assert np.isfinite(share).mean() < 0.08
    assert np.array_equal(np.isnan(share), np.isnan(lower) & np.isnan(upper))


def test_the_spread_agrees_with_a_bootstrap_of_participants():
    _, built, thickness, density = _study(60, 1, seed=6)
    found = attribute(thickness, density, built, QUESTION)
    lower, upper = found.interval("thickness", level=0.6827)
    mass = np.log(thickness.values * density.values)
    ratio = fit_mixed_model(mass, built).ratios[0, 0]
    row = read_contrast(built, QUESTION).matrix[0]
    inverse = np.linalg.inv(np.eye(3) + ratio * np.ones((3, 3)))  # of the three visits of a participant
    x = built.matrix.reshape(60, 3, -1)
    grams = np.einsum("mip,ij,mjq->mpq", x, inverse, x)
    sides = np.einsum("mip,ij,mj->mp", x, inverse, np.log(thickness.values[:, 0]).reshape(60, 3))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(1500):
        times = np.bincount(rng.integers(0, 60, 60), minlength=60)
        gram, side = np.tensordot(times, grams, 1), times @ sides
        drawn.append(row @ np.linalg.solve(gram, side))
    assert (upper - lower)[0] / 2.0 == pytest.approx(100.0 * np.std(drawn), rel=0.12)


def test_values_that_are_not_positive_are_missing_in_both_and_counted():
    _, built, thickness, density = _study(20, 3, seed=7)
    thickness.values[4, 1] = 0.0
    density.values[6, 1] = np.nan
    found = attribute(thickness, density, built, QUESTION)
    assert found.n_not_positive == 1
    kept = np.ones(60, dtype=bool)
    kept[[4, 6]] = False
    mass = np.where(kept, thickness.values[:, 1] * density.values[:, 1], 1.0)
    ratio = fit_mixed_model(np.where(kept, np.log(mass), np.nan)[:, None], built).ratios[0, 0]
    logs = np.log(np.where(kept, density.values[:, 1], 1.0))
    expected = _generalised(built, logs, kept, ratio, read_contrast(built, QUESTION).matrix[0])
    assert found.density[1] == pytest.approx(100.0 * expected, rel=1e-8)


def test_a_region_weighs_by_mass_and_leaves_out_what_is_not_known():
    replicates = np.zeros((2, 5, 3))
    replicates[0] = [1.0, 4.0, np.nan]
    replicates[1] = [1.0, 2.0, 0.0]
    found = Attribution(
        np.array([1.0, 4.0, np.nan]),
        np.array([1.0, 2.0, 0.0]),
        replicates,
        3.0,
        np.array([100.0, 300.0, 50.0]),
        0,
    )
    region = found.over(np.array([[2.0], [1.0], [9.0]]))
    assert region.thickness[0] == pytest.approx((2 * 100 * 1 + 300 * 4) / 500)
    assert region.mass[0] == pytest.approx((2 * 100 * 2 + 300 * 6) / 500)
    assert region.reference_mass[0] == pytest.approx(500 / 3)


def test_rows_of_the_table_are_in_percent():
    _, built, thickness, density = _study(40, 50, seed=8)
    whole = attribute(thickness, density, built, QUESTION).over(np.ones((50, 1)))
    (row,) = whole.rows(["whole femur"])
    assert row["mass_percent"] == pytest.approx(100.0 * np.expm1(whole.mass[0] / 100.0))
    assert row["mass_lower"] < row["mass_percent"] < row["mass_upper"]
    assert row["region"] == "whole femur"


def test_too_few_participants_and_questions_without_reference_are_refused():
    _, built, thickness, density = _study(20, 1, seed=9)
    with pytest.raises(StatisticsError, match="compares nothing"):
        attribute(thickness, density, built, "slope of age")
    table = trial(3, (0, 12, 36))
    few = build_design(table, [VISIT, Interaction((VISIT, ARM)), Continuous("age")])
    maps = Maps(np.ones((9, 1)), table)
    with pytest.raises(StatisticsError, match="3 participants are too few"):
        attribute(maps, maps, few, QUESTION)
