"""The sample scan: offered to Slicer's sample data, simulated in a child process, cancelled when asked to."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util

from CorticalBoneMappingLib.core.errors import Cancelled
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume


class Dialog:
    """Double of Slicer's progress dialog."""

    def __init__(self, is_cancelled=False):
        self.wasCanceled, self.values, self.is_closed = is_cancelled, [], False

    def setValue(self, value):  # noqa: N802
        self.values.append(value)

    def close(self):
        self.is_closed = True


@pytest.fixture
def application(module, monkeypatch, tmp_path):
    """The module `application`, with doubles of what it needs of Slicer."""
    from CorticalBoneMappingLib.slicer.panel import application

    app = types.SimpleNamespace(temporaryPath=str(tmp_path), processEvents=lambda: None)
    monkeypatch.setattr(slicer, "app", app)
    monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **_: None)
    return application


@pytest.fixture
def put(application, monkeypatch):
    """Replaces dialog and child."""

    def put(dialog, code):
        monkeypatch.setattr(slicer.util, "createProgressDialog", lambda **_: dialog)
        monkeypatch.setattr(application, "simulate_command", lambda *_: [sys.executable, "-c", code])

    return put


def test_a_simulated_hip_is_offered_without_any_download(module, monkeypatch):
    offered = {}
    logic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **arguments: offered.update(arguments)
    )
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    module.registerSampleData()
    assert offered["uris"] == ""
    assert callable(offered["customDownloader"])
    assert Path(offered["thumbnailFileName"]).is_file()


def test_the_simulated_scan_comes_into_the_scene_with_the_femur_as_a_segment(
    application, put, scene, tmp_path
):
    folder = tmp_path / "SimulatedHip"
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (12, 14, 16)).astype(np.uint8)
    hu = labels * np.int16(1000) - np.int16(1000)
    write_volume(folder / "ct.nrrd", Volume(hu, np.eye(4)))
    write_volume(folder / "labels.nrrd", Volume(labels, np.eye(4)))
    dialog = Dialog()
    put(dialog, 'import sys; print(\'{"fraction": 1.0, "text": "Done"}\', file=sys.stderr)')
    volume, segmentation = application.simulate_hip()
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(volume), labels * np.int16(1000) - np.int16(1000)
    )
    names = [segmentation.GetSegmentation().GetNthSegment(index).GetName() for index in range(2)]
    assert names == ["Femur", "Other bone"]
    assert dialog.values[-1] == 100
    assert dialog.is_closed


def test_cancelling_the_dialog_ends_the_simulation_and_adds_nothing(application, put, scene):
    dialog = Dialog(is_cancelled=True)
    put(dialog, "import time; time.sleep(60)")
    with pytest.raises(Cancelled):
        application.simulate_hip()
    assert dialog.is_closed
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
