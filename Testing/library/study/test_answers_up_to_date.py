"""Answers to what a study no longer asks, or of maps that it no longer has, are recognised."""

import json
import shutil

import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.report.pages import study_report as study_page
from CorticalBoneMappingLib.report.pages.answers import current_analyses, read_analyses
from CorticalBoneMappingLib.report.pages.markup import Html
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

from ..helpers.tiny_maps import STUDY, write_map, write_questions, write_tiny_study


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A study of two questions, answered."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_study(folder, "month 12", "month 36")
    assert main(["stats", str(folder / "study.toml"), "--out", str(folder / "answers"), "--quiet"]) == 0
    return folder


@pytest.fixture
def study(original, tmp_path):
    shutil.copytree(original, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def ask(study, capsys):
    """Answer the study; give what was printed."""

    def ask(*options, file="study.toml"):
        arguments = ["stats", str(study / file), *options, "--out", str(study / "answers")]
        code = main([*arguments, "--progress", "none"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return ask


def shown(study, file=None):
    """Give which answers a report would show, and what it would say of them."""
    folder = study / "answers"
    plan = None if file is None else read_study_file(study / file)
    kept, warnings = current_analyses(folder, read_analyses(folder), plan)
    return [answer.name for answer in kept], warnings


def test_answers_of_the_study_are_shown_without_a_warning(study):
    assert shown(study, "study.toml") == (["month 12", "month 36"], [])


def test_a_renamed_analysis_is_not_shown_beside_the_new_one_and_nothing_is_removed(
    study, ask, capsys, monkeypatch
):
    monkeypatch.setattr(study_page, "effect_figures", lambda *_: Html(""))  # drawing takes its time
    write_questions(study, "month 12", "three years")
    said = ask()
    assert "Warning: month_36: study.toml no longer has the analysis 'month 36'." in said
    assert (study / "answers" / "month_36" / "effect.vtp").is_file()
    assert main(["report", str(study / "answers"), "--progress", "none"]) == 0
    sentence = "study.toml no longer has the analysis 'month 36'. Its answer is left out."
    assert f"Warning: {sentence}" in capsys.readouterr().out
    page = (study / "answers" / "report.html").read_text(encoding="utf-8")
    assert "no longer has the analysis" in page
    assert "<h2>month 36</h2>" not in page
    assert "<h2>three years</h2>" in page


def test_the_answer_to_a_question_that_was_changed_since_is_not_shown(study, ask):
    file = study / "study.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("smoothing_fwhm_mm = 0", "smoothing_fwhm_mm = 5"), encoding="utf-8")
    assert "month_36: 'month 36' is asked otherwise in study.toml by now" in ask("--only", "month 12")
    names, (warning,) = shown(study)
    assert names == ["month 12"]
    assert warning.startswith("'month 36' is asked otherwise")
    ask()
    assert shown(study) == (["month 12", "month 36"], [])


def test_another_reference_level_is_another_question(study, ask):
    write_questions(study, "month 12", "month 36", start=STUDY.replace("placebo", "denosumab"))
    assert "'month 36' is asked otherwise" in ask("--only", "month 12")


def test_a_comment_in_the_study_file_changes_nothing(study, ask):
    file = study / "study.toml"
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert "Warning" not in ask("--only", "month 12")
    assert shown(study, "study.toml") == (["month 12", "month 36"], [])


def copy_of_study(study, name, analysis):
    text = (study / "study.toml").read_text(encoding="utf-8")
    (study / name).write_text(text.replace("month 12", analysis), encoding="utf-8")


def test_answers_of_another_study_file_are_not_mixed_in(study, ask):
    copy_of_study(study, "second.toml", "other")
    said = ask("--only", "other", file="second.toml")
    assert "'month 12' was answered for study.toml; last answered here was second.toml." in said
    assert shown(study)[0] == ["other"]


def test_a_question_of_the_panel_is_shown_beside_those_of_the_study(study, ask):
    copy_of_study(study, "asked.toml", "analysis")
    assert "Warning" not in ask("--only", "analysis", file="asked.toml")
    assert shown(study) == (["analysis", "month 12", "month 36"], [])
    ask("--only", "month 12")
    assert shown(study) == (["analysis", "month 12", "month 36"], [])


def test_one_answer_alone_is_shown_with_its_warning(study, ask):
    write_questions(study, "month 12", "three years")
    ask("--only", "three years")
    folder = study / "answers" / "month_36"
    kept, warnings = current_analyses(folder, read_analyses(folder))
    assert [answer.name for answer in kept] == ["month 36"]
    assert warnings == ["study.toml no longer has the analysis 'month 36'."]


def test_maps_that_changed_since_are_reported(study, ask):
    write_map(study / "maps" / "P0_0", thickness=2.5)
    names, warnings = shown(study, "study.toml")
    assert names == ["month 12", "month 36"]
    sentence = "was answered from other maps or decisions on them than the study has"
    assert [f"{sentence} now" in warning for warning in warnings] == [True, True]
    ask("--only", "month 12")
    _, (warning,) = shown(study)
    assert warning.startswith(f"'month 36' {sentence} when it was answered last")


def test_a_decision_since_is_reported(study):
    header = "participant,visit,side,verdict,note,suggestion\n"
    (study / "maps" / "qc.csv").write_text(f"{header}P0,0,left,reject,moved,\n", encoding="utf-8")
    assert "other maps or decisions on them than the study has now" in shown(study, "study.toml")[1][0]


def test_maps_that_are_unreadable_are_reported(study):
    (study / "participants.csv").unlink()
    assert "is not known:" in shown(study, "study.toml")[1][0]


def test_a_question_that_differs_now_is_reported(study):
    write_questions(study, "month 12", "month 36", contrast="any difference in visit")
    _, warnings = shown(study, "study.toml")
    assert warnings[0] == "'month 12' is asked otherwise in study.toml now; run 'cbm stats' again."


def test_answers_without_a_note_of_what_was_asked_are_shown(study):
    (study / "answers" / "answered.json").unlink()
    write_questions(study, "month 12")
    assert shown(study) == (["month 12", "month 36"], [])


def test_answers_of_which_none_is_up_to_date_are_refused(study, ask):
    write_questions(study, "three years")
    ask()
    shutil.rmtree(study / "answers" / "three_years")
    with pytest.raises(CorticalBoneMappingError, match="no answer is up to date"):
        shown(study)


def test_a_file_of_the_users_own_is_not_taken_for_the_note(study, capsys):
    path = study / "answers" / "answered.json"
    path.write_text('{"mine": 1}', encoding="utf-8")
    before = (study / "answers" / "month_12" / "provenance.json").read_bytes()
    assert main(["stats", str(study / "study.toml"), "--out", str(study / "answers"), "--quiet"]) == 1
    assert (
        "answered.json: there is a file or folder that this program did not write" in capsys.readouterr().err
    )
    assert json.loads(path.read_text(encoding="utf-8")) == {"mine": 1}
    assert (study / "answers" / "month_12" / "provenance.json").read_bytes() == before


def test_two_names_that_are_one_folder_are_refused(study, capsys):
    write_questions(study, "month 12", "Month_12")
    assert main(["stats", str(study / "study.toml"), "--out", str(study / "answers"), "--quiet"]) == 1
    assert "'month 12' and 'Month_12', which is one folder of answers" in capsys.readouterr().err
