"""A file that this program did not write is not written over, whatever it is called."""

import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.io.files import write_signed
from CorticalBoneMappingLib.report.pages.markup import Html, write_document
from CorticalBoneMappingLib.study.mapping.overview import CASES_FILE, Overview

from ..helpers.mapping_work import cases_in
from ..helpers.small_study import people

REFUSED = "did not write"
MINE = "this is mine\n"


def test_a_signed_text_is_written_anew_until_someone_changes_it(tmp_path):
    path = tmp_path / "asked.toml"
    write_signed(path, "a = 1\n")
    write_signed(path, "a = 2\n")
    assert path.read_text(encoding="utf-8").splitlines()[1:] == ["a = 2"]
    changed = path.read_text(encoding="utf-8").replace("a = 2", "a = 3")
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(SettingError, match=r"asked\.toml: this file was written or changed by hand"):
        write_signed(path, "a = 4\n")
    assert path.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("content", [MINE.encode(), b"", b"\xff\xfe\x00 binary", b"# Written by Cortical"])
def test_any_other_file_is_refused(tmp_path, content):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError):
        write_signed(path, "a = 1\n")
    assert path.read_bytes() == content


def test_a_folder_of_that_name_is_refused(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(SettingError, match=REFUSED):
        write_document(tmp_path / "page.html", "Page", Html("<p>text</p>"), style="")


def test_a_page_takes_the_place_of_a_page_and_of_nothing_else(tmp_path):
    def written(path):
        write_document(path, "Page", Html("<p>text</p>"), style="")

    written(tmp_path / "page.html")
    written(tmp_path / "page.html")
    (tmp_path / "mine.html").write_text(f"<html>{MINE}</html>", encoding="utf-8")
    with pytest.raises(SettingError, match=REFUSED):
        written(tmp_path / "mine.html")
    assert MINE in (tmp_path / "mine.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["report", "qc"])
def test_commands_refuse_before_they_do_any_work(tmp_path, capsys, command):
    study, page = people(tmp_path, 1), tmp_path / "mine.html"
    page.write_text(MINE, encoding="utf-8")
    words = ["report", str(tmp_path)] if command == "report" else ["study", "qc", str(study)]
    assert main([*words, "--out", str(page), "--quiet"]) == 1
    assert REFUSED in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == MINE


def test_the_list_of_problems_does_not_take_the_place_of_the_table(tmp_path, capsys):
    study = people(tmp_path, 1)
    before = (tmp_path / "participants.csv").read_bytes()
    words = ["study", "check", str(study), "--quiet", "--out"]
    assert main([*words, str(tmp_path / "participants.csv")]) == 1
    assert REFUSED in capsys.readouterr().err
    assert (tmp_path / "participants.csv").read_bytes() == before
    assert main([*words, str(tmp_path / "problems.csv")]) == 0
    assert main([*words, str(tmp_path / "problems.csv")]) == 0


def test_a_study_whose_own_table_is_called_cases_keeps_it(tmp_path):
    people(tmp_path, 1)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    text = text.replace("participants.csv", CASES_FILE).replace('"results"', '"."')
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    (tmp_path / "participants.csv").rename(tmp_path / CASES_FILE)
    before = (tmp_path / CASES_FILE).read_bytes()
    assert main(["study", "run", str(tmp_path / "study.toml"), "--workers", "1", "--quiet"]) == 1
    assert (tmp_path / CASES_FILE).read_bytes() == before


def test_the_table_of_cases_is_written_anew(tmp_path):
    people(tmp_path, 1)
    (tmp_path / "results").mkdir()
    for _ in range(2):
        Overview(cases_in(tmp_path), tmp_path / "results").write()
