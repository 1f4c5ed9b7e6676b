"""Standard errors of the mixed model by leaving out participants."""

from __future__ import annotations

import numpy as np
import pytest
from statistics_study import ARM, VISIT, trial

from CorticalBoneMappingLib.core.errors import StatisticsError
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import Categorical, Design, Interaction, build_design
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.model.participant_errors import (
    leave_one_out,
    participant_dof,
    with_participant_errors,
)
from CorticalBoneMappingLib.statistics.table import Table

QUESTION = "denosumab − placebo in the change from visit 0 to visit 36"


def study(people: int) -> tuple[Table, Design]:
    """Two arms, three visits, both hips."""
    table = trial(people, (0, 12, 36), ("left", "right"))
    return table, build_design(table, [VISIT, ARM, Interaction((VISIT, ARM)), Categorical("side", "left")])


def values_of(table: Table, vertices: int, seed: int, growing: float) -> np.ndarray:
    """Nothing but levels of people, what grows with time and both hips of a visit share, and noise."""
    random = np.random.default_rng(seed)
    who = np.unique(table.labels("participant"), return_inverse=True)[1]
    visit = table.numbers("visit")
    visits = np.unique(100 * who + visit, return_inverse=True)[1]
    level, slope = random.standard_normal((2, who.max() + 1, vertices))
    shared, noise = (
        random.standard_normal((visits.max() + 1, vertices)),
        random.standard_normal((len(who), vertices)),
    )
    return 5.0 * level[who] + growing * (slope[who] * visit[:, None] / 12.0 + shared[visits]) + noise


def test_they_are_the_jackknife_of_a_contrast_with_gaps_and_all():
    table, design = study(14)
    values = values_of(table, 5, 0, 1.0)
    values[[3, 40], 2] = np.nan
    values[:6, 3] = np.nan  # a whole person
    fit = fit_mixed_model(values, design)
    row = read_contrast(design, QUESTION).matrix[0]
    effect, replicates = leave_one_out(values[None], design, row, fit)
    people = np.array([14, 14, 14, 13, 14])
    expected = np.sqrt((people - 1) / people * ((replicates - effect[:, None]) ** 2).sum(axis=1)[0])
    robust = with_participant_errors(fit)
    np.testing.assert_allclose(robust.test(QUESTION).standard_error, expected, rtol=2e-3)
    np.testing.assert_array_equal(robust.coefficients, fit.coefficients)


def test_of_two_balanced_arms_they_are_those_of_a_t_test_of_the_persons_changes():
    table, design = study(20)
    values = values_of(table, 4, 1, 1.0)
    changes = values.reshape(20, 3, 2, 4).mean(axis=2)
    changes = changes[:, 2] - changes[:, 0]
    treated, placebo = changes[1::2], changes[::2]
    # leaving out one of ten of an arm makes it s²/9 where the t test has s²/10, times (m − 1)/m
    error = np.sqrt(19 / 20 * (treated.var(axis=0, ddof=1) + placebo.var(axis=0, ddof=1)) / 9)
    answered = with_participant_errors(fit_mixed_model(values, design)).test(QUESTION)
    np.testing.assert_allclose(answered.effect, treated.mean(axis=0) - placebo.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(answered.standard_error, error, rtol=1e-6)
    assert (answered.dof == 18).all()


@pytest.mark.parametrize("question", [QUESTION, "interaction of visit and arm"])
def test_where_people_change_differently_only_these_errors_hold_their_level(question):
    table, design = study(40)
    fit = fit_mixed_model(values_of(table, 3000, 2, 1.0), design)
    false = {
        name: np.mean(model.test(question).p < 0.05)
        for name, model in (("model", fit), ("people", with_participant_errors(fit)))
    }
    assert false["model"] > 0.15
    assert 0.035 < false["people"] < 0.06


def test_where_the_model_is_true_they_are_the_models_on_average():
    table, design = study(40)
    fit = fit_mixed_model(values_of(table, 400, 3, 0.0), design)
    own, robust = (model.test(QUESTION).standard_error for model in (fit, with_participant_errors(fit)))
    assert np.mean(robust**2) / np.mean(own**2) == pytest.approx(39 / 40 * 20 / 19, abs=0.03)


def test_a_person_whom_the_design_needs_leaves_the_models_own_errors():
    table, _ = study(6)
    centre = np.where(table.labels("participant") == "P000", "north", "south")
    design = build_design(
        Table(table.columns | {"centre": centre}), [VISIT, ARM, Categorical("centre", "south")]
    )
    fit = fit_mixed_model(values_of(table, 3, 4, 1.0), design)
    assert with_participant_errors(fit) is fit


def test_people_without_a_value_do_not_count_and_where_too_few_are_left_the_fit_is_missing():
    table, design = study(14)  # an arm every other person, six rows each
    values = values_of(table, 6, 5, 1.0)
    people = np.arange(len(values)) // 6
    arms = people % 2
    values[people < 3, 1] = np.nan
    values[(arms == 1) & (people > 1), 2] = np.nan  # only one is left of an arm
    values[people > 3, 3] = np.nan  # two are left of each
    values[people > 2, 4] = np.nan
    fit = fit_mixed_model(values, design)
    answered = with_participant_errors(fit).test(QUESTION)
    no_fit = np.array([False, False, True, False, True, False])
    np.testing.assert_array_equal(answered.dof, [12, 9, np.nan, 2, np.nan, 12])
    np.testing.assert_array_equal(np.isnan(answered.statistic), no_fit)
    np.testing.assert_array_equal(np.isnan(answered.p), no_fit)
    alone = [0, 1, 3, 5]
    without_them = with_participant_errors(fit_mixed_model(values[:, alone], design)).test(QUESTION)
    np.testing.assert_allclose(answered.statistic[alone], without_them.statistic, rtol=1e-9)


def test_of_several_rows_an_own_number_of_people_a_vertex_makes_an_own_f():
    table, design = study(14)
    values = values_of(table, 3, 6, 1.0)
    values[:18, 1] = np.nan  # three people
    values[24:, 2] = np.nan  # all but four
    answered = with_participant_errors(fit_mixed_model(values, design)).test("interaction of visit and arm")
    np.testing.assert_array_equal(answered.dof, [11, 8, 1])
    changes = values.reshape(14, 3, 2, 3).mean(axis=2)
    changes = changes[:, 1:] - changes[:, :1]
    for vertex, first, last in ((0, 0, 14), (1, 3, 14), (2, 0, 4)):
        own = changes[first:last, :, vertex]
        arms = [own[np.arange(first, last) % 2 == arm] for arm in (0, 1)]
        n = np.array([len(arm) for arm in arms])
        difference = arms[1].mean(axis=0) - arms[0].mean(axis=0)
        scatter = [np.cov(arm, rowvar=False) * (len(arm) - 1) for arm in arms]
        jackknife = sum(each / (k - 1.0) ** 2 for each, k in zip(scatter, n)) * (n.sum() - 1) / n.sum()
        t2 = difference @ np.linalg.solve(jackknife, difference)
        assert answered.statistic[vertex] == pytest.approx(t2 * answered.dof[vertex] / (n.sum() - 2) / 2)


def test_degrees_of_freedom_are_the_participants_less_what_differs_between_them():
    assert participant_dof(study(20)[1]) == 18
    with pytest.raises(StatisticsError, match="2 participants are too few"):
        participant_dof(study(2)[1])
