"""Slicer module: a study, from its table of maps to effects on the average femur."""

import json
from pathlib import Path
from typing import Annotated

import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.measures import measure_named
from CorticalBoneMappingLib.slicer.panel import desktop
from CorticalBoneMappingLib.slicer.panel.application import python_beside_slicer
from CorticalBoneMappingLib.slicer.panel.choices import is_set, parameters_of
from CorticalBoneMappingLib.slicer.panel.runs import StudyRun
from CorticalBoneMappingLib.slicer.panel.sections.answer_section import show_answer_in_panel
from CorticalBoneMappingLib.slicer.panel.sections.cases_section import CasesSection
from CorticalBoneMappingLib.slicer.panel.sections.mapping_section import TrialSection
from CorticalBoneMappingLib.slicer.panel.sections.question_section import QuestionSection
from CorticalBoneMappingLib.slicer.panel.sections.run_section import RunSection
from CorticalBoneMappingLib.slicer.panel.study_choices import (
    Alternative,
    AskedMeasure,
    Correction,
    Hips,
    Model,
    ShownView,
    plan_of_table,
    study_plan,
    take_analysis,
    take_study,
    terms_of,
)
from CorticalBoneMappingLib.slicer.panel.study_overview import overview_of
from CorticalBoneMappingLib.slicer.panel.tables import TermsTable, fill
from CorticalBoneMappingLib.slicer.scene.answers import (
    ANSWER_ROLE,
    AnswerNodes,
    add_answer,
    answer_of,
    answers_in,
)
from CorticalBoneMappingLib.slicer.scene.models import surface_from_model
from CorticalBoneMappingLib.slicer.scene.tables import table_rows
from CorticalBoneMappingLib.slicer.scene.vertex_plot import nearest_vertex, plot_vertex
from CorticalBoneMappingLib.study.analysis.answer_tables import CLUSTER_COLUMNS
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file


