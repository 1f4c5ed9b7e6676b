"""`cbm stats`: from a table and folders of maps to answers."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import stats

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.statistics.inference.exchange import exchange_of
from CorticalBoneMappingLib.statistics.model.contrasts import Contrast, read_contrast
from CorticalBoneMappingLib.statistics.model.design import Categorical, Interaction, build_design
from CorticalBoneMappingLib.statistics.table import Table
from CorticalBoneMappingLib.study.analysis.analyse_maps import analyse_maps
from CorticalBoneMappingLib.study.analysis.answer_files import read_answer
from CorticalBoneMappingLib.study.analysis.answer_tables import holm
from CorticalBoneMappingLib.study.analysis.collect import (
    collect_maps,
    read_study_table,
    rows_of_hips,
    smoothed,
)
from CorticalBoneMappingLib.study.analysis.fit_and_test import fit_analysis
from CorticalBoneMappingLib.study.analysis.questions import with_shape
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

from ..helpers.study_of_maps import MASS, THICKNESS, effect_region, write_trial

STUDY = """
[study]
name = "Trial"
table = "participants.csv"
results = "maps"
[columns]
reference = { arm = "placebo" }
[[analysis]]
name = "month 36"
measure = "cortical_mass_surface_density"
terms = ["visit", "arm", "visit × arm", "age"]
contrast = "denosumab − placebo in the change from visit 0 to visit 36, adjusted for age"
endpoints = ["areal_bmd"]
"""
PERMUTED = """
[[analysis]]
name = "permuted"
measure = "cortical_thickness"
model = "least-squares"
outcome = "percent-change"
terms = ["arm"]
contrast = "denosumab − placebo"
correction = "permutation"
permutations = 199
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    write_trial(folder)
    (folder / "study.toml").write_text(STUDY + PERMUTED, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def answers(trial):
    assert main(["stats", str(trial / "study.toml"), "--out", str(trial / "answers"), "--quiet"]) == 0
    return trial / "answers"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def study(tmp_path, text, table="participant,visit,side,path,arm\nA,0,left,,placebo\n"):
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    (tmp_path / "participants.csv").write_text(table, encoding="utf-8")
    return read_study_file(tmp_path / "study.toml")


def test_the_effect_is_found_where_it_is_and_as_large_as_it_is(answers):
    rows = {row["name"]: row for row in rows_of(answers / "month_36" / "regions.csv")}
    there = rows["lateral trochanter"]
    assert float(there["percent_lower"]) < 100.0 * (1.08 * 1.04 - 1.0) < float(there["percent_upper"])
    assert float(there["simultaneous_lower"]) < float(there["ci_lower"]) < float(there["effect"])
    assert float(there["p_holm"]) < 0.001
    others = [row for name, row in rows.items() if name not in ("lateral trochanter", "areal_bmd")]
    assert len(others) == 9
    assert all(float(row["p_holm"]) > 0.05 for row in others)
    assert rows["areal_bmd"]["kind"] == "endpoint"
    assert rows["areal_bmd"]["n_participants"] == "16"


def test_the_gain_in_mass_is_split_into_thickness_and_density(answers):
    rows = {row["region"]: row for row in rows_of(answers / "month_36" / "attribution.csv")}
    there = {name: float(value) for name, value in rows["lateral trochanter"].items() if name != "region"}
    for part, gain in (("thickness", 8.0), ("density", 4.0), ("mass", 100.0 * (1.08 * 1.04 - 1.0))):
        assert there[f"{part}_lower"] < gain < there[f"{part}_upper"]
    assert there["share_lower"] < np.log(1.08) / np.log(1.08 * 1.04) < there["share_upper"]
    assert len(rows) == 11
    surface = read_surface(answers / "month_36" / "effect.vtp")
    inner = surface.arrays["significant"] == 1
    assert 3.0 < surface.arrays["thickness_percent"][inner].mean() < 9.0
    assert 1.0 < surface.arrays["density_percent"][inner].mean() < 5.0


def test_the_means_of_arms_and_visits_are_kept_for_a_plot_at_a_vertex(trial, answers):
    found = read_answer(answers / "month_36")
    assert [(row["arm"], row["visit"], row["n_participants"]) for row in found.groups] == [
        ("denosumab", "0", 8),
        ("denosumab", "36", 8),
        ("placebo", "0", 8),
        ("placebo", "36", 8),
    ]
    plan = read_study_file(trial / "study.toml")
    maps = collect_maps(read_study_table(plan), plan.results, (MASS,))[MASS]
    maps = smoothed(maps, 10.0)
    rows = (maps.table.labels("arm") == "denosumab") & (maps.table.labels("visit") == "36")
    values = maps.values[rows].astype(float)
    np.testing.assert_allclose(found.surface.arrays["group_2_mean"], values.mean(axis=0), rtol=1e-5)
    expected = values.std(axis=0, ddof=1) / np.sqrt(8)
    np.testing.assert_allclose(found.surface.arrays["group_2_se"], expected, rtol=1e-3)


def test_every_significant_vertex_lies_at_the_effect(answers):
    average = load_average().surface
    for name in ("month_36", "permuted"):
        surface = read_surface(answers / name / "effect.vtp")
        significant = surface.arrays["significant"] == 1
        assert significant.sum() > 0.3 * effect_region(average).sum()
        middle = average.points[effect_region(average)].mean(axis=0)
        assert np.linalg.norm(average.points[significant] - middle, axis=1).max() < 45.0
        assert np.isnan(surface.arrays["t"][average.arrays["region"] == 0]).all()
    largest = rows_of(answers / "month_36" / "clusters.csv")[0]
    assert largest["region_of_peak"] == "lateral trochanter"
    assert float(largest["p_corrected"]) < 0.01


def test_the_picture_has_colour_only_where_the_effect_is_significant(answers):
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(answers / "month_36" / "effect.png")))[
        ..., :3
    ].astype(int)
    femur = picture[:, : int(0.82 * picture.shape[1])]  # without the legend
    coloured = np.ptp(femur, axis=2) > 40
    assert 0.001 < coloured.mean() < 0.02
    assert (femur[coloured][:, 0] > femur[coloured][:, 2]).all()  # orange: a gain


