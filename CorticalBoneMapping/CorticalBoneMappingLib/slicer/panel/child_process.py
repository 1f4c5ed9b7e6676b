"""Commands in a child process beside Slicer: progress, cancelling, error sentences, temporary files."""

from __future__ import annotations

import json
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import takewhile
from pathlib import Path
from typing import TextIO, TypeVar

_GRACE_SECONDS = 3.0  # between the request to stop and the kill; chosen by hand; not tuned
_ERROR_MARK = "error:"
_KILLED = (-9, 137)  # exit codes after SIGKILL, as when memory runs out; the second through a launcher
_LIBRARY_FOLDER = Path(__file__).parents[3]
_ENDED = ""  # no line is empty: each has at least its line end


class ChildProcess:
    """A child process whose standard error carries `progress.JsonProgress` lines.

    Reading happens in threads, so that `poll` never waits: a timer of the user interface may call it.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; the child finds this library on its ``PYTHONPATH``.

    Attributes
    ----------
    fraction : float
        Fraction done, 0 to 1, as the child reported it.
    text : str
        What the child does, as it reported it.
    messages : list of str
        All other lines that it wrote, in order: errors, warnings, results.
    command : tuple of str
        Program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self.fraction, self.text, self.messages = 0.0, "", []
        self._stop_asked_at: float | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            **_own_group(),
        )
        streams = (self._process.stdout, self._process.stderr)
        self._open_streams = len(streams)
        for stream in streams:
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether the child runs, or wrote lines that were not polled yet."""
        return self._open_streams > 0 or self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    @property
    def failure(self) -> str:
        """Command, exit code and all lines of a child that failed, for the error log."""
        written = self.messages or ["It wrote nothing."]
        return "\n".join([f"Exit code {self.exit_code} of: {shlex.join(self.command)}", *written])

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop_asked_at is not None

    def poll(self) -> None:
        """Read what the child wrote since the last call; kill it if it did not stop when asked."""
        while not self._lines.empty():
            line = self._lines.get()
            if line == _ENDED:
                self._open_streams -= 1
            else:
                self._take(line.rstrip())
        overdue = self.stopping and time.monotonic() - self._stop_asked_at > _GRACE_SECONDS
        if overdue and self._process.poll() is None:
            self._kill()

    def stop(self) -> None:
        """Ask the child to stop, so that it can clean up; `poll` kills it if it does not."""
        if self.exit_code is not None or self.stopping:
            return
        self._stop_asked_at = time.monotonic()
        if os.name == "nt":
            self._kill()  # a Windows process without a console takes no signal
        else:
            os.killpg(self._process.pid, signal.SIGTERM)  # not SIGINT, which it may have inherited as ignored

    def close(self) -> None:
        """Kill the child if it runs, and wait for its end."""
        if self._process.poll() is None:
            self._kill()
        self._process.wait()

    def _read(self, stream: TextIO) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(_ENDED)

    def _take(self, line: str) -> None:
        try:
            report = json.loads(line)
            self.fraction, self.text = float(report["fraction"]), str(report["text"])
        except (ValueError, KeyError, TypeError):
            if line:
                self.messages.append(line)

    def _kill(self) -> None:
        """Kill the child and its children: PythonSlicer is a launcher that starts the real Python."""
        if os.name == "nt":
            tree = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        else:
            os.killpg(self._process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    paths = [str(_LIBRARY_FOLDER), os.environ.get("PYTHONPATH", "")]
    added = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",  # a crash, in VTK for example, then writes its place
    }
    return os.environ | added


def _own_group() -> dict[str, object]:
    """Options that give the child a process group of its own, so that its children stop with it."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


Output = TypeVar("Output")


class RunState(Enum):
    """State of a run."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ChildRun:
    """A command in a child process, with the temporary folder that it reads from, if any.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    temporary : TemporaryDirectory, optional
        Removed when the run has ended.
    """

    def __init__(self, command: Sequence[str], temporary: tempfile.TemporaryDirectory | None = None) -> None:
        self._temporary = temporary
        self._child = ChildProcess(command)

    @property
    def fraction(self) -> float:
        """Fraction done, 0 to 1."""
        return self._child.fraction

    @property
    def text(self) -> str:
        """What is being done."""
        return self._child.text

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._child.stopping

    @property
    def log(self) -> str:
        """Command, exit code and all lines of the child, for the error log."""
        return self._child.failure

    def poll(self) -> RunState:
        """Read what the child reported; remove the temporary files when it has ended."""
        self._child.poll()
        if self._child.running:
            return RunState.RUNNING
        self._clean_up()
        if self._succeeded():
            return RunState.DONE
        return RunState.CANCELLED if self._child.stopping else RunState.FAILED

    def cancel(self) -> None:
        """Ask it to stop; `poll` returns `CANCELLED` when it has."""
        self._child.stop()

    def close(self) -> None:
        """Kill it if it runs, and remove the temporary files."""
        self._child.close()
        self._clean_up()

    def error_sentence(self) -> str:
        """Return the sentence for the user of a failed run."""
        return error_sentence(self._child.messages, self._child.exit_code)

    def _succeeded(self) -> bool:
        return self._child.exit_code == 0

    def _clean_up(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


class OutputRun(ChildRun):
    """A run that writes to a temporary folder, whose content is read once.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    output : TemporaryDirectory
        Where the command writes. It is removed by `read_output`, and when the run fails.
    temporary : TemporaryDirectory, optional
        Removed when the run has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: tempfile.TemporaryDirectory,
        temporary: tempfile.TemporaryDirectory | None = None,
    ) -> None:
        self._output = output
        super().__init__(command, temporary)

    def poll(self) -> RunState:
        """Read what the child reported; remove the output of a run that failed or was cancelled."""
        state = super().poll()
        if state in (RunState.CANCELLED, RunState.FAILED):
            self._output.cleanup()
        return state

    def close(self) -> None:
        """Kill it if it runs, and remove the temporary files."""
        super().close()
        self._output.cleanup()

    def read_output(self, read: Callable[[Path], Output]) -> Output:
        """Call `read` with the folder that a finished run has written, then remove the folder."""
        try:
            return read(Path(self._output.name))
        finally:
            self._output.cleanup()


def error_sentence(messages: list[str], exit_code: int | None = None) -> str:
    """Return the error sentence of a failed command, with the indented lines that follow it.

    A command that failed without one (a traceback, a crash) gets a general sentence. The caller writes
    `ChildProcess.failure` to the error log.
    """
    errors = [number for number, line in enumerate(messages) if line.startswith(_ERROR_MARK)]
    if errors:
        more = takewhile(lambda line: line.startswith(" "), messages[errors[-1] + 1 :])
        return "\n".join([messages[errors[-1]].removeprefix(_ERROR_MARK).strip(), *more])
    details = "the details are in Slicer's error log."
    if exit_code in _KILLED:
        return f"The system ended the program, perhaps because memory ran out; {details}"
    return f"The program stopped because of an internal error; {details}"
