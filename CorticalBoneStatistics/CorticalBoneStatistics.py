"""Slicer module for a study: from its scans or maps to effects on the average femur."""

import json
from pathlib import Path
from typing import Annotated

import slicer
import slicer.util
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.measures import measure_named
from CorticalBoneMappingLib.slicer.panel.analysis_widget import AnalysisWidget
from CorticalBoneMappingLib.slicer.panel.application import python_beside_slicer
from CorticalBoneMappingLib.slicer.panel.choices import is_set, parameters_of
from CorticalBoneMappingLib.slicer.panel.runs import AnalyseMapsRun
from CorticalBoneMappingLib.slicer.panel.study_choices import (
    Alternative,
    AskedMeasure,
    Correction,
    Hips,
    ModelChoice,
    ShownView,
    study_plan,
    terms_of,
)
from CorticalBoneMappingLib.slicer.scene.answers import AnswerNodes, add_answer
from CorticalBoneMappingLib.slicer.scene.models import surface_from_model
from CorticalBoneMappingLib.slicer.scene.vertex_plot import plot_vertex


class CorticalBoneStatistics(ScriptedLoadableModule):
    """Title, help and dependencies of the module in Slicer."""

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
    model of the shown result, `point` the point whose values are plotted. `studyFile` names table, scans or
    maps, and analyses; `takenStudy` is the one whose table and analysis were copied, `question` the chosen
    analysis of it, empty for one of the user's own.
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
    model: ModelChoice = ModelChoice.MIXED
    alternative: Alternative = Alternative.TWO_SIDED
    correction: Correction = Correction.RANDOM_FIELD
    smoothing: Annotated[float, WithinRange(0.0, 40.0)] = 10.0
    permutations: Annotated[float, WithinRange(100.0, 1000000.0)] = 1000.0
    effect: slicer.vtkMRMLModelNode
    shownView: ShownView = ShownView.SIGNIFICANT
    point: slicer.vtkMRMLMarkupsFiducialNode


class CorticalBoneStatisticsWidget(AnalysisWidget):
    """The panel, with its logic."""

    def __init__(self, parent=None):
        super().__init__(parent, CorticalBoneStatisticsLogic)


class CorticalBoneStatisticsLogic(ScriptedLoadableModuleLogic):
    """What the panel does without widgets, for scripts and tests as well."""

    def getParameterNode(self):
        """Return the module's inputs in the scene; `warnings` names those that were replaced."""
        node = super().getParameterNode()
        parameters, self.warnings = parameters_of(node, CorticalBoneStatisticsParameterNode)
        return parameters

    def missingInputs(self, parameters) -> list[str]:
        """Say what has to be set before a run, one sentence each."""
        wanted = [
            (parameters.tableFile.is_file(), _("Choose the table of the study.")),
            (is_set(parameters.resultsFolder), _("Choose the folder of the maps.")),
            (is_set(parameters.outputFolder), _("Choose the output folder.")),
            (bool(terms_of(parameters.terms)), _("Tick the terms of the model.")),
            (bool(parameters.contrast.strip()), _("Enter the contrast.")),
        ]
        return [sentence for isSet, sentence in wanted if not isSet]

    def start(self, parameters) -> AnalyseMapsRun:
        """Start to analyse the maps in a child process, so that Slicer stays usable."""
        missing = self.missingInputs(parameters)
        if missing:
            raise CorticalBoneMappingError(" ".join(missing))
        return AnalyseMapsRun(
            study_plan(parameters), Path(parameters.outputFolder), python=python_beside_slicer()
        )

    def addAnswer(self, run: AnalyseMapsRun) -> AnswerNodes:
        """Add the answer of a finished run to the scene."""
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
        self.test_MissingInputsAreNamed()

    def test_MissingInputsAreNamed(self):
        """In an empty scene the panel names the five inputs that it needs."""
        logic = CorticalBoneStatisticsLogic()
        self.assertEqual(len(logic.missingInputs(logic.getParameterNode())), 5)
