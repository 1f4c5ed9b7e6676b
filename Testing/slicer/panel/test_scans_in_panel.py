"""A study of scans in the statistics panel: checked, mapped, opened, reviewed. Widgets are doubles."""

from __future__ import annotations

import csv
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import mapping_work
import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from hand_dicom import series
from mapping_work import Inline, cases_in, study_of
from mapping_work import table as read_rows
from PySide6.QtTest import QTest
from restored_nodes import picture_of
from slicer_scene import two_balls
from small_study import HEADER, people, write_scan, write_study
from vtk.util.numpy_support import numpy_to_vtk

from CorticalBoneMappingLib.slicer.panel import application
from CorticalBoneMappingLib.slicer.panel import runs as trial_run
from CorticalBoneMappingLib.slicer.scene.cases import SCAN_ATTRIBUTE
from CorticalBoneMappingLib.slicer.scene.results import results_in
from CorticalBoneMappingLib.study.mapping.case import run_case
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans
from CorticalBoneMappingLib.study.study_file.problems import PROBLEM_COLUMNS
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

PICTURES = Path(__file__).parents[3] / "build" / "pictures"
PICTURE_SIZE = 240, 96
WORK = Path(__file__).parents[2] / "library" / "helpers" / "mapping_work.py"


@pytest.fixture
def module_name():
    return "CorticalBoneStatistics"


@pytest.fixture
def light(monkeypatch):
    """Replaces the commands by a check that finds nothing, and a real run of light work."""
    header = ",".join(PROBLEM_COLUMNS)

    def check_command(python, _study, problems):
        return [python, "-c", f"open({str(problems)!r}, 'w').write({header + chr(10)!r})"]

    def run_command(python, study):
        return [python, str(WORK), str(study), str(study.parent / "results"), "1"]

    monkeypatch.setattr(trial_run, "study_check_command", check_command)
    monkeypatch.setattr(trial_run, "study_run_command", run_command)


@pytest.fixture
def seen(monkeypatch):
    """The panel's calls of Slicer's desktop, which the tests do not have."""
    asked = []
    monkeypatch.setattr(application, "show_case", lambda scan, points: asked.append((scan, points)))
    return asked


def test_without_a_study_there_is_nothing_to_check_or_to_review(panel):
    ui = panel.ui
    assert (ui.checkButton.enabled, ui.mapButton.enabled) == (False, False)
    assert ui.mapButton.toolTip == "Choose the study file."
    assert not ui.casesSection.enabled


def test_a_study_has_to_be_checked_before_it_is_mapped(panel, tmp_path):
    choose(panel, people(tmp_path, 2))
    assert not panel.ui.mapButton.enabled
    assert panel.ui.mapButton.toolTip == "Check the study first."
    check(panel)
    assert panel.ui.trialStatusLabel.text == "2 femurs can be mapped: no problems found."
    assert panel.ui.problemsTable.rowCount == 0
    assert panel.ui.mapButton.enabled


def test_problems_are_listed_with_their_row_and_a_changed_study_has_to_be_checked_again(panel, tmp_path):
    study = people(tmp_path, 2)
    (tmp_path / "ct1.nrrd").unlink()
    choose(panel, study)
    check(panel)
    table = panel.ui.problemsTable
    rows = [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]
    assert [row[:3] for row in rows] == [["error", "3", "path 'ct1.nrrd'"]]
    assert "ct1.nrrd" in rows[0][3]
    assert panel.ui.trialStatusLabel.text == (
        "1 femur can be mapped: 1 error, 0 warnings, 0 notes. Fix the errors, then check again."
    )
    write_study(tmp_path, [["P00", "0", "right", "ct0.nrrd", "mask0.nrrd", "1", ""]])
    panel.ui.mapButton.click()
    assert panel.ui.trialStatusLabel.text == "The study was changed since it was checked: check it again."
    assert table.rowCount == 0
    assert not panel.ui.mapButton.enabled


def test_a_file_that_is_not_a_study_is_reported_in_a_sentence(panel, tmp_path, error_windows):
    (tmp_path / "study.toml").write_text("[study\n", encoding="utf-8")
    choose(panel, tmp_path / "study.toml")
    panel.ui.checkButton.click()
    assert str(tmp_path / "study.toml") in panel.ui.trialStatusLabel.text
    assert not panel._mapping.running
    assert error_windows == []


