"""The error log has all that is known of a child process that failed, whichever button started it."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path

import pytest
import slicer
import slicer.util
from PySide6.QtTest import QTest

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.slicer.panel.child_process import ChildProcess, error_sentence

SENTENCE = "The program stopped because of an internal error; the details are in Slicer's error log."
FAULT = "print('all went well so far'); 1 / 0"
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
LIBRARY = Path(__file__).parents[3] / "CorticalBoneMapping" / "CorticalBoneMappingLib"


def section_with(code):
    """A section of a panel whose button begins a child that fails."""
    from qt_doubles import QLabel, QProgressBar, QPushButton

    from CorticalBoneMappingLib.slicer.panel.child_process import ChildRun
    from CorticalBoneMappingLib.slicer.panel.sections.run_section import RunSection

    ui = types.SimpleNamespace(
        applyButton=QPushButton("Apply"), progressBar=QProgressBar(), statusLabel=QLabel()
    )
    section = RunSection(
        ui, (), list, lambda: ChildRun([sys.executable, "-c", code]), lambda _run: None, "It fails."
    )
    ui.applyButton.click()
    for _ in range(1000):
        if section.run is None:
            return ui.statusLabel.text
        QTest.qWait(10)
    raise AssertionError("the child did not end")


def logged(caplog):
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)


def test_an_internal_error_is_in_the_log_with_traceback_and_command(module, caplog):
    assert section_with(FAULT) == SENTENCE
    log = logged(caplog)
    for text in ("Exit code 1 of:", "1 / 0", "all went well so far", "Traceback", "ZeroDivisionError"):
        assert text in log


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_crash_without_output_is_in_the_log_with_its_place(module, caplog):
    assert section_with(CRASH) == SENTENCE
    for text in ("Exit code -11 of:", "Fatal Python error: Segmentation fault", 'File "<string>", line 1'):
        assert text in logged(caplog)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_program_that_the_system_ended_is_reported_with_memory_as_a_possible_cause(module, caplog):
    sentence = section_with("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert sentence.startswith("The system ended the program, perhaps because memory ran out")
    assert "It wrote nothing." in logged(caplog)


def test_an_error_with_a_sentence_is_also_in_the_log(module, caplog):
    sentence = "table.csv: 2 things\n  row 1: no side\n  row 2: no path"
    code = f"import sys; sys.stderr.write({f'error: {sentence}'!r} + chr(10)); sys.exit(1)"
    assert section_with(code) == sentence
    assert "row 2: no path" in logged(caplog)


def test_a_simulation_that_fails_is_in_the_log(module, monkeypatch, tmp_path, caplog):
    from CorticalBoneMappingLib.slicer.panel import application

    dialog = types.SimpleNamespace(wasCanceled=False, setValue=lambda _: None, close=lambda: None)
    app = types.SimpleNamespace(temporaryPath=str(tmp_path), processEvents=lambda: None)
    monkeypatch.setattr(slicer, "app", app)
    monkeypatch.setattr(slicer.util, "createProgressDialog", lambda **_: dialog)
    monkeypatch.setattr(application, "simulate_command", lambda *_: [sys.executable, "-c", FAULT])
    with pytest.raises(CorticalBoneMappingError, match="the details are in Slicer's error log"):
        application.simulate_hip()
    assert "ZeroDivisionError" in logged(caplog)


def test_every_file_that_shows_the_sentence_writes_the_log():
    """A new place that shows the sentence without the details in the log is found here."""
    users = [
        path.name
        for path in LIBRARY.rglob("*.py")
        if "error_sentence(" in (text := path.read_text(encoding="utf-8")) and "logging.error(" not in text
    ]
    assert users == ["child_process.py"]  # it only makes the sentence


def test_the_traceback_keeps_its_indentation():
    child = ChildProcess([sys.executable, "-c", FAULT])
    while child.running:
        child.poll()
    assert '  File "<string>", line 1, in <module>' in child.messages
    assert error_sentence(child.messages, child.exit_code) == SENTENCE
