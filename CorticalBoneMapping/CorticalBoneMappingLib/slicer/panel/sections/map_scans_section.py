"""Section that maps the scans of a study: the check with its problems, then the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from slicer.i18n import tr as _

from ....core.errors import CorticalBoneMappingError
from ....study.study_file.problems import ERROR, NOTE, WARNING, Problem
from ....study.study_file.scans import Case
from ..application import python_beside_slicer
from ..cases import read_study_of_scans, stamp_of_study, valid_cases_of
from ..child_process import ChildRun
from ..runs import CheckScansRun, MapScansRun
from ..tables import fill
from .run_section import RunSection

_MAY_BREAK = "\u200b"  # a space without width: a table does not wrap a path elsewhere
_KINDS = {ERROR: ("error", "errors"), WARNING: ("warning", "warnings"), NOTE: ("note", "notes")}


class MapScansSection:
    """Check the chosen study, and map its scans.

    Parameters
    ----------
    ui : namespace of widgets
        With ``studyFileEdit``, ``checkButton``, ``mapButton``, ``trialProgressBar``, ``trialStatusLabel`` and
        ``problemsTable``.
    polled : callable
        Called after every poll of a run: more cases may be mapped.
    changed : callable
        Called when a check or a run has started or ended.

    Attributes
    ----------
    study : Path or None
        The study file; another one is not shown before a check or run has ended.
    """

    def __init__(self, ui: SimpleNamespace, polled: Callable[[], None], changed: Callable[[], None]) -> None:
        self._ui, self._changed = ui, changed
        self.study: Path | None = None
        self._seen = None  # study file, and when it and its table were written
        self._is_checked = False
        self._sections: tuple[RunSection, ...] = ()
        self._check = RunSection(
            self._widgets(ui.checkButton),
            (ui.studyFileEdit,),
            lambda: self._missing(is_check=True),
            self._start_check,
            self._show_check,
            _("Read the table and the headers of the scans, and list the problems."),
            changed=self._update,
            stopped=_("Cancelled."),
            stop=_("Stop the check."),
        )
        self._run = RunSection(
            self._widgets(ui.mapButton),
            (ui.studyFileEdit,),
            lambda: self._missing(is_check=False),
            self._start_run,
            self._show_end,
            _("Map every femur that is not mapped yet; a run that was stopped continues."),
            changed=self._update,
            polled=polled,
            stop=_("Stop; mapped femurs are kept, and the next run continues there."),
            stopped=_("Cancelled: mapped femurs are kept, and the next run continues there."),
        )
        self._sections = (self._check, self._run)
        self._show_problems([])

    @property
    def running(self) -> bool:
        """Whether a check or a run is running."""
        return any(section.run is not None for section in self._sections)

    def show(self, study: Path | None) -> None:
        """Show a study or none; read its files again."""
        if not self.running:
            self.study = study
        self._update()

    def abandon(self) -> None:
        """Kill a check or a run."""
        for section in self._sections:
            section.abandon()

    def _widgets(self, button) -> SimpleNamespace:
        ui = self._ui
        return SimpleNamespace(
            applyButton=button, progressBar=ui.trialProgressBar, statusLabel=ui.trialStatusLabel
        )

    def _update(self) -> None:
        """Discard the check of another study, or of this one before it was changed; set the buttons."""
        if not self.running and (stamp := self._stamp()) != self._seen:
            self._seen, self._is_checked = stamp, False
            self._ui.trialStatusLabel.text = ""
            self._show_problems([])
        for section in self._sections:
            section.show_apply()
        self._changed()

    def _missing(self, is_check: bool) -> list[str]:
        if self.running:  # the other one: this button is Cancel while its own run is on
            return [_("Wait until the run has ended.") if is_check else _("Wait until the check is done.")]
        if self.study is None:
            return [_("Choose the study file.")]
        return [] if is_check or self._is_checked else [_("Check the study first.")]

    def _start_check(self) -> ChildRun:
        self._update()
        read_study_of_scans(self.study)  # shows at once why a study file could not be read
        return CheckScansRun(self.study, python=python_beside_slicer())

    def _start_run(self) -> ChildRun:
        self._update()
        if not self._is_checked:
            raise CorticalBoneMappingError(_("The study was changed since it was checked: check it again."))
        return MapScansRun(self.study, python=python_beside_slicer())

    def _show_check(self, run: CheckScansRun) -> None:
        problems = run.problems()
        self._is_checked = True
        self._show_problems(problems)
        self._ui.trialStatusLabel.text = summary(valid_cases_of(read_study_of_scans(self.study)), problems)
        self._run.show_apply()

    def _show_end(self, _run: MapScansRun) -> None:
        self._ui.trialStatusLabel.text = _("All femurs of the study are mapped.")

    def _show_problems(self, problems: list[Problem]) -> None:
        table = self._ui.problemsTable
        table.setVisible(bool(problems))
        fill(table, [_("Severity"), _("Row"), _("Cell"), _("Problem")], problem_cells(problems))
        table.resizeRowsToContents()  # sentences are wrapped

    def _stamp(self) -> tuple | None:
        """Return what identifies the study and the state of its files."""
        if self.study is None:
            return None
        try:
            return (self.study, *stamp_of_study(self.study, read_study_of_scans(self.study)))
        except (CorticalBoneMappingError, OSError):
            return (self.study,)


def summary(cases: list[Case], problems: list[Problem]) -> str:
    """Summarise a check in one line; `cases` are those whose cells have no error."""
    wrong = {problem.row for problem in problems if problem.severity == ERROR}
    femurs = 0 if 0 in wrong else sum(case.row not in wrong for case in cases)  # row 0 is the whole study
    found = Counter(problem.severity for problem in problems)
    parts = [f"{found[kind]} {one if found[kind] == 1 else more}" for kind, (one, more) in _KINDS.items()]
    advice = " " + _("Fix the errors, then check again.") if wrong else ""
    if not problems:
        parts = [_("no problems found")]
    counted = _("1 femur") if femurs == 1 else _("{count} femurs").format(count=femurs)
    return _("{femurs} can be mapped: {problems}.").format(femurs=counted, problems=", ".join(parts)) + advice


def problem_cells(problems: list[Problem]) -> list[tuple[str, ...]]:
    """Return the rows of the table of problems; one of the whole study has no row number."""
    return [
        (
            problem.severity,
            str(problem.row) if problem.row else "",
            f"{problem.column} '{problem.value}'" if problem.value else problem.column,
            problem.sentence.replace("/", f"/{_MAY_BREAK}"),
        )
        for problem in problems
    ]
