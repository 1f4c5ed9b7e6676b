"""Panel of the module for a study: its scans and cases, its maps, the analysis, and the shown result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...core.errors import CorticalBoneMappingError
from ...study.analysis.answer_tables import CLUSTER_COLUMNS
from ...study.study_file import Analysis, read_study_file
from ..scene.answers import ANSWER_ROLE, answer_of, answers_in
from ..scene.models import surface_from_model
from ..scene.tables import table_rows
from ..scene.vertex_plot import nearest_vertex
from . import application
from .choices import is_set
from .runs import AnalyseMapsRun
from .sections.analysis_section import AnalysisSection
from .sections.answer_section import show_answer_in_panel
from .sections.cases_section import CasesSection
from .sections.map_scans_section import MapScansSection
from .sections.run_section import RunSection
from .study_choices import choose_analysis, choose_study, plan_of_table, terms_of
from .study_overview import overview_of
from .tables import TermsTable, fill
from .widget import ModuleWidget


class AnalysisWidget(ModuleWidget):
    """The panel of a study."""

    result_parameter = "effect"

    def __init__(self, parent: Any, make_logic: Callable[[], Any]) -> None:
        super().__init__(parent, make_logic)
        self._seen = None  # table, folder and cases whose rows the panel shows
        self._terms = []  # that a model of this table may have
        self._point = None

    def setup_sections(self) -> None:
        """Make the sections from the scans to the result."""
        ui = self.ui
        ui.effectSelector.addAttribute("vtkMRMLModelNode", ANSWER_ROLE, "effect")
        self.path_edits = (ui.studyFileEdit, ui.tableFileEdit, ui.resultsFolderEdit, ui.outputFolderEdit)
        self._run = RunSection(
            ui,
            (ui.inputsSection, ui.questionSection, ui.advancedSection),
            self.missing_inputs,
            self.start_run,
            self._add_answer,
            _("Fit the model at every point of the average femur, and test the contrast."),
        )
        self._cases = CasesSection(ui, self.on_cases_changed)
        self._mapping = MapScansSection(ui, self._cases.refresh, self.on_cases_changed)
        self._analysis = AnalysisSection(ui, self.on_analysis_chosen)
        self._terms_table = TermsTable(ui.termsTable, self.on_terms_ticked)
        self.scene_runs, self.lasting_runs = (self._run,), (self._mapping,)
        ui.clustersTable.connect("cellClicked(int,int)", self.on_cluster_clicked)
        ui.viewsButton.connect("clicked(bool)", self.on_views_clicked)
        ui.pointButton.connect("clicked(bool)", self.on_point_clicked)

    def setParameterNode(self, parameterNode: Any) -> None:
        """Connect the panel to the parameters of a scene; None disconnects it."""
        self._observe_point(None)
        self._seen = None
        super().setParameterNode(parameterNode)

    def show_parameters(self, parameters: Any) -> None:
        """Show study, cases, analysis and result."""
        if self._mapping.running:  # the scene was closed meanwhile
            parameters.studyFile = self._mapping.study
        study = parameters.studyFile if is_set(parameters.studyFile) else None
        self._cases.show(study)
        self._mapping.show(study)
        self._read_new_study(parameters, study)
        self._show_table(parameters)
        self._analysis.show(parameters)
        self._run.show_apply()
        self._observe_point(parameters.point)
        show_answer_in_panel(self.ui, answer_of(parameters.effect), parameters.shownView.value)

    def result_models(self) -> list[slicer.vtkMRMLModelNode]:
        """Return the effects of the scene's answers; restore their colours."""
        return [nodes.effect for nodes in answers_in(slicer.mrmlScene)]

    def on_cases_changed(self) -> None:
        """Show that cases were mapped or judged: the analysis leaves out what was rejected."""
        self._cases.refresh()
        if self._parameterNode is not None:
            self._show_table(self._parameterNode)

    def on_analysis_chosen(self, analysis: Analysis | None) -> None:
        """Copy an analysis of the study file into the panel; None is an analysis of the user's own."""
        if analysis is None:
            self._parameterNode.question = ""
        else:
            choose_analysis(self._parameterNode, analysis)

    def on_terms_ticked(self, ticked: tuple[str, ...]) -> None:
        """Keep the ticked terms."""
        self._parameterNode.terms = "; ".join(ticked)

    def on_cluster_clicked(self, row: int, _column: int = 0) -> None:
        """Turn the view to the peak of a cluster, and plot its values."""
        nodes = answer_of(self._parameterNode.effect)
        peak = table_rows(nodes.clusters, CLUSTER_COLUMNS)[row]["peak_vertex"]
        surface = surface_from_model(nodes.effect)
        application.turn_to(surface.points[peak], surface.normals[peak])
        application.show_chart(self.logic.plot(nodes, peak))

    def on_views_clicked(self, _clicked: bool = False) -> None:
        """Show the femur from four sides."""
        nodes = answer_of(self._parameterNode.effect)
        application.show_anatomical_views(surface_from_model(nodes.effect).points)

    def on_point_clicked(self, _clicked: bool = False) -> None:
        """Let the next click in a view place the point whose values are plotted."""
        if self._parameterNode.point is None:
            self._parameterNode.point = self.logic.addPoint()
        self._parameterNode.point.RemoveAllControlPoints()
        application.begin_placing(self._parameterNode.point)

    def on_point_moved(self, point: slicer.vtkMRMLMarkupsFiducialNode, _event: object = None) -> None:
        """Plot the values at the vertex nearest to the point."""
        nodes = answer_of(self._parameterNode.effect)
        if nodes is not None and point.GetNumberOfDefinedControlPoints():
            vertex = nearest_vertex(nodes, point.GetNthControlPointPositionWorld(0))
            application.show_chart(self.logic.plot(nodes, vertex))

    def _observe_point(self, point: slicer.vtkMRMLMarkupsFiducialNode | None) -> None:
        if point is self._point:
            return
        node = slicer.vtkMRMLMarkupsNode
        for event in (node.PointPositionDefinedEvent, node.PointModifiedEvent):
            if self._point is not None:
                self.removeObserver(self._point, event, self.on_point_moved)
            if point is not None:
                self.addObserver(point, event, self.on_point_moved)
        self._point = point

    def _read_new_study(self, parameters: Any, study: Path | None) -> None:
        """Copy table and analysis of a newly chosen study file; a restored scene keeps its choices."""
        if study is None or str(study) == parameters.takenStudy:
            return
        try:
            choose_study(parameters, read_study_file(study, needs_analysis=False))
        except CorticalBoneMappingError:
            return  # the sections that show the study say what is wrong with it

    def _show_table(self, parameters: Any) -> None:
        """Show rows and terms; read the table again if it, the maps or the cases changed."""
        chosen = (parameters.studyFile, parameters.tableFile, parameters.resultsFolder)
        seen = (*map(str, chosen), self._cases.seen)
        if seen != self._seen:
            self._seen = seen
            self._read_table(parameters)
        self._terms_table.show(self._terms, terms_of(parameters.terms))

    def _read_table(self, parameters: Any) -> None:
        self.ui.overviewLabel.text = ""
        rows, self._terms = [], []
        if is_set(parameters.tableFile):
            try:
                overview = overview_of(plan_of_table(parameters))
            except (CorticalBoneMappingError, OSError) as error:
                self.ui.overviewLabel.text = str(error)
            else:
                self.ui.overviewLabel.text, rows = overview.summary, overview.rows
                self._terms = overview.terms
                if not parameters.contrast:
                    parameters.contrast = overview.suggested_contrast
                    parameters.terms = "; ".join(overview.suggested_terms)
        fill(self.ui.rowsTable, [_("Participant"), _("Visit"), _("Side"), _("Arm"), _("Map")], rows)

    def _add_answer(self, run: AnalyseMapsRun) -> None:
        self.choose_result(self.logic.addAnswer(run).effect)
