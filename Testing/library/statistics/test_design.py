"""Designs and contrasts: what the columns are, what the words mean, and what is refused in which words."""

from dataclasses import replace

import numpy as np
import pytest
from statistics_study import ARM, VISIT, trial

from CorticalBoneMappingLib.core.errors import StatisticsError, TableError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.statistics.maps import Maps
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import (
    Categorical,
    Continuous,
    Interaction,
    build_design,
)
from CorticalBoneMappingLib.statistics.table import Table, read_table


def _with(table: Table, **columns) -> Table:
    return Table.of({name: table.column(name) for name in table.columns} | columns)


@pytest.fixture(scope="module")
def table() -> Table:
    return trial(8, (0, 12, 36))


@pytest.fixture(scope="module")
def design(table):
    return build_design(table, [ARM, VISIT, Interaction((VISIT, ARM)), Continuous("age")])


def test_columns_are_differences_from_the_reference_and_their_products(table, design):
    assert design.columns == (
        "intercept",
        "arm denosumab",
        "visit 12",
        "visit 36",
        "visit 12 × arm denosumab",
        "visit 36 × arm denosumab",
        "age",
    )
    treated, late = table.labels("arm") == "denosumab", table.labels("visit") == "36"
    np.testing.assert_array_equal(design.matrix[:, 5], treated & late)
    assert design.matrix[:, 6].sum() == pytest.approx(0.0, abs=1e-9)
    assert len(np.unique(design.participants)) == 8


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ("denosumab − placebo at visit 36", [0, 1, 0, 0, 0, 1, 0]),
        ("arm denosumab - arm placebo at month 36, adjusted for age", [0, 1, 0, 0, 0, 1, 0]),
        ("placebo vs denosumab at visit 0", [0, -1, 0, 0, 0, 0, 0]),
        ("denosumab − placebo", [0, 1, 0, 0, 1 / 3, 1 / 3, 0]),
        ("visit 36 − visit 12 at arm denosumab", [0, 0, -1, 1, -1, 1, 0]),
        ("36 − 0 at placebo", [0, 0, 0, 1, 0, 0, 0]),
        ("denosumab − placebo in the change from visit 12 to visit 36", [0, 0, 0, 0, -1, 1, 0]),
        ("slope of age", [0, 0, 0, 0, 0, 0, 1]),
        ("mean at visit 0 and arm placebo", [1, 0, 0, 0, 0, 0, 0]),
        ("mean", [1, 0.5, 1 / 3, 1 / 3, 1 / 6, 1 / 6, 0]),
    ],
)
def test_words_become_weights(design, words, weights):
    np.testing.assert_allclose(read_contrast(design, words).matrix, [weights], atol=1e-12)


def test_a_comparison_knows_what_it_is_relative_to(design):
    reference = read_contrast(design, "denosumab − placebo at visit 36").reference
    np.testing.assert_allclose(reference, [1, 0, 0, 1, 0, 0, 0])


def test_several_rows_ask_for_any_of_them(design):
    contrast = read_contrast(design, "interaction of arm and visit")
    np.testing.assert_array_equal(np.flatnonzero(contrast.matrix.any(axis=0)), [4, 5])
    assert read_contrast(design, "any difference in visit").matrix.shape == (2, 7)


def test_a_continuous_column_may_interact(table):
    built = build_design(table, [ARM, Continuous("age"), Interaction((ARM, Continuous("age")))])
    slope = read_contrast(built, "slope of age at arm denosumab").matrix[0]
    np.testing.assert_allclose(slope, [0, 0, 1, 1], atol=1e-9)
    at_mean = read_contrast(built, f"denosumab − placebo at age {built.factors['age'].centre + 10}").matrix[0]
    np.testing.assert_allclose(at_mean, [0, 1, 0, 10], atol=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("denosumab − zoledronate", "not a level of the design, which has arm: placebo, denosumab"),
        ("denosumab − visit 36", "compares a arm with a visit"),
        ("does it work", "write it like"),
        ("slope of weight", "no continuous column 'weight'; it has age"),
        ("denosumab − placebo, adjusted for weight", "adjusted for 'weight'"),
        ("interaction of arm and age", "its terms are"),
        ("denosumab − placebo at age old", "'old' is not a number"),
    ],
)
def test_words_that_do_not_fit_are_refused(design, words, message):
    with pytest.raises(StatisticsError, match=message):
        read_contrast(design, words)


def test_a_level_of_two_columns_asks_which(table):
    again = _with(table, dose=[str(12 * (i % 2)) for i in range(len(table))])
    built = build_design(again, [VISIT, Categorical("dose")])
    with pytest.raises(StatisticsError, match="level of visit and of dose; write 'visit 12'"):
        read_contrast(built, "12 − 0")


def test_a_missing_covariate_is_named_by_row(table):
    age = table.column("age").copy()
    age[[4, 9]] = np.nan
    with pytest.raises(StatisticsError, match=r"'age' is missing in row 6 \(participant P001, visit 12"):
        build_design(_with(table, age=age), [Continuous("age")])
    kept = _with(table, age=age)
    assert len(build_design(kept.take(kept.complete(["age"])), [Continuous("age")]).matrix) == 22


def test_the_same_visit_twice_is_refused(table):
    twice = replace(table.take(np.array([0, 1, 2, 1])), rows=(2, 3, 4, 5))
    with pytest.raises(StatisticsError, match=r"Row 3 and row 5 \(participant P000, visit 12, side left\)"):
        build_design(twice, [VISIT])


