"""The child process beside Slicer: progress, stopping, errors, and nothing left behind."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.core.progress import JsonProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.slicer.panel.child_process import ChildProcess, RunState, error_sentence
from CorticalBoneMappingLib.slicer.panel.runs import MapFemurRun, map_command
from CorticalBoneMappingLib.slicer.panel.sections.result_section import region_cells, status_line


def test_progress_of_the_library_comes_through_and_other_lines_are_kept_apart():
    code = """
from CorticalBoneMappingLib.core.progress import JsonProgress
progress = JsonProgress()
progress.report(0.25, "Reading the CT")
print("a warning")
progress.report(1.0, "Fertig: Hüfte")
"""
    child = ChildProcess([sys.executable, "-c", code])
    _until_ended(child)
    assert (child.fraction, child.text) == (1.0, "Fertig: Hüfte")
    assert child.messages == ["a warning"]
    assert child.exit_code == 0
    assert JsonProgress.__name__ in code  # what the child writes with is the library's own


def test_polling_never_waits_for_the_child():
    child = ChildProcess([sys.executable, "-c", "import time; time.sleep(60)"])
    begun = time.monotonic()
    child.poll()
    assert time.monotonic() - begun < 0.1
    assert child.running
    child.close()
    assert not _is_alive(child._process.pid)


def test_a_stopped_child_can_clean_up():
    code = """
import signal, time
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command line does
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("cleaned up")
"""
    child = ChildProcess([sys.executable, "-c", code])
    _until(lambda: child.messages or child.poll())
    child.stop()
    _until_ended(child)
    assert child.messages == ["ready", "cleaned up"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_child_that_does_not_stop_is_killed_with_its_own_children():
    code = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(other.pid, flush=True)
time.sleep(60)
"""
    child = ChildProcess([sys.executable, "-c", code])
    _until(lambda: child.messages or child.poll())
    grandchild = int(child.messages[0])
    begun = time.monotonic()
    child.stop()
    _until_ended(child)
    assert 2.5 < time.monotonic() - begun < 6
    _until(lambda: not _is_alive(grandchild))


def test_the_command_line_is_the_documented_one():
    settings = MapSettings(cortical_density=1162.25, calibration="linear:0.8,-2.5", spacing_mm=0.9)
    command = map_command("python", Path("ct.nrrd"), Path("m.nrrd"), "left", settings, Path("out"))
    assert " ".join(command) == (
        "python -m CorticalBoneMappingLib.cli map ct.nrrd --mask m.nrrd --label 1 --side left --out out "
        "--method surface-map --calibration linear:0.8,-2.5 --spacing 0.9 --hardening auto "
        "--cortical-density 1162.25 --progress json"
    )


def test_a_run_leaves_no_temporary_files_however_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    ct = Volume(np.zeros((4, 5, 6), np.float32), np.eye(4))
    labelmap = Volume(np.ones((4, 5, 6), np.uint8), np.eye(4))
    for python, end in ((sys.executable, MapFemurRun.close), (sys.executable, _wait_for_failure)):
        run = MapFemurRun(ct, labelmap, "left", MapSettings(), tmp_path / "out", python=python)
        assert len(list((tmp_path / "temporary").rglob("*.nrrd"))) == 2
        end(run)
        assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        MapFemurRun(ct, labelmap, "left", MapSettings(), tmp_path / "out", python="no-such-python")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_internal_error_shows_no_traceback():
    child = ChildProcess([sys.executable, "-c", "1 / 0"])
    _until_ended(child)
    assert any("ZeroDivisionError" in line for line in child.messages)
    assert error_sentence(child.messages).startswith("The program stopped because of an internal error")


def test_the_quality_line_counts_every_reason():
    quality = np.array([0] * 90 + [1] * 6 + [5] * 4, np.uint8)
    surface = Surface(np.zeros((100, 3)), np.zeros((1, 3), np.int64), {"quality": quality})
    assert status_line(surface) == (
        "90 of 100 points measured (90%); not measured (cut end of the bone): 6; metal: 4"
    )


def test_region_cells_are_those_of_the_measure_and_a_dash_where_nothing_was_measured():
    row = {"region": "neck", "measure": "cortical_thickness", "mean": 1.23456, "sd": 0.5, "coverage": 0.5}
    empty = row | {"region": "head", "mean": float("nan"), "sd": float("nan"), "coverage": 0.0}
    other = row | {"measure": "cortical_density", "mean": 812.44, "sd": 40.26}
    rows = [row, empty, other]
    assert region_cells(rows, "cortical_thickness") == [
        ("neck", "1.23", "0.5", "50%"),
        ("head", "–", "–", "0%"),
    ]
    assert region_cells(rows, "cortical_density") == [("neck", "812", "40.3", "50%")]


def _wait_for_failure(run):
    """Wait for a failure: an empty CT does not show a hip."""
    _until(lambda: run.poll() != RunState.RUNNING)
    assert run.poll() == RunState.FAILED
    assert run.error_sentence()
    assert "Traceback" not in run.error_sentence()


def _until_ended(child):
    def ended():
        child.poll()
        return not child.running

    _until(ended)


def _until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)


def _is_alive(pid):
    """Whether a process runs; a zombie does not."""
    status = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
