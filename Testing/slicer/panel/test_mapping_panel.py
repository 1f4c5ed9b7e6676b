"""The mapping panel: its inputs, runs and results. Its widgets are doubles, its scene is real."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6.QtCore import QCoreApplication
from PySide6.QtTest import QTest
from slicer_scene import set_segment

from CorticalBoneMappingLib.slicer.panel import runs as mapping_run
from CorticalBoneMappingLib.slicer.scene.results import add_result, results_in

PICTURES = Path(__file__).parents[3] / "build" / "pictures"

# A child in place of `cbm map`: it reports progress, stores its arguments, and fails if asked to.
CHILD = """
import json, sys, time, pathlib
out = pathlib.Path(sys.argv[1])
(out / "arguments.json").write_text(json.dumps(sys.argv[2:]))
for step in range(1, 5):
    print(json.dumps({{"fraction": step / 4, "text": f"Step {{step}} of 4"}}), file=sys.stderr, flush=True)
    time.sleep({pause})
if {failure!r}:
    print("error: " + {failure!r}, file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture
def filled(panel, module, scene, tmp_path):
    """The panel with all inputs given, as a user gives them."""
    _add_hip(scene)
    ui = panel.ui
    ui.volumeSelector.setCurrentNode(scene.GetFirstNodeByName("CT"))
    ui.segmentSelector.setCurrentNode(scene.GetFirstNodeByName("Segmentation"))
    ui.segmentSelector.setCurrentSegmentID("femur")
    ui.sideCombo.setCurrentIndex(2)
    ui.outputFolderEdit.currentPath = str(tmp_path / "left hip")
    (tmp_path / "left hip").mkdir()
    return panel


@pytest.fixture
def child(monkeypatch, femur_result):
    """Replaces the measurement by a child with the result of the fixture."""

    def put(pause=0.02, failure=""):
        real = mapping_run.map_command

        def command(python, ct, mask, side, settings, folder):
            arguments = real(python, ct, mask, side, settings, folder)
            assert ct.is_file()
            assert mask.is_file()
            code = CHILD.format(pause=pause, failure=failure)
            return [python, "-c", code, str(folder), *arguments[3:]]

        monkeypatch.setattr(mapping_run, "map_command", command)
        monkeypatch.setattr(mapping_run, "read_result", lambda folder: femur_result)

    return put


def test_an_empty_panel_names_the_missing_inputs_and_does_not_run(panel):
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip.splitlines() == [
        "Choose the CT volume.",
        "Choose the segmentation that holds the femur.",
        "Choose the side of the body.",
        "Choose the output folder.",
    ]
    assert not panel.ui.resultSection.enabled


def test_each_input_removes_its_sentence_until_apply_is_enabled(filled, tmp_path):
    ui = filled.ui
    assert ui.applyButton.enabled
    ui.sideCombo.setCurrentIndex(0)
    assert not ui.applyButton.enabled
    assert ui.applyButton.toolTip == "Choose the side of the body."
    ui.sideCombo.setCurrentIndex(1)
    ui.calibrationCombo.setCurrentIndex(2)
    assert ui.applyButton.toolTip == "Choose the file with the rods of the phantom."
    (tmp_path / "rods.csv").write_text("")
    ui.rodsFileEdit.currentPath = str(tmp_path / "rods.csv")
    assert ui.applyButton.enabled


def test_only_the_fields_of_the_chosen_calibration_are_seen(filled):
    ui = filled.ui
    filled.panel.show()
    seen = {}
    for index in range(4):
        ui.calibrationCombo.setCurrentIndex(index)
        fields = (ui.slopeEdit, ui.rodsFileEdit, ui.hardeningEdit, ui.kvpEdit)
        seen[index] = (*(field.isVisible() for field in fields), ui.corticalDensityEdit.suffix)
    assert seen == {
        0: (False, False, False, False, " HU"),
        1: (True, False, True, True, " mg/cm³"),
        2: (False, True, True, True, " mg/cm³"),
        3: (False, False, False, False, " mg/cm³"),
    }


def test_the_inputs_are_kept_in_the_parameter_node(filled, module, tmp_path):
    ui = filled.ui
    ui.calibrationCombo.setCurrentIndex(1)
    ui.slopeEdit.setValue(0.81)
    ui.interceptEdit.setValue(-2.5)
    ui.useCorticalDensityCheck.setChecked(True)
    ui.corticalDensityEdit.setValue(1150)
    ui.spacingEdit.setValue(0.9)
    ui.hardeningEdit.setCurrentIndex(2)
    ui.kvpEdit.setValue(100)
    ui.sliceThicknessEdit.setValue(2.5)
    filled.exit()  # the panel is disconnected: only the node has the values
    logic = module.CorticalBoneMappingLogic()
    settings = module.map_settings(logic.getParameterNode())
    assert settings.calibration == "linear:0.81,-2.5,K2HPO4"
    assert settings.cortical_density == 1150
    assert settings.spacing_mm == 0.9
    assert (settings.hardening, settings.kvp, settings.slice_thickness_mm) == ("off", 100.0, 2.5)
    filled.enter()
    assert ui.segmentSelector.currentSegmentID() == "femur"
    assert ui.slopeEdit.value == 0.81


def test_apply_runs_the_command_line_shows_progress_and_brings_the_result(filled, child, scene, tmp_path):
    child(pause=0.25)
    filled.ui.applyButton.click()
    assert filled.ui.applyButton.text == "Cancel"
    assert not filled.ui.inputsSection.enabled
    fractions = _watch(filled)

    assert filled.ui.applyButton.text == "Apply"
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 3
    arguments = (tmp_path / "left hip" / "arguments.json").read_text()
    for text in ('"--side", "right"', '"--label", "1"', '"--calibration", "none"', '"--progress", "json"'):
        assert text in arguments
    (nodes,) = results_in(scene)
    assert nodes.bone.GetName() == "left hip bone"
    assert filled.ui.resultSelector.currentNode() is nodes.bone
    assert "points measured" in filled.ui.qualityLabel.text
    assert "not measured (cut end of the bone)" in filled.ui.qualityLabel.text


def test_cancel_stops_the_child_and_adds_nothing(filled, child, scene):
    child(pause=30)
    filled.ui.applyButton.click()
    _until(lambda: filled.ui.statusLabel.text == "Step 1 of 4")
    begun = time.monotonic()
    filled.ui.applyButton.click()
    _watch(filled)
    assert time.monotonic() - begun < 5
    assert filled.ui.statusLabel.text == "Cancelled: nothing was written."
    assert filled.ui.applyButton.text == "Apply"
    assert filled.ui.applyButton.enabled
    assert results_in(scene) == []


def test_a_failure_is_one_sentence_and_no_window(filled, child, scene, error_windows):
    child(failure="The slices are not equally spaced (1.0 mm and 3.0 mm): slice 41 seems to be missing.")
    filled.ui.applyButton.click()
    _watch(filled)
    assert filled.ui.statusLabel.text.startswith("The slices are not equally spaced")
    assert error_windows == []
    assert results_in(scene) == []


def test_an_empty_segment_is_reported_in_one_sentence_too(filled, child, scene):
    child()
    segmentation = scene.GetFirstNodeByName("Segmentation")
    set_segment(segmentation, "femur", np.zeros((12, 30, 30)), scene.GetFirstNodeByName("CT"))
    filled.ui.applyButton.click()
    assert filled.ui.statusLabel.text == "The segment 'femur' is empty: draw the femur into it first."
    assert filled.ui.applyButton.text == "Apply"


def test_the_measure_and_the_surface_that_are_chosen_are_shown(panel, scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    panel.ui.shownMeasureCombo.setCurrentIndex(panel.ui.shownMeasureCombo.findData("cortical_density"))
    panel.ui.shownOnCombo.setCurrentIndex(1)
    assert nodes.average.GetDisplayNode().GetVisibility()
    assert not nodes.bone.GetDisplayNode().GetVisibility()
    assert nodes.average.GetDisplayNode().GetActiveScalarName() == "cortical_density"
    table = panel.ui.regionsTable
    assert table.horizontalHeaderItem(1).text() == "Mean (mg/cm³)"
    assert [table.item(0, column).text() for column in range(4)] == [
        "femoral_neck_superior",
        "812",
        "0.333",
        "98%",
    ]


def test_with_the_vertex_status_the_table_counts_points_without_a_value_by_region(panel, scene, femur_result):
    nodes = add_result(scene, femur_result, "Hip")
    panel.ui.resultSelector.setCurrentNode(nodes.bone)
    panel.ui.shownMeasureCombo.setCurrentIndex(panel.ui.shownMeasureCombo.findData("quality"))
    table = panel.ui.regionsTable
    assert [table.horizontalHeaderItem(column).text() for column in (1, 2, 3)] == [
        "No cortex",
        "Fit failed",
        "Metal",
    ]
    rows = [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]
    assert rows == [["femoral_neck_superior", "3", "2", "0"], ["subtrochanteric_shaft", "3", "2", "0"]]


def test_unset_paths_stay_empty_whatever_else_is_changed(panel):
    panel.ui.sideCombo.setCurrentIndex(1)  # Slicer then writes all parameters to their widgets
    assert panel.ui.outputFolderEdit.currentPath == ""
    assert panel.ui.rodsFileEdit.currentPath == ""


def test_a_panel_that_was_left_no_longer_writes_to_the_parameters(panel, module):
    panel.exit()
    panel.ui.sideCombo.setCurrentIndex(1)
    assert module.CorticalBoneMappingLogic().getParameterNode().side == module.Side.UNSET


def test_a_saved_scene_comes_back_and_shows_its_result(panel, scene, femur_result):
    add_result(scene, femur_result, "Hip")
    scene.InvokeEvent(scene.EndImportEvent)  # as when Slicer has loaded a scene while the panel is open
    assert panel.ui.resultSection.enabled
    assert panel.ui.regionsTable.rowCount == 2


def test_the_panel_looks_right_to_a_person(filled, child, scene):
    """Writes the picture; a person looks at it. What is asserted is that nothing is cut off."""
    child()
    filled.ui.applyButton.click()
    _watch(filled)
    filled.ui.calibrationCombo.setCurrentIndex(1)
    filled.panel.resize(460, 760)
    filled.panel.show()
    QCoreApplication.processEvents()
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert filled.panel.grab().save(str(PICTURES / "panel.png"))
    for name in ("applyButton", "qualityLabel", "regionsTable", "slopeEdit"):
        widget = getattr(filled.ui, name)
        assert widget.isVisible()
        assert widget.geometry.right() <= widget.parentWidget().rect.right()


def _watch(panel):
    """Let the timer run until the run ends; returns the progress bar's values on the way."""
    values = []

    def ended():
        values.append(panel.ui.progressBar.value)
        return panel._run.run is None

    _until(ended)
    return values[:-1]


def _until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the panel did not get there"
        QTest.qWait(10)


def _add_hip(scene):
    """A CT and a segmentation of two segments, the second of which is the femur."""
    ct = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(ct, np.zeros((12, 30, 30), np.int16))
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    labels = np.zeros((12, 30, 30), np.uint8)
    labels[2:10, 8:20, 8:20] = 1
    for name in ("pelvis", "femur"):
        segmentation.GetSegmentation().AddEmptySegment(name, name)
        set_segment(segmentation, name, labels, ct)
