"""Slicer's desktop for the statistics panel: views, plots, and a point that the user places."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from ..scene.cameras import LAYOUT_NUMBER, layout_description, look_at_peak, look_from, view_tags


def show_anatomical_views(points: np.ndarray) -> None:
    """Show four 3D views, one from each side of the femur, and a plot under them.

    Parameters
    ----------
    points : ndarray of shape (n, 3)
        Of the femur, RAS mm.
    """
    manager = slicer.app.layoutManager()
    layout = manager.layoutLogic().GetLayoutNode()
    if not layout.IsLayoutDescription(LAYOUT_NUMBER):
        layout.AddLayoutDescription(LAYOUT_NUMBER, layout_description())
    layout.SetViewArrangement(LAYOUT_NUMBER)
    for tag, view in view_tags().items():
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
        look_from(slicer.modules.cameras.logic().GetViewActiveCameraNode(node), view, points)


def show_case(scan: slicer.vtkMRMLScalarVolumeNode | None, points: np.ndarray) -> None:
    """Show a bone and, if it is there, the scan under it, cut through the bone's middle.

    Parameters
    ----------
    scan : vtkMRMLScalarVolumeNode or None
    points : ndarray of shape (n, 3)
        Of the bone, RAS mm.
    """
    if scan is not None:
        slicer.util.setSliceViewerLayers(background=scan, fit=True)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *middle)
    slicer.util.resetThreeDViews()


def turn_to(place: np.ndarray, normal: np.ndarray) -> None:
    """Turn the first 3D view to a place on the surface."""
    node = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    look_at_peak(slicer.modules.cameras.logic().GetViewActiveCameraNode(node), place, normal)


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart in the plot view, if the layout has one."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def begin_placing(point: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Let the next click in a view place the point."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(point.GetID())
    slicer.app.applicationLogic().GetInteractionNode().SetCurrentInteractionMode(
        slicer.vtkMRMLInteractionNode.Place
    )
