"""The result as Slicer's own 3D view draws it, off-screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.core.colours import NOT_MEASURED_COLOUR, sequential
from CorticalBoneMappingLib.slicer.scene.results import add_result, show_result

PICTURES = Path(__file__).parents[3] / "build" / "pictures"
CENTRE, RADIUS = np.array([40.0, -10.0, 100.0]), 30.0  # of the ball in the fixture, mm


def test_the_bone_is_drawn_in_the_colours_of_its_values_and_grey_where_not_measured(scene, femur_result):
    view = View(scene)
    nodes = add_result(scene, femur_result, "Hip")
    for model in nodes.models:
        model.GetDisplayNode().SetLighting(False)  # so that a pixel has the colour of the table
    picture = view.draw("scene_bone.png")

    ramp = sequential(256)
    column = int(0.3 * view.size)  # beside the middle, where the legend's title is
    for height in (0.0, 0.4, -0.4, 0.8):  # of the ball's radius, above its centre
        colour = picture[view.row_of(height * RADIUS), column] / 255.0
        np.testing.assert_allclose(colour, ramp[int(255 * (height + 1) / 2)], atol=0.04)
    cap = picture[view.row_of(-0.8 * RADIUS), column] / 255.0
    np.testing.assert_allclose(cap, NOT_MEASURED_COLOUR, atol=0.02)


def test_the_legend_is_drawn_and_the_hidden_model_is_not(scene, femur_result):
    view = View(scene)
    nodes = add_result(scene, femur_result, "Hip")
    bone = view.draw("scene_bone_lit.png")
    show_result(nodes, "cortical_thickness", on="average")  # 100 mm lower, outside this view
    average = view.draw("scene_average.png")

    background = np.array([255, 255, 255])
    middle = view.size // 2
    assert np.any(bone[view.row_of(0.0), middle] != background)
    assert np.all(average[view.row_of(0.0), middle] == background)
    right_edge = slice(int(0.86 * view.size), None)
    for picture in (bone, average):  # where Slicer puts a legend: at the right
        assert np.any(picture[:, right_edge] != background, axis=-1).mean() > 0.03


class View:
    """A 3D view with Slicer's displayable managers, from the patient's front, made before its content."""

    size = 500
    half_height_mm = 33.0

    def __init__(self, scene) -> None:
        self._application = slicer.vtkMRMLApplicationLogic()
        self._application.SetMRMLScene(scene)
        self._factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self._factory.SetMRMLApplicationLogic(self._application)
        for manager in ("vtkMRMLModelDisplayableManager", "vtkMRMLColorLegendDisplayableManager"):
            if not self._factory.IsDisplayableManagerRegistered(manager):
                self._factory.RegisterDisplayableManager(manager)
        self._renderer, self._window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetSize(self.size, self.size)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.Initialize(self._factory, self._renderer)
        self._group.SetMRMLDisplayableNode(scene.AddNewNodeByClass("vtkMRMLViewNode", "View1"))

    def row_of(self, height_mm: float) -> int:
        """Row (from below) of a place so much above the ball's centre."""
        return int(self.size * 0.5 * (1 + height_mm / self.half_height_mm))

    def draw(self, name: str) -> np.ndarray:
        """Pixels of shape (size, size, 3), rows from below; also written, for a person to look at."""
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(*CENTRE)
        camera.SetPosition(CENTRE[0], CENTRE[1] + 10 * RADIUS, CENTRE[2])
        camera.SetViewUp(0, 0, 1)
        camera.ParallelProjectionOn()
        camera.SetParallelScale(self.half_height_mm)
        self._renderer.SetBackground(1.0, 1.0, 1.0)
        self._renderer.ResetCameraClippingRange()
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        PICTURES.mkdir(parents=True, exist_ok=True)
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(PICTURES / name))
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()
        return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(self.size, self.size, 3)
