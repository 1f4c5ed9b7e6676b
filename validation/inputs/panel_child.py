"""Open a panel off-screen, on a real scene with doubles of the desktop's widgets, and print what it says.

    python -m validation.inputs.panel_child study STUDY.toml ANALYSIS OUT
    python -m validation.inputs.panel_child scene MODULE PARAMETER VALUE

The first chooses a study file and one of its analyses and clicks Apply; it prints which file and analysis
`cbm stats` is then given. The second opens the panel on a scene saved with a value; it prints what is said.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SLICER_TESTS = ROOT / "Testing" / "slicer"


@contextmanager
def opened(module_name: str, **saved: str) -> Iterator[Any]:
    """Open the panel of a module on a scene with saved parameters."""
    sys.path[:0] = [str(SLICER_TESTS / "panel"), str(SLICER_TESTS / "scene")]
    import qt_doubles
    import slicer_doubles
    from slicer_scene import SlicerScene

    patch, folder = pytest.MonkeyPatch(), ROOT / module_name
    with tempfile.TemporaryDirectory() as cache:
        qt_doubles.application()
        made = SlicerScene(Path(cache))
        node = made.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", module_name)
        for name, value in saved.items():
            node.SetParameter(name, value)
        slicer_doubles.install(patch, made.scene, qt_doubles, folder / "Resources")
        spec = importlib.util.spec_from_file_location(module_name, folder / f"{module_name}.py")
        module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        panel = getattr(module, f"{module_name}Widget")()
        panel.setup()
        yield panel
        panel.cleanup()
        panel.panel.setMRMLScene(None)
        made.close()


def study(file: str, analysis: str, out: str) -> dict[str, Any]:
    """Ask an analysis of a study file; give what `cbm stats` is then asked, and what the panel says."""
    asked: list[tuple[str, str | None]] = []
    with opened("CorticalBoneStatistics") as panel:
        from CorticalBoneMappingLib.slicer.panel import runs as study_run

        def command(python: str, file: Path, _folder: Path, only: str | None = None) -> list[str]:
            asked.append((str(file), only))
            return [python, "-c", ""]

        study_run.stats_command = command
        panel.ui.studyFileEdit.currentPath = file
        panel.ui.outputFolderEdit.currentPath = out
        panel.ui.questionCombo.setCurrentIndex(panel.ui.questionCombo.findText(analysis))
        panel.ui.applyButton.click()
        said = panel.ui.statusLabel.text
        panel._run.abandon()
    return {"asked": asked, "said": said}


def scene(module_name: str, parameter: str, value: str) -> dict[str, Any]:
    """Open a panel on a saved scene; give what it says."""
    with opened(module_name, **{parameter: value}) as panel:
        return {"said": panel.ui.statusLabel.text}


if __name__ == "__main__":
    print(json.dumps({"study": study, "scene": scene}[sys.argv[1]](*sys.argv[2:])))
