"""Base of both modules' panels: the life cycle of Slicer's module template, and a run with its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import slicer.util
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from .child_process import ChildRun
from .choices import is_set


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A panel whose inputs are in the scene's parameter node.

    A subclass has the name that Slicer looks for, sets `result_parameter`, and defines `setup_sections`,
    `show_parameters` and `result_models`.

    Parameters
    ----------
    parent : qMRMLWidget or None
        As Slicer passes it.
    make_logic : callable
        Returns the module's logic, with `getParameterNode`, `missingInputs`, `start` and `warnings`.

    Attributes
    ----------
    ui : namespace of widgets
        Those of the module's ``.ui`` file, by name.
    logic : ScriptedLoadableModuleLogic
        What `make_logic` returned.
    path_edits : tuple of widgets
        Those that take a file or a folder.
    scene_runs, lasting_runs : tuple of sections
        With a run that ends when the scene is closed, or that goes on; all end with the panel.
    """

    result_parameter = ""
    """Name of the parameter that holds the model of the shown result."""

    def __init__(self, parent: Any, make_logic: Callable[[], Any]) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic, self._make_logic = None, make_logic
        self.path_edits = self.scene_runs = self.lasting_runs = ()
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup_sections(self) -> None:
        """Make the sections of the panel; called once, when `ui` and `logic` exist."""
        raise NotImplementedError

    def show_parameters(self, parameters: Any) -> None:
        """Bring the panel up to date with the parameters."""
        raise NotImplementedError

    def result_models(self) -> list[slicer.vtkMRMLModelNode]:
        """Return the models of the scene's results, oldest first; restore what a scene file does not keep."""
        raise NotImplementedError

    def setup(self) -> None:
        """Called when the panel is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self.logic = self._make_logic()
        self.setup_sections()
        panel.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneLoaded)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneLoaded)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when Slicer closes or the module is reloaded."""
        for section in (*self.scene_runs, *self.lasting_runs):
            section.abandon()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the panel is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time another module is opened; a run goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller: object = None, _event: object = None) -> None:
        """End the runs that would add to the scene that is closed."""
        for section in self.scene_runs:
            section.abandon()
        self.setParameterNode(None)

    def onSceneLoaded(self, _caller: object = None, _event: object = None) -> None:
        """Show the inputs and results of a scene that was loaded."""
        self.result_models()  # restores their colours, also where another module is open
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Connect the panel to the scene's parameters, and show the scene's last result if none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if self.logic.warnings:
            self.ui.statusLabel.text = "\n".join(self.logic.warnings)
        models = self.result_models()
        if models and getattr(self._parameterNode, self.result_parameter) is None:
            setattr(self._parameterNode, self.result_parameter, models[-1])

    def setParameterNode(self, parameterNode: Any) -> None:
        """Connect the panel to the parameters of a scene; None disconnects it."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            node = self._parameterNode.parameterNode
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            # A lower priority than Slicer's own observer, which writes the parameters to the widgets first.
            node, event = parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent
            self.addObserver(node, event, self.onParametersModified, priority=-1.0)
            self.onParametersModified()

    def onParametersModified(self, _caller: object = None, _event: object = None) -> None:
        """Bring the panel up to date with the parameters."""
        for edit in self.path_edits:
            if not is_set(edit.currentPath):
                edit.currentPath = ""
        self.show_parameters(self._parameterNode)

    def missing_inputs(self) -> list[str] | None:
        """Say what has to be set before a run, one sentence each; None while the panel is not connected."""
        return None if self._parameterNode is None else self.logic.missingInputs(self._parameterNode)

    def start_run(self) -> ChildRun:
        """Start the module's run with the chosen inputs."""
        return self.logic.start(self._parameterNode)

    def choose_result(self, model: slicer.vtkMRMLModelNode) -> None:
        """Show a result that was added to the scene; not if another module is open."""
        if self._parameterNode is not None:
            setattr(self._parameterNode, self.result_parameter, model)
            slicer.util.resetThreeDViews()