class CorticalBoneStatistics(ScriptedLoadableModule):
    """What Slicer's module list says of this module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Cortical Bone Statistics")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = ["CorticalBoneMapping", "Models", "Colors", "Tables", "Plots", "Markups"]
        self.parent.contributors = ["Cortical Bone Mapping contributors (SlicerCorticalBoneMapping)"]
        self.parent.helpText = _(
            "Tests a study's cortical maps at every point of the average femur, corrects for the many places "
            "that are tested, and shows effect and significance. For research; not a medical device. "
            'See the <a href="{url}">tutorial</a>.'
        ).format(url="https://github.com/SlicerCorticalBoneMapping/SlicerCorticalBoneMapping#readme")
        self.parent.acknowledgementText = _(
            "Random field theory follows Worsley and colleagues (Hum Brain Mapp 1999;8:98); the study design "
            "that it serves follows Poole and colleagues (J Bone Miner Res 2015;30:46)."
        )


@parameterNodeWrapper
class CorticalBoneStatisticsParameterNode:
    """All inputs of the module; they are saved with the scene.

    `terms` are names of columns and interactions, separated by "; ". `smoothing` is in mm. `effect` is the
    model of the answer on show, `point` the place whose values are plotted. `studyFile` names table, scans
    or maps, and analyses; `takenStudy` is the one whose table and analysis were taken up, `question` the
    analysis that the question began with, empty for one of the user's own.
    """

    studyFile: Path
    takenStudy: str
    question: str
    tableFile: Path
    resultsFolder: Path
    outputFolder: Path
    terms: str
    contrast: str
    measure: AskedMeasure = AskedMeasure.CORTICAL_MASS_SURFACE_DENSITY
    hips: Hips = Hips.BOTH
    model: Model = Model.MIXED
    alternative: Alternative = Alternative.TWO_SIDED
    correction: Correction = Correction.RANDOM_FIELD
    smoothing: Annotated[float, WithinRange(0.0, 40.0)] = 10.0
    permutations: Annotated[float, WithinRange(100.0, 1000000.0)] = 1000.0
    effect: slicer.vtkMRMLModelNode
    shownView: ShownView = ShownView.SIGNIFICANT
    point: slicer.vtkMRMLMarkupsFiducialNode


class CorticalBoneStatisticsWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: scans and cases, the study, the question, Apply or Cancel, and the answer on show."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._run = self._trial = self._cases = self._question = None
        self._seen = None  # table and folder whose rows the panel shows
        self._terms = []  # what a model of this table may be made of
        self._point = None

    def setup(self):
        """Called when the panel is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/CorticalBoneStatistics.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self.ui.effectSelector.addAttribute("vtkMRMLModelNode", ANSWER_ROLE, "effect")
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = CorticalBoneStatisticsLogic()
        self._run = RunSection(
            self.ui,
            (self.ui.inputsSection, self.ui.questionSection, self.ui.advancedSection),
            self._missing,
            self._start,
            self._takeAnswer,
            _("Fit the model at every point of the average femur, and test the contrast."),
        )
        self._cases = CasesSection(self.ui, self.onCases)
        self._trial = TrialSection(self.ui, self._cases.refresh, self.onCases)
        self._question = QuestionSection(self.ui, self.onQuestion)
        self._termsTable = TermsTable(self.ui.termsTable, self.onTerms)
        self.ui.clustersTable.connect("cellClicked(int,int)", self.onCluster)
        self.ui.viewsButton.connect("clicked(bool)", self.onViews)
        self.ui.pointButton.connect("clicked(bool)", self.onPlacePoint)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneLoaded)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneLoaded)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when Slicer closes or the module is reloaded."""
        self._run.abandon()
        self._trial.abandon()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Called each time the panel is opened."""
        self.initializeParameterNode()

    def exit(self):
        """Called each time another module is opened; a run goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller=None, _event=None):
        """End a run that would add to the scene, which goes away; the mapping of a study goes on."""
        self._run.abandon()
        self.setParameterNode(None)

    def onSceneLoaded(self, _caller=None, _event=None):
        """Take up the inputs and answers of a scene that was loaded."""
        answers_in(slicer.mrmlScene)  # makes their colours whole, also where the panel is not open
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Connect the panel to the scene's parameters, and show an answer that the scene brought."""
        self.setParameterNode(self.logic.getParameterNode())
        if self.logic.warnings:
            self.ui.statusLabel.text = "\n".join(self.logic.warnings)
        if self._parameterNode.effect is None and (found := answers_in(slicer.mrmlScene)):
            self._parameterNode.effect = found[-1].effect

    def setParameterNode(self, parameterNode):
        """Connect the panel to `parameterNode`, or to nothing."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(
                self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters
            )
        self._observePoint(None)
        self._parameterNode, self._seen = parameterNode, None
        if parameterNode is not None:
            # Not connectGui: it does not always return the tag, and without the tag the panel would stay
            # connected to the parameters of a scene that was closed.
            named = {widget.property("SlicerParameterName"): widget for widget in vars(self.ui).values()}
            named.pop(None, None)
            self._guiTag = parameterNode.connectParametersToGui(named)
            # Of lower priority than Slicer's own observer, which writes the parameters to the widgets first.
            node, event = parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent
            self.addObserver(node, event, self.onParameters, priority=-1.0)
            self.onParameters()

    def onParameters(self, _caller=None, _event=None):
        """Bring the panel up to date with the parameters."""
        parameters = self._parameterNode
        ui = self.ui
        for edit in (ui.studyFileEdit, ui.tableFileEdit, ui.resultsFolderEdit, ui.outputFolderEdit):
            if not is_set(edit.currentPath):  # how Slicer keeps a path that is not set
                edit.currentPath = ""
        if self._trial.running:  # the scene was closed meanwhile
            parameters.studyFile = self._trial.study
        study = parameters.studyFile if is_set(parameters.studyFile) else None
        self._cases.show(study)
        self._trial.show(study)
        self._takeStudy(parameters, study)
        self._showStudy(parameters)
        self._question.show(parameters)
        self._run.show_apply()
        self._observePoint(parameters.point)
        show_answer_in_panel(self.ui, answer_of(parameters.effect), parameters.shownView.value)

    def onCases(self):
        """Take up that cases were mapped or judged: the statistics leave out what was rejected."""
        self._cases.refresh()
        if self._parameterNode is not None:
            self._showStudy(self._parameterNode)

    def onQuestion(self, analysis):
        """Take up an analysis of the study file; None begins a question of the user's own."""
        if analysis is None:
            self._parameterNode.question = ""
        else:
            take_analysis(self._parameterNode, analysis)

    def onTerms(self, ticked):
        """Keep the ticked terms."""
        self._parameterNode.terms = "; ".join(ticked)

    def onCluster(self, row, _column=0):
        """Turn the view to the peak of a cluster, and plot its values."""
        nodes = answer_of(self._parameterNode.effect)
        peak = table_rows(nodes.clusters, CLUSTER_COLUMNS)[row]["peak_vertex"]
        surface = surface_from_model(nodes.effect)
        desktop.turn_to(surface.points[peak], surface.normals[peak])
        desktop.show_chart(self.logic.plot(nodes, peak))

    def onViews(self, _clicked=None):
        """Show the femur from four sides."""
        nodes = answer_of(self._parameterNode.effect)
        desktop.show_anatomical_views(surface_from_model(nodes.effect).points)

    def onPlacePoint(self, _clicked=None):
        """Let the next click place the point whose values are plotted."""
        if self._parameterNode.point is None:
            self._parameterNode.point = self.logic.addPoint()
        self._parameterNode.point.RemoveAllControlPoints()
        desktop.begin_placing(self._parameterNode.point)

    def onPointMoved(self, point, _event=None):
        """Plot the values at the vertex nearest to the point."""
        nodes = answer_of(self._parameterNode.effect)
        if nodes is not None and point.GetNumberOfDefinedControlPoints():
            vertex = nearest_vertex(nodes, point.GetNthControlPointPositionWorld(0))
            desktop.show_chart(self.logic.plot(nodes, vertex))

    def _observePoint(self, point):
        if point is self._point:
            return
        node = slicer.vtkMRMLMarkupsNode
        for event in (node.PointPositionDefinedEvent, node.PointModifiedEvent):
            if self._point is not None:
                self.removeObserver(self._point, event, self.onPointMoved)
            if point is not None:
                self.addObserver(point, event, self.onPointMoved)
        self._point = point

    def _takeStudy(self, parameters, study):
        """Take up what a study file says when another one is chosen; a restored scene keeps its choices."""
        if study is None or str(study) == parameters.takenStudy:
            return
        try:
            take_study(parameters, read_study_file(study, needs_analysis=False))
        except CorticalBoneMappingError:
            return  # the sections that show the study say what is wrong with it

    def _showStudy(self, parameters):
        """Show study and terms; read the table anew when it, its maps, or what was mapped is another."""
        chosen = (parameters.studyFile, parameters.tableFile, parameters.resultsFolder)
        seen = (*map(str, chosen), self._cases.seen)
        if seen != self._seen:
            self._seen = seen
            self._readStudy(parameters)
        self._termsTable.show(self._terms, terms_of(parameters.terms))

    def _readStudy(self, parameters):
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
        headings = [_("Participant"), _("Visit"), _("Side"), _("Arm"), _("Map")]
        fill(self.ui.rowsTable, headings, rows)

    def _missing(self):
        return None if self._parameterNode is None else self.logic.missingInputs(self._parameterNode)

    def _start(self):
        return self.logic.start(self._parameterNode)

    def _takeAnswer(self, run):
        nodes = self.logic.addAnswer(run)
        if self._parameterNode is None:  # another module is open
            return
        self._parameterNode.effect = nodes.effect
        slicer.util.resetThreeDViews()


