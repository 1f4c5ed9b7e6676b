"""Slicer module for one hip: from a CT and a segment to a cortical map on the average femur."""

import time
from dataclasses import replace
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
from CorticalBoneMappingLib.pipeline.settings import MapSettings
from CorticalBoneMappingLib.slicer.panel.application import (
    dicom_facts_of,
    python_beside_slicer,
    simulate_hip,
)
from CorticalBoneMappingLib.slicer.panel.child_process import RunState
from CorticalBoneMappingLib.slicer.panel.choices import (
    CalibrationKind,
    Hardening,
    Method,
    ShownOn,
    Side,
    Substance,
    is_set,
    map_settings,
    parameters_of,
)
from CorticalBoneMappingLib.slicer.panel.mapping_widget import MappingWidget
from CorticalBoneMappingLib.slicer.panel.runs import MapFemurRun
from CorticalBoneMappingLib.slicer.panel.sections.find_section import add_found, start_finding
from CorticalBoneMappingLib.slicer.panel.sections.run_section import POLL_MILLISECONDS
from CorticalBoneMappingLib.slicer.scene.models import surface_from_model
from CorticalBoneMappingLib.slicer.scene.registration import add_registration
from CorticalBoneMappingLib.slicer.scene.results import ResultNodes, add_result, results_in
from CorticalBoneMappingLib.slicer.scene.segmentation import side_of_segment, surface_of_segment
from CorticalBoneMappingLib.slicer.scene.volumes import labelmap_from_segment, volume_from_node


class CorticalBoneMapping(ScriptedLoadableModule):
    """Title, help and dependencies of the module in Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Cortical Bone Mapping")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        needed = ("Segmentations", "Models", "Colors", "Tables", "Texts", "Markups", "Transforms")
        self.parent.dependencies = list(needed)
        self.parent.contributors = ["Cortical Bone Mapping contributors (SlicerCorticalBoneMapping)"]
        self.parent.helpText = _(
            "Maps cortical thickness, density and mass of the proximal femur from a clinical CT and a "
            "segment of the femur, and carries the maps to an average femur. For research; not a medical "
            'device. See the <a href="{url}">tutorial</a>.'
        ).format(url="https://github.com/SlicerCorticalBoneMapping/SlicerCorticalBoneMapping#readme")
        self.parent.acknowledgementText = _(
            "The methods are those of Treece, Gee, Poole and colleagues, University of Cambridge "
            "(Med Image Anal 2010;14:276 and 2012;16:952)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer a simulated hip in Slicer's sample data, without a download."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=_("Cortical Bone Mapping"),
        sampleName="SimulatedHip",
        uris="",  # Slicer wants as many as there are nodes
        nodeNames="SimulatedHip",
        thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / "CorticalBoneMapping.png"),
        customDownloader=simulate_hip,
    )


@parameterNodeWrapper
class CorticalBoneMappingParameterNode:
    """All inputs of the module; they are saved with the scene.

    `slope` is in mg/cm³ per HU, `intercept` in mg/cm³, `corticalDensity` in mg/cm³ (HU without
    calibration), `kvp` in kV and `sliceThickness` in mm (0: from the scan), `spacing` in mm. `result` is the
    shown bone, `shownMeasure` the name of an array of it.
    """

    volume: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode
    segmentID: str
    side: Side = Side.UNSET
    outputFolder: Path
    calibration: CalibrationKind = CalibrationKind.NONE
    slope: Annotated[float, WithinRange(0.2, 5.0)] = 1.0
    intercept: Annotated[float, WithinRange(-1000.0, 1000.0)] = 0.0
    substance: Substance = Substance.K2HPO4
    rodsFile: Path
    hardening: Hardening = Hardening.AUTO
    kvp: Annotated[float, WithinRange(0.0, 150.0)] = 0.0
    sliceThickness: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    method: Method = Method(MapSettings().method)
    useCorticalDensity: bool = False
    corticalDensity: Annotated[float, WithinRange(100.0, 5000.0)] = 1000.0
    spacing: Annotated[float, WithinRange(0.4, 5.0)] = MapSettings().spacing_mm
    result: slicer.vtkMRMLModelNode
    shownMeasure: str = "cortical_thickness"
    shownOn: ShownOn = ShownOn.BONE


class CorticalBoneMappingWidget(MappingWidget):
    """The panel, with its logic."""

    def __init__(self, parent=None):
        super().__init__(parent, CorticalBoneMappingLogic)


class CorticalBoneMappingLogic(ScriptedLoadableModuleLogic):
    """What the panel does without widgets, for scripts and tests as well."""

    def getParameterNode(self):
        """Return the module's inputs in the scene; `warnings` names those that were replaced."""
        node = super().getParameterNode()
        parameters, self.warnings = parameters_of(node, CorticalBoneMappingParameterNode)
        return parameters

    def missingInputs(self, parameters) -> list[str]:
        """Say what has to be set before a run, one sentence each."""
        segmentation = parameters.segmentation
        segments = segmentation.GetSegmentation() if segmentation is not None else None
        wanted = [
            (parameters.volume is not None, _("Choose the CT volume.")),
            (segments is not None, _("Choose the segmentation that holds the femur.")),
            (
                segments is None or segments.GetSegment(parameters.segmentID) is not None,
                _("Choose the segment of the femur."),
            ),
            (parameters.side != Side.UNSET, _("Choose the side of the body.")),
            (is_set(parameters.outputFolder), _("Choose the output folder.")),
            (
                parameters.calibration != CalibrationKind.RODS or parameters.rodsFile.is_file(),
                _("Choose the file with the rods of the phantom."),
            ),
        ]
        return [sentence for isSet, sentence in wanted if not isSet]

    def start(self, parameters) -> MapFemurRun:
        """Start to map the femur in a child process, so that Slicer stays usable."""
        missing = self.missingInputs(parameters)
        if missing:
            raise CorticalBoneMappingError(" ".join(missing))
        ct = replace(volume_from_node(parameters.volume), **dicom_facts_of(parameters.volume))
        labelmap = labelmap_from_segment(parameters.segmentation, parameters.segmentID, ct)
        return MapFemurRun(
            ct,
            surface_of_segment(slicer.mrmlScene, labelmap) or labelmap,
            parameters.side.value,
            map_settings(parameters),
            Path(parameters.outputFolder),
            python=python_beside_slicer(),
        )

    def addResult(self, run: MapFemurRun) -> ResultNodes:
        """Add the result of a finished run to the scene."""
        result, name = run.result(), run.folder.name
        nodes = add_result(slicer.mrmlScene, result, name)
        add_registration(slicer.mrmlScene, result, nodes, name)
        return nodes