def test_two_equal_columns_are_named(table):
    sex = ["male" if arm == "denosumab" else "female" for arm in table.labels("arm")]
    with pytest.raises(StatisticsError, match="'sex male' and 'arm denosumab' are equal"):
        build_design(_with(table, sex=sex), [ARM, Continuous("age"), Categorical("sex")])


def test_a_column_that_follows_from_several_is_named_with_them(table):
    total = 2.0 * table.column("age") + table.numbers("visit")
    with pytest.raises(StatisticsError, match="'total' follows from 'age' and 'visit'"):
        build_design(
            _with(table, total=total), [ARM, Continuous("age"), Continuous("visit"), Continuous("total")]
        )


def test_an_empty_cell_of_an_interaction_is_named(table):
    kept = table.take(~((table.labels("arm") == "denosumab") & (table.labels("visit") == "36")))
    with pytest.raises(StatisticsError, match="No row of the table has 'visit 36 × arm denosumab'"):
        build_design(kept, [ARM, VISIT, Interaction((VISIT, ARM))])


def test_a_constant_column_and_a_single_level_are_refused(table):
    with pytest.raises(StatisticsError, match="'dose' is the same in all 24 rows"):
        build_design(_with(table, dose=[60.0] * 24), [Continuous("dose", centred=False)])
    with pytest.raises(StatisticsError, match="Every row has 'side' left"):
        build_design(table, [Categorical("side")])


def test_more_columns_than_rows_are_refused(table):
    with pytest.raises(StatisticsError, match="only 3 rows"):
        build_design(table.take(np.arange(3)), [VISIT, Continuous("age")])


def test_unknown_columns_references_and_texts_are_refused(table):
    with pytest.raises(StatisticsError, match="no column 'weight'; it has participant"):
        build_design(table, [Continuous("weight")])
    with pytest.raises(StatisticsError, match="reference 'control' does not occur"):
        build_design(table, [Categorical("arm", "control")])
    with pytest.raises(StatisticsError, match="'arm' holds text"):
        build_design(table, [Continuous("arm")])
    with pytest.raises(StatisticsError, match="'arm' appears twice"):
        build_design(table, [ARM, ARM])


def test_one_participant_in_a_group_and_near_collinearity_are_warned_of(table):
    arm = np.array(["placebo"] * 21 + ["denosumab"] * 3)
    near = table.column("age") + np.random.default_rng(0).normal(0, 0.1, 24)
    built = build_design(_with(table, arm=arm, near=near), [ARM, Continuous("age"), Continuous("near")])
    assert "Only one participant" in built.warnings[0]
    assert "P007" in built.warnings[0]
    assert any("'near' is hardly separable" in warning and "'age'" in warning for warning in built.warnings)


def test_a_table_is_read_from_csv_and_tsv(tmp_path):
    text = "participant,visit,arm,age\nP1,0,placebo,70.5\nP2,12,denosumab,NA\n"
    (tmp_path / "a.csv").write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "a.tsv").write_text(text.replace(",", "\t"), encoding="utf-8")
    (tmp_path / "b.csv").write_text(text.replace(",", ";"), encoding="utf-8")
    for name in ("a.csv", "a.tsv", "b.csv"):
        read = read_table(tmp_path / name)
        assert list(read.labels("visit")) == ["0", "12"]
        assert read.column("age")[0] == 70.5
        np.testing.assert_array_equal(read.missing("age"), [False, True])
        assert read.describe(1) == "row 3 (participant P2, visit 12)"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n", "no rows"), ("a,a\n1,2\n", "appears twice"), ("a,b\n1,2\n3\n", "row 3 has 1 cell,")],
)
def test_damaged_tables_are_refused(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=message):
        read_table(tmp_path / "table.csv")


def test_regional_means_weigh_by_area_and_skip_what_was_not_measured(table):
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [6, 0, 0], [3, 4, 0]], dtype=float)
    surface = Surface(points, np.array([[0, 1, 2], [3, 4, 5], [1, 3, 2]]))
    values = np.tile(np.arange(6.0), (len(table), 1))
    values[0, 1] = np.nan
    means = Maps(values, table, surface=surface).region_means(
        np.array([1, 1, 1, 2, 2, 9]), {2: "neck", 1: "head"}
    )
    areas = surface.point_areas
    assert means.labels == ("head", "neck")
    assert means.values[1, 0] == pytest.approx((areas[1] + 2 * areas[2]) / areas[:3].sum())
    assert means.values[0, 0] == pytest.approx(2 * areas[2] / (areas[0] + areas[2]))
    assert means.values[0, 1] == pytest.approx((3 * areas[3] + 4 * areas[4]) / areas[3:5].sum())


def test_maps_of_another_surface_and_infinite_maps_are_refused(table):
    surface = Surface(np.zeros((5, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(StatisticsError, match="5 vertices"):
        Maps(np.zeros((len(table), 6)), table, surface=surface)
    with pytest.raises(StatisticsError, match=r"row 2 \(participant P000"):
        Maps(np.full((len(table), 6), np.inf), table)


def test_a_design_says_what_it_takes_as_equal(table):
    built = build_design(table, [VISIT, Interaction((VISIT, ARM))])
    assert built.equal_at_reference == [("arm", "visit", "0")]
    assert "Every arm is taken as equal at visit 0: the design has no 'arm' alone." in built.warnings
    read_contrast(built, "denosumab − placebo at visit 36, adjusted for baseline")
    with_arm = build_design(table, [ARM, VISIT, Interaction((VISIT, ARM))])
    with pytest.raises(StatisticsError, match="adjusted for 'baseline'"):
        read_contrast(with_arm, "denosumab − placebo at visit 36, adjusted for baseline")
    slopes = build_design(table, [ARM, Interaction((ARM, Continuous("age")))])
    assert slopes.equal_at_reference == []
