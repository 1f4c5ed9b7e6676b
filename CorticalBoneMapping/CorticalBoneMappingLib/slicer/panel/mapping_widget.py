"""Panel of the module for one hip: inputs, the search for the femurs, the run, and the shown result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..scene.results import ROLE_ATTRIBUTE, result_of, results_in
from ..scene.segmentation import side_of_segment
from .choices import Side, show_calibration_fields
from .runs import MapFemurRun
from .sections.find_section import FindSection
from .sections.result_section import show_result_in_panel
from .sections.run_section import RunSection
from .widget import ModuleWidget


class MappingWidget(ModuleWidget):
    """The panel of one hip."""

    result_parameter = "result"

    def __init__(self, parent: Any, make_logic: Callable[[], Any]) -> None:
        super().__init__(parent, make_logic)
        self._run = self._find = None

    def setup_sections(self) -> None:
        """Make the run, the search, and what chooses segment and measure."""
        ui = self.ui
        ui.resultSelector.addAttribute("vtkMRMLModelNode", ROLE_ATTRIBUTE, "bone")
        self.path_edits = (ui.outputFolderEdit, ui.rodsFileEdit)
        self._run = RunSection(
            ui,
            (ui.inputsSection, ui.calibrationSection, ui.advancedSection),
            self.missing_inputs,
            self.start_run,
            self._add_result,
            _("Measure the cortex and carry the maps to the average femur."),
            self._show_buttons,
        )
        self._find = FindSection(
            ui,
            self._missing_for_search,
            lambda: self._parameterNode.volume,
            self._choose_segmentation,
            self._show_buttons,
        )
        self.scene_runs = (self._run, self._find)
        ui.shownMeasureCombo.connect("currentIndexChanged(int)", self.on_measure_chosen)
        ui.segmentSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.on_segment_chosen)
        ui.segmentSelector.connect("currentSegmentChanged(QString)", self.on_segment_chosen)

    def show_parameters(self, parameters: Any) -> None:
        """Show segment, calibration, buttons and result."""
        self._show_segment(parameters)
        show_calibration_fields(self.ui, parameters)
        self._show_buttons()
        self._find.show(parameters.segmentation)
        nodes, on = result_of(parameters.result), parameters.shownOn.value
        show_result_in_panel(self.ui, nodes, parameters.shownMeasure, on)

    def result_models(self) -> list[slicer.vtkMRMLModelNode]:
        """Return the bones of the scene's results; restore their colours."""
        return [nodes.bone for nodes in results_in(slicer.mrmlScene)]

    def missing_inputs(self) -> list[str] | None:
        """Say what has to be set before a run, one sentence each."""
        if self._find is not None and self._find.running:
            return [_("Wait until the femurs are found.")]
        return super().missing_inputs()

    def on_measure_chosen(self, index: int) -> None:
        """Keep the shown measure, by the name that the result has for it."""
        if self._parameterNode is not None and index >= 0:
            self._parameterNode.shownMeasure = self.ui.shownMeasureCombo.itemData(index)

    def on_segment_chosen(self, _selected: object = None) -> None:
        """Keep segmentation, segment and side: Slicer's parameter node has no connector for the selector."""
        parameters, selector = self._parameterNode, self.ui.segmentSelector
        if parameters is not None:
            parameters.segmentation = selector.currentNode()
            parameters.segmentID = selector.currentSegmentID() or ""
            if side := side_of_segment(parameters.segmentation, parameters.segmentID):
                parameters.side = Side(side)

    def _show_buttons(self) -> None:
        if self._run is not None and self._find is not None:  # each calls this while it is made
            self._run.show_apply()
            self._find.show_button()

    def _missing_for_search(self) -> list[str]:
        if self._run.run is not None:
            return [_("Wait until the measurement is done.")]
        has_volume = self._parameterNode is not None and self._parameterNode.volume is not None
        return [] if has_volume else [_("Choose the CT volume.")]

    def _choose_segmentation(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        if self._parameterNode is not None:
            self._parameterNode.segmentation = segmentation

    def _add_result(self, run: MapFemurRun) -> None:
        self.choose_result(self.logic.addResult(run).bone)

    def _show_segment(self, parameters: Any) -> None:
        selector, segment = self.ui.segmentSelector, parameters.segmentID
        if selector.currentNode() is not parameters.segmentation:
            selector.setCurrentNode(parameters.segmentation)
        if segment and selector.currentSegmentID() != segment:
            selector.setCurrentSegmentID(segment)
