"""An analysis of a study file is the same in the panel and in `cbm stats`. Widgets are doubles."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from CorticalBoneMappingLib.core.measures import MEASURES
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.slicer.panel import runs as study_run
from CorticalBoneMappingLib.statistics.model.contrast_map import ALTERNATIVES
from CorticalBoneMappingLib.statistics.model.contrasts import read_contrast
from CorticalBoneMappingLib.statistics.model.design import build_design
from CorticalBoneMappingLib.study.analysis.collect import parse_terms, read_study_table
from CorticalBoneMappingLib.study.study_file import (
    Analysis,
    Coding,
    StudyFile,
    StudyScans,
    analyses,
    read_study_file,
    write_study_file,
)
from CorticalBoneMappingLib.study.study_file.study_toml import study_file_text

TABLE = """participant,visit,side,path,arm,centre,age,areal_bmd
P1,0,left,P1_0,denosumab,1,61,0.61
P1,36,left,P1_36,denosumab,1,61,0.66
P2,0,left,P2_0,placebo,2,67,0.64
P2,36,left,P2_36,placebo,2,67,0.63
P3,0,left,P3_0,placebo,3,70,0.60
P3,36,left,P3_36,placebo,3,70,0.59
P4,0,left,P4_0,denosumab,3,72,0.57
P4,36,left,P4_36,denosumab,3,72,0.62
P5,0,left,P5_0,denosumab,2,58,0.57
P5,36,left,P5_36,denosumab,2,58,0.62
P6,0,left,P6_0,placebo,1,64,0.57
P6,36,left,P6_36,placebo,1,64,0.62
"""
OTHER = {
    "name": "other settings",
    "contrast": "denosumab − placebo",
    "terms": ("arm", "centre", "age"),
    "measure": "fit_residual",
    "endpoints": ("areal_bmd",),
    "model": "least-squares",
    "hips": "left",
    "outcome": "percent-change",
    "baseline": "36",
    "alternative": "less",
    "correction": "TFCE",
    "alpha": 0.01,
    "cluster_p": 0.0005,
    "smoothing_fwhm_mm": 7.25,
    "permutations": 250000,
    "seed": 7,
}
"""Of every field of an analysis a value that is not its default; `WEIGHED` has what does not go with them."""

ALL_SET = Analysis(**OTHER)
WEIGHED = Analysis(
    "weighed",
    "denosumab − placebo",
    ("visit", "arm"),
    model="least-squares",
    weights="measurement",
    equivalence_margin_percent=2.0,
    conjunction=("denosumab − placebo", "visit 36 − visit 0"),
)
PLAIN = Analysis(
    "plain", "denosumab − placebo in the change from visit 0 to visit 36", ("visit * arm", "visit", "arm")
)


@pytest.fixture
def module_name():
    return "CorticalBoneStatistics"


@pytest.fixture
def study(tmp_path):
    """A study file in which everything is set that can be, of maps."""
    (tmp_path / "study").mkdir()
    (tmp_path / "answers").mkdir()
    (tmp_path / "study" / "participants.csv").write_text(TABLE, encoding="utf-8")
    plan = StudyFile(
        name="A trial",
        table=tmp_path / "study" / "participants.csv",
        results=tmp_path / "study" / "maps",
        coding=Coding({"arm": "placebo", "centre": "2", "visit": "36"}, ("centre",)),
        analyses=(ALL_SET, WEIGHED, PLAIN),
        source=str(tmp_path / "study" / "study.toml"),
    )
    (tmp_path / "study" / "study.toml").write_text(study_file_text(plan), encoding="utf-8")
    return tmp_path / "study" / "study.toml"


@pytest.fixture
def asked(monkeypatch):
    """The calls of `cbm stats`: file, folder, analysis."""
    calls = []

    def command(python, file, folder, only=None):
        calls.append((file, folder, only))
        return [python, "-c", ""]

    monkeypatch.setattr(study_run, "stats_command", command)
    return calls


@pytest.fixture
def opened(panel, study, tmp_path):
    panel.ui.studyFileEdit.currentPath = str(study)
    panel.ui.outputFolderEdit.currentPath = str(tmp_path / "answers")
    return panel


def asked_by(panel, asked):
    """Click Apply; return the study and the one analysis that `cbm stats` would run."""
    panel.ui.applyButton.click()
    assert asked, (panel.ui.statusLabel.text, panel.ui.applyButton.toolTip)
    file, _folder, only = asked[-1]
    panel._run.abandon()
    plan = read_study_file(file)
    (analysis,) = (one for one in plan.analyses if only in (None, one.name))
    return plan, analysis


def choose(panel, name):
    combo = panel.ui.questionCombo
    combo.setCurrentIndex(combo.findText(name))


def design_of(plan, analysis):
    table = read_study_table(plan)
    return build_design(table, parse_terms(analysis.terms, table, plan.coding))


def test_the_test_sets_every_key():
    defaults = {field.name: field.default for field in fields(Analysis)}
    same = [name for name, default in defaults.items() if getattr(ALL_SET, name) == default]
    assert same == ["weights", "equivalence_margin_percent", "conjunction"]  # go without permutations
    assert not [name for name in same if getattr(WEIGHED, name) == defaults[name]]


@pytest.mark.parametrize("name", ["other settings", "weighed", "plain"])
def test_an_analysis_of_the_file_is_run_as_the_file_has_it(opened, study, asked, name):
    choose(opened, name)
    plan, analysis = asked_by(opened, asked)
    own = read_study_file(study)
    expected = next(one for one in own.analyses if one.name == name)
    for field in fields(Analysis):
        assert getattr(analysis, field.name) == getattr(expected, field.name), field.name
    for field in fields(StudyFile):
        assert getattr(plan, field.name) == getattr(own, field.name), field.name
    ours, theirs = design_of(plan, analysis), design_of(own, expected)
    assert ours.columns == theirs.columns
    np.testing.assert_array_equal(ours.matrix, theirs.matrix)
    np.testing.assert_array_equal(
        read_contrast(ours, analysis.contrast).matrix, read_contrast(theirs, expected.contrast).matrix
    )


def test_a_changed_analysis_keeps_the_settings_of_the_file_that_have_no_widget(opened, study, asked):
    choose(opened, "other settings")
    opened.ui.contrastEdit.text = "placebo − denosumab"
    plan, analysis = asked_by(opened, asked)
    own = read_study_file(study)
    assert plan.source.endswith("asked.toml")
    assert analysis == replace(own.analyses[0], name="analysis", contrast="placebo − denosumab")
    for field in fields(StudyFile):
        if field.name not in ("analyses", "source"):
            assert getattr(plan, field.name) == getattr(own, field.name), field.name
    assert "Changed from 'other settings': contrast" in opened.ui.questionNoteLabel.text
    assert "centre 1" in design_of(plan, analysis).columns  # a level, with 2 as its reference


def test_the_panel_lists_the_settings_of_the_file_that_have_no_widget(opened):
    choose(opened, "other settings")
    note = opened.ui.questionNoteLabel.text
    for text in (
        "arm: placebo",
        "Categorical: centre",
        "baseline = 36",
        "alpha = 0.01",
        "endpoints = areal_bmd",
    ):
        assert text in note


def test_terms_that_the_table_does_not_offer_stay_ticked(opened, asked):
    choose(opened, "plain")
    table = opened.ui.termsTable
    names = [table.item(row, 0).text() for row in range(table.rowCount)]
    assert "visit * arm" in names
    opened._terms_table.on_ticked()
    _, analysis = asked_by(opened, asked)
    assert set(analysis.terms) == set(PLAIN.terms)


def test_a_changed_file_is_read_again(opened, study, asked):
    choose(opened, "weighed")
    study.write_text(
        study.read_text(encoding="utf-8").replace('"arm" = "placebo"', '"arm" = "denosumab"'), "utf-8"
    )
    plan, _ = asked_by(opened, asked)
    assert plan.coding.reference["arm"] == "denosumab"


def test_an_analysis_that_the_file_no_longer_has_is_reported(opened, study, asked):
    choose(opened, "other settings")
    study.write_text(study.read_text(encoding="utf-8").replace("other settings", "renamed"), encoding="utf-8")
    opened.exit()
    opened.enter()
    assert "no analysis 'other settings'" in opened.ui.questionNoteLabel.text
    assert opened.ui.questionCombo.currentText == "Your own"


def test_another_table_than_that_of_the_file_is_reported(opened, tmp_path):
    (tmp_path / "other.csv").write_text(TABLE, encoding="utf-8")
    opened.ui.tableFileEdit.currentPath = str(tmp_path / "other.csv")
    assert "other.csv is not the table of study.toml" in opened.ui.questionNoteLabel.text


def test_a_study_of_maps_has_no_cases_to_review(opened):
    assert opened.ui.casesLabel.text == ""
    assert not opened.ui.casesSection.isVisibleTo(opened.panel)


def test_another_study_file_brings_its_own_table_and_analysis(opened, tmp_path):
    (tmp_path / "second.csv").write_text(TABLE, encoding="utf-8")
    text = '[study]\nname = "Second"\ntable = "second.csv"\n'
    (tmp_path / "second.toml").write_text(text, encoding="utf-8")
    opened.ui.studyFileEdit.currentPath = str(tmp_path / "second.toml")
    assert opened.ui.tableFileEdit.currentPath == str(tmp_path / "second.csv")
    assert opened._parameterNode.question == ""
    assert opened.ui.contrastEdit.text == "denosumab − placebo in the change from visit 0 to visit 36"


def test_a_restored_scene_keeps_what_was_chosen(opened):
    opened.ui.contrastEdit.text = "placebo − denosumab"
    opened.exit()
    opened.enter()
    assert opened.ui.contrastEdit.text == "placebo − denosumab"
    assert opened._parameterNode.question == "other settings"


def test_every_value_that_a_file_may_have_can_be_chosen(module):
    known = {
        module.ModelChoice: analyses.MODELS,
        module.Hips: analyses.HIPS,
        module.Correction: analyses.CORRECTIONS,
        module.Alternative: ALTERNATIVES,
        module.AskedMeasure: [name for name, measure in MEASURES.items() if not measure.is_uncertainty],
    }
    for kind, values in known.items():
        assert {choice.value for choice in kind} == set(values)


def test_what_is_written_is_read_again_field_by_field(tmp_path):
    settings = MapSettings(
        label=3,
        method="mass-conserving",
        cortical_density=1100.0,
        calibration="linear:0.8,-2.5,HA",
        spacing_mm=0.9,
        smoothing_fwhm_mm=5.0,
        hardening="off",
        kvp=100.0,
        atlas=tmp_path / "atlas",
        slice_thickness_mm=2.0,
    )
    unset = [field.name for field in fields(MapSettings) if getattr(settings, field.name) == field.default]
    assert unset == []
    path = tmp_path / "asked.toml"
    plan = StudyFile(
        'A "quoted" trial',
        tmp_path / "participants.csv",
        tmp_path / "maps",
        Coding({"arm of the study": "placebo"}, ("centre",)),
        (ALL_SET, WEIGHED),
        StudyScans(tmp_path / "scans", settings),
        str(path),
    )
    write_study_file(path, plan)
    again = read_study_file(path)
    for field in fields(StudyFile):
        assert getattr(again, field.name) == getattr(plan, field.name), field.name


def test_a_study_file_of_the_users_own_is_never_written_over(opened, study, tmp_path, asked):
    folder = study.parent
    opened.ui.outputFolderEdit.currentPath = str(folder)
    opened.ui.contrastEdit.text = "placebo − denosumab"
    before = study.read_bytes()
    asked_by(opened, asked)
    assert study.read_bytes() == before
    assert (folder / "asked.toml").is_file()
    asked_by(opened, asked)  # its own file is written anew
    changed = (folder / "asked.toml").read_text(encoding="utf-8") + "# a comment of mine\n"
    (folder / "asked.toml").write_text(changed, encoding="utf-8")
    count = len(asked)
    opened.ui.applyButton.click()
    assert len(asked) == count
    assert "asked.toml: this file was written or changed by hand" in opened.ui.statusLabel.text
    assert (folder / "asked.toml").read_text(encoding="utf-8") == changed
