"""The search for the femurs in the panel: a button, a segmentation, its verdict, the measurement."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from PySide6.QtCore import QCoreApplication
from PySide6.QtTest import QTest
from slicer_scene import set_segment

from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.pipeline.find.found_files import FoundFiles
from CorticalBoneMappingLib.slicer.panel import runs as mapping_run
from CorticalBoneMappingLib.slicer.panel import runs as segment_run
from CorticalBoneMappingLib.slicer.panel.runs import segment_command

PICTURES = Path(__file__).parents[3] / "build" / "pictures"
RECORDS = {
    "right": {"verdict": "good", "reasons": [], "notes": []},
    "left": {
        "verdict": "look at it",
        "reasons": ["Metal is near 32% of the surface; the bone around it is uncertain."],
        "notes": ["The shaft ends with the scan."],
    },
}
SUMMARY = """\
Right femur: good.
Left femur: look at it.
  Metal is near 32% of the surface; the bone around it is uncertain.
  The shaft ends with the scan."""

CHILD = """
import json, sys, time
for step in range(1, 5):
    print(json.dumps({{"fraction": step / 4, "text": f"Step {{step}} of 4"}}), file=sys.stderr, flush=True)
    time.sleep({pause})
if {failure!r}:
    print("error: " + {failure!r}, file=sys.stderr)
    sys.exit(1)
"""


@pytest.fixture
def ct(panel, scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(node, np.zeros((12, 30, 40), np.int16))
    node.SetSpacing(0.8, 0.8, 2.0)
    panel.ui.volumeSelector.setCurrentNode(node)
    return node


@pytest.fixture
def child(monkeypatch, tmp_path):
    """Replaces `cbm segment` by a child that finds two boxes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.zeros((12, 30, 40), np.uint8)
    array[2:10, 8:20, 3:15], array[2:10, 8:20, 25:37] = 75, 76
    matrix = np.diag([0.8, 0.8, 2.0, 1.0])

    def put(pause=0.02, failure="", sides=("right", "left")):
        labels = np.where(np.isin(array, [{"left": 75, "right": 76}[side] for side in sides]), array, 0)
        records = {side: RECORDS[side] for side in sides}
        found = FoundFiles(Volume(labels.astype(np.uint8), matrix), {}, {"femurs": records})

        def command(python, file, folder):
            assert segment_command(python, file, folder)[3:] == [
                *("segment", str(file), "--out", str(folder), "--progress", "json")
            ]
            assert file.is_file()
            return [python, "-c", CHILD.format(pause=pause, failure=failure)]

        monkeypatch.setattr(segment_run, "segment_command", command)
        monkeypatch.setattr(segment_run, "read_found", lambda folder: found)

    return put


def test_without_a_ct_there_is_nothing_to_search(panel):
    assert not panel.ui.findButton.enabled
    assert panel.ui.findButton.toolTip == "Choose the CT volume."


def test_found_femurs_are_one_segmentation_that_is_chosen_with_its_side(panel, ct, child, scene):
    child()
    assert panel.ui.findButton.text == "Find the femurs"
    panel.ui.findButton.click()
    assert panel.ui.findButton.text == "Cancel"
    assert not panel.ui.inputsSection.enabled
    assert not panel.ui.applyButton.enabled
    _watch(panel)
    assert panel.ui.findButton.text == "Find the femurs"
    assert panel.ui.findStatusLabel.text == SUMMARY
    segmentation = scene.GetFirstNodeByName("CT femurs")
    assert panel.ui.segmentSelector.currentNode() is segmentation
    parameters = panel._parameterNode
    assert parameters.segmentation is segmentation
    segments = segmentation.GetSegmentation()
    for name, side in (("Left femur", "LEFT"), ("Right femur", "RIGHT")):
        panel.ui.segmentSelector.setCurrentSegmentID(segments.GetSegmentIdBySegmentName(name))
        assert parameters.side.name == side


