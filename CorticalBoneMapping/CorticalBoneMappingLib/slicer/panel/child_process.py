"""A command that runs beside Slicer, tells its progress, and can be stopped.

One run of a command for a panel: how far it is, how it ended, and that its temporary files go away.
"""

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

_GRACE_SECONDS = 3.0  # from asking the child to stop to ending it
_ERROR_MARK = "error:"
_KILLED = (-9, 137)  # how Linux and macOS end what takes too much memory; the second by way of a launcher
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
        How far the child said it is, 0 to 1.
    text : str
        What it said it is doing.
    messages : list of str
        What else it wrote, in order: errors, warnings, results.
    command : tuple of str
        As it was given.
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
        """Whether the child lives, or wrote something that was not polled yet."""
        return self._open_streams > 0 or self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code, or None while it lives."""
        return self._process.poll()

    @property
    def failure(self) -> str:
        """What is to be known of a child that failed: command, exit code, and all that it wrote."""
        written = self.messages or ["It wrote nothing."]
        return "\n".join([f"Exit code {self.exit_code} of: {shlex.join(self.command)}", *written])

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop_asked_at is not None

    def poll(self) -> None:
        """Take up what the child wrote since the last time; end it if it was asked to stop and did not."""
        while not self._lines.empty():
            line = self._lines.get()
            if line == _ENDED:
                self._open_streams -= 1
            else:
                self._take(line.rstrip())
        overdue = self.stopping and time.monotonic() - self._stop_asked_at > _GRACE_SECONDS
        if overdue and self._process.poll() is None:
            self._end()

    def stop(self) -> None:
        """Ask the child to stop, so that it can tidy up; `poll` ends it if it does not."""
        if self.exit_code is not None or self.stopping:
            return
        self._stop_asked_at = time.monotonic()
        if os.name == "nt":
            self._end()  # a Windows process without a console cannot be asked
        else:
            os.killpg(self._process.pid, signal.SIGTERM)  # not SIGINT, which it may have inherited as ignored

    def close(self) -> None:
        """End the child if it lives, and wait until it is gone."""
        if self._process.poll() is None:
            self._end()
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

    def _end(self) -> None:
        """End the child and its children: PythonSlicer is a launcher that starts the real Python."""
        if os.name == "nt":
            tree = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
        else:
            os.killpg(self._process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    paths = [str(_LIBRARY_FOLDER), os.environ.get("PYTHONPATH", "")]
    added = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUTF8": "1"}
    return os.environ | added | {"PYTHONFAULTHANDLER": "1"}  # a crash in VTK, say, then tells where it was


def _own_group() -> dict[str, object]:
    """Options that make the child the head of a group of its own, to be stopped with its children."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


Answer = TypeVar("Answer")


class RunState(Enum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ChildRun:
    """A command in a child process, and the temporary folder that it reads from, if any.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    temporary : TemporaryDirectory, optional
        Is removed when the run has ended.
    """

    def __init__(self, command: Sequence[str], temporary: tempfile.TemporaryDirectory | None = None) -> None:
        self._temporary = temporary
        self._child = ChildProcess(command)

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1."""
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
        """Command, exit code and all that the child wrote, for whoever looks for a fault."""
        return self._child.failure

    def poll(self) -> RunState:
        """Take up what the child told; when it has ended, remove the temporary files."""
        self._child.poll()
        if self._child.running:
            return RunState.RUNNING
        self._tidy_up()
        if self._ended_well():
            return RunState.DONE
        return RunState.CANCELLED if self._child.stopping else RunState.FAILED

    def cancel(self) -> None:
        """Ask it to stop; `poll` tells when it has."""
        self._child.stop()

    def close(self) -> None:
        """End it at once, whatever its state, and remove the temporary files."""
        self._child.close()
        self._tidy_up()

    def error_sentence(self) -> str:
        """Give the one sentence that a failed run has for the user; faults of the program have no other."""
        return error_sentence(self._child.messages, self._child.exit_code)

    def _ended_well(self) -> bool:
        return self._child.exit_code == 0

    def _tidy_up(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


class OutputRun(ChildRun):
    """A run that writes its answer to a temporary folder, from where it is taken once.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    answer : TemporaryDirectory
        Where the command writes to; stays only where the run is done, until `take`.
    temporary : TemporaryDirectory, optional
        Is removed when the run has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        answer: tempfile.TemporaryDirectory,
        temporary: tempfile.TemporaryDirectory | None = None,
    ) -> None:
        self._answer = answer
        super().__init__(command, temporary)

    def poll(self) -> RunState:
        """Take up what the child told; remove what a run that is not done has left."""
        state = super().poll()
        if state in (RunState.CANCELLED, RunState.FAILED):
            self._answer.cleanup()
        return state

    def close(self) -> None:
        """End it at once, whatever its state, and remove the temporary files."""
        super().close()
        self._answer.cleanup()

    def take(self, read: Callable[[Path], Answer]) -> Answer:
        """Read what a run that is done has written, and remove it."""
        try:
            return read(Path(self._answer.name))
        finally:
            self._answer.cleanup()


def error_sentence(messages: list[str], exit_code: int | None = None) -> str:
    """Pick the sentence for the user out of what a failed command wrote, with the indented lines after it.

    A traceback is a fault of the program, which no sentence of its own explains; whoever shows this sentence
    writes `ChildProcess.failure` to the error log.
    """
    said = [number for number, line in enumerate(messages) if line.startswith(_ERROR_MARK)]
    if said:
        more = takewhile(lambda line: line.startswith(" "), messages[said[-1] + 1 :])
        return "\n".join([messages[said[-1]].removeprefix(_ERROR_MARK).strip(), *more])
    details = "the details are in Slicer's error log."
    if exit_code in _KILLED:
        return f"The program was ended by the system, perhaps because memory ran out; {details}"
    return f"The program stopped by a fault of its own; {details}"