def test_the_record_says_what_was_asked_and_how_it_was_corrected(answers):
    record = json.loads((answers / "month_36" / "provenance.json").read_text(encoding="utf-8"))
    assert record["design"]["participants"] == 16
    assert record["question"]["degrees_of_freedom"].startswith("participants")
    assert "random field" in record["methods"]["decides"]
    assert any("permutation test" in note for note in record["notes"])  # 14 degrees of freedom
    assert not any("/" in entry["name"] for entry in record["inputs"].values())


def test_workers_do_not_change_a_bit(trial, answers):
    again = trial / "again"
    command = ["stats", str(trial / "study.toml"), "--out", str(again), "--only", "permuted", "--quiet"]
    assert main([*command, "--workers", "2"]) == 0
    for name in ("effect.vtp", "clusters.csv", "regions.csv"):
        assert (again / "permuted" / name).read_bytes() == (answers / "permuted" / name).read_bytes()


def test_a_missed_visit_counts_for_nothing_and_an_absent_result_is_named(trial, tmp_path):
    table = read_study_table(read_study_file(trial / "study.toml"))
    paths = table.columns["path"].copy()
    paths[3] = ""
    missed = Table(table.columns | {"path": paths})
    maps = collect_maps(missed, trial / "maps", (THICKNESS,))[THICKNESS]
    assert np.isnan(maps.values[3]).all()
    assert np.isfinite(maps.values[4]).all()
    paths = paths.copy()
    paths[5] = "elsewhere"
    with pytest.raises(StatisticsError, match=r"row 7 \(participant P02, visit 36, side right\)"):
        collect_maps(Table(table.columns | {"path": paths}), trial / "maps", (MASS,))


def test_size_and_shape_of_each_femur_may_be_covariates(trial):
    plan = read_study_file(trial / "study.toml")
    table = read_study_table(plan)
    assert with_shape(table, plan.results, ("arm", "age")) is table
    more = with_shape(table, plan.results, ("arm", "femur size", "arm × femur shape 2"))
    maps = collect_maps(table, plan.results, (THICKNESS,))[THICKNESS]
    np.testing.assert_allclose(more.column("femur size"), maps.values.mean(axis=1) / 2.0, rtol=1e-5)
    np.testing.assert_array_equal(more.column("femur shape 2"), -1.0)
    with pytest.raises(StatisticsError, match=r"row 2 .* lacks 'femur shape 3'"):
        with_shape(table, plan.results, ("femur shape 3",))


def test_a_shape_that_explains_next_to_nothing_is_refused_as_a_covariate(trial, tmp_path):
    table = read_study_table(read_study_file(trial / "study.toml"))
    for path in table.labels("path"):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        shape = {"size": 1.0, "coordinates": [0.5, -1.0], "explained": [0.41]}
        (tmp_path / path / "provenance.json").write_text(json.dumps({"shape": shape}), encoding="utf-8")
    more = with_shape(table, tmp_path, ("femur shape 1",))
    np.testing.assert_array_equal(more.column("femur shape 1"), 0.5)
    with pytest.raises(StatisticsError, match=r"'femur shape 2' explains too little .* shape 1 \(41%\)\."):
        with_shape(table, tmp_path, ("femur shape 2", "femur size"))


