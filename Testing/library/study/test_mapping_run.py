"""`cbm study run`: cases isolated, results whole or absent, gone on with by content."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import mapping_work
import pytest
from mapping_work import Inline, cases_in, digest, run, study_of, table, work
from small_study import people, write_scan, write_study

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError, SettingError
from CorticalBoneMappingLib.core.progress import CallbackProgress
from CorticalBoneMappingLib.pipeline import provenance
from CorticalBoneMappingLib.study.mapping import case as case_module
from CorticalBoneMappingLib.study.mapping import ledger
from CorticalBoneMappingLib.study.mapping.executors import (
    SeparateProcesses,
    memory_of,
    open_executor,
    workers_that_fit,
)
from CorticalBoneMappingLib.study.mapping.ledger import CASE_FILE, TEMPORARY_FOLDER, has_result, only_run
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans


def test_a_second_run_maps_nothing_and_changes_no_byte(tmp_path):
    people(tmp_path, 3)
    first = run(tmp_path)
    before = digest(tmp_path / "results")
    again = run(tmp_path)
    assert (first.mapped, first.kept, first.failed) == (3, 0, 0)
    assert (again.mapped, again.kept, again.failed) == (0, 3, 0)
    assert digest(tmp_path / "results") == before
    assert len(before) == 3 * 6 + 1


def test_two_runs_in_two_folders_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        people(tmp_path / name, 2)
        run(tmp_path / name)
    assert digest(tmp_path / "one" / "results") == digest(tmp_path / "two" / "results")


def test_only_what_depends_on_a_changed_input_is_mapped_again(tmp_path):
    people(tmp_path, 3)
    run(tmp_path)
    before, judged = digest(tmp_path / "results"), table(tmp_path / "results" / "qc.csv")
    write_scan(tmp_path / "ct1.nrrd", value=500.0)
    again = run(tmp_path)
    assert (again.mapped, again.kept) == (1, 2)
    after = digest(tmp_path / "results")
    changed = {name.split("/")[0] for name in after if after[name] != before[name]}
    assert changed == {"sub-P01", "qc.csv"}
    rows = table(tmp_path / "results" / "qc.csv")
    differs = [[name for name in row if row[name] != old[name]] for row, old in zip(rows, judged)]
    assert differs == [[], ["of_result"], []]  # the mark of the result that waits for a verdict


def test_a_file_that_was_touched_but_holds_the_same_is_read_and_not_mapped_again(tmp_path):
    people(tmp_path, 2)
    run(tmp_path)
    before = digest(tmp_path / "results")
    os.utime(tmp_path / "ct0.nrrd", (1, 1))
    again = run(tmp_path)
    assert (again.mapped, again.kept) == (0, 2)
    assert digest(tmp_path / "results") == before
    seconds = [float(row["seconds"]) for row in table(tmp_path / "results" / "cases.csv")]
    assert min(seconds) > 0


def test_a_changed_setting_maps_again_what_it_reaches_and_the_first_settings_give_the_first_bytes(tmp_path):
    people(tmp_path, 2)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    run(tmp_path)
    before = digest(tmp_path / "results")
    (tmp_path / "study.toml").write_text(text + "spacing_mm = 2.0\n", encoding="utf-8")
    assert run(tmp_path).mapped == 2
    assert digest(tmp_path / "results") != before
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert run(tmp_path).mapped == 2
    assert digest(tmp_path / "results") == before


def test_another_source_of_the_same_version_maps_again(tmp_path, monkeypatch):
    people(tmp_path, 2)
    run(tmp_path)
    assert run(tmp_path).kept == 2
    monkeypatch.setattr(provenance, "mapping_source", lambda: "another")
    assert run(tmp_path).mapped == 2


@pytest.mark.parametrize("harm", ["cut", "remove", "ledger"])
def test_a_damaged_result_does_not_count(tmp_path, harm):
    people(tmp_path, 2)
    run(tmp_path)
    before = digest(tmp_path / "results")
    folder = tmp_path / "results" / cases_in(tmp_path)[0].folder
    if harm == "cut":
        data = (folder / "points.csv").read_bytes()
        (folder / "points.csv").write_bytes(data[: len(data) // 2])
    elif harm == "remove":
        (folder / "average_femur.vtp").unlink()
    else:
        (folder / CASE_FILE).write_text('{"key": ', encoding="utf-8")
    assert not has_result(tmp_path / "results", cases_in(tmp_path)[0])
    assert run(tmp_path).mapped == 1
    assert digest(tmp_path / "results") == before


def test_a_case_that_fails_is_reported_with_its_reason_and_the_others_go_on(tmp_path):
    study_of(tmp_path, "wrong1", "P02", "fault3", "memory4", "P05")
    (tmp_path / "ct4.nrrd").unlink()
    done = run(tmp_path)
    assert (done.mapped, done.failed) == (1, 4)
    rows = {row["participant"]: row for row in table(tmp_path / "results" / "cases.csv")}
    assert rows["wrong1"]["reason"] == "This bone is not measurable."
    assert "ZeroDivisionError: a fault" in rows["fault3"]["reason"]
    assert "memory" in rows["memory4"]["reason"]
    assert "ct4.nrrd: this file or folder does not exist" in rows["P05"]["reason"]
    assert rows["P02"]["status"] == "done"
    log = (tmp_path / "results" / "log" / f"{rows['fault3']['case']}.log").read_text(encoding="utf-8")
    assert "Traceback" in log


def test_a_case_that_fails_loses_its_earlier_result_and_is_tried_again(tmp_path):
    people(tmp_path, 1)
    run(tmp_path)
    scan = (tmp_path / "ct0.nrrd").read_bytes()
    before = digest(tmp_path / "results")
    (tmp_path / "ct0.nrrd").write_bytes(scan[:200])
    assert run(tmp_path).failed == 1
    assert not (tmp_path / "results" / cases_in(tmp_path)[0].folder).exists()
    (tmp_path / "ct0.nrrd").write_bytes(scan)
    assert run(tmp_path).mapped == 1
    assert digest(tmp_path / "results") == before


def test_both_sides_of_one_scan_are_two_cases(tmp_path):
    people(tmp_path, 1)
    write_study(tmp_path, [["P00", "0", "both", "ct0.nrrd", "mask0.nrrd", "1", ""]])
    assert run(tmp_path).mapped == 2
    names = [row["case"] for row in table(tmp_path / "results" / "cases.csv")]
    assert names == ["sub-P00_ses-0_hemi-L_femur", "sub-P00_ses-0_hemi-R_femur"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_stops_the_run_with_a_sentence_and_the_next_run_goes_on(tmp_path, monkeypatch, code):
    people(tmp_path, 3)
    calls = []
    write = case_module.write_result

    def full(result, folder):
        calls.append(folder)
        write(result, folder)
        if len(calls) == 2:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(case_module, "write_result", full)
    with pytest.raises(CorticalBoneMappingError, match="run the same command again"):
        run(tmp_path)
    assert len(list((tmp_path / "results").glob("sub-*/*/*/case.json"))) < 3
    assert run(tmp_path).failed == 0
    people(tmp_path.joinpath("other").absolute().mkdir() or tmp_path / "other", 3)
    run(tmp_path / "other")
    assert digest(tmp_path / "results") == digest(tmp_path / "other" / "results")


def test_a_worker_that_dies_costs_its_own_case_alone(tmp_path):
    study_of(tmp_path, "P00", "P01", "P02", "diesonce3", "diesinwriting4", "slow5")
    with SeparateProcesses(2) as executor:
        done = run(tmp_path, executor)
    rows = {row["participant"]: row for row in table(tmp_path / "results" / "cases.csv")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "P00": "done",
        "P01": "done",
        "P02": "done",
        "diesonce3": "done",
        "diesinwriting4": "failed",
        "slow5": "done",
    }
    assert "ended twice" in rows["diesinwriting4"]["reason"]
    assert (done.mapped, done.failed) == (5, 1)
    folders = [folder.name for folder in (tmp_path / "results").glob("sub-*/*/*")]
    assert not any("diesinwriting" in name for name in folders)
    assert list((tmp_path / "results" / TEMPORARY_FOLDER).glob("writing-*"))  # what the dead have left
    study_of(tmp_path, "P00", "P02")
    run(tmp_path)
    assert not list((tmp_path / "results" / TEMPORARY_FOLDER).glob("writing-*"))


def test_workers_that_fail_to_begin_are_reported_with_the_reason(tmp_path):
    people(tmp_path, 1)

    def broken(case, results):
        raise ModuleNotFoundError("No module named 'CorticalBoneMappingLib'")

    done = map_scans(cases_in(tmp_path), tmp_path / "results", Inline(), work=broken)
    assert "No module named 'CorticalBoneMappingLib'" in done.failures[0][1]
    assert "same versions" in done.failures[0][1]


def test_a_run_that_is_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(tmp_path):
    study_of(tmp_path, *(f"slow{n}" for n in range(8)))  # so slow that every kill comes before the end
    run(tmp_path)
    undisturbed = digest(tmp_path / "results")
    results = tmp_path / "killed"
    command = [sys.executable, mapping_work.__file__, str(tmp_path / "study.toml"), str(results), "1"]
    dice, kills = random.Random(1), 0
    while kills < 5:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for line in process.stderr:
            if "Case" in json.loads(line)["text"]:
                break
        time.sleep(0.05 * dice.random())
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        process.stderr.close()
        kills += killed
        wait_until_gone(process.pid)
        for case in cases_in(tmp_path):
            assert has_result(results, case) or not (results / case.folder).exists()
        if not killed:
            break
    map_scans(cases_in(tmp_path), results, Inline(), work=work)
    assert digest(results) == undisturbed
    assert kills >= 3


def wait_until_gone(session: int) -> None:
    """Wait until the workers of a killed run have seen that their parent is gone."""
    for _ in range(200):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("workers stay behind when their parent is killed")


def test_a_result_that_another_worker_has_put_there_meanwhile_is_taken_if_it_is_the_same(
    tmp_path, monkeypatch
):
    people(tmp_path, 1)
    run(tmp_path)
    before = digest(tmp_path / "results")
    (case,) = cases_in(tmp_path)
    folder = tmp_path / "results" / case.folder
    key = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))["key"]
    monkeypatch.setattr(ledger, "remove_result", lambda *_: None)  # as if it came after the look
    with ledger.new_result(tmp_path / "results", case, key, {}) as temporary:
        (temporary / "same.txt").write_text("the same", encoding="utf-8")
    assert digest(tmp_path / "results") == before
    with (
        pytest.raises(OSError, match="not empty"),
        ledger.new_result(tmp_path / "results", case, "another key", {}),
    ):
        pass
    assert digest(tmp_path / "results") == before


def test_two_runs_do_not_work_in_one_folder_and_the_lock_of_a_dead_one_does_not_count(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from CorticalBoneMappingLib.study.mapping.ledger import only_run\n"
        "with only_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "results")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(CorticalBoneMappingError, match=f"process {other.pid}"),
            only_run(tmp_path / "results"),
        ):
            pass
        other.kill()
        other.wait()
        with only_run(tmp_path / "results"):
            pass


def test_cancelling_ends_the_workers_at_once_and_keeps_what_is_done(tmp_path):
    study_of(tmp_path, "P00", *(f"slow{n}" for n in range(1, 30)))
    seen = []
    progress = CallbackProgress(lambda _, text: seen.append(text), lambda: any("Case 2 " in s for s in seen))
    begun = time.perf_counter()
    with pytest.raises(CorticalBoneMappingError, match="Cancelled"), open_executor(1) as executor:
        map_scans(cases_in(tmp_path), tmp_path / "results", executor, progress, work)
    assert time.perf_counter() - begun < 20
    states = [row["status"] for row in table(tmp_path / "results" / "cases.csv")]
    assert 2 <= states.count("done") <= 4
    assert states.count("waiting") >= 26


def test_progress_reports_cases_failures_and_time_left(tmp_path):
    study_of(tmp_path, "wrong0", "P01", "P02")
    seen = []
    progress = CallbackProgress(lambda fraction, text: seen.append((round(fraction, 2), text)))
    map_scans(cases_in(tmp_path), tmp_path / "results", Inline(), progress, work)
    assert [fraction for fraction, _ in seen] == [0.0, 0.0, 0.33, 0.67, 1.0]
    assert seen[1][1] == "Mapping 3 of 3 cases"
    assert seen[-1][1] == "Case 3 of 3 done, 1 failed"
    assert "left" in seen[-2][1]


def test_a_study_whose_table_is_wrong_is_refused_before_anything_runs(tmp_path):
    people(tmp_path, 1)
    write_study(tmp_path, [["P00", "0", "neither", "ct0.nrrd", "mask0.nrrd", "1", ""]])
    with pytest.raises(SettingError, match=r"row 2 side 'neither'"):
        cases_in(tmp_path)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(text.partition("[scans]")[0], encoding="utf-8")
    with pytest.raises(SettingError, match=r"\[scans\] is missing"):
        cases_in(tmp_path)


def test_memory_and_what_was_asked_for_bound_the_number_of_workers():
    assert workers_that_fit(3, None) == 3
    assert workers_that_fit(8, 1 << 60) == 1
    assert workers_that_fit(2, 1 << 20) == 2
    with pytest.raises(SettingError, match="0 workers"), open_executor(0):
        pass


def test_the_largest_scan_sets_how_much_memory_a_case_needs(tmp_path):
    people(tmp_path, 1)
    small = memory_of(cases_in(tmp_path))
    series = tmp_path / "series"
    series.mkdir()
    for number in range(4):
        (series / f"{number}.dcm").write_bytes(bytes(1_000_000))
    write_study(
        tmp_path, [["P00", "0", "left", "ct0.nrrd", "", "", ""], ["P01", "0", "left", "series", "", "", ""]]
    )
    large = memory_of(cases_in(tmp_path))
    assert large - small == pytest.approx(8 * 2_000_000, rel=0.01)  # two bytes a voxel in DICOM


def test_a_worker_process_is_replaced_after_its_lifetime():
    with SeparateProcesses(1, lifetime=2) as executor:
        first, second, third = (executor.submit(os.getpid).result() for _ in range(3))
    assert first == second != third


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_a_worker_may_not_take_more_memory_than_its_share():
    with SeparateProcesses(1, memory_bytes=700 << 20) as executor:
        assert executor.submit(len, b"small").result() == 5
        with pytest.raises(MemoryError):
            executor.submit(bytearray, 2 << 30).result()
        assert executor.submit(len, b"alive").result() == 5
