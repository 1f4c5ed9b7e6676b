"""The part of the statistics panel that chooses a question, and says what holds besides what is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

from slicer.i18n import tr as _

from ....core.errors import CorticalBoneMappingError
from ....study.study_file import Analysis, StudyFile
from ..choices import is_set
from ..study_choices import ANALYSIS_NAME, SHOWN, asked_analysis, plan_of_table, study_plan


class QuestionSection:
    """Offers the analyses of the study file, and says what they and the file set besides.

    Parameters
    ----------
    ui : namespace of widgets
        With ``questionCombo`` and ``questionNoteLabel``.
    chosen : callable
        Is given the analysis that was chosen; None for a question of one's own.
    """

    def __init__(self, ui: SimpleNamespace, chosen: Callable[[Analysis | None], None]) -> None:
        self._ui, self._chosen = ui, chosen
        self._analyses: tuple[Analysis, ...] = ()
        ui.questionCombo.connect("currentIndexChanged(int)", self.on_chosen)

    def on_chosen(self, index: int) -> None:
        """Take up what a person chose."""
        self._chosen(self._analyses[index - 1] if index > 0 else None)

    def show(self, parameters) -> None:
        """Show the analyses of the chosen study, which of them is asked, and what holds besides."""
        try:
            plan = plan_of_table(parameters)
        except CorticalBoneMappingError as error:
            self._fill((), 0)
            self._ui.questionNoteLabel.text = str(error)
            return
        asked = asked_analysis(parameters, plan)
        self._fill(plan.analyses, plan.analyses.index(asked) + 1 if asked else 0)
        self._ui.questionNoteLabel.text = "\n".join(_notes(parameters, plan, asked))

    def _fill(self, analyses: tuple[Analysis, ...], index: int) -> None:
        combo, self._analyses = self._ui.questionCombo, analyses
        combo.blockSignals(True)
        combo.clear()
        combo.addItems([_("Your own"), *(analysis.name for analysis in analyses)])
        combo.setCurrentIndex(index)
        combo.blockSignals(False)


def _notes(parameters, plan: StudyFile, asked: Analysis | None) -> list[str]:
    """Say what holds besides what the widgets show, and where the study file does not hold."""
    notes = []
    if parameters.question and asked is None:
        notes.append(
            _(
                "The study file has no analysis '{name}' for this table: what it set besides does not hold."
            ).format(name=parameters.question)
        )
    if is_set(parameters.studyFile) and not plan.source:
        notes.append(
            _(
                "{table} is not the table of {study}: reference levels and other settings of that file do "
                "not hold."
            ).format(table=plan.table.name, study=Path(parameters.studyFile).name)
        )
    held = [f"{column}: {level}" for column, level in plan.coding.reference.items()]
    if held:
        notes.append(_("Reference: {levels}").format(levels=", ".join(held)))
    if plan.coding.categorical:
        notes.append(_("Categorical: {columns}").format(columns=", ".join(plan.coding.categorical)))
    if asked is not None:
        notes += _settings_in_words(asked)
        notes += _changes_in_words(parameters, asked)
    return notes


def _settings_in_words(analysis: Analysis) -> list[str]:
    told = []
    for field in fields(Analysis):
        value = getattr(analysis, field.name)
        if field.name not in SHOWN and value != field.default:
            text = ", ".join(value) if isinstance(value, tuple) else str(value)
            told.append(f"{field.name} = {text}")
    return [_("Also set: {settings}").format(settings="; ".join(told))] if told else []


def _changes_in_words(parameters, asked: Analysis) -> list[str]:
    try:
        (now,) = study_plan(parameters).analyses
    except CorticalBoneMappingError as error:  # an empty contrast, say; Apply tells of it as well
        return [str(error)]
    if now == asked:
        return []
    changed = [
        field.name
        for field in fields(Analysis)
        if field.name != "name" and getattr(now, field.name) != getattr(asked, field.name)
    ]
    told = _("Changed from '{name}': {what}. The answer goes to the folder '{folder}'.")
    return [told.format(name=asked.name, what=", ".join(changed), folder=ANALYSIS_NAME)]