def test_a_run_maps_the_cases_reports_failures_and_fills_the_table(panel, tmp_path, light):
    study_of(tmp_path, "slow0", "wrong1", "slow2", "slow3")
    choose(panel, tmp_path / "study.toml")
    check(panel)
    panel.ui.mapButton.click()
    assert panel.ui.mapButton.text == "Cancel"
    assert panel.ui.checkButton.toolTip == "Wait until the run has ended."
    texts = set()
    until(lambda: texts.add(panel.ui.trialStatusLabel.text) or not panel._mapping.running)
    # which of them is seen last before the end depends on how fast the machine is
    assert any(re.fullmatch(r"Case [123] of 4 done, 1 failed, .* left", text) for text in texts), texts
    assert panel.ui.mapButton.text == "Map all femurs"
    assert statuses(panel) == ["done", "failed", "done", "done"]
    assert panel.ui.casesLabel.text == "4 cases: 3 done, 1 failed, 0 to look at, 0 accepted, 0 rejected"
    panel.ui.casesTable.setCurrentCell(1, 0)
    reason = read_rows(tmp_path / "results" / "cases.csv")[1]["reason"]
    assert reason.startswith("This bone")
    assert panel.ui.caseLabel.text == f"wrong1 visit 0 right: failed; {reason}"
    assert not panel.ui.openButton.enabled
    assert not panel.ui.acceptButton.enabled


def test_cancel_keeps_mapped_femurs_and_the_next_run_continues_there(panel, tmp_path, light):
    study_of(tmp_path, *(f"slow{number}" for number in range(6)))
    choose(panel, tmp_path / "study.toml")
    check(panel)
    panel.ui.mapButton.click()
    until(lambda: panel.ui.trialStatusLabel.text.startswith("Case "))
    panel.ui.mapButton.click()
    until(lambda: not panel._mapping.running)
    assert panel.ui.trialStatusLabel.text == (
        "Cancelled: mapped femurs are kept, and the next run continues there."
    )
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "results").glob("sub-*/*/*/case.json")}
    assert 0 < len(kept) < 6
    panel.ui.mapButton.click()
    until(lambda: not panel._mapping.running)
    assert panel.ui.trialStatusLabel.text == "All femurs of the study are mapped."
    assert statuses(panel) == ["done"] * 6
    assert all(file.stat().st_mtime_ns == written for file, written in kept.items())


def test_a_run_goes_on_while_another_module_is_open_and_when_the_scene_is_closed(
    panel, tmp_path, light, scene
):
    study_of(tmp_path, *(f"slow{number}" for number in range(2)))
    choose(panel, tmp_path / "study.toml")
    check(panel)
    panel.ui.mapButton.click()
    panel.exit()
    panel.enter()
    panel.onSceneStartClose()
    scene.Clear(0)
    panel.onSceneLoaded()
    assert panel._mapping.running
    assert panel.ui.studyFileEdit.currentPath == str(tmp_path / "study.toml")
    until(lambda: not panel._mapping.running)
    assert statuses(panel) == ["done"] * 2


def test_a_case_is_opened_with_its_scan_and_its_picture_once(panel, tmp_path, scene, seen):
    choose(panel, mapped(tmp_path, 2))
    panel.ui.casesTable.setCurrentCell(1, 0)
    panel.ui.openButton.click()
    (nodes,) = results_in(scene)
    ((scan, points),) = seen
    assert nodes.bone.GetName() == "P01 visit 0 right bone"
    assert points.shape[1] == 3
    written = slicer.util.arrayFromVolume(scan)
    np.testing.assert_allclose(written, np.linspace(-1000, 1001, 216).reshape(6, 6, 6), atol=1e-3)
    assert picture_of(nodes).GetImageData().GetDimensions() == (*PICTURE_SIZE, 1)
    panel.ui.openButton.click()
    assert len(results_in(scene)) == 1
    assert seen[1][0] is scan
    panel.ui.casesTable.setCurrentCell(0, 0)
    panel.ui.openButton.click()
    first = next(found for found in results_in(scene) if found.bone is not nodes.bone)
    visible = [bool(found.bone.GetDisplayNode().GetVisibility()) for found in (first, nodes)]
    assert visible == [True, False]


