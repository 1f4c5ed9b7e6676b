"""Scenes and a result for the tests of `scene/`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
try:
    from slicer_scene import SlicerScene, two_balls
except ModuleNotFoundError as missing:
    if missing.name not in ("slicer", "PySide6"):
        raise
    collect_ignore_glob = ["test_*.py"]  # a skip is not possible here: it would end the whole run
    sys.stderr.write(f"Testing/slicer/scene is left out, since {missing.name} is not installed.\n")


@pytest.fixture
def new_scene(tmp_path: Path):
    """Makes scenes; the second represents Slicer after a restart."""
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