def test_a_row_without_a_map_is_left_out_of_the_model_even_without_its_covariate(trial):
    plan = read_study_file(trial / "study.toml")
    table = read_study_table(plan)
    maps = collect_maps(table, plan.results, (MASS,))[MASS]
    values, age = maps.values.copy(), table.column("age").copy()
    values[3], age[3] = np.nan, np.nan
    gap = type(maps)(values, Table(table.columns | {"age": age}), MASS, "mg/cm²", maps.surface)
    fitted = fit_analysis(gap, plan.analyses[0], plan.coding)
    assert len(fitted.design.matrix) == 31
    assert np.isfinite(fitted.answered.statistic).all()


def test_a_study_with_a_missed_visit_is_answered_whole_and_says_what_is_missing(trial):
    plan = read_study_file(trial / "study.toml")
    table = plan.table.read_text(encoding="utf-8").replace("P01_36,", ",")
    (trial / "missed.csv").write_text(table, encoding="utf-8")
    missed = replace(plan, table=trial / "missed.csv")
    answer = analyse_maps(missed, missed.analyses[0])
    assert answer.provenance["design"]["rows"] == 31
    assert any("participant P01, visit 36" in note for note in answer.provenance["notes"])
    there = next(row for row in answer.attributed if row["region"] == "lateral trochanter")
    assert there["thickness_lower"] < 8.0 < there["thickness_upper"]


def test_the_mean_of_both_hips_takes_one_side_where_only_one_is_known(trial):
    table = read_study_table(read_study_file(trial / "study.toml"))
    maps = collect_maps(table, trial / "maps", (THICKNESS,))[THICKNESS]
    two = Table(table.columns | {"side": np.array(["left", "right"] * 16), "visit": np.zeros(32)})
    values = maps.values.copy()
    values[1, :100] = np.nan
    both = rows_of_hips(type(maps)(values, two, THICKNESS, "mm", maps.surface), "mean")
    assert len(both.table) == 16
    np.testing.assert_array_equal(both.values[0, :100], values[0, :100])
    np.testing.assert_allclose(both.values[0, 100:], values[:2, 100:].mean(axis=0), rtol=1e-6)


def test_between_participants_whole_participants_are_exchanged_and_within_them_their_rows():
    table = Table.of(
        {
            "participant": ["A", "A", "B", "B", "C", "C", "D", "D"],
            "visit": [0, 36] * 4,
            "arm": ["placebo"] * 4 + ["drug"] * 4,
        }
    )
    visit, arm = Categorical("visit"), Categorical("arm", "placebo")
    design = build_design(table, [visit, arm, Interaction((visit, arm))])
    between = exchange_of(design, read_contrast(design, "drug − placebo at visit 36").matrix)
    assert between.whole
    assert list(between.slots[:2]) == ["0", "36"]
    within = exchange_of(design, Contrast("visit", np.eye(4)[1:2]).matrix)
    assert not within.whole
    assert within.blocks is not None


def test_least_squares_on_several_rows_of_a_participant_is_warned_of(trial):
    plan = read_study_file(trial / "study.toml")
    analysis = replace(plan.analyses[0], model="least-squares", endpoints=(), smoothing_fwhm_mm=0.0)
    notes = analyse_maps(plan, analysis).provenance["notes"]
    assert any("rows of a participant (up to 2)" in note for note in notes)


def test_maps_that_are_less_sure_weigh_less_if_asked(trial):
    plan = read_study_file(trial / "study.toml")
    equal = replace(
        plan.analyses[0], model="least-squares", terms=("arm",), contrast="denosumab − placebo", endpoints=()
    )
    weighed = replace(equal, weights="measurement")
    alike = analyse_maps(plan, weighed).fitted.answered
    np.testing.assert_allclose(
        alike.effect, analyse_maps(plan, equal).fitted.answered.effect, rtol=1e-4, atol=1e-3
    )
    maps = collect_maps(read_study_table(plan), plan.results, (MASS,))[MASS]
    sd = np.full_like(maps.values, 1.0)
    sd[0] = 1e4
    without_first = fit_analysis(maps.take(np.arange(1, 32)), equal, plan.coding).answered.effect
    unsure = fit_analysis(replace(maps, sd=sd), weighed, plan.coding).answered.effect
    np.testing.assert_allclose(unsure, without_first, rtol=1e-2, atol=0.05)
    with pytest.raises(SettingError, match="goes with model = 'least-squares'"):
        replace(plan.analyses[0], weights="measurement")


