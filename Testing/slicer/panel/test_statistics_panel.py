"""The statistics panel: the study, the run and its result. Widgets are doubles."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from small_answer import small_answer

from CorticalBoneMappingLib.slicer.panel import application
from CorticalBoneMappingLib.slicer.panel import runs as study_run
from CorticalBoneMappingLib.slicer.scene.answers import add_answer, answers_in
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

PICTURES = Path(__file__).parents[3] / "build" / "pictures"
TABLE = """participant,visit,side,path,arm,age
P1,0,left,P1_0,denosumab,61
P1,36,left,P1_36,denosumab,61
P2,0,left,P2_0,placebo,67
P2,36,left,,placebo,67
P3,0,left,P3_0,placebo,70
P3,36,left,P3_36,placebo,70
"""
CHILD = """
import json, sys, time
for step in range(1, 4):
    print(json.dumps({"fraction": step / 3, "text": f"Step {step} of 3"}), file=sys.stderr, flush=True)
    time.sleep(0.05)
"""


@pytest.fixture
def module_name():
    return "CorticalBoneStatistics"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "participants.csv").write_text(TABLE, encoding="utf-8")
    for name in ("P1_0", "P1_36", "P2_0", "P3_0"):
        (tmp_path / "maps" / name).mkdir(parents=True)
        (tmp_path / "maps" / name / "average_femur.vtp").touch()
    (tmp_path / "answer").mkdir()
    return tmp_path


@pytest.fixture
def filled(panel, study):
    """The panel with a study chosen."""
    panel.ui.resultsFolderEdit.currentPath = str(study / "maps")
    panel.ui.tableFileEdit.currentPath = str(study / "participants.csv")
    panel.ui.outputFolderEdit.currentPath = str(study / "answer")
    return panel


@pytest.fixture
def seen(monkeypatch):
    """The panel's calls of Slicer's desktop, which the tests do not have."""
    asked = []
    for name in ("show_anatomical_views", "turn_to", "show_chart", "begin_placing"):
        monkeypatch.setattr(application, name, lambda *what, name=name: asked.append((name, *what)))
    return asked


def ticked(panel):
    table = panel.ui.termsTable
    items = [table.item(row, 0) for row in range(table.rowCount)]
    return [item.text() for item in items if item.checkState().value == 2]


def test_an_empty_panel_names_the_missing_inputs(panel):
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip.splitlines() == [
        "Choose the table of the study.",
        "Choose the folder of the maps.",
        "Choose the output folder.",
        "Tick the terms of the model.",
        "Enter the contrast.",
    ]


def test_a_study_shows_its_rows_missing_maps_and_a_first_contrast(filled):
    ui = filled.ui
    assert ui.overviewLabel.text == (
        "3 participants, 2 visits, 6 rows: 4 with a map, 1 visit missed, 1 no map in its folder"
    )
    status = [ui.rowsTable.item(row, 4).text() for row in range(6)]
    assert status == ["map found"] * 3 + ["visit missed", "map found", "no map in its folder"]
    terms = [ui.termsTable.item(row, 0).text() for row in range(ui.termsTable.rowCount)]
    assert terms == ["visit", "arm", "age", "visit × arm"]
    assert ticked(filled) == ["visit", "arm", "visit × arm"]
    assert ui.contrastEdit.text == "denosumab − placebo in the change from visit 0 to visit 36"
    assert ui.applyButton.enabled


def test_a_table_that_lacks_a_column_is_reported_in_a_sentence(filled, study):
    (study / "other.csv").write_text("participant,visit\nP1,0\n", encoding="utf-8")
    filled.ui.tableFileEdit.currentPath = str(study / "other.csv")
    assert "the column 'side' is missing" in filled.ui.overviewLabel.text
    assert filled.ui.rowsTable.rowCount == 0


def test_ticks_are_kept_in_the_parameter_node_and_come_back(filled, module):
    item = filled.ui.termsTable.item(2, 0)
    item.setCheckState(Qt.CheckState.Checked)
    parameters = module.CorticalBoneStatisticsLogic().getParameterNode()
    assert parameters.terms == "visit; arm; age; visit × arm"
    filled.exit()
    filled.enter()
    assert ticked(filled) == ["visit", "arm", "age", "visit × arm"]


def test_apply_writes_the_study_file_runs_it_and_shows_the_answer(filled, scene, study, monkeypatch):
    commands = []

    def command(python, file, folder, _only):
        commands.append((file, folder))
        return [python, "-c", CHILD]

    answer = small_answer()
    answer.provenance["question"] = {"contrast": "denosumab − placebo"}
    answer.provenance["significant_area"] = {"share_of_tested": 0.5}
    monkeypatch.setattr(study_run, "stats_command", command)
    monkeypatch.setattr(study_run, "read_answer", lambda folder: answer)
    filled.ui.correctionCombo.setCurrentIndex(1)
    filled.ui.applyButton.click()
    assert filled.ui.applyButton.text == "Cancel"
    _until(lambda: filled._run.run is None)
    plan = read_study_file(commands[0][0])
    (analysis,) = plan.analyses
    assert plan.table == study / "participants.csv"
    assert analysis.terms == ("visit", "arm", "visit × arm")
    assert (analysis.correction, analysis.model) == ("permutation", "mixed")
    (nodes,) = answers_in(scene)
    assert filled.ui.effectSelector.currentNode() is nodes.effect
    assert filled.ui.notesLabel.text.splitlines()[1] == "50% of the surface is significant."
    assert filled.ui.clustersTable.item(0, 0).text() == "neck superior"


def test_a_click_on_a_cluster_turns_the_view_to_its_peak_and_plots_it(panel, scene, seen):
    answer = small_answer()
    nodes = add_answer(scene, answer, "Month 36")
    scene.InvokeEvent(scene.EndImportEvent)
    panel.ui.clustersTable.cellClicked.emit(0, 0)
    peak = answer.clusters[0]["peak_vertex"]
    (turned, place, _), (shown, chart) = seen
    assert (turned, shown) == ("turn_to", "show_chart")
    assert place == pytest.approx(answer.surface.points[peak], abs=1e-4)
    assert chart.GetTitle().startswith(f"Vertex {peak} ")
    assert panel.ui.effectSelector.currentNode() is nodes.effect


def test_a_point_on_the_femur_plots_the_nearest_vertex_and_follows_it(panel, scene, seen):
    add_answer(scene, small_answer(), "Month 36")
    scene.InvokeEvent(scene.EndImportEvent)
    panel.ui.pointButton.click()
    (placing, point) = seen.pop()
    assert placing == "begin_placing"
    point.AddControlPoint(0.0, 0.0, 25.0)
    first = seen[-1][1].GetTitle()
    point.SetNthControlPointPosition(0, 25.0, 0.0, 0.0)
    assert seen[-1][0] == "show_chart"
    assert seen[-1][1].GetTitle() != first
    assert seen[-1][1].GetYAxisTitle() == "Cortical mass surface density (mg/cm²)"


def test_the_panel_looks_right_to_a_person(filled, scene):
    """Writes the picture; a person looks at it. What is asserted is that nothing is cut off."""
    add_answer(scene, small_answer(), "Month 36")
    scene.InvokeEvent(scene.EndImportEvent)
    filled.panel.resize(480, 1480)
    filled.panel.show()
    QCoreApplication.processEvents()
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert filled.panel.grab().save(str(PICTURES / "statistics_panel.png"))
    for name in ("applyButton", "rowsTable", "termsTable", "contrastEdit", "regionsTable", "pointButton"):
        widget = getattr(filled.ui, name)
        assert widget.isVisible()
        assert widget.geometry.right() <= widget.parentWidget().rect.right()


def _until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the panel did not get there"
        QTest.qWait(10)