class CorticalBoneStatisticsLogic(ScriptedLoadableModuleLogic):
    """What the panel does, for scripts and tests as well."""

    def getParameterNode(self):
        """Give the module's inputs in the scene; `warnings` says which of them it does not know."""
        node = super().getParameterNode()
        parameters, self.warnings = parameters_of(node, CorticalBoneStatisticsParameterNode)
        return parameters

    def missingInputs(self, parameters) -> list[str]:
        """Say what has to be set before the run can begin, one sentence each."""
        wanted = [
            (parameters.tableFile.is_file(), _("Choose the table of the study.")),
            (is_set(parameters.resultsFolder), _("Choose the folder of the maps.")),
            (is_set(parameters.outputFolder), _("Choose the folder for the answer.")),
            (bool(terms_of(parameters.terms)), _("Tick what the model is made of.")),
            (bool(parameters.contrast.strip()), _("Write the contrast.")),
        ]
        return [sentence for isThere, sentence in wanted if not isThere]

    def start(self, parameters) -> StudyRun:
        """Begin to answer the study in a child process, so that Slicer stays alive."""
        missing = self.missingInputs(parameters)
        if missing:
            raise CorticalBoneMappingError(" ".join(missing))
        return StudyRun(study_plan(parameters), Path(parameters.outputFolder), python=python_beside_slicer())

    def addAnswer(self, run: StudyRun) -> AnswerNodes:
        """Add the answer of a run that is done to the scene."""
        answer = run.answer()
        return add_answer(slicer.mrmlScene, answer, answer.provenance["question"]["contrast"])

    def addPoint(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        """Add the point whose values are plotted."""
        point = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", _("Point on the femur"))
        point.SetMaximumNumberOfControlPoints(1)
        return point

    def plot(self, nodes: AnswerNodes, vertex: int) -> slicer.vtkMRMLPlotChartNode:
        """Plot the arms over the visits at a vertex."""
        measure = measure_named(json.loads(nodes.provenance.GetText())["analysis"]["measure"])
        unit = surface_from_model(nodes.effect).units.get("group_1_mean", measure.unit)
        return plot_vertex(nodes, vertex, f"{measure.label} ({unit})" if unit else measure.label)


class CorticalBoneStatisticsTest(ScriptedLoadableModuleTest):
    """Self test, in Slicer."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        self.setUp()
        self.test_WhatIsMissingIsSaid()

    def test_WhatIsMissingIsSaid(self):
        """An empty scene cannot be tested, and the panel says what it needs."""
        logic = CorticalBoneStatisticsLogic()
        self.assertEqual(len(logic.missingInputs(logic.getParameterNode())), 5)
