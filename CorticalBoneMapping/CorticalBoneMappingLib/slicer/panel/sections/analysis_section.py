"""Section that chooses an analysis of the study file, and lists its settings that have no widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

from slicer.i18n import tr as _

from ....core.errors import CorticalBoneMappingError
from ....study.study_file import Analysis, StudyFile
from ..choices import is_set
from ..study_choices import ANALYSIS_NAME, SHOWN, chosen_analysis, plan_of_table, study_plan


class AnalysisSection:
    """Choose an analysis, and show what the study file sets besides the widgets.

    Parameters
    ----------
    ui : namespace of widgets
        With ``questionCombo`` and ``questionNoteLabel``.
    chosen : callable
        Called with the chosen analysis; None for one of the user's own.
    """

    def __init__(self, ui: SimpleNamespace, chosen: Callable[[Analysis | None], None]) -> None:
        self._ui, self._chosen = ui, chosen
        self._analyses: tuple[Analysis, ...] = ()
        ui.questionCombo.connect("currentIndexChanged(int)", self.on_chosen)

    def on_chosen(self, index: int) -> None:
        """Report the choice of the user."""
        self._chosen(self._analyses[index - 1] if index > 0 else None)

    def show(self, parameters) -> None:
        """Show the analyses of the chosen study, the chosen one, and the settings that have no widget."""
        try:
            plan = plan_of_table(parameters)
        except CorticalBoneMappingError as error:
            self._fill((), 0)
            self._ui.questionNoteLabel.text = str(error)
            return
        chosen = chosen_analysis(parameters, plan)
        self._fill(plan.analyses, plan.analyses.index(chosen) + 1 if chosen else 0)
        self._ui.questionNoteLabel.text = "\n".join(_notes(parameters, plan, chosen))

    def _fill(self, analyses: tuple[Analysis, ...], index: int) -> None:
        combo, self._analyses = self._ui.questionCombo, analyses
        combo.blockSignals(True)
        combo.clear()
        combo.addItems([_("Your own"), *(analysis.name for analysis in analyses)])
        combo.setCurrentIndex(index)
        combo.blockSignals(False)


def _notes(parameters, plan: StudyFile, chosen: Analysis | None) -> list[str]:
    """List the settings that have no widget, and what of the study file is not used."""
    notes = []
    if parameters.question and chosen is None:
        notes.append(
            _(
                "The study file has no analysis '{name}' for this table: its other settings are not used."
            ).format(name=parameters.question)
        )
    if is_set(parameters.studyFile) and not plan.source:
        notes.append(
            _(
                "{table} is not the table of {study}: reference levels and other settings of that file are "
                "not used."
            ).format(table=plan.table.name, study=Path(parameters.studyFile).name)
        )
    levels = [f"{column}: {level}" for column, level in plan.coding.reference.items()]
    if levels:
        notes.append(_("Reference: {levels}").format(levels=", ".join(levels)))
    if plan.coding.categorical:
        notes.append(_("Categorical: {columns}").format(columns=", ".join(plan.coding.categorical)))
    if chosen is not None:
        notes += _settings_in_words(chosen)
        notes += _changes_in_words(parameters, chosen)
    return notes


def _settings_in_words(analysis: Analysis) -> list[str]:
    settings = []
    for field in fields(Analysis):
        value = getattr(analysis, field.name)
        if field.name not in SHOWN and value != field.default:
            text = ", ".join(value) if isinstance(value, tuple) else str(value)
            settings.append(f"{field.name} = {text}")
    return [_("Also set: {settings}").format(settings="; ".join(settings))] if settings else []


def _changes_in_words(parameters, chosen: Analysis) -> list[str]:
    try:
        (now,) = study_plan(parameters).analyses
    except CorticalBoneMappingError as error:  # such as an empty contrast, which Apply names as well
        return [str(error)]
    if now == chosen:
        return []
    changed = [
        field.name
        for field in fields(Analysis)
        if field.name != "name" and getattr(now, field.name) != getattr(chosen, field.name)
    ]
    sentence = _("Changed from '{name}': {what}. The result goes to the folder '{folder}'.")
    return [sentence.format(name=chosen.name, what=", ".join(changed), folder=ANALYSIS_NAME)]
