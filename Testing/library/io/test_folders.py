"""Folders of results: whole or absent, and no file is lost that the program did not write."""

from __future__ import annotations

import contextlib
import json
import os
import stat

import pytest

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError, SettingError
from CorticalBoneMappingLib.io import folders
from CorticalBoneMappingLib.io.files import whole_file, write_json
from CorticalBoneMappingLib.io.folders import is_unchanged, more_files, ready_folder, whole_folder

RECORD = "record.json"


def write(folder, value, *names):
    with whole_folder(folder, "result", RECORD) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(f"{value} {name}")
        write_json(temporary / RECORD, {"value": value})


def content(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != RECORD
    }


def value(folder):
    return json.loads((folder / RECORD).read_text())["value"]


@pytest.mark.parametrize("is_there", [False, True])
def test_files_that_only_the_old_result_had_go_and_a_users_own_stay(tmp_path, is_there):
    out = tmp_path / "a" / "out"
    if is_there:
        out.mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    write(out, 1, "both.csv", "old.csv", "slices/1.dcm")
    (out / "picture.png").write_text("mine, too")
    write(out, 2, "both.csv", "new.csv")
    own = {"both.csv": "2 both.csv", "new.csv": "2 new.csv", "picture.png": "mine, too"}
    assert content(out) == own | ({"notes.txt": "mine"} if is_there else {})
    assert value(out) == 2
    assert sorted(place.name for place in out.iterdir() if place.is_dir()) == []
    assert [place.name for place in out.parent.iterdir()] == ["out"]


def test_a_file_that_was_changed_by_hand_or_is_a_users_is_never_replaced(tmp_path):
    write(tmp_path, 1, "a.csv", "b.csv")
    (tmp_path / "b.csv").write_text("corrected")
    before = content(tmp_path)
    for names in (("a.csv", "b.csv"), ("b.csv",)):
        with pytest.raises(SettingError, match=r"b\.csv: this file was changed since it was written"):
            write(tmp_path, 2, *names)
        with pytest.raises(SettingError, match=r"b\.csv: this file was changed"):
            ready_folder(tmp_path, "result", RECORD, names)
        assert content(tmp_path) == before
    write(tmp_path, 2, "a.csv")  # it is in nobody's way, and stays
    assert content(tmp_path) == {"a.csv": "2 a.csv", "b.csv": "corrected"}
    assert not is_unchanged(tmp_path / "b.csv", RECORD)
    assert is_unchanged(tmp_path / "a.csv", RECORD)


def test_a_record_of_another_program_is_not_replaced(tmp_path):
    (tmp_path / RECORD).write_text('{"mine": 1}')
    with pytest.raises(SettingError, match=r"record\.json"):
        write(tmp_path, 1, "a.csv")
    assert [file.name for file in tmp_path.iterdir()] == [RECORD]


@pytest.mark.parametrize("locked", ["a.csv", "b.csv", "new.csv", RECORD])
def test_a_file_that_is_open_elsewhere_leaves_the_old_result_whole_and_is_named(
    tmp_path, monkeypatch, locked
):
    write(tmp_path, 1, "a.csv", "b.csv", "c.csv")
    before = content(tmp_path)
    move = os.replace

    def refused(start, stop):
        if os.path.basename(start) == locked:  # as Windows does
            raise PermissionError(13, "Permission denied", str(start))
        move(start, stop)

    with monkeypatch.context() as patch:
        patch.setattr(folders.os, "replace", refused)
        if locked != "new.csv":
            with pytest.raises(SettingError, match=rf"{locked}.*open in another program"):
                ready_folder(tmp_path, "result", RECORD)
        with pytest.raises(CorticalBoneMappingError, match=rf"could not be written.*{locked}"):
            write(tmp_path, 2, "a.csv", "c.csv", "new.csv")
    assert content(tmp_path) == before
    assert value(tmp_path) == 1
    write(tmp_path, 2, "a.csv")
    assert content(tmp_path) == {"a.csv": "2 a.csv"}


@pytest.mark.parametrize("after", range(8))
def test_a_process_that_ends_during_the_exchange_leaves_the_old_or_the_new_result(tmp_path, after):
    """At every moment the folder has no record, or that of a whole result."""
    write(tmp_path, 1, "a.csv", "b.csv")
    (tmp_path / "mine.txt").write_text("mine")
    child = os.fork()
    if child == 0:
        move, moved = os.replace, []

        def dies(start, stop):
            if len(moved) == after:
                os._exit(9)
            moved.append(start)
            move(start, stop)

        ending = folders._list_files

        def begun(*given):
            names = ending(*given)
            folders.os.replace = dies
            return names

        folders._list_files = begun
        write(tmp_path, 2, "a.csv", "new.csv")
        os._exit(0)
    os.waitpid(child, 0)
    if (tmp_path / RECORD).exists():
        new = {"a.csv": "2 a.csv", "new.csv": "2 new.csv"}
        old = {"a.csv": "1 a.csv", "b.csv": "1 b.csv"}
        visible = {name: text for name, text in content(tmp_path).items() if name[0] != "."}
        assert visible == (old if value(tmp_path) == 1 else new) | {"mine.txt": "mine"}
    ready_folder(tmp_path, "result", RECORD, ["a.csv", "b.csv", "new.csv"])
    assert value(tmp_path) in (1, 2)
    write(tmp_path, 3, "a.csv")
    found = {name: text for name, text in content(tmp_path).items() if not name.startswith(".writing-")}
    assert found == {"a.csv": "3 a.csv", "mine.txt": "mine"}


def test_pictures_join_a_result_and_go_with_it(tmp_path):
    write(tmp_path, 1, "a.csv")
    with more_files(tmp_path, "picture", RECORD) as temporary:
        (temporary / "a.png").write_text("1")
    assert content(tmp_path) == {"a.csv": "1 a.csv", "a.png": "1"}
    with contextlib.suppress(ZeroDivisionError), more_files(tmp_path, "picture", RECORD) as temporary:
        (temporary / "a.png").write_text("half")
        raise ZeroDivisionError
    assert content(tmp_path) == {"a.csv": "1 a.csv", "a.png": "1"}
    write(tmp_path, 2, "a.csv")
    assert content(tmp_path) == {"a.csv": "2 a.csv"}


@pytest.mark.parametrize("mask", [0o002, 0o027, 0o077])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "out", 1, "a.csv")
        with whole_file(tmp_path / "b.txt") as temporary:
            temporary.write_text("b")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "out/" + RECORD, "b.txt")]
    assert modes == [0o777 & ~mask, 0o666 & ~mask, 0o666 & ~mask]


def test_what_is_in_the_way_is_named_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(SettingError, match=r"file: this is a file"):
            ready_folder(folder, "result", RECORD)
    ready_folder(tmp_path / "not" / "yet", "result", RECORD)
    assert not (tmp_path / "not").exists()


def test_a_list_of_files_that_leads_out_of_the_folder_is_not_heeded(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    write(out, 1, "a.csv")
    record = json.loads((out / RECORD).read_text())
    record["files"] = {"../mine.txt": folders._hash(tmp_path / "mine.txt")}
    (out / RECORD).write_text(json.dumps(record))
    with pytest.raises(SettingError):
        write(out, 2, "a.csv")
    assert (tmp_path / "mine.txt").read_text() == "mine"