def test_an_opened_case_can_be_removed_from_the_scene(panel, tmp_path, scene, seen):
    choose(panel, mapped(tmp_path, 1))
    panel.ui.casesTable.setCurrentCell(0, 0)
    assert not panel.ui.closeButton.enabled
    panel.ui.openButton.click()
    assert panel.ui.closeButton.enabled
    panel.ui.closeButton.click()
    assert not panel.ui.closeButton.enabled
    assert slicer.util.getNodesByClass("vtkMRMLDisplayableNode", scene) == []
    assert (tmp_path / "results" / cases_in(tmp_path)[0].folder / "case.json").is_file()


@pytest.mark.parametrize(
    ("harm", "end"),
    [
        ("remove", "does not exist."),
        ("replace", "is no longer the one that was mapped; map the scans again."),
    ],
)
def test_a_surface_is_never_shown_over_a_scan_that_it_is_not_from(panel, tmp_path, scene, seen, harm, end):
    choose(panel, mapped(tmp_path, 1))
    if harm == "remove":
        (tmp_path / "ct0.nrrd").unlink()
    else:
        write_scan(tmp_path / "ct0.nrrd", value=700.0)
    panel.ui.casesTable.setCurrentCell(0, 0)
    panel.ui.openButton.click()
    assert panel.ui.caseLabel.text.splitlines()[-1].endswith(end)
    assert len(results_in(scene)) == 1
    assert [scan for scan, _ in seen] == [None]


def test_both_hips_of_one_scan_share_its_volume(panel, tmp_path, scene, seen, error_windows):
    people(tmp_path, 1)
    choose(panel, mapped(tmp_path, 1, [["P00", "0", "both", "ct0.nrrd", "mask0.nrrd", "1", ""]]))
    for row in (0, 1):
        panel.ui.casesTable.setCurrentCell(row, 0)
        panel.ui.openButton.click()
    assert error_windows == []
    assert len(results_in(scene)) == 2
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene)
    assert len([node for node in volumes if node.GetAttribute(SCAN_ATTRIBUTE)]) == 1


def test_two_series_of_one_folder_are_two_scans_in_the_scene(panel, tmp_path, scene, seen, error_windows):
    for number in (1, 2):
        series(tmp_path / "ct", np.arange(4.0 + number), prefix=f"S{number}", series=f"1.2.{number}")
    rows = [["P00", str(visit), "right", "ct", "", "", "", str(visit + 1)] for visit in (0, 1)]
    choose(panel, mapped(tmp_path, 0, rows, (*HEADER, "series")))
    for row in (0, 1):
        panel.ui.casesTable.setCurrentCell(row, 0)
        panel.ui.openButton.click()
    assert error_windows == []
    assert [slicer.util.arrayFromVolume(scan).shape[0] for scan, _ in seen] == [5, 6]


def test_the_picture_of_the_chosen_case_is_shown_in_the_panel(panel, tmp_path):
    choose(panel, mapped(tmp_path, 1))
    assert panel.ui.pictureLabel.pixmap.isNull()
    panel.ui.casesTable.setCurrentCell(0, 0)
    shown = panel.ui.pictureLabel.pixmap
    assert shown.width() / shown.height() == pytest.approx(PICTURE_SIZE[0] / PICTURE_SIZE[1], rel=0.02)


def test_a_verdict_and_its_note_are_stored_in_the_table_that_the_analysis_reads(panel, tmp_path):
    choose(panel, mapped(tmp_path, 2))
    panel.ui.casesTable.setCurrentCell(1, 0)
    panel.ui.noteEdit.text = "moved"
    panel.ui.rejectButton.click()
    assert decided(tmp_path) == [("", ""), ("reject", "moved")]
    assert panel.ui.casesTable.item(1, 4).text() == "rejected"
    assert panel.ui.caseLabel.text.splitlines()[1] == "rejected: moved"
    assert panel.ui.casesTable.currentRow() == 1
    panel.ui.casesTable.setCurrentCell(0, 0)
    assert panel.ui.noteEdit.text == ""
    panel.ui.acceptButton.click()
    panel.ui.casesTable.setCurrentCell(1, 0)
    assert panel.ui.noteEdit.text == "moved"
    panel.ui.undecidedButton.click()
    assert decided(tmp_path) == [("accept", ""), ("", "moved")]
    assert panel.ui.casesLabel.text == "2 cases: 2 done, 0 to look at, 1 accepted, 0 rejected"