def test_an_edited_segment_is_what_is_measured(panel, ct, child, scene, tmp_path, monkeypatch):
    child(sides=("left",))
    panel.ui.findButton.click()
    _watch(panel)
    panel.ui.outputFolderEdit.currentPath = str(tmp_path)
    assert panel.ui.applyButton.enabled  # volume, segment and side are known: only the folder was missing
    segmentation = scene.GetFirstNodeByName("CT femurs")
    edited = np.zeros((12, 30, 40), bool)
    edited[2:10, 8:20, 3:15] = True
    edited[4:7, 20:22, 5:10] = True
    set_segment(segmentation, panel.ui.segmentSelector.currentSegmentID(), edited, ct)
    written = []
    monkeypatch.setattr(mapping_run, "write_volume", lambda path, volume: written.append((path.name, volume)))
    run = panel.logic.start(panel._parameterNode)
    run.close()
    (mask,) = (volume for name, volume in written if name == "femur.nrrd")
    np.testing.assert_array_equal(mask.array.astype(bool), edited)
    assert "left" in run._child._process.args


def test_cancel_ends_the_search_and_leaves_scene_and_disk_as_they_were(panel, ct, child, scene, tmp_path):
    child(pause=30)
    panel.ui.findButton.click()
    _until(lambda: panel.ui.findStatusLabel.text == "Step 1 of 4")
    panel.ui.findButton.click()
    _watch(panel)
    assert panel.ui.findStatusLabel.text == "Cancelled: nothing was written."
    assert scene.GetFirstNodeByName("CT femurs") is None
    assert list(tmp_path.glob("cortical-bone-mapping*")) == []
    assert panel.ui.inputsSection.enabled


def test_a_search_without_success_is_one_sentence(panel, ct, child, scene, error_windows, tmp_path):
    child(failure="CT: no hip was found. A scan is needed that shows the head and neck of a femur.")
    panel.ui.findButton.click()
    _watch(panel)
    assert panel.ui.findStatusLabel.text.startswith("CT: no hip was found.")
    assert error_windows == []
    assert list(tmp_path.glob("cortical-bone-mapping*")) == []


def test_nothing_is_left_on_disk_when_the_femurs_are_in_the_scene(panel, ct, child, tmp_path):
    child()
    panel.ui.findButton.click()
    _watch(panel)
    assert list(tmp_path.glob("cortical-bone-mapping*")) == []


def test_a_measurement_cannot_begin_while_the_search_is_on(panel, ct, child):
    child(pause=30)
    panel.ui.findButton.click()
    assert panel.ui.applyButton.toolTip == "Wait until the femurs are found."
    panel.onSceneStartClose()  # the search ends with the scene it would add to
    assert not panel._find.running
    assert panel.ui.findButton.text == "Find the femurs"


def test_the_verdict_comes_back_with_the_segmentation(panel, ct, child, scene):
    child()
    panel.ui.findButton.click()
    _watch(panel)
    segmentation = panel._parameterNode.segmentation
    panel.ui.segmentSelector.setCurrentNode(None)
    assert panel.ui.findStatusLabel.text == ""
    panel.ui.segmentSelector.setCurrentNode(segmentation)
    assert panel.ui.findStatusLabel.text == SUMMARY


def test_the_panel_with_a_verdict_looks_right_to_a_person(panel, ct, child):
    """Writes the picture; a person looks at it. What is asserted is that nothing is cut off."""
    child()
    panel.ui.findButton.click()
    _watch(panel)
    panel.panel.resize(460, 800)
    panel.panel.show()
    QCoreApplication.processEvents()
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert panel.panel.grab().save(str(PICTURES / "panel_find.png"))
    for name in ("findButton", "findStatusLabel", "segmentSelector", "applyButton"):
        widget = getattr(panel.ui, name)
        assert widget.isVisible()
        assert widget.geometry.right() <= widget.parentWidget().rect.right()


def _watch(panel):
    """Let the timer run until the search ends."""
    _until(lambda: not panel._find.running)


def _until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the panel did not get there"
        QTest.qWait(10)
