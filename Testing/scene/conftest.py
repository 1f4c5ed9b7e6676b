"""Scenes and a result for the tests of `scene/`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed: pip install slicer-core")
sys.path.insert(0, str(Path(__file__).parent))

from slicer_scene import SlicerScene, two_balls


@pytest.fixture
def new_scene(tmp_path: Path):
    """Makes scenes; the second stands for Slicer after a restart."""
    made: list[SlicerScene] = []

    def make():
        made.append(SlicerScene(tmp_path / f"cache{len(made)}"))
        return made[-1].scene

    yield make
    for one in made:
        one.close()


@pytest.fixture
def scene(new_scene):
    return new_scene()


@pytest.fixture
def femur_result():
    return two_balls()
