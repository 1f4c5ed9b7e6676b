"""Section that lists the cases of a study: look at one, open it in the scene, accept or reject it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ....core.errors import CorticalBoneMappingError
from ....pipeline.result import THUMBNAIL_FILE
from ....study.mapping.decisions import Decision, decide
from ....study.mapping.review import ACCEPT, REJECT, UNSEEN
from ....study.study_file.study_toml import StudyFile
from ...scene.cases import remove_case
from ...scene.models import surface_from_model
from .. import application
from ..cases import (
    ListedCase,
    counts,
    listed_cases,
    names_maps,
    open_case,
    open_scan,
    opened_case,
    read_study_of_scans,
    stamp_of_tables,
)
from ..tables import fill


class CasesSection:
    """Show the cases that `cbm study run` has listed, and store the user's decisions.

    Parameters
    ----------
    ui : namespace of widgets
        With ``casesSection``, ``casesLabel``, ``casesTable``, ``caseLabel``, ``pictureLabel``,
        ``openButton``, ``closeButton``, ``noteEdit``, ``acceptButton``, ``rejectButton`` and
        ``undecidedButton``.
    changed : callable
        Called when a decision was written.

    Attributes
    ----------
    plan : StudyFile or None
        The study; None where none is chosen, or it could not be read.
    seen : tuple of int or None
        When the shown tables of cases and reviews were written.
    """

    def __init__(self, ui: SimpleNamespace, changed: Callable[[], None]) -> None:
        self._ui, self._changed = ui, changed
        self._study: Path | None = None
        self.plan: StudyFile | None = None
        self.seen: tuple[int, ...] | None = None
        self._cases: list[ListedCase] = []
        self._chosen: ListedCase | None = None
        self._mark = ""  # of the result whose picture is shown, to which a decision belongs
        ui.casesTable.connect("currentCellChanged(int,int,int,int)", self.on_chosen)
        ui.openButton.connect("clicked(bool)", self.on_open)
        ui.closeButton.connect("clicked(bool)", self.on_close)
        for button, decision in self._decisions():
            button.connect(
                "clicked(bool)", lambda _clicked=False, decision=decision: self.on_decision(decision)
            )
        self._show()

    def show(self, study: Path | None) -> None:
        """Show the cases of a study of scans; none for a study of maps."""
        study = None if study is None or names_maps(study) else study
        if study != self._study:
            self._study, self.seen, self._chosen = study, None, None
        self.refresh()

    def refresh(self) -> None:
        """Read the tables of cases and reviews again if they have changed."""
        try:
            self.plan = read_study_of_scans(self._study) if self._study is not None else None
            seen = stamp_of_tables(self.plan) if self.plan is not None else None
            if seen == self.seen and seen is not None:
                return
            self.seen = seen
            self._cases = listed_cases(self.plan.results) if self.plan is not None else []
        except (CorticalBoneMappingError, OSError) as error:
            self._cases, self.plan, self.seen = [], None, None
            self._ui.casesLabel.text = str(error)
            self._show_table()
        else:
            self._show()

    def on_chosen(self, row: int, _column: int = 0, *_before: int) -> None:
        """Show picture and description of the case in a row."""
        self._chosen = self._cases[row] if 0 <= row < len(self._cases) else None
        self._ui.noteEdit.text = self._chosen.review.note if self._chosen else ""
        self._show_case()

    def on_open(self, _clicked: bool = False) -> None:
        """Show the chosen case in the scene, the surface over its CT."""
        case = self._chosen
        with slicer.util.tryWithErrorDisplay(_("The case was not opened."), waitCursor=True):
            nodes = open_case(slicer.mrmlScene, case)
            scan = None
            try:
                scan = open_scan(slicer.mrmlScene, case, self.plan, nodes)
            except (CorticalBoneMappingError, OSError) as error:
                self._ui.caseLabel.text = f"{case.in_words()}\n{error}"
            self._show_close()
            application.show_case(scan, surface_from_model(nodes.bone).points)

    def on_close(self, _clicked: bool = False) -> None:
        """Remove the chosen case from the scene."""
        nodes = opened_case(slicer.mrmlScene, self._chosen)
        if nodes is not None:  # the user may have deleted it
            remove_case(nodes)
        self._show_close()

    def on_decision(self, decision: str) -> None:
        """Write decision and note of the chosen case, as ``cbm study qc`` does."""
        case, note = self._chosen, self._ui.noteEdit.text
        try:
            decide(self.plan.results, {case.identity: Decision(decision, note, self._mark)})
        except (CorticalBoneMappingError, OSError) as error:
            self._ui.caseLabel.text = f"{case.in_words()}\n{error}"
            return
        self.refresh()
        self._changed()

    def _decisions(self):
        ui = self._ui
        return ((ui.acceptButton, ACCEPT), (ui.rejectButton, REJECT), (ui.undecidedButton, UNSEEN))

    def _show(self) -> None:
        text = (
            counts(self._cases) if self._cases else _("No case is mapped yet: check the study, then map it.")
        )
        self._ui.casesLabel.text = text if self._study is not None else ""
        self._show_table()

    def _show_table(self) -> None:
        """Fill the table; the chosen case stays chosen."""
        ui = self._ui
        ui.casesSection.setVisible(self._study is not None)  # a study of maps has no cases
        ui.casesSection.enabled = bool(self._cases)
        name = self._chosen.name if self._chosen else None
        ui.casesTable.blockSignals(True)
        columns = [_("Participant"), _("Visit"), _("Side"), _("Status"), _("Decision")]
        fill(ui.casesTable, [*columns, _("Suggestion"), _("Reason")], [case.cells() for case in self._cases])
        row = next((row for row, case in enumerate(self._cases) if case.name == name), -1)
        ui.casesTable.setCurrentCell(row, 0)
        ui.casesTable.blockSignals(False)
        self._chosen = self._cases[row] if row >= 0 else None
        self._show_case()

    def _show_case(self) -> None:
        ui, case = self._ui, self._chosen
        is_mapped = case is not None and case.is_mapped
        self._mark = case.mark() if is_mapped else ""
        ui.caseLabel.text = case.in_words() if case else ""
        picture = qt.QPixmap(str(case.folder / THUMBNAIL_FILE)) if is_mapped else qt.QPixmap()
        ui.pictureLabel.setVisible(not picture.isNull())
        if not picture.isNull():
            scaled = picture.scaledToWidth(_width(ui), qt.Qt.SmoothTransformation)
            ui.pictureLabel.setPixmap(scaled)
            ui.pictureLabel.minimumHeight = scaled.height()  # without it, the layout cuts the picture
        for button in (ui.openButton, *(button for button, _decision in self._decisions())):
            button.enabled = is_mapped
        self._show_close()

    def _show_close(self) -> None:
        case = self._chosen
        is_mapped = case is not None and case.is_mapped
        self._ui.closeButton.enabled = is_mapped and opened_case(slicer.mrmlScene, case) is not None


def _width(ui: SimpleNamespace) -> int:
    return max(ui.casesTable.width, 200)  # 0 before the panel is drawn
