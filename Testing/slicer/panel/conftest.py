"""The panel, opened off-screen on a real scene with doubles of the desktop's widgets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent / "scene"), str(ROOT / "Testing" / "library" / "helpers")]
try:
    import qt_doubles
    import slicer_doubles
    from slicer_scene import SlicerScene, two_balls

    slicer_doubles.provide_modules(qt_doubles)
except ModuleNotFoundError as missing:
    if missing.name not in ("slicer", "PySide6"):
        raise
    collect_ignore_glob = ["test_*.py"]  # a skip is not possible here: it would end the whole run
    sys.stderr.write(f"Testing/slicer/panel is left out, since {missing.name} is not installed.\n")


@pytest.fixture
def scene(tmp_path):
    made = SlicerScene(tmp_path / "cache")
    yield made.scene
    made.close()


@pytest.fixture
def femur_result():
    return two_balls()


@pytest.fixture
def module_name():
    """The module that is opened; a test file of another module gives its own."""
    return "CorticalBoneMapping"


@pytest.fixture
def error_windows(monkeypatch, scene, module_name):
    """What Slicer would have shown in an error window; with it, the doubles are in place."""
    qt_doubles.application()
    return slicer_doubles.install(monkeypatch, scene, qt_doubles, ROOT / module_name / "Resources")


@pytest.fixture
def module(error_windows, monkeypatch, module_name):
    """The module file, loaded as Slicer loads it."""
    file = ROOT / module_name / f"{module_name}.py"
    spec = importlib.util.spec_from_file_location(module_name, file)
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, module_name, loaded)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def panel(module, module_name, capfd):
    """The panel, open. An error in a function that VTK or Qt calls is only printed, so it is looked for."""
    widget = getattr(module, f"{module_name}Widget")()
    widget.setup()
    yield widget
    widget.cleanup()
    widget.panel.setMRMLScene(None)
    widget.panel.deleteLater()
    assert "Traceback" not in capfd.readouterr().err