def test_a_mixed_model_is_asked_for_equivalence_and_conjunction(trial):
    plan = read_study_file(trial / "study.toml")
    both = ("denosumab − placebo at visit 36", "denosumab − placebo in the change from visit 0 to visit 36")
    asked = replace(plan.analyses[0], endpoints=(), equivalence_margin_percent=8.0, conjunction=both)
    answer = analyse_maps(plan, asked)
    found = {test.name: test.corrected for test in answer.further}
    there, cut = effect_region(load_average().surface), answer.fitted.maps.surface.arrays["region"] == 0
    assert not found["equivalence"].significant[there].any()
    assert found["equivalence"].significant[~there & ~cut].mean() > 0.5
    change, later = answer.fitted.answered, answer.fitted.model.test(both[0])
    inside = ~cut & np.isfinite(change.statistic)
    dof = min(
        change.dof[np.isfinite(change.statistic)].mean(), later.dof[np.isfinite(change.statistic)].mean()
    )
    weaker = -stats.t.ppf(np.maximum(change.p, later.p) / 2.0, dof)
    same = np.sign(change.statistic) == np.sign(later.statistic)
    expected = np.where(same, np.sign(change.statistic) * weaker, 0.0)
    np.testing.assert_allclose(found["conjunction"].statistic[inside], expected[inside], rtol=1e-6, atol=1e-9)
    assert np.isnan(found["conjunction"].statistic[cut]).all()


def test_holm_is_the_stepwise_bonferroni():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, np.nan, 0.06, 0.02])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[study]", "[studie]"), "unknown key 'studie'"),
        (
            ('measure = "cortical_mass_surface_density"', 'measure = "thickness"'),
            "measure = 'thickness' is not one of",
        ),
        (('name = "month 36"', 'name = "month 36"\nalpha = 2.0'), "alpha = 2.0 does not lie between"),
        (('name = "month 36"', 'name = "month 36"\nseed = "x"'), "should be a whole number"),
        (('name = "month 36"', 'name = "month/36"'), "cannot name a folder"),
        (("[[analysis]]", "[analysis]"), "double brackets"),
        (('terms = ["visit", "arm", "visit × arm", "age"]', ""), "lacks the key 'terms'"),
        (('name = "Trial"', "name = Trial"), "not a TOML file"),
    ],
)
def test_a_wrong_study_file_is_refused_naming_file_and_key(tmp_path, change, sentence):
    with pytest.raises(SettingError, match=sentence) as refused:
        study(tmp_path, STUDY.replace(*change))
    assert "study.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("participant,visit,side\nA,0,left\n", "column 'path' is missing"),
        ("participant,visit,side,path\nA,0,top,x\n", "neither 'left' nor 'right' in row 2"),
        ("participant,visit,side,path\nA,0,left,x\nA,0,left,y\n", "Row 2 and row 3"),
        ("participant,visit,side,path\n,0,left,x\nB,0,left,y\n", "'participant' is empty in row 2"),
    ],
)
def test_a_wrong_table_is_refused_naming_file_and_row(tmp_path, table, sentence):
    plan = study(tmp_path, STUDY, table)
    with pytest.raises(StatisticsError, match=sentence) as refused:
        read_study_table(plan)
    assert "participants.csv" in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_study_file_is_read_with_a_byte_order_mark(tmp_path, encoding, end):
    path = tmp_path / "study.toml"
    path.write_bytes(STUDY.replace("\n", end).encode(encoding))
    assert read_study_file(path).analyses[0].contrast.startswith("denosumab − placebo")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (r'table = "C:\Users\me\participants.csv"', 3),
        (r'table = "data\table.csv"', 3),
        (r'results = "D:\bones\new"', 4),
    ],
)
def test_backslashes_in_a_path_are_explained(tmp_path, line, number):
    lines = ["[study]", 'name = "Trial"', 'table = "participants.csv"', 'results = "maps"']
    lines[number - 1] = line
    path = tmp_path / "study.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SettingError, match=rf"study.toml, line {number}: .*write / for .*single quotes"):
        read_study_file(path, needs_analysis=False)
    path.write_text("\n".join(lines).replace(line, line.replace('"', "'")), encoding="utf-8")
    assert "\\" in str(read_study_file(path, needs_analysis=False))


def test_a_study_file_in_another_encoding_and_two_analyses_of_one_folder_are_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(STUDY.replace("Trial", "Prüfung").encode("cp1252", errors="replace"))
    with pytest.raises(SettingError, match=r"study\.toml: .* save it as UTF-8"):
        read_study_file(path)
    analysis = STUDY[STUDY.index("[[analysis]]") :].replace("month 36", "Month_36")
    with pytest.raises(SettingError, match="'month 36' and 'Month_36', which is one folder"):
        study(tmp_path, STUDY + analysis)
