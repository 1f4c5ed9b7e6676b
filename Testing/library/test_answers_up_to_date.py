"""Answers to what a study no longer asks, or of maps that it no longer has, are recognised."""

import json
import shutil

import pytest

from CorticalBoneMappingLib.cli import main

from .tiny_maps import STUDY, write_map, write_questions, write_tiny_study


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
    """Run `cbm stats` or `cbm report` on the study; give what it printed."""

    def ask(command, *options):
        paths = {"stats": ["study.toml"], "report": ["answers"]}[command]
        arguments = [command, *(str(study / path) for path in paths), *map(str, options)]
        arguments += ["--out", str(study / "answers")] if command == "stats" else []
        code = main([*arguments, "--progress", "none"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return ask


def text_of(study):
    return (study / "answers" / "report.html").read_text(encoding="utf-8")


def test_answers_of_the_study_are_shown_and_nothing_is_said(study, ask):
    assert "Warning" not in ask("report", "--results", study / "study.toml")
    assert "month 12" in text_of(study)
    assert "month 36" in text_of(study)


def test_a_renamed_analysis_is_not_shown_beside_the_new_one_and_nothing_is_removed(study, ask):
    write_questions(study, "month 12", "three years")
    said = ask("stats")
    assert "Warning: month_36: study.toml no longer has the analysis 'month 36'." in said
    assert (study / "answers" / "month_36" / "effect.vtp").is_file()
    said = ask("report")
    assert "study.toml no longer has the analysis 'month 36'. Its answer is left out." in said
    page = text_of(study)
    assert "no longer has the analysis" in page
    assert "<h2>month 36</h2>" not in page
    assert "<h2>three years</h2>" in page


def test_a_question_that_was_changed_and_not_asked_again_is_not_shown(study, ask):
    file = study / "study.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("smoothing_fwhm_mm = 0", "smoothing_fwhm_mm = 5"), "utf-8"
    )
    said = ask("stats", "--only", "month 12")
    assert "month_36: 'month 36' is asked otherwise in study.toml by now" in said
    assert "'month 36' is asked otherwise" in ask("report")
    assert "<h2>month 36</h2>" not in text_of(study)
    ask("stats")
    assert "Warning" not in ask("report")


def test_another_reference_level_is_another_question(study, ask):
    write_questions(study, "month 12", "month 36", start=STUDY.replace("placebo", "denosumab"))
    assert "'month 36' is asked otherwise" in ask("stats", "--only", "month 12")


def test_a_comment_in_the_study_file_changes_nothing(study, ask):
    file = study / "study.toml"
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert "Warning" not in ask("stats", "--only", "month 12")
    assert "Warning" not in ask("report")


def test_answers_of_another_study_file_are_not_mixed_in(study, ask, capsys):
    (study / "second.toml").write_text(
        (study / "study.toml").read_text("utf-8").replace("month 12", "other"), "utf-8"
    )
    arguments = ["stats", str(study / "second.toml"), "--only", "other", "--out", str(study / "answers")]
    assert main([*arguments, "--progress", "none"]) == 0
    assert (
        "'month 12' was answered for study.toml; last answered here was second.toml."
        in capsys.readouterr().out
    )


def test_a_question_of_the_panel_stands_beside_those_of_the_study(study, ask, capsys):
    (study / "asked.toml").write_text(
        (study / "study.toml").read_text("utf-8").replace("month 12", "analysis"), "utf-8"
    )
    arguments = ["stats", str(study / "asked.toml"), "--only", "analysis", "--out", str(study / "answers")]
    assert main([*arguments, "--progress", "none"]) == 0
    assert "Warning" not in capsys.readouterr().out
    assert "Warning" not in ask("report")
    assert "<h2>analysis</h2>" in text_of(study)
    assert "<h2>month 36</h2>" in text_of(study)


def test_one_answer_alone_is_shown_with_what_is_said_of_it(study, ask, capsys):
    write_questions(study, "month 12", "three years")
    ask("stats")
    assert main(["report", str(study / "answers" / "month_36"), "--progress", "none"]) == 0
    assert "no longer has the analysis 'month 36'" in capsys.readouterr().out


def test_maps_that_are_others_since_are_said(study, ask):
    write_map(study / "maps" / "P0_0", thickness=2.5)
    said = ask("report", "--results", study / "study.toml")
    assert "'month 12' was answered from other maps or decisions on them than the study has now" in said
    ask("stats", "--only", "month 12")
    said = ask("report")
    assert "'month 36' was answered from other maps or decisions on them" in said
    assert "'month 12' was answered from other" not in said
    assert "<h2>month 36</h2>" in text_of(study)


def test_a_decision_since_is_said(study, ask):
    header = "participant,visit,side,verdict,note,suggestion\n"
    (study / "maps" / "qc.csv").write_text(f"{header}P0,0,left,reject,moved,\n", encoding="utf-8")
    said = ask("report", "--results", study / "study.toml")
    assert "other maps or decisions on them than the study has now" in said


def test_a_study_that_asks_otherwise_now_is_said(study, ask):
    write_questions(study, "month 12", "month 36", contrast="any difference in visit")
    said = ask("report", "--results", study / "study.toml")
    assert "'month 12' is asked otherwise in study.toml now; run 'cbm stats' again." in said


def test_answers_without_a_note_of_what_was_asked_are_shown(study, ask):
    (study / "answers" / "answered.json").unlink()
    write_questions(study, "month 12")
    assert "Warning" not in ask("report")


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
    assert "'month 12' and 'Month_12' would be written to one folder" in capsys.readouterr().err