class CorticalBoneMappingTest(ScriptedLoadableModuleTest):
    """Self test, in Slicer."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        for name in ("MissingInputsAreNamed", "SimulatedHipIsMapped", "FemurOfSimulatedHipIsFound"):
            self.setUp()
            getattr(self, f"test_{name}")()

    def test_MissingInputsAreNamed(self):
        """In an empty scene the panel names the four inputs that it needs."""
        logic = CorticalBoneMappingLogic()
        self.assertEqual(len(logic.missingInputs(logic.getParameterNode())), 4)

    def test_SimulatedHipIsMapped(self):
        """From a coarse CT and a segment to models, table and folder, by the child process."""
        coarse = ("--voxel", "1", "--slice", "2")
        volume, segmentation = simulate_hip(options=coarse)
        logic = CorticalBoneMappingLogic()
        parameters = logic.getParameterNode()
        parameters.volume, parameters.segmentation = volume, segmentation
        parameters.segmentID = segmentation.GetSegmentation().GetSegmentIdBySegmentName(_("Femur"))
        parameters.side, parameters.spacing = Side.RIGHT, 3.0
        parameters.outputFolder = Path(slicer.app.temporaryPath) / "SimulatedHip" / "result"
        run = logic.start(parameters)
        self.waitFor(run)
        nodes = logic.addResult(run)
        bone = surface_from_model(nodes.bone)
        thickness = bone.arrays["cortical_thickness"]
        measured = bone.arrays["quality"] == 0
        self.assertGreater(measured.mean(), 0.5)
        self.assertTrue((thickness[measured] > 0).all() and (thickness[measured] < 10).all())
        self.assertEqual(results_in(slicer.mrmlScene)[0].identifier, nodes.identifier)

    def test_FemurOfSimulatedHipIsFound(self):
        """Found in the CT by the child process, the femur is a segment that overlaps the true one."""
        volume, truth = simulate_hip(options=("--voxel", "1", "--slice", "2"))
        run = start_finding(volume)
        self.waitFor(run)
        found = add_found(run, volume)
        masks = []
        for node, name in ((truth, _("Femur")), (found, "Right femur")):
            segmentID = node.GetSegmentation().GetSegmentIdBySegmentName(name)
            masks.append(labelmap_from_segment(node, segmentID, volume_from_node(volume)).array > 0)
        self.assertGreater(2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum()), 0.97)
        self.assertEqual(side_of_segment(found, segmentID), "right")

    def waitFor(self, run):
        """Keep Slicer running until the child process has ended."""
        while (state := run.poll()) == RunState.RUNNING:
            slicer.app.processEvents()
            time.sleep(POLL_MILLISECONDS / 1000)
        self.assertEqual(state, RunState.DONE, run.log)
