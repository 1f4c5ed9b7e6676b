"""Cameras on the sides of a femur, and the layout that shows four of them."""

from __future__ import annotations

import numpy as np
import slicer

from CorticalBoneMappingLib.slicer.scene.cameras import (
    LAYOUT_NUMBER,
    layout_description,
    look_at_peak,
    look_from,
    view_tags,
)


def test_each_view_sees_the_whole_femur_from_its_side(scene):
    points = np.array([[-20.0, -30.0, -100.0], [60.0, 20.0, 25.0]])
    for view in view_tags().values():
        camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
        look_from(camera, view, points)
        place, focus = (np.array(get()) for get in (camera.GetPosition, camera.GetFocalPoint))
        np.testing.assert_allclose(focus, points.mean(axis=0))
        direction = (place - focus) / np.linalg.norm(place - focus)
        np.testing.assert_allclose(direction, view.towards_viewer, atol=1e-12)
        assert camera.GetParallelProjection()
        assert 2.0 * camera.GetParallelScale() >= np.ptp(view.project(points), axis=0).max()
    assert [view.name for view in view_tags().values()] == ["Anterior", "Posterior", "Medial", "Lateral"]


def test_a_peak_is_looked_at_along_its_normal_also_from_above(scene):
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    for normal in (np.array([0.0, 0.6, 0.8]), np.array([0.0, 0.0, 1.0])):
        look_at_peak(camera, np.array([1.0, 2.0, 3.0]), normal)
        np.testing.assert_allclose(camera.GetFocalPoint(), [1.0, 2.0, 3.0])
        away = np.array(camera.GetPosition()) - [1.0, 2.0, 3.0]
        np.testing.assert_allclose(away / np.linalg.norm(away), normal, atol=1e-12)
        assert np.linalg.norm(np.cross(camera.GetViewUp(), normal)) > 0.3  # up is not along the gaze


def test_slicer_takes_the_layout_and_finds_four_views_and_a_plot_in_it(scene):
    layout = scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    assert layout.AddLayoutDescription(LAYOUT_NUMBER, layout_description())
    assert layout.IsLayoutDescription(LAYOUT_NUMBER)
    text = layout.GetLayoutDescription(LAYOUT_NUMBER)
    assert text.count("vtkMRMLViewNode") == 4
    assert text.count("vtkMRMLPlotViewNode") == 1
    assert slicer.vtkMRMLLayoutNode.SlicerLayoutUserView < LAYOUT_NUMBER
