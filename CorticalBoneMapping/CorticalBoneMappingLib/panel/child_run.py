"""One run of a command for a panel: how far it is, how it ended, and that its temporary files go away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from .child_process import ChildProcess
from .commands import error_sentence

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


class AnsweringRun(ChildRun):
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
