"""One call fits a study, one call tests it: the same answers as the parts that a study file uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inference_case import maps as smooth_maps
from inference_case import mesh
from statistics_study import AT_36, TABLE, VALUES, design, trial

from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.statistics.inference.correction import Correction
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.mixed_model import fit_mixed_model
from CorticalBoneMappingLib.statistics.model.participant_errors import with_participant_errors
from CorticalBoneMappingLib.statistics.study_fit import fit

TERMS = ["arm", "visit", "arm × visit", "age"]
REFERENCE = {"arm": "placebo", "visit": "0"}


@pytest.fixture(scope="module")
def two_groups():
    """Twenty-four maps on an ellipsoid; the second half differs at its tips."""
    points, triangles = mesh()
    table = trial(24, (0,))
    arms = np.where(np.arange(24) >= 12, "denosumab", "placebo")
    table = table.with_columns({"arm": arms})
    values = 100.0 + smooth_maps(points)
    return Maps(values, table, "cortical_thickness", "mm", Surface(points, triangles))


def test_repeated_visits_get_the_mixed_model_of_a_study_file():
    maps = Maps(VALUES, TABLE)
    found = fit(maps, TERMS, reference=REFERENCE).test(AT_36)
    by_parts = with_participant_errors(fit_mixed_model(maps, design())).test(AT_36)
    np.testing.assert_array_equal(found.effect, by_parts.effect)
    np.testing.assert_array_equal(found.p, by_parts.p)


def test_one_row_a_participant_gets_least_squares(two_groups):
    fitted = fit(two_groups, ["arm"], reference={"arm": "placebo"})
    assert np.all(fitted.model.dof == 22)
    arms = two_groups.table.labels("arm")
    difference = two_groups.values[arms == "denosumab"].mean(0) - two_groups.values[arms == "placebo"].mean(0)
    np.testing.assert_allclose(fitted.test("denosumab − placebo").effect, difference, rtol=1e-9)


@pytest.mark.parametrize(
    "correction", ["random-field", "false-discovery-rate", Correction("permutation", permutations=200)]
)
def test_every_correction_finds_the_tips_and_is_stricter_than_none(two_groups, correction):
    fitted = fit(two_groups, ["arm"], reference={"arm": "placebo"})
    found = fitted.test("denosumab − placebo", correction)
    assert found.significant.any()
    assert found.significant.mean() < 0.5
    assert np.all(found.p_corrected >= found.p - 0.01)  # a permutation's p is one of 201
    assert len(found.clusters) >= 2
    assert found.method


def test_the_answer_on_the_surface_can_be_drawn(two_groups):
    surface = fit(two_groups, ["arm"], reference={"arm": "placebo"}).test("denosumab − placebo").on_surface()
    assert surface.units == {"effect": "mm", "effect_percent": "%"}
    assert {"t", "p", "p_corrected", "significant"} <= set(surface.arrays)


def test_an_f_is_tested_but_has_no_effect_to_draw(two_groups):
    sites = np.array(["A", "B", "C"] * 8)
    maps = Maps(two_groups.values, two_groups.table.with_columns({"site": sites}), surface=two_groups.surface)
    found = fit(maps, ["site"]).test("any difference in site", "false-discovery-rate")
    assert found.effect.shape == (2, 900)
    assert "f" in found.on_surface().arrays
    assert "effect" not in found.on_surface().arrays


def test_scalars_have_effects_but_no_correction_for_vertices():
    found = fit(Maps(VALUES[:, :2], TABLE), TERMS, reference=REFERENCE).test(AT_36)
    assert found.effect.shape == (2,)
    with pytest.raises(StatisticsError, match="not on a surface"):
        _ = found.p_corrected


def test_wrong_words_are_refused(two_groups):
    with pytest.raises(SettingError, match="Unknown model 'anova'"):
        fit(two_groups, ["arm"], model="anova")
    with pytest.raises(SettingError, match="Only least squares weighs"):
        fit(two_groups, ["arm"], model="mixed", weigh=True)
    with pytest.raises(SettingError, match="Unknown correction 'Bonferroni'; choose random-field"):
        fit(two_groups, ["arm"]).test("denosumab − placebo", "Bonferroni")
    weighted = fit(replace(two_groups, sd=np.ones((24, 900))), ["arm"], weigh=True)
    with pytest.raises(SettingError, match="weighted model goes with a correction without permutations"):
        weighted.test("denosumab − placebo", "TFCE")
    empty = Maps(np.full((24, 900), np.nan), two_groups.table)
    with pytest.raises(StatisticsError, match="No row of the maps has a value"):
        fit(empty, ["arm"])
