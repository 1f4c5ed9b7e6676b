"""The panel, opened off-screen on a real scene with doubles of the desktop's widgets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed: pip install slicer-core")
pytest.importorskip("PySide6", reason="PySide6 is not installed: pip install PySide6-Essentials")
HERE = Path(__file__).parent
MODULE = HERE.parents[1] / "CorticalBoneMapping" / "CorticalBoneMapping.py"
sys.path[:0] = [str(HERE), str(HERE.parent / "scene")]

import qt_doubles  # noqa: E402
import slicer_doubles  # noqa: E402
from slicer_scene import SlicerScene, two_balls  # noqa: E402


@pytest.fixture
def scene(tmp_path):
    made = SlicerScene(tmp_path / "cache")
    yield made.scene
    made.close()


@pytest.fixture
def femur_result():
    return two_balls()


@pytest.fixture
def error_windows(monkeypatch, scene):
    """What Slicer would have shown in an error window; with it, the doubles are in place."""
    qt_doubles.application()
    return slicer_doubles.install(monkeypatch, scene, qt_doubles, MODULE.parent / "Resources")


@pytest.fixture
def module(error_windows, monkeypatch):
    """The module file, loaded as Slicer loads it."""
    spec = importlib.util.spec_from_file_location("CorticalBoneMapping", MODULE)
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "CorticalBoneMapping", loaded)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def panel(module, capfd):
    """The panel, open. An error in a function that VTK or Qt calls is only printed, so it is looked for."""
    widget = module.CorticalBoneMappingWidget()
    widget.setup()
    yield widget
    widget.cleanup()
    widget.panel.setMRMLScene(None)
    widget.panel.deleteLater()
    assert "Traceback" not in capfd.readouterr().err