def test_the_mapped_study_is_analysed_without_a_rejected_case(panel, module, tmp_path):
    study = mapped(tmp_path, 2)
    choose(panel, study)
    assert panel.ui.tableFileEdit.currentPath == str(tmp_path / "participants.csv")
    assert panel.ui.resultsFolderEdit.currentPath == str(tmp_path / "results")
    assert panel.ui.overviewLabel.text == "2 participants, 1 visit, 2 rows: 2 with a map"
    panel.ui.casesTable.setCurrentCell(0, 0)
    panel.ui.rejectButton.click()
    assert panel.ui.overviewLabel.text.endswith("1 with a map, 1 visit missed")
    panel._parameterNode.terms, panel._parameterNode.contrast = "visit", "visit 0"
    written = module.study_plan(panel._parameterNode)
    assert written.scans == read_study_file(study, needs_analysis=False).scans


def test_a_verdict_from_elsewhere_is_seen_when_the_panel_is_opened_again(panel, tmp_path):
    choose(panel, mapped(tmp_path, 1))
    panel.exit()
    table = tmp_path / "results" / "qc.csv"
    rows = read_rows(table)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(row | {"verdict": "accept"} for row in rows)
    panel.enter()
    assert panel.ui.casesTable.item(0, 4).text() == "accepted"


def test_a_damaged_table_of_cases_is_reported_in_a_sentence(panel, tmp_path):
    study = mapped(tmp_path, 1)
    (tmp_path / "results" / "cases.csv").write_text("case\nsub\n", encoding="utf-8")
    choose(panel, study)
    assert "this is not the table that a run has written" in panel.ui.casesLabel.text
    assert not panel.ui.casesSection.enabled


def test_the_panel_with_a_study_looks_right_to_a_person(panel, tmp_path):
    """Writes the picture; a person looks at it. What is asserted is that nothing is cut off."""
    panel.panel.resize(480, 2300)
    panel.panel.show()
    choose(panel, mapped(tmp_path, 3))
    (tmp_path / "ct2.nrrd").unlink()
    check(panel)
    panel.ui.casesTable.setCurrentCell(1, 0)
    panel.ui.noteEdit.text = "A note"
    ui = panel.ui
    until(lambda: ui.openButton.geometry.top() > ui.pictureLabel.geometry.bottom())  # there is room for it
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert panel.panel.grab().save(str(PICTURES / "statistics_panel_study.png"))
    names = ("checkButton", "mapButton", "problemsTable", "casesTable", "openButton", "undecidedButton")
    for name in names:
        widget = getattr(panel.ui, name)
        assert widget.isVisible()
        assert widget.geometry.right() <= widget.parentWidget().rect.right()


def choose(panel, study):
    panel.ui.studyFileEdit.currentPath = str(study)


def check(panel):
    """Check, with the real command but for `light`."""
    panel.ui.checkButton.click()
    until(lambda: not panel._mapping.running)


def statuses(panel):
    table = panel.ui.casesTable
    return [table.item(row, 3).text() for row in range(table.rowCount)]


def decided(folder):
    return [(row["verdict"], row["note"]) for row in read_rows(folder / "results" / "qc.csv")]


def mapped(folder, count, rows=None, header=HEADER):
    """Map a study with a ball for every femur, and a picture."""
    study = people(folder, count)
    if rows is not None:
        write_study(folder, rows, header)

    def measure(case, _progress):
        return replace(mapping_work.measure(case, _progress), **ball(case.side))

    work = partial(run_case, measure=measure)
    map_scans(cases_in(folder), folder / "results", Inline(), work=work)
    return study


def ball(side):
    made = two_balls()
    return {
        "periosteal": made.periosteal,
        "average": made.average,
        "side": side,
        "thumbnail": picture(*PICTURE_SIZE),
    }


def picture(columns, rows):
    """A JPEG of one colour."""
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.full((columns * rows, 3), 90, np.uint8)))
    writer = vtk.vtkJPEGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    writer.Write()
    return bytes(memoryview(writer.GetResult()))


def until(condition, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the panel did not get there"
        QTest.qWait(10)
