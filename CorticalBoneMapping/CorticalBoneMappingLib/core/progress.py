"""Progress of long work: reported as a fraction and a text, and the place where it can be cancelled."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TextIO

from .errors import Cancelled


class Progress:
    """Report a fraction and a text; ask whether cancelled. This base class is silent.

    Long functions take a `Progress`, call `report` at their milestones, and hand `part` to the
    functions that they call. `report` raises `Cancelled` when the user cancelled, so every
    milestone is also a place to stop at.
    """

    def report(self, fraction: float, text: str) -> None:
        """Report how far the work has come.

        Parameters
        ----------
        fraction : float
            From 0 (begun) to 1 (done).
        text : str
            What is being done now, for the user.

        Raises
        ------
        Cancelled
            If the user cancelled.
        """
        if self.cancelled():
            raise Cancelled
        self.show(min(max(fraction, 0.0), 1.0), text)

    def show(self, fraction: float, text: str) -> None:
        """Show one report; what a kind of progress overrides."""

    def cancelled(self) -> bool:
        """Whether the user cancelled."""
        return False

    def part(self, start: float, stop: float) -> Progress:
        """Give a progress whose 0 to 1 is `start` to `stop` of this one."""
        return _Part(self, start, stop)


class _Part(Progress):
    def __init__(self, whole: Progress, start: float, stop: float) -> None:
        self._whole, self._start, self._stop = whole, start, stop

    def show(self, fraction: float, text: str) -> None:
        self._whole.show(self._start + fraction * (self._stop - self._start), text)

    def cancelled(self) -> bool:
        return self._whole.cancelled()


class TerminalProgress(Progress):
    """A bar in a terminal; in a log one line for each text and step of 5 %, however often it is reported."""

    width = 28
    steps = 20

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._logged: set[tuple[int, str]] = set()

    def show(self, fraction: float, text: str) -> None:
        """Draw the bar."""
        if not self._stream.isatty():
            line = (int(self.steps * fraction + 1e-9), text)
            if line in self._logged:
                return
            self._logged.add(line)
            self._stream.write(f"{fraction:4.0%} {text}\n")
        else:
            bar = ("█" * round(fraction * self.width)).ljust(self.width, "░")
            self._stream.write(f"\r\x1b[K{bar} {fraction:4.0%} {text}" + ("\n" if fraction >= 1 else ""))
        self._stream.flush()


class JsonProgress(Progress):
    """One JSON object a line, for a parent process: ``{"fraction": 0.5, "text": "..."}``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr

    def show(self, fraction: float, text: str) -> None:
        """Write the line."""
        line = json.dumps({"fraction": round(fraction, 4), "text": text}, ensure_ascii=False)
        self._stream.write(line + "\n")
        self._stream.flush()


class CallbackProgress(Progress):
    """Hands every report to a function, and asks another whether to stop (a panel's bar and button)."""

    def __init__(
        self, on_report: Callable[[float, str], None], is_cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self._on_report, self._is_cancelled = on_report, is_cancelled

    def show(self, fraction: float, text: str) -> None:
        """Call the function."""
        self._on_report(fraction, text)

    def cancelled(self) -> bool:
        """Ask the other function."""
        return self._is_cancelled()
