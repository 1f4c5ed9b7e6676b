"""The section of a panel that runs a command: Apply that turns into Cancel, progress, and how it ended."""

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


class RunSection:
    """Runs one command at a time and keeps the panel alive meanwhile.

    Parameters
    ----------
    ui : namespace of widgets
        With ``applyButton``, whatever its words, ``progressBar`` and ``statusLabel``.
    inputs : sequence of widgets
        Cannot be used while a command runs.
    missing : callable
        Gives what has to be set before a run, one sentence each; None where there is nothing to apply to.
    start : callable
        Begins a run; a `CorticalBoneMappingError` or `OSError` is shown as a sentence.
    finished : callable
        Takes up a run that is done.
    purpose : str
        What Apply does, for its tooltip.
    changed : callable
        Called when a run has begun or ended, for whatever else in the panel must not run beside it.
    looked : callable
        Called at every look at a run, for what the panel shows of it besides its progress.
    stop, stopped : str
        What Cancel does, for its tooltip, and what is said when it was done.
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
        looked: Callable[[], None] = lambda: None,
        stop: str = _("Stop; nothing is written."),
        stopped: str = _("Cancelled: nothing was written."),
    ) -> None:
        self._ui, self._inputs, self._missing = ui, inputs, missing
        self._start, self._finished, self._purpose, self._changed = start, finished, purpose, changed
        self._looked, self._stop, self._stopped = looked, stop, stopped
        self._words = ui.applyButton.text
        self.run: ChildRun | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.on_timer)
        ui.applyButton.connect("clicked(bool)", self.on_apply)
        self._show(running=False)

    def show_apply(self) -> None:
        """Enable Apply if everything is there, and say in its tooltip what is missing."""
        button = self._ui.applyButton
        if self.run is not None:
            button.enabled, button.toolTip = True, self._stop
            return
        missing = self._missing()
        if missing is not None:
            button.enabled = not missing
            button.toolTip = "\n".join(missing) or self._purpose

    def on_apply(self, _clicked: bool = False) -> None:
        """Begin a run, or cancel the one that is on."""
        if self.run is not None:
            self.run.cancel()
            self._ui.applyButton.enabled = False
            self._ui.statusLabel.text = _("Cancelling …")
            return
        with slicer.util.tryWithErrorDisplay(_("The run could not be started."), waitCursor=True):
            try:
                self.run = self._start()
            except (CorticalBoneMappingError, OSError) as error:
                self._ui.statusLabel.text = str(error)
                return
            self._timer.start()
            self._show(running=True)

    def on_timer(self) -> None:
        """Show how far the run is; take up its end."""
        state = self.run.poll()
        self._ui.progressBar.value = round(100 * self.run.fraction)
        if not self.run.cancelling:
            self._ui.statusLabel.text = self.run.text or _("Starting …")
        self._looked()
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
            with slicer.util.tryWithErrorDisplay(_("The result could not be shown."), waitCursor=True):
                self._finished(run)

    def abandon(self) -> None:
        """End a run at once: the panel, or the scene that it would add to, goes away."""
        self._timer.stop()
        if self.run is not None:
            self.run.close()
            self.run = None
            self._show(running=False)

    def _show(self, running: bool) -> None:
        self._ui.progressBar.setVisible(running)
        self._ui.progressBar.value = 0
        self._ui.applyButton.text = _("Cancel") if running else self._words
        for section in self._inputs:
            section.enabled = not running
        self.show_apply()
        self._changed()
