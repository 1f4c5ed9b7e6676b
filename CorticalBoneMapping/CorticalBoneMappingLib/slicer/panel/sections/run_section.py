"""Section that runs a command: Apply turns into Cancel, with progress and how the run ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import qt
import slicer.util
from slicer.i18n import tr as _

from ....core.errors import CorticalBoneMappingError
from ..child_process import ChildRun, RunState

POLL_MILLISECONDS = 200
"""Interval at which the panel looks at a run; chosen by hand; not tuned."""


class RunSection:
    """Run one command at a time while the panel stays usable.

    Parameters
    ----------
    ui : namespace of widgets
        With ``applyButton``, ``progressBar`` and ``statusLabel``.
    inputs : sequence of widgets
        Disabled while a command runs.
    missing : callable
        Returns what has to be set before a run, one sentence each; None while the panel is not connected.
    start : callable
        Starts a run; the message of a `CorticalBoneMappingError` or `OSError` is shown.
    finished : callable
        Called with a run that has succeeded.
    purpose : str
        Tooltip of Apply.
    changed : callable
        Called when a run has started or ended.
    polled : callable
        Called after every poll of a run.
    stop, stopped : str
        Tooltip of Cancel, and the status text after it.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        inputs: Sequence[Any],
        missing: Callable[[], list[str] | None],
        start: Callable[[], ChildRun],
        finished: Callable[[ChildRun], None],
        purpose: str,
        changed: Callable[[], None] = lambda: None,
        polled: Callable[[], None] = lambda: None,
        stop: str = _("Stop; nothing is written."),
        stopped: str = _("Cancelled: nothing was written."),
    ) -> None:
        self._ui, self._inputs, self._missing = ui, inputs, missing
        self._start, self._finished, self._purpose, self._changed = start, finished, purpose, changed
        self._polled, self._stop, self._stopped = polled, stop, stopped
        self._label = ui.applyButton.text
        self.run: ChildRun | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.on_timer)
        ui.applyButton.connect("clicked(bool)", self.on_apply)
        self._show(running=False)

    def show_apply(self) -> None:
        """Enable Apply if all inputs are set; else its tooltip lists what is missing."""
        button = self._ui.applyButton
        if self.run is not None:
            button.enabled, button.toolTip = True, self._stop
            return
        missing = self._missing()
        if missing is not None:
            button.enabled = not missing
            button.toolTip = "\n".join(missing) or self._purpose

    def on_apply(self, _clicked: bool = False) -> None:
        """Start a run, or cancel the present one."""
        if self.run is not None:
            self.run.cancel()
            self._ui.applyButton.enabled = False
            self._ui.statusLabel.text = _("Cancelling …")
            return
        with slicer.util.tryWithErrorDisplay(_("The run did not start."), waitCursor=True):
            try:
                self.run = self._start()
            except (CorticalBoneMappingError, OSError) as error:
                self._ui.statusLabel.text = str(error)
                return
            self._timer.start()
            self._show(running=True)

    def on_timer(self) -> None:
        """Show the progress of the run, and how it ended."""
        state = self.run.poll()
        self._ui.progressBar.value = round(100 * self.run.fraction)
        if not self.run.cancelling:
            self._ui.statusLabel.text = self.run.text or _("Starting …")
        self._polled()
        if state == RunState.RUNNING:
            return
        run, self.run = self.run, None
        self._timer.stop()
        self._show(running=False)
        self._ui.statusLabel.text = ""
        if state == RunState.CANCELLED:
            self._ui.statusLabel.text = self._stopped
        elif state == RunState.FAILED:
            logging.error(run.log)
            self._ui.statusLabel.text = run.error_sentence()
        else:
            with slicer.util.tryWithErrorDisplay(_("The result was not shown."), waitCursor=True):
                self._finished(run)

    def abandon(self) -> None:
        """Kill a run, because the panel or the scene that it would add to is closed."""
        self._timer.stop()
        if self.run is not None:
            self.run.close()
            self.run = None
            self._show(running=False)

    def _show(self, running: bool) -> None:
        self._ui.progressBar.setVisible(running)
        self._ui.progressBar.value = 0
        self._ui.applyButton.text = _("Cancel") if running else self._label
        for section in self._inputs:
            section.enabled = not running
        self.show_apply()
        self._changed()
